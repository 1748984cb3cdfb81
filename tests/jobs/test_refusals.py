"""Counts of refusals get from the stream into PostgreSQL once, beside the rows of the ledger."""

import random
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from gateway.core.ids import new_id
from gateway.core.names import prefix
from gateway.core.refusals import NO_KEY, NO_TENANT, Refused, encode
from gateway.jobs import ledger, refusals
from tests.jobs.scene import KEY, MOMENT, TENANT, Scene, row
from tests.jobs.scene import scene as make

HOUR = MOMENT // 3_600_000


@pytest_asyncio.fixture(loop_scope="session")
async def scene(database_url: str, clean_redis: str) -> AsyncGenerator[Scene]:
    async with make(database_url, clean_redis) as made:
        await made.connection.execute("TRUNCATE refusals")
        yield made


def refused(count: int = 1, code: str = "rate_limited", status: int = 429, hour: int = HOUR, key: str = KEY) -> Refused:
    return Refused(TENANT, key, code, status, hour, count)


async def counted(scene: Scene) -> dict[tuple[str, str, int, int], int]:
    found = await scene.connection.fetch(
        "SELECT key_id, code, status, (extract(epoch FROM hour) / 3600)::int AS hour, count FROM refusals"
    )
    return {(f"key_{one['key_id']}", one["code"], one["status"], one["hour"]): one["count"] for one in found}


async def test_they_are_added_up(scene: Scene) -> None:
    other = new_id("key")
    line = [refused(2), refused(3), refused(1, "key_disabled", 401), refused(4, key=other), refused(1, hour=HOUR - 1)]
    await scene.put(0, encode(line), "i", 1)
    await scene.put(0, encode([refused(10), Refused(NO_TENANT, NO_KEY, "key_invalid", 401, HOUR, 9)]), "i", 2)
    assert await scene.drain() == 2
    assert await counted(scene) == {
        (KEY, "rate_limited", 429, HOUR): 15,
        (KEY, "key_disabled", 401, HOUR): 1,
        (other, "rate_limited", 429, HOUR): 4,
        (KEY, "rate_limited", 429, HOUR - 1): 1,
        (NO_KEY, "key_invalid", 401, HOUR): 9,
    }
    assert await scene.rows() == []
    assert (await scene.journals(), await scene.done()) == ({("i", 0): 2}, {"i": "2"})


async def test_beside_rows_and_as_often_as_it_comes(scene: Scene) -> None:
    lines: list[Any] = [row(), encode([refused(5)]), row(), encode([refused(7)])]
    for _ in range(3):
        for number, line in enumerate(lines, 1):
            await scene.put(0, line, "i", number)
        await scene.drain()
    assert await counted(scene) == {(KEY, "rate_limited", 429, HOUR): 12}
    assert len(await scene.rows()) == 2


async def test_after_a_gap_it_waits_to_come_again(scene: Scene) -> None:
    await scene.put(0, encode([refused(5)]), "i", 2)
    await scene.drain()
    assert (await counted(scene), await scene.journals()) == ({}, {})
    for number in (1, 2):
        await scene.put(0, encode([refused(number)]), "i", number)
    await scene.drain()
    assert await counted(scene) == {(KEY, "rate_limited", 429, HOUR): 3}
    assert await scene.done() == {"i": "2"}


async def test_a_crash_between_commit_and_acknowledgement(scene: Scene) -> None:
    await ledger.drain(scene.redis, scene.connection, 0)  # makes the group
    await scene.put(0, encode([refused(5)]), "i", 1)
    reply = await scene.redis.xreadgroup(ledger.GROUP, "jobs", {prefix(0) + "u": ">"})
    entries = [ledger.read_entry(identity, fields) for identity, fields in reply[0][1]]
    await ledger.commit(scene.connection, 0, entries)
    assert await ledger.drain(scene.redis, scene.connection, 0, pending=True) == 1
    assert await counted(scene) == {(KEY, "rate_limited", 429, HOUR): 5}


@pytest.mark.parametrize(
    "spoilt",
    [
        b'{"refused":5}',
        encode([refused(), Refused("ten_x", KEY, "x", 429, HOUR, 1)]),
        encode([refused(code="nul\0")]),
    ],
)
async def test_a_spoilt_line_is_skipped_and_told(scene: Scene, spoilt: bytes) -> None:
    await scene.put(0, encode([refused(2)]), "i", 1)
    await scene.put(0, spoilt, "i", 2)
    await scene.put(0, encode([refused(3)]), "i", 3)
    with capture_logs() as logs:
        await scene.drain()
    assert [entry["event"] for entry in logs] == ["a row of the ledger cannot be read"]
    assert await counted(scene) == {(KEY, "rate_limited", 429, HOUR): 5}
    assert await scene.done() == {"i": "3"}


@pytest.mark.parametrize("seed", range(4))
async def test_random_histories(scene: Scene, seed: int) -> None:
    """Journals whose lines are lost on the way, come again and again, with leaders that die; in the end all came."""
    source = random.Random(seed)
    journals: dict[str, list[tuple[Refused, ...]]] = {
        name: [
            tuple(refused(source.randrange(1, 9), source.choice("ab"), hour=HOUR + source.randrange(2)) for _ in "xy")
            for _ in range(8)
        ]
        for name in ("one", "two")
    }
    await ledger.drain(scene.redis, scene.connection, 0)
    for _ in range(30):
        name = source.choice(list(journals))
        done = int((await scene.done()).get(name, 0))
        for number in range(done + 1, 9):
            if source.random() < 0.8:
                await scene.put(0, encode(journals[name][number - 1]), name, number)
        if source.random() < 0.3:
            await scene.redis.xreadgroup(ledger.GROUP, "jobs", {prefix(0) + "u": ">"}, count=3)
            await scene.drain(0, pending=True)
        else:
            await scene.drain()
    for name, lines in journals.items():
        for number, line in enumerate(lines, 1):
            await scene.put(0, encode(line), name, number)
    await scene.drain(0, pending=True)
    await scene.drain()
    expected: Counter[tuple[str, str, int, int]] = Counter()
    for lines in journals.values():
        for one in (one for line in lines for one in line):
            expected[one.key_id, one.code, one.status, one.hour] += one.count
    assert await counted(scene) == expected


def test_a_row_is_none_of_these() -> None:
    assert refusals.read('{"request_id":"req_1"}') is None
