"""Accounts: sealed for their own row, erased when deleted, changed and listed."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import changes
from gateway.core import models as m
from gateway.core.ids import new_id, uuid7
from gateway.core.sealing import Sealer
from gateway.core.services import accounts, pools, tenants
from gateway.core.services.accounts import AccountFilter
from gateway.core.services.failures import Conflict, Invalid, Missing
from gateway.core.services.reach import Reach
from gateway.core.services.requests import received_at
from gateway.core.services.rows import Window

ROOT = Reach(everything=True)
SEALER = Sealer((bytes(32),))
HELD = {"api_key": "sk-canary-of-the-accounts", "organization": None}


async def made(database: AsyncSession, tenant_id: str, name: str = "a", **more: Any) -> m.Account:
    values = {"name": name, "platform": "openai", "provider": "openai", **more}
    return await accounts.create(database, SEALER, tenant_id, values, HELD)


async def test_credentials_are_sealed_for_their_own_row(database: AsyncSession, default: str):
    one, two = await made(database, default, "one"), await made(database, default, "two")
    assert b"canary" not in one.credentials and one.credential_fields == ["api_key"]
    assert accounts.credentials(one, SEALER) == HELD
    for row, sealer in ((one, Sealer((b"x" * 32,))), (m.Account(id=two.id, credentials=one.credentials), SEALER)):
        with pytest.raises(Conflict) as raised:
            accounts.credentials(row, sealer)
        assert raised.value.field == "credentials"


async def test_credentials_are_replaced_as_a_whole(database: AsyncSession, default: str):
    account = await made(database, default)
    before = account.credentials
    await accounts.change(database, SEALER, account, {"notes": "n"})
    assert account.credentials == before
    await accounts.change(database, SEALER, account, {}, {"access_token": "t"})
    assert accounts.credentials(account, SEALER) == {"access_token": "t"}
    assert (account.credential_fields, account.notes, account.version) == (["access_token"], "n", 3)


async def test_a_deleted_one_holds_nothing(database: AsyncSession, default: str):
    account = await made(database, default)
    await accounts.delete(database, SEALER, account)
    assert accounts.credentials(account, SEALER) == {} and account.credential_fields == []
    assert account.deleted_at is not None and not account.enabled
    with pytest.raises(Missing):
        await accounts.find(database, ROOT, account.id)
    await made(database, default)


async def test_every_change_is_announced(database: AsyncSession, default: str):
    before = await changes.current(database)
    account = await made(database, default)
    await accounts.switch(database, account, enabled=False)
    await accounts.switch(database, account, enabled=True)
    await accounts.delete(database, SEALER, account)
    assert [(one.kind, one.id) for one in await changes.since(database, before)] == [("account", account.id)] * 4


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"proxy_id": "prx_x"}, "proxy_id"),
        ({"limits": [{"type": "requests", "per": "minute", "max": -1}]}, "limits[0].max"),
        ({"limits": [{"type": "concurrency", "max": 1}, {"type": "money", "max": 1}]}, "limits[1].type"),
        ({"limits": [{"type": "concurrency", "max": 1}, {"type": "budget", "max": "1"}]}, "limits[1].per"),
        ({"pools": ["nowhere"]}, "pools[0]"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(
    database: AsyncSession, default: str, values: dict[str, Any], field: str
):
    with pytest.raises(Invalid) as raised:
        await made(database, default, **values)
    assert raised.value.field == field
    given = [{"type": "requests", "per": "minute", "max": 1}]
    account = await made(database, default, proxy_id=None, limits=given, pools=[])
    assert account.limits == given


async def test_listing(database: AsyncSession, default: str):
    other = (await tenants.create(database, {"name": "other"})).id
    pool = await pools.create(database, default, {"name": "p"})
    one = await made(database, default, "one", pools=["p"], notes="50% off")
    two = await made(database, default, "two", platform="gemini", provider="google", enabled=False)
    foreign = await made(database, other, "one")
    await accounts.delete(database, SEALER, await made(database, default, "gone"))
    for reach, asked, found in (
        (ROOT, AccountFilter(), [foreign, two, one]),
        (ROOT, AccountFilter(tenant_id=default), [two, one]),
        (ROOT, AccountFilter(pool_id=pool.id), [one]),
        (ROOT, AccountFilter(pool_id=new_id("pool")), []),
        (ROOT, AccountFilter(platform="gemini"), [two]),
        (ROOT, AccountFilter(provider="google", enabled=True), []),
        (ROOT, AccountFilter(enabled=False), [two]),
        (ROOT, AccountFilter(q="0% O"), [one]),
        (ROOT, AccountFilter(q="ONE"), [foreign, one]),
        (Reach(tenants=frozenset({other})), AccountFilter(), [foreign]),
        (Reach(tenants=frozenset({other})), AccountFilter(tenant_id=default), []),
        (Reach(own=frozenset({other}), user_id="usr_x"), AccountFilter(), []),
    ):
        assert (await accounts.listing(database, reach, Window(), asked)).rows == found, asked
    for field, asked in (("tenant_id", AccountFilter(tenant_id="x")), ("pool_id", AccountFilter(pool_id="x"))):
        with pytest.raises(Invalid) as raised:
            await accounts.listing(database, ROOT, Window(), asked)
        assert raised.value.field == field


async def test_the_model_that_was_served_last(database: AsyncSession, default: str):
    account = await made(database, default)
    assert await accounts.recent_model(database, account) is None
    for minutes, status, model in ((1, 200, "older"), (2, 200, "newer"), (3, 500, "failed"), (4, 200, None)):
        identifier = f"req_{uuid7(1_772_359_200_000 + minutes * 60_000)}"
        database.add(
            m.Request(
                request_id=identifier,
                received_at=received_at(identifier),
                tenant_id=default,
                key_id=new_id("key"),
                account_id=account.id,
                protocol="openai",
                path="/v1/chat/completions",
                model_asked="asked",
                model_used=model,
                stream=False,
                status=status,
                ending="complete",
                usage_source="provider",
            )
        )
    await database.flush()
    assert await accounts.recent_model(database, account) == "newer"
