"""Rows get from the streams into PostgreSQL exactly once, whatever happens on the way, and the sums follow."""

import datetime as dt
import random
from collections.abc import AsyncGenerator
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from gateway.core import models as m
from gateway.core.ids import new_id, uuid7
from gateway.core.ledger import Attempt, encode
from gateway.core.names import prefix
from gateway.jobs import ledger
from tests.jobs.scene import ACCOUNT, MOMENT, Scene, reservation, row
from tests.jobs.scene import scene as make


@pytest_asyncio.fixture(loop_scope="session")
async def scene(database_url: str, clean_redis: str) -> AsyncGenerator[Scene]:
    async with make(database_url, clean_redis) as made:
        yield made


async def summed(scene: Scene) -> list[tuple]:
    """The roll-up by hour, which must be what the rows say, as those by day and by month."""
    found = await scene.usage()
    assert found == await scene.recomputed()
    for table in ("usage_days", "usage_months"):
        assert await scene.usage(table) == await scene.recomputed(table)
    return found


def test_every_column_is_written() -> None:
    assert set(ledger.COLUMNS) == {column.name for column in m.Request.__table__.columns}


async def test_every_field_arrives(scene: Scene) -> None:
    attempt = Attempt(ACCOUNT, "openai", "gpt", MOMENT / 1000, 200, "ok", None, 7, 8, "provider", "up-1", 1.5)
    real = row(
        MOMENT + 123, client_request_id="c-1", user_id=new_id("usr"), provider="deepseek", model_asked="asked",
        model_used="used", stream=True, status=529, error_code="overloaded", ending="upstream_error", input_tokens=1,
        cache_read_tokens=2, cache_write_5m_tokens=3, cache_write_1h_tokens=4, output_tokens=5, reasoning_tokens=6,
        audio_tokens=7, image_tokens=8, server_tool_calls=9,
        cost=12_345_678_901, price_version="2026-11-20", unpriced=True, first_byte_at=MOMENT / 1000 + 0.5,
        ended_at=MOMENT / 1000 + 1, overhead_us=250, attempts=[attempt], client_ip="::1", user_agent="a\tb é 中",
        session_id="s",
    )  # fmt: skip
    await scene.put(3, real, "i", 1)
    assert await scene.drain(3) == 1
    (found,) = await scene.rows()
    given = msgspec.structs.asdict(real)
    for name in set(ledger.COLUMNS) - {"attempts", "cost", "received_at", "first_byte_at", "ended_at"}:
        value = found[name]
        expected = given[name]
        assert value == (UUID(expected.partition("_")[2]) if isinstance(value, UUID) else expected), name
    at = dt.datetime.fromtimestamp(MOMENT / 1000, dt.UTC)
    assert found["received_at"] == at + dt.timedelta(milliseconds=123)
    assert found["first_byte_at"] == at + dt.timedelta(seconds=0.5)
    assert found["ended_at"] == at + dt.timedelta(seconds=1)
    assert found["cost"] == Decimal("12.345678901")
    (tried,) = msgspec.json.decode(found["attempts"])
    assert (tried["account_id"], tried["upstream_request_id"]) == (ACCOUNT, "up-1")
    assert await scene.done(3) == {"i": "1"}


@pytest.mark.parametrize("milliseconds", [MOMENT, MOMENT + 1, MOMENT + 999, MOMENT + 1000, MOMENT + 3_599_999, 1])
async def test_received_at_is_the_millisecond_of_the_id(scene: Scene, milliseconds: int) -> None:
    await scene.put(0, row(milliseconds, received_at=milliseconds / 1000 + 0.0007))
    await scene.drain()
    (found,) = await scene.rows("(extract(epoch FROM received_at) * 1000)::text AS ms")
    assert float(found["ms"]) == milliseconds
    await summed(scene)


# Exactly once


