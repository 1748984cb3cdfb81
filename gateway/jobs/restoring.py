"""Makes the counters of limits anew from PostgreSQL when Redis has lost them: it was emptied, replaced or restarted.

A tag's `epoch` names the Redis that holds its counters. Where it is missing, or names another run of Redis, the tag is
cold: gateways admit by their own share, budgets are closed. Then all rows that are on their way are committed, the
counters are written as PostgreSQL has them, and with the new epoch comes what the running requests have reserved, which
their gateways say again as soon as they notice.
"""

import datetime as dt
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg
import structlog
from redis.asyncio import Redis

from gateway.core.ids import milliseconds_of, uuid_of
from gateway.core.names import TAGS, prefix
from gateway.core.prices import Table
from gateway.core.scripts import RESTORE, evaluate
from gateway.jobs import ledger

EVERY = 0.5
PATIENCE = 1.2
"""Seconds that gateways have for noticing, and for saying again what Redis has lost of theirs."""
_CHUNK = 500
_SCANNED = 10_000
"""Names that Redis looks at in one call, a millisecond or two: each tag's are among all the others."""
_COUNTERS = """
SELECT name, span, bucket, amount FROM counters
WHERE tag = $1 AND amount > 0 AND (ends_at IS NULL OR ends_at > now()) ORDER BY name, bucket
"""
_ENDED = """
SELECT request_id FROM requests JOIN unnest($1::uuid[], $2::timestamptz[]) AS running(id, at)
ON request_id = id AND received_at = at WHERE ending <> 'gateway_lost'
"""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
log = structlog.get_logger()


class Restorer:
    """Of one leader, which alone commits."""

    def __init__(self, redis: Redis, connection: asyncpg.Connection, table: Callable[[], Table | None]) -> None:
        self._redis = redis
        self._connection: Any = connection
        self._table = table
        self._cold: dict[int, float] = {}
        self._looked = float("-inf")

    async def look(self) -> None:
        """Restores what is cold and has been so for long enough."""
        if time.monotonic() - self._looked < EVERY:
            return
        self._looked = time.monotonic()
        server: Any = await self._redis.info("server")
        run = str(server["run_id"])
        epochs: Any = await self._redis.mget([prefix(tag) + "epoch" for tag in range(TAGS)])
        for tag, epoch in enumerate(epochs):
            if epoch is not None and epoch.partition(":")[0] == run:
                self._cold.pop(tag, None)
                continue
            if epoch is not None:
                await self._redis.delete(prefix(tag) + "epoch")
            await self._restore(tag, run)

    async def _restore(self, tag: int, run: str) -> None:
        known: Any = await self._connection.fetchval("SELECT 1 FROM counters WHERE tag = $1 LIMIT 1", tag)
        since = self._cold.setdefault(tag, time.monotonic())
        if known and time.monotonic() - since < PATIENCE:
            return
        await self._commit(tag)
        await self._forget(prefix(tag))
        await self._drop_ended(prefix(tag))
        rows: Any = await self._connection.fetch(_COUNTERS, tag)
        for at in range(0, len(rows), _CHUNK):
            values = [value for row in rows[at : at + _CHUNK] for value in row]
            await evaluate(self._redis, RESTORE, prefix(tag), ["", "", *values])
        batch: Any = await self._connection.fetchval("SELECT batch FROM batches WHERE tag = $1", tag)
        await evaluate(self._redis, RESTORE, prefix(tag), [f"{run}:{uuid4().hex}", str(batch or "")])
        self._cold.pop(tag, None)
        if rows:
            log.warning("counters were made anew from the ledger", tag=tag, counters=len(rows))

    async def _commit(self, tag: int) -> None:
        """All that stands in the stream by now. What comes later is not counted by Redis, since the tag is cold."""
        while await ledger.drain(self._redis, self._connection, tag, self._table(), pending=True):
            pass
        length: Any = await self._redis.xlen(prefix(tag) + "u")
        for _ in range(0, length, ledger.BATCH):
            await ledger.drain(self._redis, self._connection, tag, self._table())

    async def _forget(self, tagged: str) -> None:
        """Counters of before, which are older than those of PostgreSQL."""
        # Braces are no sign of a pattern, brackets are one.
        found: AsyncIterator[str] = cast(Any, self._redis).scan_iter(match=tagged + "[wd]:*", count=_SCANNED)
        names = [name async for name in found]
        for at in range(0, len(names), _CHUNK):
            await self._redis.unlink(*names[at : at + _CHUNK])

    async def _drop_ended(self, tagged: str) -> None:
        """A Redis that came back as it was a while ago believes that these run. What they used is in PostgreSQL."""
        names: list[str] = await cast(Any, self._redis).hkeys(tagged + "r")
        for at in range(0, len(names), _CHUNK):
            ids = list(_uuids(names[at : at + _CHUNK]))
            moments = [_EPOCH + dt.timedelta(milliseconds=milliseconds_of(one)) for one in ids]
            rows: Any = await self._connection.fetch(_ENDED, ids, moments)
            if ended := [f"req_{row['request_id']}" for row in rows]:
                await cast(Any, self._redis).hdel(tagged + "r", *ended)
                await self._redis.zrem(tagged + "l", *ended)


def _uuids(names: Iterable[str]) -> Iterator[UUID]:
    for name in names:
        with suppress(ValueError):
            yield uuid_of(name, "req")
