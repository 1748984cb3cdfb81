"""Tenants: where a new thing goes, and what keeps a tenant from being deleted."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import changes
from gateway.core.ids import new_id
from gateway.core.keys import Peppers
from gateway.core.sealing import Sealer
from gateway.core.services import accounts, keys, tenants, users
from gateway.core.services.failures import Conflict, Invalid, Missing
from gateway.core.services.reach import Reach
from gateway.core.services.rows import Window

ROOT = Reach(everything=True)


def within(*identifiers: str) -> Reach:
    return Reach(tenants=frozenset(identifiers))


async def test_the_home_of_a_new_thing(database: AsyncSession, default: str):
    one = (await tenants.create(database, {"name": "one"})).id
    two = (await tenants.create(database, {"name": "two"})).id
    roles = {one: "owner", two: "viewer"}
    for reach, given, held, home in (
        (ROOT, None, {}, default),
        (ROOT, two, {}, two),
        (ROOT, None, {one: "owner"}, one),
        (within(one), None, {one: "owner"}, one),
        (within(one), None, roles, one),
        (within(one, two), two, roles, two),
        (Reach(own=frozenset({two}), user_id="usr_x"), None, {two: "member"}, two),
    ):
        assert await tenants.home(database, reach, given, held) == home
    with pytest.raises(Invalid) as several:
        await tenants.home(database, within(one, two), None, roles)
    assert several.value.field == "tenant_id"
    with pytest.raises(Invalid):
        await tenants.home(database, within(), None, roles)


async def test_no_home_is_out_of_reach_or_gone(database: AsyncSession):
    one, two = [await tenants.create(database, {"name": name}) for name in ("one", "two")]
    await tenants.delete(database, two)
    for reach, given in ((within(two.id), one.id), (ROOT, new_id("ten")), (ROOT, "ten_x"), (ROOT, two.id)):
        with pytest.raises(Missing) as raised:
            await tenants.home(database, reach, given, {})
        assert raised.value.field in ("tenant_id", None)


async def test_what_is_in_it_keeps_it(database: AsyncSession):
    tenant = await tenants.create(database, {"name": "kept"})
    key, _ = await keys.issue(database, Peppers((b"p",)), tenant.id, {"platforms": [], "models": []})
    sealer = Sealer((bytes(32),))
    values = {"name": "a", "platform": "openai", "provider": "openai"}
    account = await accounts.create(database, sealer, tenant.id, values, {"api_key": "k"})
    user = await users.create(database, {"email": "a@b"}, [users.Role(tenant.id, "viewer")], "-", one_time=False)
    for what in ("keys", "accounts", "users"):
        with pytest.raises(Conflict, match=what):
            await tenants.delete(database, tenant)
        if what == "keys":
            await keys.delete(database, key)
        elif what == "accounts":
            await accounts.delete(database, sealer, account)
    await users.assign(database, ROOT, user, [])
    await tenants.delete(database, tenant)
    with pytest.raises(Missing):
        await tenants.find(database, ROOT, tenant.id)
    assert not tenant.enabled and tenant.name != "kept"
    await tenants.create(database, {"name": "kept"})


async def test_the_default_tenant_keeps_its_name_and_stays(database: AsyncSession, default: str):
    tenant = await tenants.find(database, ROOT, default, lock=True)
    await tenants.change(database, tenant, {"name": "default", "enabled": False})
    for refused in (tenants.change(database, tenant, {"name": "other"}), tenants.delete(database, tenant)):
        with pytest.raises(Conflict):
            await refused


async def test_every_change_is_announced(database: AsyncSession):
    before = await changes.current(database)
    tenant = await tenants.create(database, {"name": "told"})
    await tenants.change(database, tenant, {"limits": [{"type": "concurrency", "max": 1}]})
    assert tenant.version == 2
    await tenants.change(database, tenant, {"limits": None})
    assert tenant.limits == []
    await tenants.delete(database, tenant)
    told = await changes.since(database, before)
    assert [(one.kind, one.id) for one in told] == [("tenant", tenant.id)] * 4


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": None}, "name"),
        ({"limits": [{"type": "requests", "per": "minute", "max": -1}]}, "limits[0].max"),
        ({"limits": [{"type": "luck"}]}, "limits[0].type"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(database: AsyncSession, values: dict[str, Any], field: str):
    tenant = await tenants.create(database, {"name": "x"})
    with pytest.raises(Invalid) as raised:
        await tenants.change(database, tenant, values)
    assert raised.value.field == field


async def test_listing_is_by_reach_and_search(database: AsyncSession, default: str):
    made = [(await tenants.create(database, {"name": name})).id for name in ("100%", "1000", "gone")]
    await tenants.delete(database, await tenants.find(database, ROOT, made[2]))
    for reach, q, found in (
        (ROOT, None, [made[1], made[0]]),
        (ROOT, "100", [made[1], made[0]]),
        (ROOT, "0%", [made[0]]),
        (within(made[0]), None, [made[0]]),
        (within(made[2]), None, []),
        (Reach(own=frozenset({made[0]}), user_id="usr_x"), None, []),
    ):
        listed = await tenants.listing(database, reach, Window(), q)
        assert [tenant.id for tenant in listed.rows if tenant.id != default] == found
