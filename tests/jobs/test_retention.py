"""Old months go, whole, and nothing else: not while the ledger is in use, and also after a crash in between."""

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, Callable

import asyncpg
import pytest
import pytest_asyncio

from gateway.jobs import ledger, retention
from gateway.jobs.leader import connect
from gateway.jobs.partitions import make_ahead
from gateway.jobs.retention import enforce, kept_from
from tests.jobs.scene import row

JULY = dt.date(2031, 7, 1)
MONTHS = ["requests_2031_05", "requests_2031_06", "requests_2031_07"]
ROWS = ["2031-04-30T23:59:59.999", "2031-05-01T00:00:00", "2031-06-30T23:59:59.999", "2031-07-01T00:00:00"]


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest_asyncio.fixture(loop_scope="session")
async def connection(url: str) -> AsyncGenerator[asyncpg.Connection]:
    """May, June and July stand, and April's row is where rows without a month are."""
    made = await connect(url)
    assert await make_ahead(made, dt.date(2031, 5, 20)) == MONTHS
    rows = [row(int(dt.datetime.fromisoformat(text + "+00:00").timestamp() * 1000)) for text in ROWS]
    await ledger.commit(made, 0, [ledger.Entry(str(n), "i", 0, one) for n, one in enumerate(rows)])
    yield made
    await made.close()


async def tables(connection: asyncpg.Connection) -> list[str]:
    found = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ 'requests_' ORDER BY 1"
    )
    return [one["relname"] for one in found]


async def rows_of(connection: asyncpg.Connection) -> int:
    return await connection.fetchval("SELECT count(*) FROM requests")


@pytest.mark.parametrize(
    ("days", "first"),
    [
        (0, dt.date(2026, 11, 1)),
        (20, dt.date(2026, 11, 1)),
        (21, dt.date(2026, 10, 1)),
        (35, dt.date(2026, 10, 1)),
        (365, dt.date(2025, 11, 1)),
    ],
)
def test_a_month_stays_whole_while_one_of_its_days_is_kept(days: int, first: dt.date) -> None:
    assert kept_from(dt.date(2026, 11, 21), days) == first


async def test_postgresql_refuses_what_would_be_simplest(connection: asyncpg.Connection) -> None:
    """The day it does not, this module can be shorter."""
    with pytest.raises(asyncpg.PostgresError, match="concurrently when a default partition exists"):
        await connection.execute("ALTER TABLE requests DETACH PARTITION requests_2031_05 CONCURRENTLY")


async def test_old_months_go_and_the_sums_stay(connection: asyncpg.Connection) -> None:
    assert await enforce(connection, dt.date(2031, 4, 1)) == []
    assert await rows_of(connection) == 4
    assert await enforce(connection, JULY) == ["requests_2031_05", "requests_2031_06"]
    assert await tables(connection) == ["requests_2031_07", "requests_default"]
    assert await rows_of(connection) == 1
    assert await connection.fetchval("SELECT sum(requests) FROM usage_hours") == 4
    assert await connection.fetchval("SELECT sum(requests) FROM usage_days") == 4
    assert await enforce(connection, JULY) == []


async def test_rows_without_a_month_go_by_batches(connection: asyncpg.Connection, monkeypatch) -> None:
    monkeypatch.setattr(retention, "_BATCH", 2)
    early = [row(int(dt.datetime(2031, 3, day, tzinfo=dt.UTC).timestamp() * 1000)) for day in range(1, 6)]
    late = row(int(dt.datetime(2032, 3, 1, tzinfo=dt.UTC).timestamp() * 1000))
    await ledger.commit(connection, 0, [ledger.Entry(str(n), "i", 0, one) for n, one in enumerate([*early, late])])
    assert await connection.fetchval("SELECT count(*) FROM requests_default") == 7
    assert await enforce(connection, dt.date(2031, 5, 1)) == []
    assert await connection.fetchval("SELECT count(*) FROM requests_default") == 1


async def test_a_table_that_only_looks_like_one_is_left_alone(connection: asyncpg.Connection) -> None:
    """Somebody keeps a month that they have detached by hand."""
    await connection.execute("ALTER TABLE requests DETACH PARTITION requests_2031_05")
    await connection.execute("CREATE TABLE dropped_requests_old (id int)")
    assert await enforce(connection, JULY) == ["requests_2031_06"]
    assert "requests_2031_05" in await tables(connection) and "dropped_requests_old" in await tables(connection)


async def test_a_crash_between_detach_and_drop(connection: asyncpg.Connection) -> None:
    await retention._detach(connection, "requests_2031_05")
    assert await rows_of(connection) == 3
    assert "dropped_requests_2031_05" in await tables(connection)
    assert await enforce(connection, dt.date(2031, 5, 1)) == ["requests_2031_05"]
    assert await tables(connection) == ["requests_2031_06", "requests_2031_07", "requests_default"]


async def test_nobody_waits_long_while_it_waits(
    connection: asyncpg.Connection, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long reader holds it up; others read and write meanwhile, and it comes through in the end."""
    monkeypatch.setattr(retention, "_TRIES", 2)
    reader, writer = await connect(url), await connect(url)
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetch("SELECT 1 FROM requests")
    trying = asyncio.ensure_future(enforce(connection, JULY))
    longest, loop = 0.0, asyncio.get_running_loop()
    at = int(dt.datetime(2031, 7, 2, tzinfo=dt.UTC).timestamp() * 1000)
    while not trying.done():
        start = loop.time()
        await ledger.commit(writer, 0, [ledger.Entry("1", "i", 0, row(at))])
        longest = max(longest, loop.time() - start)
        await asyncio.sleep(0.01)
    with pytest.raises(asyncpg.LockNotAvailableError):
        await trying
    assert 0.05 < longest < 1
    assert len(await tables(connection)) == 4  # nothing half done
    await transaction.rollback()
    assert len(await enforce(connection, JULY)) == 2
    for one in (reader, writer):
        await one.close()


async def test_what_was_begun_by_hand_is_finished(connection: asyncpg.Connection, url: str) -> None:
    """Somebody took the default partition away, began a DETACH CONCURRENTLY, broke it off and put the default back."""
    await connection.execute("ALTER TABLE requests DETACH PARTITION requests_default")
    reader, other = await connect(url), await connect(url)
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetch("SELECT 1 FROM requests")
    detaching = asyncio.ensure_future(
        other.execute("ALTER TABLE requests DETACH PARTITION requests_2031_05 CONCURRENTLY")
    )
    pending = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending"
    async with asyncio.timeout(5):
        while not await connection.fetchval(pending):
            await asyncio.sleep(0.02)
    await connection.execute("SELECT pg_cancel_backend($1)", other.get_server_pid())
    with pytest.raises(asyncpg.QueryCanceledError):
        await detaching
    await transaction.rollback()
    assert await connection.fetchval(pending) == 1
    assert await enforce(connection, JULY) == ["requests_2031_06"]
    assert await connection.fetchval(pending) == 0
    for one in (reader, other):
        await one.close()


async def test_it_runs_by_the_days_that_are_set(connection: asyncpg.Connection, url: str) -> None:
    before = await tables(connection)
    await make_ahead(connection, dt.date(2020, 1, 5))
    await retention.run(url, 0)
    assert len(await tables(connection)) == len(before) + 3
    await retention.run(url, 400)
    assert await tables(connection) == before
    await retention.run(url.replace("/test_", "/gone_"), 400)  # told, and nothing else
