"""Removes what nobody needs any more and would grow for ever: states that are over, journals of gateways long gone."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

import asyncpg
import structlog
from redis.asyncio import Redis

from gateway.core.learned import decode
from gateway.core.names import TAGS, gateway_name, prefix
from gateway.core.scripts import PRUNE
from gateway.core.state import HALF_OPEN_FOR

GRACE = 60
"""Seconds that a state stays after its end."""
DAYS = 30
"""That a journal's progress is kept after its last row. A gateway that still runs keeps it, however idle it is: without
it, its next row would seem to come after a gap, and its journal would never be committed again."""
_OVER = "DELETE FROM counters WHERE ends_at < now() - make_interval(secs => $1)"
_IDLE = "SELECT instance FROM journals GROUP BY instance HAVING max(updated_at) < now() - make_interval(days => $1)"
log = structlog.get_logger()


async def states(redis: Redis) -> int:
    """Removes accounts' automatic states that are over, in all tags. Returns how many there were."""
    removed = 0
    for tag in range(TAGS):
        cursor = ""
        while cursor != "0":
            arguments = (prefix(tag), cursor or "0", GRACE, int(HALF_OPEN_FOR) + GRACE)
            page: Any = await redis.eval(PRUNE.source.decode(), 1, *arguments)
            cursor = str(page[0])
            removed += int(page[1])
    return removed


async def learned(redis: Redis) -> int:
    """Removes what upstreams said of limits whose windows are over: clients choose the names of some families. One that
    is said anew at this moment may go too; the next answer brings it back."""
    removed = 0
    for tag in range(TAGS):
        name, past = prefix(tag) + "learned", time.time() - GRACE
        scanned: AsyncIterator[tuple[str, str]] = cast(Any, redis).hscan_iter(name, count=500)
        async for field, text in scanned:
            found = decode(text)
            if found is None or found.until < past:
                removed += int(await cast(Any, redis.hdel(name, field)))
    return removed


async def counters(connection: asyncpg.Connection, turn: asyncio.Lock) -> None:
    """Removes counters of limits whose windows are over."""
    async with turn:
        await connection.execute(_OVER, GRACE)


async def journals(redis: Redis, connection: asyncpg.Connection, turn: asyncio.Lock) -> int:
    """Forgets how far the journals of gateways that are gone were committed. Returns how many gateways there were."""
    # First what Redis has: a journal is in PostgreSQL before it is there.
    fields: Any = [await redis.hkeys(prefix(tag) + "done") for tag in range(TAGS)]
    async with turn:
        idle = await _instances(connection, _IDLE, DAYS)
        gone = [instance for instance in idle if not await redis.exists(gateway_name(instance))]
        await connection.execute("DELETE FROM journals WHERE instance = ANY($1)", gone)
        kept = set(await _instances(connection, "SELECT DISTINCT instance FROM journals"))
    for tag, names in enumerate(fields):
        if unknown := [name for name in names if name not in kept]:
            await redis.hdel(prefix(tag) + "done", *unknown)
    if gone:
        log.info("the journals of gateways that have gone are forgotten", gateways=len(gone))
    return len(gone)


async def _instances(connection: asyncpg.Connection, query: str, *values: Any) -> list[str]:
    found = cast(Sequence[Mapping[str, str]], await connection.fetch(query, *values))
    return [one["instance"] for one in found]