async def test_a_crash_between_commit_and_acknowledgement(scene: Scene) -> None:
    for n in range(1, 6):
        await scene.put(0, row(), "i", n)
    await ledger.drain(scene.redis, scene.connection, 0)  # makes the group
    stream = prefix(0) + "u"
    reply = await scene.redis.xreadgroup(ledger.GROUP, "jobs", {stream: ">"}, count=3)
    entries = [ledger.read_entry(identity, fields) for identity, fields in reply[0][1]]
    assert await ledger.commit(scene.connection, 0, entries) == ledger.Committed(done={"i": 3})
    before = await summed(scene)
    # The leader died here. The next one begins with what was taken and not acknowledged.
    assert await ledger.drain(scene.redis, scene.connection, 0, pending=True) == 3
    assert await summed(scene) == before
    assert await scene.done() == {"i": "3"}
    assert await ledger.drain(scene.redis, scene.connection, 0, pending=True) == 0
    assert await ledger.drain(scene.redis, scene.connection, 0) == 2
    assert (await scene.redis.xlen(stream), await scene.done()) == (0, {"i": "5"})
    assert (await summed(scene))[0][6] == 5


async def test_a_crash_before_the_commit(scene: Scene) -> None:
    await scene.put(0, row(), "i", 1)
    await ledger.drain(scene.redis, scene.connection, 0)
    await scene.redis.xreadgroup(ledger.GROUP, "jobs", {prefix(0) + "u": ">"})
    assert await ledger.drain(scene.redis, scene.connection, 0) == 0
    assert await ledger.drain(scene.redis, scene.connection, 0, pending=True) == 1
    assert len(await scene.rows()) == 1


async def test_a_row_that_comes_often(scene: Scene) -> None:
    """Twice in a batch, in two batches, in two streams, again after Redis has lost everything."""
    real = row()
    for tag in (0, 0, 5):
        await scene.put(tag, real, "i", 1)
    assert [await scene.drain(tag) for tag in (0, 5, 0)] == [2, 1, 0]
    before = await summed(scene)
    await scene.redis.flushall()
    await scene.put(0, real, "i", 1)
    assert await scene.drain() == 1
    assert await scene.done() == {"i": "1"}  # said again: the gateway asks for it
    assert await summed(scene) == before
    assert before[0][6] == 1


# gateway_lost

ORDERS = {
    "lost, then real": [["lost"], ["real"]],
    "real, then lost": [["real"], ["lost"]],
    "both at once": [["lost", "real"]],
    "both at once, real first": [["real", "lost"]],
    "lost twice, real twice": [["lost"], ["lost"], ["real"], ["real"]],
    "all at once": [["lost", "real", "lost", "real"], ["lost", "real"]],
}


@pytest.mark.parametrize("order", ORDERS)
async def test_the_real_row_wins_once(scene: Scene, order: str) -> None:
    real, other = row(MOMENT + 5, unpriced=True), row(MOMENT + 6)
    await scene.put(0, other)
    await scene.drain()
    for batch in ORDERS[order]:
        for kind in batch:
            await (scene.put(0, real) if kind == "real" else scene.put_lost(0, reservation(real)))
        await scene.drain()
        await summed(scene)
    found = await scene.rows("ending, platform, usage_source, input_tokens")
    assert [tuple(one) for one in found] == [("complete", "claude-official", "provider", 10)] * 2
    (sums,) = await summed(scene)
    assert sums[6:10] == (2, 0, 1, 20)


async def test_a_lost_row(scene: Scene) -> None:
    begun = reservation(row())
    await scene.put_lost(0, begun)
    await scene.put_lost(0, reservation(row()), account="")
    await scene.drain()
    found = await scene.rows("ending, account_id, usage_source, status")
    assert {(one["ending"], one["usage_source"], one["status"]) for one in found} == {
        ("gateway_lost", "estimated", None)
    }
    assert {str(one["account_id"]) for one in found} == {ACCOUNT.partition("_")[2], "None"}
    assert [one[6:8] for one in await summed(scene)] == [(1, 1), (1, 1)]


async def test_the_sums_of_a_lost_row_go_where_it_was_counted(scene: Scene) -> None:
    """The real row is of another account and model than the one that was in flight."""
    real = row(account_id=new_id("acct"), model_used="other")
    await scene.put_lost(0, reservation(real))
    await scene.drain()
    await scene.put(0, real)
    await scene.drain()
    (sums,) = await summed(scene)
    assert (sums[5], sums[6], sums[7]) == ("other", 1, 0)


# What cannot be read


