"""The queue of a concurrency limit: who waits there holds nothing, keys take turns, who leaves is passed over."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.core.names import tenant_prefix
from gateway.core.services import users
from tests.relay.world import MESSAGES, World, body, code_of
from tests.support.installation import Site
from tests.support.processes import until

TURN = 0.3
MODEL = "sandbox-stall-300ms"
"""An answer takes a turn."""


def queued(most: int = 1, queue_ms: int = 10_000) -> list[dict[str, Any]]:
    return [{"type": "concurrency", "max": most, "queue_ms": queue_ms}]


@pytest_asyncio.fixture(loop_scope="session")
async def world(site: Site) -> AsyncGenerator[World]:
    made = await World.make(site)
    await made.account()
    yield made
    await until(lambda: waiting(made), 5, "somebody stands in a queue")


async def waiting(world: World, none: int = 0) -> bool:
    """Whether so many stand in the tenant's queues."""
    return await tickets(world) == none


async def at_most(world: World, most: int) -> bool:
    return await tickets(world) <= most


async def tickets(world: World) -> int:
    redis: Any = world.site.gate.redis
    prefix = tenant_prefix(world.tenant_id)
    names = [name async for name in redis.scan_iter(f"{prefix}q:*")]
    return sum([await redis.zcard(name) for name in names])


async def timed(world: World, key: str, model: str = MODEL, **more: Any) -> tuple[float, httpx.Response]:
    began = time.monotonic()
    answer = await world.ask(key, model, **more)
    return time.monotonic() - began, answer


async def of_user(world: World, limits: list[dict[str, Any]]) -> list[str]:
    """Two keys under one user's limits."""
    async with world.site.sessions.begin() as session:
        values = {"email": f"{os.urandom(4).hex()}@x.y", "name": "u", "limits": limits}
        role = users.Role(tenant_id=world.tenant_id, role="member")
        user = await users.create(session, values, [role], "x", one_time=False)
    return [await world.key(user_id=user.id) for _ in range(2)]


