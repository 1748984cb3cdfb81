"""Proxies: sealed, named by accounts of their tenant, kept while one of them does."""

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import changes
from gateway.core.domain import Proxy
from gateway.core.ids import new_id
from gateway.core.sealing import SealBroken, Sealer
from gateway.core.secret import Secret
from gateway.core.services import accounts, proxies, tenants
from gateway.core.services.failures import Conflict, Invalid, Missing
from gateway.core.services.reach import Reach
from gateway.core.services.rows import Window

ROOT = Reach(everything=True)
SEALER = Sealer((bytes(32),))
URL = "socks5h://some:secret@proxy.example"


async def test_the_url_is_sealed_for_its_row(database: AsyncSession, default: str):
    one = await proxies.create(database, SEALER, default, {"name": "one", "url": URL})
    two = await proxies.create(database, SEALER, default, {"name": "two", "url": "http://other.example"})
    assert b"secret" not in one.url
    read = Proxy(one.id, "socks5h", "proxy.example", 1080, Secret("some"), Secret("secret"))
    assert proxies.opened(one, SEALER) == read
    two.url = one.url
    with pytest.raises(SealBroken):
        proxies.opened(two, SEALER)
    with pytest.raises(SealBroken):
        proxies.opened(one, Sealer((bytes(31) + b"1",)))
    one.url = SEALER.seal(b"not a proxy", f"proxies/{one.id}/url")
    with pytest.raises(SealBroken):
        proxies.opened(one, SEALER)


async def test_every_change_is_announced(database: AsyncSession, default: str):
    before = await changes.current(database)
    proxy = await proxies.create(database, SEALER, default, {"name": "p", "url": URL})
    await proxies.change(database, SEALER, proxy, {"name": "q"})
    assert (proxy.name, proxy.version, proxies.opened(proxy, SEALER).port) == ("q", 2, 1080)
    await proxies.change(database, SEALER, proxy, {"url": "http://proxy.example:3128"})
    assert proxies.opened(proxy, SEALER) == Proxy(proxy.id, "http", "proxy.example", 3128)
    await proxies.delete(database, proxy)
    assert [(one.kind, one.id) for one in await changes.since(database, before)] == [("proxy", proxy.id)] * 4


async def test_an_account_keeps_its_proxy(database: AsyncSession, default: str):
    elsewhere = (await tenants.create(database, {"name": "elsewhere"})).id
    proxy = await proxies.create(database, SEALER, default, {"name": "p", "url": URL})
    values = {"name": "a", "platform": "openai", "provider": "openai", "proxy_id": proxy.id}
    for tenant_id, missing in ((elsewhere, proxy.id), (default, new_id("prx")), (default, "p"), (default, "prx_1")):
        with pytest.raises(Invalid) as raised:
            await accounts.create(database, SEALER, tenant_id, {**values, "proxy_id": missing}, {})
        assert raised.value.field == "proxy_id"
    account = await accounts.create(database, SEALER, default, values, {})
    assert (account.proxy_id, await proxies.of_account(database, SEALER, account)) == (
        proxy.id,
        proxies.opened(proxy, SEALER),
    )
    with pytest.raises(Conflict, match=account.id):
        await proxies.delete(database, proxy)
    await accounts.change(database, SEALER, account, {"proxy_id": None})
    assert await proxies.of_account(database, SEALER, account) is None
    await accounts.change(database, SEALER, account, {"proxy_id": proxy.id})
    proxy.url = b"broken"
    with pytest.raises(Conflict) as broken:
        await proxies.of_account(database, SEALER, account)
    assert broken.value.field == "proxy_id"
    await accounts.delete(database, SEALER, account)
    await proxies.delete(database, proxy)
    with pytest.raises(Missing):
        await proxies.find(database, ROOT, proxy.id)


@pytest.mark.parametrize(
    ("values", "field"), [({"url": None}, "url"), ({"name": None}, "name"), ({"url": "socks4://p"}, "url")]
)
async def test_what_cannot_be_is_refused_by_its_name(
    database: AsyncSession, default: str, values: dict[str, str | None], field: str
):
    proxy = await proxies.create(database, SEALER, default, {"name": "p", "url": URL})
    with pytest.raises(Invalid) as raised:
        await proxies.change(database, SEALER, proxy, values)
    assert raised.value.field == field


async def test_listing_is_by_reach_tenant_and_name(database: AsyncSession, default: str):
    other = (await tenants.create(database, {"name": "other"})).id
    one = await proxies.create(database, SEALER, default, {"name": "one_a", "url": URL})
    two = await proxies.create(database, SEALER, other, {"name": "oneXa", "url": URL})
    for reach, params, found in (
        (ROOT, {}, [two, one]),
        (ROOT, {"tenant_id": other}, [two]),
        (ROOT, {"q": "ONE_"}, [one]),
        (Reach(tenants=frozenset({other})), {}, [two]),
        (Reach(tenants=frozenset({other})), {"tenant_id": default}, []),
    ):
        assert (await proxies.listing(database, reach, Window(), **params)).rows == found, params
    with pytest.raises(Missing):
        await proxies.find(database, Reach(tenants=frozenset({other})), one.id)