def nasty() -> dict[str, dict[str, bytes | str]]:
    def changed(**fields) -> bytes:
        return msgspec.json.encode({**msgspec.to_builtins(row()), **fields})

    return {
        "no row": {"i": "i", "s": "2"},
        "no JSON": {"i": "i", "s": "2", "r": "{"},
        "another thing": {"i": "i", "s": "2", "r": "[]"},
        "a bad id": {"i": "i", "s": "2", "r": changed(request_id="req_1")},
        "a bad key": {"i": "i", "s": "2", "r": changed(key_id="")},
        "a huge number": {"i": "i", "s": "2", "r": changed(input_tokens=1 << 70)},
        "a huge status": {"i": "i", "s": "2", "r": changed(status=99_999)},
        "a huge cost": {"i": "i", "s": "2", "r": changed(cost=10**21)},
        "a year that is none": {"i": "i", "s": "2", "r": changed(ended_at=1e18)},
        "a bad attempt": {"i": "i", "s": "2", "r": changed(attempts=[{"account_id": 5}])},
        "a lost one": {"i": "i", "s": "2", "g": "{}"},
    }


@pytest.mark.parametrize("kind", nasty())
async def test_a_row_that_cannot_be_read_is_in_nobodys_way(scene: Scene, kind: str) -> None:
    await scene.put(0, row(), "i", 1)
    await scene.add(0, nasty()[kind])
    for n in range(3, 9):
        await scene.put(0, row(), "i", n)
    with capture_logs() as logs:
        assert await scene.drain() == 8
    assert [(one["log_level"], one["instance"]) for one in logs] == [("error", "i")]
    assert "claude-x" not in repr(logs)
    assert len(await scene.rows()) == 7
    assert await scene.done() == {"i": "8"}  # it is not asked for again
    await summed(scene)


async def test_a_bad_sequence_is_no_sequence(scene: Scene) -> None:
    for sequence in ("x", "-1", "", "1.5"):
        await scene.add(0, {"i": "i", "s": sequence, "r": encode(row())})
    await scene.add(0, {"r": encode(row())})
    assert await scene.drain() == 5
    assert (len(await scene.rows()), await scene.done()) == (5, {})


async def test_a_nul_in_a_name_is_no_reason_to_lose_the_row(scene: Scene) -> None:
    """A client may send one in a model's name or a session."""
    attempt = Attempt(ACCOUNT, "openai", "a\0b", 1.0)
    await scene.put(0, row(model_asked="a\0b", model_used="\0", session_id="\0", user_agent="x\0", attempts=[attempt]))
    assert await scene.drain() == 1
    (found,) = await scene.rows()
    assert (found["model_asked"], found["session_id"]) == ("a\ufffdb", "\ufffd")
    assert msgspec.json.decode(found["attempts"])[0]["model"] == "a\ufffdb"
    await summed(scene)


# How far the journals are committed


async def test_gaps_never_advance(scene: Scene) -> None:
    async def send(*numbers: int) -> int:
        for n in numbers:
            await scene.put(0, row(), "i", n)
        await scene.drain()
        assert {("i", 0): int((await scene.done()).get("i", 0))} == {("i", 0): 0, **await scene.journals()}
        return int((await scene.done()).get("i", 0))

    assert await send(2, 3) == 0
    assert await send(1) == 1
    assert await send(4, 3) == 1
    assert await send(2) == 2
    assert await send(3, 4, 5) == 5
    assert await send(1, 2, 3) == 5  # what is sent again never goes back
    assert await send(5, 7, 6) == 6
    assert await send(7) == 7


async def test_each_instance_and_each_tag_has_its_own(scene: Scene) -> None:
    for tag, instance, n in ((0, "a", 1), (0, "b", 1), (0, "a", 2), (1, "a", 1), (1, "b", 2)):
        await scene.put(tag, row(), instance, n)
    await scene.drain(0)
    await scene.drain(1)
    assert await scene.journals() == {("a", 0): 2, ("b", 0): 1, ("a", 1): 1}
    assert (await scene.done(0), await scene.done(1)) == ({"a": "2", "b": "1"}, {"a": "1"})


