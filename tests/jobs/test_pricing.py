"""Rows that had no price get theirs once, and the sums follow to the last 10⁻⁹, whatever ends the work in between."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from gateway.core import db
from gateway.core.ids import new_id, uuid7
from gateway.core.ledger import Row
from gateway.core.prices import Price, shipped
from gateway.core.services import prices as versions
from gateway.jobs import pricing
from gateway.jobs.leader import connect
from gateway.jobs.pricing import Priced, Pricer, multipliers
from tests.jobs.scene import KEY, MOMENT, Scene, row
from tests.jobs.scene import scene as make

NOW = time.time()


class Till:
    """A pricer at work, and what it told."""

    def __init__(self, scene: Scene, sessions: db.Sessions) -> None:
        self.scene, self.sessions = scene, sessions
        self.told: list[Priced] = []
        self.pricer = Pricer(sessions, scene.connection, asyncio.Lock(), self.hear)

    async def hear(self, found: Sequence[Priced]) -> None:
        assert self.scene.connection.is_in_transaction()
        self.told.extend(found)

    async def put(self, *rows: Row) -> None:
        for one in rows:
            await self.scene.put(0, one)
        await self.scene.drain()
        await self.check()

    async def version(self, *prices: Price, name: str | None = None, hours: float = -1) -> str:
        effective = datetime.now(UTC) + timedelta(hours=hours)
        async with self.sessions.begin() as session:
            made = versions.draft(prices, version=name or new_id("v"), effective_at=effective)
            await versions.create(session, made)
            return made.version

    async def check(self) -> list[tuple[Any, ...]]:
        for table in ("usage_hours", "usage_days"):
            found = await self.scene.usage(table)
            assert found == await self.scene.recomputed(table)
        return await self.scene.usage()

    async def ledger(self) -> list[tuple[Any, ...]]:
        found = await self.scene.rows("cost, price_version, unpriced, currency")
        return [tuple(one) for one in found]


@asynccontextmanager
async def make_connection(url: str) -> AsyncGenerator[asyncpg.Connection]:
    connection = await connect(url)
    try:
        yield connection
    finally:
        connection.terminate()


@pytest_asyncio.fixture(loop_scope="session")
async def till(database_url: str, clean_redis: str) -> AsyncGenerator[Till]:
    async with make(database_url, clean_redis) as scene, db.engine(database_url) as engine:
        await scene.connection.execute("TRUNCATE price_versions")
        yield Till(scene, db.sessions(engine))


def waiting(milliseconds: int = MOMENT, model: str = "new-model", **more: Any) -> Row:
    return row(
        milliseconds, model_used=model, model_asked=model, platform="openai", cost=None, unpriced=True,
        **{"input_tokens": 3, "output_tokens": 1, **more},
    )  # fmt: skip


def price(model: str = "new-model", amount: str = "1.5", **more: Any) -> Price:
    return Price(model, Decimal(amount), Decimal(amount), ("openai",), **more)


async def test_a_price_that_comes_later_is_the_rows(till: Till) -> None:
    await till.put(waiting(), waiting(MOMENT + 3_600_000), waiting(model="other"), row())
    assert await till.pricer.look() == 0
    name = await till.version(price())
    assert await till.pricer.look() == 2
    assert (await till.ledger()).count((Decimal("0.000006000"), name, False, "USD")) == 2
    sums = await till.check()
    assert sum(one[8] for one in sums) == 1  # the other one waits on
    told = [(one.model_used, one.cost, one.base_cost, one.price_version) for one in till.told]
    assert told == [("new-model", 6000, 6000, name)] * 2
    assert [one[0] for one in await till.scene.rows("base_cost")] == [None] * 4, "no multiplier has changed it"
    assert [one.received_at for one in till.told] == [MOMENT / 1000, MOMENT / 1000 + 3600]
    assert {one.key_id for one in till.told} == {KEY}
    assert await till.pricer.look() == 0
    assert await Pricer(till.sessions, till.scene.connection, asyncio.Lock()).look() == 0  # a later leader
    assert len(till.told) == 2


async def test_the_client_s_name_prices_a_deployment(till: Till) -> None:
    deployment = waiting(model="my-deployment")
    deployment.model_asked = "new-model"
    await till.put(deployment)
    await till.version(price())
    assert await till.pricer.look() == 1
    await till.check()


async def test_what_was_in_force_goes_before_what_came_first(till: Till) -> None:
    at = datetime.fromtimestamp(MOMENT / 1000, UTC)
    hours = (at - datetime.now(UTC)).total_seconds() / 3600
    old = await till.version(price(amount="2"), hours=hours - 1)
    await till.version(price(amount="3"), hours=hours + 1)
    await till.put(waiting(), waiting(MOMENT - 7_200_000))
    assert await till.pricer.look() == 2
    assert {one[1] for one in await till.ledger()} == {old}


async def test_a_version_that_is_not_in_force_yet_waits(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    await till.put(waiting())
    name = await till.version(price(), hours=1)
    assert await till.pricer.look() == 0
    moment = time.time()
    monkeypatch.setattr(pricing.time, "time", lambda: moment + 3601)
    assert await till.pricer.look() == 1
    assert [one[1] for one in await till.ledger()] == [name]


async def test_late_rows_of_a_gateway_that_did_not_know_the_price(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    await till.version(price())
    assert await till.pricer.look() == 0
    await till.put(waiting(int(time.time() * 1000)), waiting())
    assert await till.pricer.look() == 0  # not every second
    moment = time.time()
    monkeypatch.setattr(pricing.time, "time", lambda: moment + 31)
    assert await till.pricer.look() == 1  # what is recent
    monkeypatch.setattr(pricing.time, "time", lambda: moment + 3700)
    assert await till.pricer.look() == 1  # and now and then all


async def test_many_rows_go_by_batches(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pricing, "BATCH", 7)
    await till.put(*(waiting(MOMENT + n // 3, key_id=KEY if n % 2 else new_id("key")) for n in range(40)))
    await till.version(price())
    assert await till.pricer.look() == 40
    assert len({one.request_id for one in till.told}) == 40
    sums = await till.check()
    assert (sum(one[8] for one in sums), sum(one[-3] for one in sums)) == (0, Decimal("0.00024"))


async def test_a_row_without_a_platform_waits_for_ever(till: Till) -> None:
    lost = waiting()
    lost.platform = None
    await till.put(lost)
    await till.version(price())
    assert await till.pricer.look() == 0


async def test_when_its_owner_cannot_be_told_nothing_is_written(till: Till) -> None:
    await till.put(waiting(), waiting())
    await till.version(price())
    before = await till.check()

    async def fail(found: Sequence[Priced]) -> None:
        raise asyncpg.DataError("no")

    with capture_logs() as logs:
        assert await Pricer(till.sessions, till.scene.connection, asyncio.Lock(), fail).look() == 0
    assert [one["reason"] for one in logs] == ["DataError"]
    assert await till.check() == before
    assert await till.pricer.look() == 2


async def test_two_at_once_price_once(till: Till, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one leads; should two believe it, the rows still have their price once."""
    monkeypatch.setattr(pricing, "BATCH", 2)
    await till.put(*(waiting(MOMENT + n) for n in range(30)))
    await till.version(price())
    async with make_connection(database_url) as other:

        async def hear(found: Sequence[Priced]) -> None:
            assert other.is_in_transaction()
            till.told.extend(found)

        second = Pricer(till.sessions, other, asyncio.Lock(), hear)
        done = await asyncio.gather(till.pricer.look(), second.look())
    assert sum(done) == 30
    assert len({one.request_id for one in till.told}) == len(till.told) == 30
    assert {one[0] for one in await till.ledger()} == {Decimal("0.000006000")}
    assert (await till.check())[0][8] == 0


