"""Old months of the ledger are dropped, whole; the roll-ups stay.

`DETACH … CONCURRENTLY` would take no lock that anybody waits for, but PostgreSQL refuses it while there is a DEFAULT
partition ("cannot detach partitions concurrently when a default partition exists"), and the ledger needs one: a row
without a month must not be lost. So it is a plain DETACH, which changes the catalogue only, with a lock time limit so
short that nobody waits long for us while we wait for others, and is tried again. What was detached carries another
name from the same transaction on: that, and nothing else, is what DROP removes, even after a crash in between.
"""

import asyncio
import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import asyncpg
import structlog

from gateway.core.pause import pause
from gateway.jobs.leader import connect

LOCK_TIMEOUT = "300ms"
_TRIES = 10
_BATCH = 5000
_DROP_WITHIN = 900.0
_MONTH = re.compile(r"requests_(\d{4})_(\d{2})")
_DETACHED = "dropped_"
_PARTS = """
SELECT c.relname AS name, i.inhdetachpending AS pending FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'requests'::regclass ORDER BY c.relname
"""
_LEFT = "SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relname ~ '^dropped_requests_[0-9]{4}_[0-9]{2}$'"
_FROM_DEFAULT = """
DELETE FROM requests_default WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM requests_default WHERE received_at < $1 LIMIT $2))
"""
log = structlog.get_logger()


def kept_from(today: dt.date, days: int) -> dt.date:
    """The first day that is kept: a month stays whole while one of its days is within `days`, and this one always."""
    return (today - dt.timedelta(days=max(days, 0))).replace(day=1)


async def run(url: str, days: int) -> None:
    """Drops what is older, on a connection of its own: the ledger goes on meanwhile. Zero days is for ever."""
    if not days:
        return
    try:
        connection = await connect(url)
        try:
            await enforce(connection, kept_from(dt.datetime.now(dt.UTC).date(), days))
        finally:
            await connection.close(timeout=5)
    except asyncpg.LockNotAvailableError:
        log.warning("old months of the ledger are dropped later: it is in use")
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        log.warning("old months of the ledger could not be dropped", reason=type(error).__name__)


async def enforce(connection: asyncpg.Connection, first: dt.date) -> list[str]:
    """Drops the months before `first`. Returns their names. Raises LockNotAvailableError when the ledger is in use."""
    for part in await _rows(connection, _PARTS):
        if part["pending"]:  # begun by hand, CONCURRENTLY, and broken off: nothing else can be detached before
            await connection.execute(f"ALTER TABLE requests DETACH PARTITION {part['name']} FINALIZE")
    for part in await _rows(connection, _PARTS):
        if _is_before(part["name"], first):
            await _detach(connection, part["name"])
    dropped: list[str] = []
    for left in await _rows(connection, _LEFT):
        await connection.execute(f"DROP TABLE {left['name']}", timeout=_DROP_WITHIN)
        dropped.append(left["name"].removeprefix(_DETACHED))
    rows = await _empty_default(connection, first)
    if dropped or rows:
        log.info("old months of the ledger are dropped", tables=dropped, rows_without_a_month=rows)
    return dropped


async def _rows(connection: asyncpg.Connection, query: str) -> Sequence[Mapping[str, Any]]:
    return cast(Sequence[Mapping[str, Any]], await connection.fetch(query))


def _is_before(name: str, first: dt.date) -> bool:
    month = _MONTH.fullmatch(name)
    return month is not None and dt.date(int(month[1]), int(month[2]), 1) < first


async def _detach(connection: asyncpg.Connection, name: str) -> None:
    for attempt in range(_TRIES):
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                await connection.execute(f"ALTER TABLE requests DETACH PARTITION {name}")
                await connection.execute(f"ALTER TABLE {name} RENAME TO {_DETACHED}{name}")
            return
        except asyncpg.LockNotAvailableError:
            if attempt == _TRIES - 1:
                raise
        await pause(2)


async def _empty_default(connection: asyncpg.Connection, first: dt.date) -> int:
    """In batches: a long DELETE would hold back what is vacuumed."""
    before = dt.datetime(first.year, first.month, 1, tzinfo=dt.UTC)
    gone = 0
    while True:
        done = int((await connection.execute(_FROM_DEFAULT, before, _BATCH)).split()[-1])
        gone += done
        if done < _BATCH:
            return gone
        await asyncio.sleep(0.05)