async def test_a_long_stream_goes_by_batches(scene: Scene) -> None:
    async with scene.redis.pipeline(transaction=False) as pipeline:
        for n in range(1, 1202):
            pipeline.xadd(prefix(0) + "u", {"i": "i", "s": n, "r": encode(row())})
        await pipeline.execute()
    assert await ledger.drain(scene.redis, scene.connection, 0) == 0
    sizes = [await ledger.drain(scene.redis, scene.connection, 0) for _ in range(4)]
    assert sizes == [500, 500, 201, 0]
    assert await scene.done() == {"i": "1201"}
    assert (await summed(scene))[0][6] == 1201


# Sums

ENDINGS = {
    "complete": 0, "client_abort_drained": 0, "client_abort_cut": 0, "upstream_error": 1, "stalled": 1, "refused": 1,
}  # fmt: skip


@pytest.mark.parametrize(("ending", "errors"), ENDINGS.items())
@pytest.mark.parametrize(("status", "failed"), [(200, 0), (None, 0), (399, 0), (400, 1), (529, 1)])
async def test_what_counts_as_an_error(scene: Scene, ending: str, errors: int, status: int | None, failed: int) -> None:
    await scene.put(0, row(ending=ending, status=status))
    await scene.drain()
    assert (await summed(scene))[0][7] == max(errors, failed)


@pytest.mark.parametrize("seed", range(6))
async def test_random_histories(scene: Scene, seed: int) -> None:
    """Real, lost and repeated rows in any order, over hours, accounts and streams, with leaders that die."""
    source = random.Random(seed)
    accounts, user = [new_id("acct"), new_id("acct"), None], new_id("usr")
    reals = [
        row(
            MOMENT + source.randrange(30) * 12 * 3_600_000 + source.choice((0, 3_599_999, 1_800_000)),
            account_id=source.choice(accounts), platform=source.choice(("openai", "gemini", None)),
            model_used=source.choice(("a", "b", None)), user_id=source.choice((None, user)),
            provider=source.choice(("deepseek", None)), status=source.choice((200, 429, None)),
            ending=source.choice(list(ENDINGS)), cost=source.choice((None, 1, 10**15)),
            unpriced=source.random() < 0.3, input_tokens=source.randrange(1 << 40), reasoning_tokens=1,
        )
        for _ in range(12)
    ]  # fmt: skip
    sent: set[str] = set()
    lost: set[str] = set()
    for _ in range(12):
        for _ in range(source.randrange(1, 8)):
            real, tag = source.choice(reals), source.choice((0, 1))
            if source.random() < 0.6:
                await scene.put(tag, real)
                sent.add(real.request_id)
            else:
                await scene.put_lost(tag, reservation(real), account=source.choice((ACCOUNT, "")))
                lost.add(real.request_id)
        if source.random() < 0.3:  # a leader that dies with a batch in its hands
            await ledger.drain(scene.redis, scene.connection, 0, pending=True)
            await scene.redis.xreadgroup(ledger.GROUP, "jobs", {prefix(0) + "u": ">"}, count=2)
            await scene.drain(0, pending=True)
        for tag in (0, 1):
            await scene.drain(tag)
        await summed(scene)
    for tag in (0, 1):
        await scene.drain(tag, pending=True)
    assert await scene.redis.xlen(prefix(0) + "u") == 0
    await summed(scene)
    found = {f"req_{one['request_id']}": one["ending"] for one in await scene.rows()}
    assert set(found) == sent | lost
    assert {name for name, ending in found.items() if ending == "gateway_lost"} == lost - sent


# Keys


async def test_a_keys_last_use(scene: Scene) -> None:
    tenant = await scene.connection.fetchval("SELECT id FROM tenants")
    key = uuid7()
    await scene.connection.execute(
        "INSERT INTO keys (id, tenant_id, name, prefix, last_four, platforms, models)"
        " VALUES ($1, $2, '', '', '', '{}', '{}')",
        key, tenant,
    )  # fmt: skip

    async def used(*seconds: int) -> float:
        for one in seconds:
            await scene.put(0, row(MOMENT + one * 1000, key_id=f"key_{key}"))
        await scene.drain()
        at = await scene.connection.fetchval("SELECT last_used_at FROM keys WHERE id = $1", key)
        return at.timestamp() - MOMENT / 1000

    assert await used(5, 9, 7) == 9
    assert await used(3) == 9
    assert await used(60) == 9  # not written for every request
    assert await used(70) == 70
