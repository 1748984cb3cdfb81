"""The transaction of a request, and which part of a list is asked for."""

from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from msgspec import structs
from redis.asyncio import Redis
from sqlalchemy import select
from structlog.testing import capture_logs

from admin.deps import session as transaction
from admin.deps import window
from admin.problem import Problem
from admin.resources import Resources
from gateway.core import changes, inspection, names, state
from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.redis import client
from gateway.core.services import keys, tenants
from gateway.core.services.reach import Reach
from tests.admin.conftest import Api, Tenant

EVERYTHING = Reach(everything=True)


def opened(resources: Resources) -> AbstractAsyncContextManager[Any]:
    return asynccontextmanager(transaction)(resources)


async def test_it_is_committed_and_then_announced(resources: Resources):
    async with resources.redis.pubsub(ignore_subscribe_messages=True) as listening:
        await listening.subscribe(changes.CHANNEL)
        await listening.get_message(timeout=1)
        async with opened(resources) as session:
            tenant = await tenants.create(session, {"name": "committed"})
            version = await changes.current(session)
            assert await listening.get_message(timeout=0.1) is None, "nothing is announced before the commit"
        said = await listening.get_message(timeout=5)
    assert said is not None and int(said["data"]) == version
    async with resources.database() as session:
        assert (await tenants.find(session, EVERYTHING, tenant.id)).name == "committed"


async def test_what_fails_leaves_nothing(resources: Resources):
    async with resources.redis.pubsub(ignore_subscribe_messages=True) as listening:
        await listening.subscribe(changes.CHANNEL)
        await listening.get_message(timeout=1)
        with pytest.raises(ZeroDivisionError):
            async with opened(resources) as session:
                await tenants.create(session, {"name": "undone"})
                raise ZeroDivisionError
        assert await listening.get_message(timeout=0.2) is None
    async with resources.database() as session:
        assert (await session.execute(select(m.Tenant).where(m.Tenant.name == "undone"))).first() is None


async def test_a_cut_that_was_not_sent_is_an_answer_that_failed(root: Api, north: Tenant, resources: Resources):
    """The key is disabled all the same. A change alone needs no Redis: gateways read the table too."""
    key = await root("POST /keys", {"platforms": ["*"], "models": ["*"], "tenant_id": north.id}, expect=201)
    async with client("redis://127.0.0.1:9") as nowhere:
        without = structs.replace(resources, redis=nowhere)
        async with opened(without) as session:
            await keys.change(session, await keys.find(session, EVERYTHING, key["id"]), {"name": "changed"})
        with pytest.raises(Problem) as raised:
            async with opened(without) as session:
                await keys.switch(session, await keys.find(session, EVERYTHING, key["id"]), enabled=False, cut=True)
    assert (raised.value.status, raised.value.code) == (503, "cut_not_sent")
    shown = await root(f"GET /keys/{key['id']}")
    assert (shown["name"], shown["enabled"]) == ("changed", False)


async def test_a_cut_is_sent_after_the_commit(root: Api, north: Tenant, resources: Resources):
    key = await root("POST /keys", {"platforms": ["*"], "models": ["*"], "tenant_id": north.id}, expect=201)
    async with resources.redis.pubsub(ignore_subscribe_messages=True) as listening:
        await listening.subscribe(names.CUT_CHANNEL)
        await listening.get_message(timeout=1)
        async with opened(resources) as session:
            await keys.switch(session, await keys.find(session, EVERYTHING, key["id"]), enabled=False, cut=True)
            assert await listening.get_message(timeout=0.1) is None
        said = await listening.get_message(timeout=5)
    assert said is not None and said["data"] == key["id"]


async def marked(resources: Resources, tenant_id: str) -> str:
    """An account that is out; nothing but its state is there."""
    owner = new_id("acct")
    out = state.encode(state.State("credentials", state.FOR_EVER))
    await resources.redis.hset(names.tenant_prefix(tenant_id) + "state", owner + "|account", out)
    return owner