async def test_a_lost_connection_is_the_leader_s_matter(till: Till, database_url: str) -> None:
    async with make_connection(database_url) as other:
        pricer = Pricer(till.sessions, other, asyncio.Lock())
        await till.put(waiting())
        pid = await other.fetchval("SELECT pg_backend_pid()")
        await till.scene.connection.execute("SELECT pg_terminate_backend($1)", pid)
        await asyncio.sleep(0.1)
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await pricer.look()


async def test_what_is_beyond_all_bounds_waits(till: Till) -> None:
    await till.put(waiting(input_tokens=1 << 60), waiting())
    await till.version(price(amount="1000"))
    with capture_logs() as logs:
        assert await till.pricer.look() == 1
    assert "a row's price is beyond all bounds" in {one["event"] for one in logs}
    assert (await till.check())[0][8] == 1


async def test_multipliers_of_key_and_tenant_apply_once(till: Till) -> None:
    tenant, key = uuid7(), uuid7()
    execute = till.scene.connection.execute
    await execute("INSERT INTO tenants (id, name, price_multiplier) VALUES ($1, $2, '0.5')", tenant, str(tenant))
    await execute(
        "INSERT INTO keys (id, tenant_id, name, prefix, last_four, platforms, models, price_multiplier, deleted_at)"
        " VALUES ($1, $2, '', '', '', '{}', '{}', '3', now())",
        key, tenant,
    )  # fmt: skip
    gone = UUID(KEY.partition("_")[2])
    assert await multipliers(till.scene.connection, {key, gone}) == {key: "1.5"}
    await till.put(waiting(key_id=f"key_{key}", tenant_id=f"ten_{tenant}"), waiting())
    await till.version(price())
    assert await till.pricer.look() == 2
    assert sorted(one[0] for one in await till.ledger()) == [Decimal("0.000006"), Decimal("0.000009")]
    await till.check()


async def test_halves_go_to_the_even_neighbour(till: Till) -> None:
    await till.put(*(waiting(MOMENT + n, input_tokens=n, output_tokens=0) for n in (1, 3, 5, 7)))
    await till.version(price(amount="0.0005"))
    assert await till.pricer.look() == 4
    assert [one[0] * 10**9 for one in await till.ledger()] == [0, 2, 2, 4]


async def test_the_table_is_the_one_that_is_stored(till: Till) -> None:
    assert till.pricer.table.version == shipped().version
    name = await till.version(price())
    await till.pricer.look()
    assert till.pricer.table.version == name
    known = till.pricer.table
    await till.pricer.look()
    assert till.pricer.table is known