async def test_requests_wait_for_their_turn(world: World):
    key = await world.key(limits=queued(2))
    found = await asyncio.gather(*(timed(world, key) for _ in range(8)))
    assert {answer.status_code for _, answer in found} == {200}
    took = sorted(seconds for seconds, _ in found)
    # Two at a time: four rounds, each soon after the one before.
    assert 4 * TURN <= took[-1] < 4 * TURN + 1.5
    for at, seconds in enumerate(took):
        assert seconds >= (at // 2 + 1) * TURN - 0.05


async def test_in_the_order_in_which_they_came(world: World):
    key = await world.key(limits=queued())
    done: list[int] = []

    async def ask(number: int) -> None:
        assert (await world.ask(key, MODEL)).status_code == 200
        done.append(number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(ask(number))
            await asyncio.sleep(0.04)
    assert done == list(range(5))


async def test_a_flood_of_one_key_delays_the_other_by_a_turn(world: World):
    one, other = await of_user(world, queued())
    flood = [asyncio.get_running_loop().create_task(timed(world, one)) for _ in range(12)]
    await until(lambda: waiting(world, 11), 3)
    for _ in range(3):
        seconds, answer = await timed(world, other)
        assert answer.status_code == 200
        assert seconds < 3 * TURN + 0.5, "what runs, at most one of the other key's, and its own"
    assert sum(task.done() for task in flood) <= 8, "they did not have to wait for it"
    assert {answer.status_code for _, answer in await asyncio.gather(*flood)} == {200}


async def test_who_waits_holds_nothing(world: World):
    key = await world.key(
        limits=[
            *queued(),
            {"type": "requests", "per": "day", "max": 100},
            {"type": "tokens", "per": "day", "max": 10**6},
        ]
    )
    first = [asyncio.get_running_loop().create_task(timed(world, key, "sandbox-stall-1")) for _ in range(4)]
    await until(lambda: waiting(world, 3), 3)
    shown = {one["type"]: one["used"] for one in await world.key_state(key)}
    assert (shown["concurrency"], shown["requests"]) == (1, 1)
    redis: Any = world.site.gate.redis
    prefix = tenant_prefix(world.tenant_id)
    assert await redis.zcard(prefix + "l") == await redis.hlen(prefix + "r") == 1
    accounts = [name async for name in redis.scan_iter(prefix + "s:*")]
    assert sum([await redis.zcard(name) for name in accounts]) == 1
    assert {answer.status_code for _, answer in await asyncio.gather(*first)} == {200}
    assert {one["type"]: one["used"] for one in await world.key_state(key)}["requests"] == 4


async def test_patience_ends_in_429(world: World):
    key = await world.key(limits=queued(queue_ms=400))
    held = asyncio.get_running_loop().create_task(timed(world, key, "sandbox-stall-2"))
    await asyncio.sleep(0.1)
    seconds, answer = await timed(world, key)
    assert (answer.status_code, code_of(answer)) == (429, "concurrency_limited")
    assert 0.4 <= seconds < 0.8
    assert int(answer.headers["retry-after"]) >= 1
    assert await tickets(world) == 0
    assert (await held)[1].status_code == 200


async def test_another_limit_refuses_without_a_wait(world: World):
    key = await world.key(limits=[*queued(), {"type": "requests", "per": "day", "max": 2}])
    both = [asyncio.get_running_loop().create_task(timed(world, key)) for _ in range(2)]
    await asyncio.gather(*both)
    held = asyncio.get_running_loop().create_task(timed(world, await world.key(limits=queued()), "sandbox-stall-1"))
    seconds, answer = await timed(world, key)
    assert (answer.status_code, code_of(answer)) == (429, "rate_limited")
    assert seconds < 0.3
    assert await tickets(world) == 0
    await held


async def test_a_client_that_leaves_gives_up_its_place(world: World):
    key = await world.key(limits=queued())
    held = asyncio.get_running_loop().create_task(timed(world, key, "sandbox-stall-2"))
    await asyncio.sleep(0.1)
    headers, leaving = {"x-api-key": key}, body(MODEL)
    async with httpx.AsyncClient(base_url=world.site.url, timeout=0.3) as client:
        for _ in range(3):
            try:
                await client.post(MESSAGES, headers=headers, json=leaving)
            except httpx.ReadTimeout:
                pass
            else:
                raise AssertionError("it should have waited")
    await until(lambda: waiting(world), 0.7, "a place is held for who has left")
    assert (await held)[1].status_code == 200
    assert (await timed(world, key))[0] < TURN + 0.3
    assert {one["used"] for one in await world.key_state(key)} == {0}


@pytest.mark.parametrize("emptied", [True, False])
async def test_a_key_whose_clients_have_left_is_not_behind_the_others(world: World, emptied: bool):
    """Its turns were never taken: they are not held against it."""
    one, other = await of_user(world, queued())
    held = asyncio.get_running_loop().create_task(timed(world, other, "sandbox-stall-1"))
    await asyncio.sleep(0.1)
    stays = [] if emptied else [asyncio.get_running_loop().create_task(timed(world, other))]
    async with httpx.AsyncClient(base_url=world.site.url, timeout=0.4) as client:
        left = [client.post(MESSAGES, headers={"x-api-key": one}, json=body(MODEL)) for _ in range(20)]
        found = await asyncio.gather(*left, return_exceptions=True)
    assert all(isinstance(error, httpx.ReadTimeout) for error in found)
    # On a slow machine the one that stays may have had its turn by now.
    await until(lambda: at_most(world, len(stays)), 2)
    if emptied:
        await held
    flood = [asyncio.get_running_loop().create_task(timed(world, other)) for _ in range(8)]
    await asyncio.sleep(0.15)
    assert await tickets(world) >= 7
    seconds, answer = await timed(world, one)
    assert answer.status_code == 200
    assert seconds < 4 * TURN + 0.5, "it waits behind eight"
    await asyncio.gather(held, *stays, *flood)


async def test_who_waits_in_a_gateway_that_dies_is_passed_over(world: World):
    """Nobody asks for that place any more: as when its gateway was killed."""
    key = await world.key(limits=queued())
    redis: Any = world.site.gate.redis
    prefix = tenant_prefix(world.tenant_id)
    held = asyncio.get_running_loop().create_task(timed(world, key, "sandbox-stall-1"))
    await asyncio.sleep(0.1)
    waits = asyncio.get_running_loop().create_task(timed(world, key))
    await until(lambda: waiting(world, 1), 2)
    (name,) = [name async for name in redis.scan_iter(f"{prefix}q:*")]
    (member, turn), *_ = await redis.zrange(name, 0, -1, withscores=True)
    assert member.startswith("req_")
    # Another's, who came first and died now.
    now = int((await redis.time())[0]) * 1000
    await redis.zadd(name, {"req_dead": turn - 0.5})
    await redis.zadd(name.replace(":q:", ":ql:"), {"req_dead": now + 2000})
    began = time.monotonic()
    assert (await held)[1].status_code == 200
    _, answer = await waits
    assert answer.status_code == 200
    assert time.monotonic() - began < 2 + TURN + 1.2
    assert await redis.zscore(name, "req_dead") is None
