"""Counters of limits after Redis has lost them: what the ledger has and what runs, to the last unit, never twice."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

import pytest
import pytest_asyncio
import redis as blocking
from msgspec import Struct
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.core.counters import Counter, Taking, amount_of, counter, read
from gateway.core.ids import new_id, uuid7
from gateway.core.ledger import Row, encode
from gateway.core.limits import parse
from gateway.core.names import TAGS, prefix
from gateway.core.scripts import ADMIT, RENEW, SETTLE, SWEEP, evaluate
from gateway.jobs import ledger, restoring
from gateway.jobs.restoring import Restorer
from tests.jobs.scene import ACCOUNT, Scene, reservation, row
from tests.jobs.scene import scene as make

TAG = 3
P = prefix(TAG)
LIMITS = parse(
    [
        {"type": "requests", "per": "hour", "max": 10**6},
        {"type": "tokens", "per": {"rolling": "5h"}, "max": 10**9},
        {"type": "output_tokens", "per": "total", "max": 10**9},
        {"type": "budget", "per": "total", "max": "1000000"},
        {"type": "concurrency", "max": 1000},
    ],
    owner=new_id("key"),
)
RESERVED = {"requests": 1, "tokens": 5000, "output_tokens": 4000, "budget": 70_000_000, "concurrency": 1}


class Request(Struct):
    row: Row
    takings: list[Taking]
    names: list[str]
    in_redis: bool

    def charges(self) -> str:
        return " ".join(one.charge(one.amount) for one in self.takings)


class World:
    """Gateways, as far as they know of Redis; and one leader."""

    def __init__(self, scene: Scene, url: str) -> None:
        self.scene, self.url = scene, url
        self.redis = scene.redis
        self.restorer = Restorer(scene.redis, scene.connection, lambda: None)
        self.running: list[Request] = []
        self.journal: list[tuple[Row, str]] = []
        """All rows with their names, by number."""
        self.counters: list[Counter] = [counter(limit, time.time()) for limit in LIMITS]
        self.truth: dict[str, int] = {}
        self.committed = 0
        """As far as the gateways have heard."""

    async def admit(self) -> Request:
        moment = time.time_ns() // 1_000_000
        real = row(moment, output_tokens=0)
        flat = [
            part
            for one in self.counters
            for part in (one.kind, one.name, one.limit.max, one.span, RESERVED[one.limit.type])
        ]
        head = [real.request_id, 60_000, encode(reservation(real)), "", 0, "", "busy", "1", "", ""]
        number = len(self.counters)
        arguments = [*head, number, number, "key_1", *flat, 1, ACCOUNT, 0, 50, "", ""]
        answer = await evaluate(self.redis, ADMIT, P, arguments)
        kind = answer[0]
        assert kind in {"ok", "cold"}
        at = answer[3] if kind == "ok" else moment
        takings = [Taking(one, RESERVED[one.limit.type], at) for one in self.counters if one.kind != "C"]
        names = [one.name for one in self.counters if one.kind == "C"]
        request = Request(real, takings, names, kind == "ok")
        self.running.append(request)
        return request

    async def settle(self, request: Request, tokens: int) -> None:
        self.running.remove(request)
        real = request.row
        real.input_tokens, real.output_tokens, real.cost = tokens, tokens // 2, tokens * 1000
        real.charges = " ".join(one.charge(amount_of(one.counter.limit.type, real)) for one in request.takings)
        for one in read(real.charges):
            self.truth[one.type] = self.truth.get(one.type, 0) + one.amount
        self.journal.append((real, real.charges))
        await self.send(len(self.journal), request.names)

    async def send(self, number: int, names: list[str] | None = None) -> None:
        real, charges = self.journal[number - 1]
        said = (real.request_id, ACCOUNT, "i", number, encode(real), 10_000, "", "", charges, *(names or ()))
        assert await evaluate(self.redis, SETTLE, P, said) == 1

    async def noticed(self) -> None:
        """A gateway sees that Redis was lost: what is not committed is sent again, and what runs is said again."""
        done: Any = await self.redis.hget(P + "done", "i")
        self.committed = max(self.committed, int(done or 0))
        for number in range(self.committed + 1, len(self.journal) + 1):
            await self.send(number)
        for one in list(self.running):
            kept = f"{ACCOUNT}\n{one.charges()}\n{encode(reservation(one.row)).decode()}"
            await evaluate(self.redis, RENEW, P, (60_000, one.row.request_id, kept, 2, "s:" + ACCOUNT, *one.names))

    async def drain(self) -> None:
        await ledger.tell_again(self.redis, self.scene.connection, TAG)
        await self.scene.drain(TAG, pending=True)
        await self.scene.drain(TAG)
        self.committed = max(self.committed, int(await self.redis.hget(P + "done", "i") or 0))

    async def restored(self) -> None:
        async with asyncio.timeout(10):
            while not await self.warm():
                self.restorer._looked = 0
                await self.restorer.look()
                await asyncio.sleep(0.02)

    async def warm(self) -> bool:
        server: Any = await self.redis.info("server")
        epoch: Any = await self.redis.get(P + "epoch")
        return epoch is not None and epoch.startswith(str(server["run_id"]) + ":")

    async def used(self) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for one in self.counters:
            if one.kind == "S":
                fields: Any = await self.redis.hgetall(P + one.name)
                if fields:
                    assert int(fields["n"]) == sum(int(n) for name, n in fields.items() if name.isdigit())
                    found[one.limit.type] = int(fields["n"])
            elif one.kind == "D" and (value := await self.redis.get(P + one.name)) is not None:
                found[one.limit.type] = int(value)
        return found

    def expected(self) -> Mapping[str, int]:
        """What is over as it was, and what runs as it was reserved."""
        found = dict(self.truth)
        for request in self.running:
            for one in request.takings:
                kind = one.counter.limit.type
                found[kind] = found.get(kind, 0) + one.amount
        return {kind: amount for kind, amount in found.items() if amount}

    async def in_ledger(self) -> Mapping[str, int]:
        rows: Any = await self.scene.connection.fetch(
            "SELECT name, sum(amount) FROM counters WHERE tag = $1 GROUP BY name", TAG
        )
        return {one[0].split(":")[2]: int(one[1]) for one in rows if one[1]}

    async def some(self, running: int = 3, over: int = 7) -> None:
        """Committed, settled and not committed yet, and running requests."""
        for number in range(over):
            await self.settle(await self.admit(), 100 + number)
            if number == over // 2:
                await self.drain()
        for _ in range(running):
            await self.admit()

    async def finished(self) -> None:
        """All that runs ends; then Redis, PostgreSQL and the truth are one."""
        for number, request in enumerate(list(self.running)):
            await self.settle(request, number)
        await self.drain()
        assert await self.used() == await self.in_ledger() == self.expected()


@pytest_asyncio.fixture(loop_scope="session")
async def world(database_url: str, clean_redis: str) -> AsyncGenerator[World]:
    async with make(database_url, clean_redis) as scene:
        made = World(scene, clean_redis)
        await made.drain()
        await made.restored()
        yield made


def snapshot(world: World) -> dict[bytes, bytes]:
    """All of the tag, as Redis would write it to its disk."""
    with blocking.Redis.from_url(world.url) as raw, raw.pipeline() as together:
        names = raw.keys(P.replace("{", "\\{") + "*")
        for name in names:
            together.dump(name)
        return {name: value for name, value in zip(names, together.execute(), strict=True) if value is not None}


def come_back_as(world: World, held: Mapping[bytes, bytes]) -> None:
    """Redis is another process, with what an older one has left on its disk."""
    with blocking.Redis.from_url(world.url) as raw, raw.pipeline() as together:
        together.flushall()
        for name, value in held.items():
            together.restore(name, 0, value)
        together.set(P + "epoch", "0123456789abcdef:former")
        together.execute()


# Redis was lost


async def test_the_first_epoch_needs_no_patience_and_names_the_run(world: World) -> None:
    epochs: Any = await world.redis.mget([prefix(tag) + "epoch" for tag in range(TAGS)])
    server: Any = await world.redis.info("server")
    assert {epoch.partition(":")[0] for epoch in epochs} == {server["run_id"]}
    assert len(set(epochs)) == TAGS
    before = list(epochs)
    world.restorer._looked = 0
    await world.restorer.look()
    assert await world.redis.mget([prefix(tag) + "epoch" for tag in range(TAGS)]) == before


@pytest.mark.parametrize("noticed", ["before", "after", "twice"])
async def test_emptied(world: World, noticed: str) -> None:
    await world.some()
    assert await world.used() == world.expected()
    await world.redis.flushall()
    if noticed != "after":
        await world.noticed()
    await world.restored()
    if noticed != "before":
        await world.noticed()
        await world.drain()
    assert await world.used() == world.expected()
    await world.finished()


_MANY = """
INSERT INTO counters (tag, name, bucket, span, amount, ends_at)
SELECT i % 16, 'd:' || md5(i::text), 0, 0, i, now() + interval '1 hour' FROM generate_series(1, 60000) i
"""


async def test_many_counters_of_all_tags_are_there_again_within_five_seconds(world: World) -> None:
    await world.scene.connection.execute(_MANY)
    await world.redis.flushall()
    began = time.monotonic()
    for tag in reversed(range(TAGS)):
        while await world.redis.get(prefix(tag) + "epoch") is None:
            world.restorer._looked = 0
            await world.restorer.look()
            await asyncio.sleep(0.05)
    assert time.monotonic() - began < 5
    found = [name async for name in cast(Any, world.redis).scan_iter(match="{pg:*}:d:*", count=10_000)]
    assert len(found) >= 60_000
    await world.scene.connection.execute("DELETE FROM counters WHERE name ~ '^d:[0-9a-f]{32}$'")


async def test_cold_it_waits_for_the_gateways(world: World) -> None:
    await world.some()
    await world.drain()
    await world.redis.flushall()
    began = time.monotonic()
    await world.restored()
    assert restoring.PATIENCE <= time.monotonic() - began < 5


@pytest.mark.parametrize("lease", ["running", "ended"])
async def test_restarted_with_stale_data(world: World, lease: str) -> None:
    """As it was before some requests ended: they are in the ledger, and run no more."""
    await world.some(running=4)
    held = snapshot(world)
    for number in (50, 60):
        await world.settle(world.running[0], number)
    await world.admit()
    await world.drain()
    come_back_as(world, held)
    if lease == "ended":
        await world.redis.zadd(P + "l", dict.fromkeys(await world.redis.zrange(P + "l", 0, -1), 1))
    await world.noticed()
    await world.restored()
    assert await world.used() == world.expected()
    for _ in range(2):
        await evaluate(world.redis, SWEEP, P, (100,))
        await world.drain()
        assert await world.used() == world.expected()
    await world.finished()


async def test_restarted_before_what_ended_was_committed(world: World) -> None:
    """Redis believes that they run; their rows are in the journal, and come when the counters are trusted again."""
    await world.some(running=4)
    held = snapshot(world)
    for number in (50, 60):
        await world.settle(world.running[0], number)
    come_back_as(world, held)
    await world.restored()
    await world.noticed()
    await world.drain()
    assert await world.used() == world.expected()
    await world.finished()


async def test_what_a_killed_gateway_ran_is_counted_until_it_is_swept(world: World) -> None:
    await world.some(running=2)
    await world.drain()
    await world.redis.delete(P + "epoch")  # nothing else was lost
    await world.restored()
    assert await world.used() == world.expected()
    # Its leases end.
    await world.redis.zadd(P + "l", {one.row.request_id: 1 for one in world.running})
    assert await evaluate(world.redis, SWEEP, P, (100,)) == 2
    assert await world.used() == {kind: amount for kind, amount in world.truth.items() if amount}
    await world.drain()
    estimate = dict(world.truth)
    for one in world.running:
        for kind, amount in (("requests", 1), ("tokens", reservation(one.row).input_tokens)):
            estimate[kind] += amount
    assert await world.used() == await world.in_ledger() == estimate
    await world.finished()  # and all the same their rows come


async def test_a_swept_request_while_cold(world: World) -> None:
    await world.some(running=1)
    await world.redis.delete(P + "epoch")
    (one,) = world.running
    await world.redis.zadd(P + "l", {one.row.request_id: 1})
    assert await evaluate(world.redis, SWEEP, P, (100,)) == 1
    await world.restored()
    await world.drain()
    await world.finished()


# Leaders that die on the way


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_a_leader_that_dies_while_it_restores(world: World, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    await world.some()
    await world.redis.flushall()
    await world.noticed()
    monkeypatch.setattr(restoring, "_CHUNK", 1)
    calls = 0

    async def dies(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > after:
            raise RedisConnectionError("gone")
        return await evaluate(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(restoring, "evaluate", dies)
        world.restorer._cold[TAG] = float("-inf")
        with pytest.raises(RedisConnectionError):
            await world.restorer._restore(TAG, "run")
    assert not await world.redis.exists(P + "epoch")
    world.restorer = Restorer(world.redis, world.scene.connection, lambda: None)
    await world.restored()
    assert await world.used() == world.expected()
    await world.finished()


async def test_a_leader_that_dies_between_the_commit_and_telling_before_redis_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.some()
    await world.redis.hdel(P + "r", *(one.row.request_id for one in world.running))
    await world.settle(world.running[0], 77)  # without a reservation: the ledger counts it

    async def dies(*_: Any) -> None:
        raise RedisConnectionError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "_tell", dies)
        with pytest.raises(RedisConnectionError):
            await ledger.drain(world.redis, world.scene.connection, TAG)
    await world.redis.flushall()
    await world.noticed()
    await world.restored()
    assert await world.used() == world.expected()
    await ledger.tell_again(world.redis, world.scene.connection, TAG)
    assert await world.used() == world.expected()
    await world.finished()


# While requests come and go


@pytest.mark.parametrize("seed", range(4))
async def test_emptied_again_and_again_while_requests_run(
    world: World, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(restoring, "PATIENCE", 0.1)
    monkeypatch.setattr(restoring, "EVERY", 0.0)
    source = random.Random(seed)
    turn, until = asyncio.Lock(), time.monotonic() + 3

    async def requests() -> None:
        while time.monotonic() < until:
            await world.admit()
            await asyncio.sleep(source.random() * 0.02)
            if len(world.running) > source.randrange(8):
                await world.settle(source.choice(world.running), source.randrange(1000))

    async def leads() -> None:
        while time.monotonic() < until + 0.5:
            async with turn:
                await ledger.tell_again(world.redis, world.scene.connection, TAG)
                await ledger.drain(world.redis, world.scene.connection, TAG, pending=source.random() < 0.3)
                await world.restorer.look()
            await asyncio.sleep(0.01)

    async def trouble() -> None:
        while time.monotonic() < until:
            await asyncio.sleep(0.3 + source.random() * 0.4)
            match source.randrange(3):
                case 0:
                    await world.redis.flushall()
                case 1:
                    await world.redis.delete(P + "epoch")
                case _:
                    come_back_as(world, snapshot(world))
            await asyncio.sleep(source.random() * 0.15)
            await world.noticed()

    async with asyncio.TaskGroup() as tasks:
        for work in (requests(), requests(), leads(), trouble()):
            tasks.create_task(work)
    await world.restored()
    await world.noticed()
    await world.drain()
    assert await world.used() == world.expected()
    await world.finished()
    assert len(await world.scene.rows("request_id")) == len(world.journal) > 50


async def test_names_that_are_no_requests_are_in_nobodys_way(world: World) -> None:
    await world.some()
    await world.redis.hset(P + "r", mapping={"x": "a\n\n{}", f"req_{uuid7()}": "a\n\n{}"})
    await world.redis.delete(P + "epoch")
    await world.restored()
    await world.finished()