async def is_out(resources: Resources, tenant_id: str, owner: str) -> bool:
    return not (await inspection.read_state(resources.redis, tenant_id, owner))["usable"]


@pytest.mark.parametrize("lift", [inspection.recover, inspection.forget])
async def test_states_are_lifted_after_the_commit_and_after_it_is_announced(
    north: Tenant, resources: Resources, lift: inspection.Lift
):
    owner = await marked(resources, north.id)
    seen: list[tuple[str, bool]] = []

    async def looks(redis: Redis, tenant_id: str, owner: str, actor: str) -> None:
        async with resources.database() as other:
            found = await other.execute(select(m.Tenant.id).where(m.Tenant.name == f"lifted {owner}"))
            seen.append((actor, found.first() is not None))
        assert await listening.get_message(timeout=5) is not None

    async with resources.redis.pubsub(ignore_subscribe_messages=True) as listening:
        await listening.subscribe(changes.CHANNEL)
        await listening.get_message(timeout=1)
        async with opened(resources) as session:
            inspection.once_committed(session, looks, north.id, owner, "usr_1")
            inspection.once_committed(session, lift, north.id, owner, "usr_1")
            await tenants.create(session, {"name": f"lifted {owner}"})
            assert not seen and await is_out(resources, north.id, owner)
    assert seen == [("usr_1", True)]
    assert not await is_out(resources, north.id, owner)


async def test_what_is_not_committed_lifts_nothing(north: Tenant, resources: Resources):
    owner = await marked(resources, north.id)
    with pytest.raises(ZeroDivisionError):
        async with opened(resources) as session:
            inspection.once_committed(session, inspection.recover, north.id, owner, "usr_1")
            raise ZeroDivisionError
    assert await is_out(resources, north.id, owner)


async def test_a_state_that_was_not_lifted_is_logged_and_no_failure(north: Tenant, resources: Resources):
    first, second = await marked(resources, north.id), await marked(resources, north.id)
    async with client("redis://127.0.0.1:9") as nowhere:
        with capture_logs() as logs:
            async with opened(structs.replace(resources, redis=nowhere)) as session:
                for owner in (first, second):
                    inspection.once_committed(session, inspection.recover, north.id, owner, "usr_1")
                await tenants.create(session, {"name": f"kept {first}"})
    assert [(line["log_level"], line["owner"]) for line in logs] == [("warning", first), ("warning", second)]
    async with resources.database() as session:
        assert (await session.execute(select(m.Tenant).where(m.Tenant.name == f"kept {first}"))).first()
    assert await is_out(resources, north.id, first)


def test_window():
    assert (window().cursor, window().limit, window().exact) == (None, 50, False)
    asked = window(cursor="key_x", limit=7, count="exact")
    assert (asked.cursor, asked.limit, asked.exact) == ("key_x", 7, True)


async def test_a_list_is_read_in_parts(north: Tenant):
    owner = north.as_("owner")
    made = [(await owner("POST /pools", {"name": f"part {at}"}, expect=201))["id"] for at in range(5)]
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    while len(seen) < 5:
        part = await owner("GET /pools", limit=2, count="exact", **cursor)
        assert part["count"] == 5 and len(part["data"]) <= 2
        seen += [pool["id"] for pool in part["data"]]
        assert part["has_more"] == (len(seen) < 5)
        cursor = {"cursor": part["next_cursor"]}
    assert seen == list(reversed(made)) and cursor == {"cursor": None}
    assert "count" not in await owner("GET /pools")


@pytest.mark.parametrize(
    ("params", "field"),
    [({"limit": 0}, "limit"), ({"limit": 201}, "limit"), ({"count": "all"}, "count"), ({"cursor": "x"}, "cursor")],
)
async def test_a_part_that_cannot_be_is_refused_by_its_name(north: Tenant, params: dict[str, Any], field: str):
    problem = await north.as_("owner")("GET /pools", expect=400, **params)
    assert [error["field"] for error in problem["errors"]] == [field]
