"""Partitions stand before their month begins, and take the rows that were earlier than they."""

import datetime as dt
from collections.abc import AsyncGenerator, Callable

import asyncpg
import pytest
import pytest_asyncio

from gateway.jobs import ledger
from gateway.jobs.leader import connect
from gateway.jobs.partitions import make_ahead, months
from tests.jobs.scene import row

DAY = dt.date(2031, 11, 20)


def milliseconds(text: str) -> int:
    return int(dt.datetime.fromisoformat(text + "+00:00").timestamp() * 1000)


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest_asyncio.fixture(loop_scope="session")
async def connection(url: str) -> AsyncGenerator[asyncpg.Connection]:
    made = await connect(url)
    yield made
    await made.close()


async def write(connection: asyncpg.Connection, *moments: str) -> None:
    rows = [row(milliseconds(moment)) for moment in moments]
    entries = [ledger.Entry(str(n), "i", 0, one) for n, one in enumerate(rows)]
    await ledger.commit(connection, 0, entries)


async def places(connection: asyncpg.Connection) -> list[tuple[str, str]]:
    found = await connection.fetch(
        "SELECT tableoid::regclass::text AS place, to_char(received_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS') AS at"
        " FROM requests ORDER BY received_at"
    )
    return [tuple(one) for one in found]


@pytest.mark.parametrize(
    ("today", "names"),
    [
        (dt.date(2026, 11, 20), ["requests_2026_11", "requests_2026_12", "requests_2027_01"]),
        (dt.date(2026, 1, 31), ["requests_2026_01", "requests_2026_02", "requests_2026_03"]),
        (dt.date(2028, 2, 29), ["requests_2028_02", "requests_2028_03", "requests_2028_04"]),
        (dt.date(2026, 12, 1), ["requests_2026_12", "requests_2027_01", "requests_2027_02"]),
    ],
)
def test_this_month_and_the_next_two(today: dt.date, names: list[str]) -> None:
    found = months(today)
    assert [name for name, _, _ in found] == names
    assert all(first.day == following.day == 1 for _, first, following in found)
    assert [following for _, _, following in found[:-1]] == [first for _, first, _ in found[1:]]
    assert found[0][1] <= today < found[0][2]


async def test_they_are_made_once_and_take_what_was_there(connection: asyncpg.Connection) -> None:
    early = ["2031-10-31T23:59:59.999", "2031-11-01T00:00:00.000", "2031-11-30T23:59:59.999", "2032-01-31T23:59:59.999"]
    late = ["2032-02-01T00:00:00.000"]
    await write(connection, *early, *late)
    before = {at for _, at in await places(connection)}
    assert await make_ahead(connection, DAY) == ["requests_2031_11", "requests_2031_12", "requests_2032_01"]
    assert await places(connection) == [
        ("requests_default", early[0]), ("requests_2031_11", early[1]), ("requests_2031_11", early[2]),
        ("requests_2032_01", early[3]), ("requests_default", late[0]),
    ]  # fmt: skip
    assert {at for _, at in await places(connection)} == before
    assert await make_ahead(connection, DAY) == []
    assert await make_ahead(connection, dt.date(2031, 12, 1)) == ["requests_2032_02"]
    assert (await places(connection))[-1] == ("requests_2032_02", late[0])


async def test_new_rows_go_where_they_belong_and_are_still_written_once(connection: asyncpg.Connection) -> None:
    real = row(milliseconds("2031-12-31T23:59:59.999"))
    entry = ledger.Entry("1", "i", 0, real)
    await ledger.commit(connection, 0, [entry])
    await make_ahead(connection, DAY)
    await ledger.commit(connection, 0, [entry])  # it moved meanwhile
    assert await places(connection) == [("requests_2031_12", "2031-12-31T23:59:59.999")]
    assert await connection.fetchval("SELECT sum(requests) FROM usage_hours") == 1


async def test_they_are_like_the_parent(connection: asyncpg.Connection) -> None:
    await make_ahead(connection, DAY)
    indexes = await connection.fetch(
        "SELECT p.relname AS parent, c.relname AS child FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent"
        " JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_index x ON x.indexrelid = c.oid"
        " WHERE x.indrelid = 'requests_2031_11'::regclass"
    )
    parents = await connection.fetch("SELECT relname FROM pg_class WHERE relkind = 'I'")
    assert {one["parent"] for one in indexes} == {one["relname"] for one in parents}
    own = "SELECT count(*) FROM pg_index WHERE indrelid = 'requests_2031_11'::regclass"
    assert await connection.fetchval(own) == len(parents)  # none twice


async def test_a_busy_ledger_is_not_waited_for(connection: asyncpg.Connection, url: str) -> None:
    other = await connect(url)
    async with other.transaction():
        await other.execute("LOCK TABLE requests_default IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await make_ahead(connection, DAY)
    await other.close()
    assert await connection.fetchval("SELECT to_regclass('requests_2031_11')") is None  # nothing half made
    assert len(await make_ahead(connection, DAY)) == 3
