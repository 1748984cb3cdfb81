"""Pools: named by id or name within their tenant, and kept while something names them."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import changes
from gateway.core.ids import new_id
from gateway.core.keys import Peppers
from gateway.core.sealing import Sealer
from gateway.core.services import accounts, keys, pools, tenants
from gateway.core.services.failures import Conflict, Invalid, Missing
from gateway.core.services.reach import Reach
from gateway.core.services.rows import Window

ROOT = Reach(everything=True)


async def test_pools_are_resolved_by_id_and_by_name(database: AsyncSession, default: str):
    fast = (await pools.create(database, default, {"name": "fast"})).id
    slow = (await pools.create(database, default, {"name": "slow"})).id
    named_as_another = (await pools.create(database, default, {"name": fast})).id
    for named, found in (
        ([], []),
        (["slow", "fast"], [slow, fast]),
        (["fast", fast, "fast"], [fast]),
        ([named_as_another], [named_as_another]),
        ([fast], [fast]),
    ):
        assert await pools.resolve(database, default, named) == found, "an id means the pool of this id"
    elsewhere = (await tenants.create(database, {"name": "elsewhere"})).id
    for tenant_id, missing in ((default, "Fast"), (default, new_id("pool")), (elsewhere, fast), (elsewhere, "fast")):
        with pytest.raises(Invalid) as raised:
            await pools.resolve(database, tenant_id, [missing])
        assert raised.value.field == "pools[0]"


async def test_what_names_a_pool_keeps_it(database: AsyncSession, default: str):
    pool = await pools.create(database, default, {"name": "p"})
    values = {"platforms": [], "models": [], "pools": ["p"]}
    key, _ = await keys.issue(database, Peppers((b"p",)), default, values)
    sealer = Sealer((bytes(32),))
    account = await accounts.create(
        database, sealer, default, {"name": "a", "platform": "openai", "provider": "openai", "pools": ["p"]}, {}
    )
    with pytest.raises(Conflict, match=account.id):
        await pools.delete(database, pool)
    await accounts.delete(database, sealer, account)
    with pytest.raises(Conflict, match=key.id):
        await pools.delete(database, pool)
    await keys.delete(database, key)
    await pools.delete(database, pool)
    with pytest.raises(Missing):
        await pools.find(database, ROOT, pool.id)


async def test_every_change_is_announced(database: AsyncSession, default: str):
    before = await changes.current(database)
    pool = await pools.create(database, default, {"name": "p", "strategy": "round_robin"})
    await pools.change(database, pool, {"strategy": None})
    assert (pool.strategy, pool.version) == ("least_busy", 2)
    await pools.delete(database, pool)
    assert [(one.kind, one.id) for one in await changes.since(database, before)] == [("pool", pool.id)] * 3


@pytest.mark.parametrize(("values", "field"), [({"strategy": "luck"}, "strategy"), ({"name": None}, "name")])
async def test_what_cannot_be_is_refused_by_its_name(
    database: AsyncSession, default: str, values: dict[str, Any], field: str
):
    pool = await pools.create(database, default, {"name": "p"})
    with pytest.raises(Invalid) as raised:
        await pools.change(database, pool, values)
    assert raised.value.field == field


async def test_listing_is_by_reach_tenant_and_name(database: AsyncSession, default: str):
    other = (await tenants.create(database, {"name": "other"})).id
    one = await pools.create(database, default, {"name": "one_a"})
    two = await pools.create(database, other, {"name": "oneXa"})
    for reach, params, found in (
        (ROOT, {}, [two, one]),
        (ROOT, {"tenant_id": other}, [two]),
        (ROOT, {"q": "ONE_"}, [one]),
        (Reach(tenants=frozenset({other})), {}, [two]),
        (Reach(tenants=frozenset({other})), {"tenant_id": default}, []),
        (Reach(own=frozenset({other}), user_id="usr_x"), {}, []),
    ):
        assert (await pools.listing(database, reach, Window(), **params)).rows == found, params
    with pytest.raises(Missing):
        await pools.find(database, Reach(tenants=frozenset({other})), one.id)
