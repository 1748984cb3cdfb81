"""Counters when Redis loses them, under traffic: right again within five seconds, and never doubled.

What they must say is known from outside: each request is answered with the same number of tokens, so the clients'
count of what was asked and answered bounds every counter at every moment, and the ledger's rows say it exactly.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest
import pytest_asyncio
import redis
from msgspec import Struct

from gateway.core.prices import Price
from gateway.core.services import prices
from tests.failures import sums
from tests.support.processes import Plant, until, works

CLIENTS = 12
TOKENS, MOST = 20, 50
"""Of an answer; and as many as a request may ask for, which is what it reserves."""
NANO = 1_000_000
"""10⁻⁹ of money for a token of an answer."""
RIGHT_WITHIN = 5.0
LIMITS: list[dict[str, Any]] = [
    {"type": "requests", "per": "day", "max": 10_000_000},
    {"type": "requests", "per": {"rolling": "5h"}, "max": 10_000_000},
    {"type": "output_tokens", "per": "hour", "max": 1_000_000_000, "reserve": "worst"},
    {"type": "output_tokens", "per": "total", "max": 1_000_000_000, "reserve": "worst"},
    {"type": "budget", "per": "month", "max": "1000000", "on_limiter_failure": "open"},
]
NAMES = {"requests day", "requests rolling:5h", "output_tokens hour", "output_tokens total", "budget month"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plant() -> AsyncGenerator[Plant]:
    async with works(gateways=2) as made:
        await made.site.account("claude-console")
        price = Price("sandbox-*", input=Decimal(0), output=Decimal(1000))
        async with made.site.sessions.begin() as session:
            await prices.create(session, prices.draft([price]))
        yield made


class Sample(Struct, frozen=True):
    at: float
    warm: bool
    counts: dict[str, int]
    asked: int
    """By the clients, when the counters had been read."""
    answered: int
    """Before that."""


class Traffic:
    """Clients of two keys: one whose budget is open while nobody can check it, and one whose is closed."""

    def __init__(self, plant: Plant, key_id: str, key: str, closed: str) -> None:
        self.plant, self.key_id, self.key, self.closed = plant, key_id, key, closed
        self.asked = self.answered = 0
        self.statuses: list[tuple[float, int]] = []
        """Of the closed one: when, and what was said."""
        self.samples: list[Sample] = []
        self._stop = False

    async def client(self, number: int) -> None:
        gateway = self.plant.gateways[number % len(self.plant.gateways)]
        body: dict[str, Any] = {"model": f"sandbox-tokens-{TOKENS}-gap-2", "max_tokens": MOST, "stream": True}
        body["messages"] = [{"role": "user", "content": "Hello"}]
        async with httpx.AsyncClient(base_url=gateway.url, timeout=20) as http:
            while not self._stop:
                self.asked += 1
                answer = await http.post("/v1/messages", headers={"x-api-key": self.key}, json=body)
                assert answer.status_code == 200, answer.text
                self.answered += 1
                if number == 0:
                    began = time.monotonic()
                    answer = await http.post("/v1/messages", headers={"x-api-key": self.closed}, json=body)
                    self.statuses.append((began, answer.status_code))

    async def watch(self) -> None:
        while not self._stop:
            answered = self.answered
            try:
                warm, found = sums.warm(self.plant), sums.in_redis(self.plant)
            except redis.RedisError:
                warm, found = False, {}
            counts = {name.split(" ", 1)[1]: count for name, count in found.items() if name.startswith(self.key_id)}
            self.samples.append(Sample(time.monotonic(), warm, counts, self.asked, answered))
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        async with asyncio.TaskGroup() as tasks:
            for number in range(CLIENTS):
                tasks.create_task(self.client(number))
            tasks.create_task(self.watch())
            try:
                yield
            finally:
                self._stop = True


@pytest_asyncio.fixture(loop_scope="session")
async def traffic(plant: Plant) -> AsyncGenerator[Traffic]:
    key_id, key = await plant.site.new_key(limits=LIMITS)
    closed = await plant.site.key(limits=[{"type": "budget", "per": "day", "max": "1000000"}])
    await asyncio.sleep(1.2)
    made = Traffic(plant, key_id, key, closed)
    async with made.running():
        await asyncio.sleep(2.5)
        yield made


def weight(name: str) -> tuple[int, int]:
    """What a request counts under a limit, and what it reserves."""
    if name.startswith("requests"):
        return 1, 1
    unit = NANO if name.startswith("budget") else 1
    return TOKENS * unit, MOST * unit


def emptied(plant: Plant, before: dict[bytes, bytes]) -> None:
    with plant.redis_client() as client:
        client.flushall()


def restarted_empty(plant: Plant, before: dict[bytes, bytes]) -> None:
    plant.crash(plant.redis)
    plant.redis.start()


def restarted_with_old_data(plant: Plant, before: dict[bytes, bytes]) -> None:
    """As from a snapshot, or a replica that was behind: epoch, counters and reservations of some seconds ago."""
    restarted_empty(plant, before)
    with redis.Redis.from_url(plant.environ["POOLGATE_REDIS_URL"]) as client:
        pipeline = client.pipeline(transaction=True)
        for name, data in before.items():
            pipeline.restore(name, 0, data, replace=True)
        pipeline.execute()


def dumped(plant: Plant) -> dict[bytes, bytes]:
    with redis.Redis.from_url(plant.environ["POOLGATE_REDIS_URL"]) as made:
        client: Any = made
        return {name: data for name in client.scan_iter("{pg:*}:*") if (data := client.dump(name)) is not None}


@pytest.mark.parametrize("lose", [emptied, restarted_empty, restarted_with_old_data])
async def test_counters_are_right_again_within_five_seconds_and_never_doubled(
    plant: Plant, traffic: Traffic, lose: Callable[[Plant, dict[bytes, bytes]], None]
):
    before = await asyncio.to_thread(dumped, plant)
    await asyncio.sleep(1)
    answered = traffic.answered
    assert answered > 50
    lost = time.monotonic()
    await asyncio.to_thread(lose, plant, before)
    await asyncio.sleep(RIGHT_WITHIN)
    # All that was answered before is counted again, at the latest now.
    last = [one for one in traffic.samples if one.at < lost + RIGHT_WITHIN][-1]
    assert last.warm
    assert last.counts.keys() == NAMES
    for name, count in last.counts.items():
        assert count >= answered * weight(name)[0], (name, count, answered)
    # At no moment is more counted than was asked for, and reserved for what runs.
    for one in traffic.samples:
        for name, count in one.counts.items():
            used, reserved = weight(name)
            running = one.asked - one.answered + CLIENTS
            assert count <= one.answered * used + running * reserved, (name, count, one)
    again = [at for at, status in traffic.statuses if at > lost and status == 503]
    assert again, "a budget that nobody can check is closed"
    assert {status for at, status in traffic.statuses if at > lost + RIGHT_WITHIN - 0.5} == {200}
    assert {status for _, status in traffic.statuses} == {200, 503}


async def test_in_the_end_all_counters_are_the_sums_of_the_rows(plant: Plant):
    await until(lambda: not plant.unsettled() and sums.warm(plant), 30, "the ledger did not become quiet")
    rows = await plant.query("SELECT * FROM requests")
    compared, faults = await sums.counters(plant, rows)
    assert not faults
    assert compared >= 3 * len(LIMITS)
    assert Counter(row["ending"] for row in rows).keys() == {"complete"}
    assert not sums.held(plant)
