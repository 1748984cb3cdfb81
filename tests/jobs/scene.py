"""The ledger's way from the stream into PostgreSQL, with real servers: rows put in, sums asked for."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from redis.asyncio import Redis

from gateway.core.ids import new_id, uuid7
from gateway.core.ledger import Row, encode
from gateway.core.names import prefix
from gateway.core.redis import client
from gateway.jobs import ledger, rollups
from gateway.jobs.leader import connect

MOMENT = 1_763_640_000_000
"""A whole hour, in ms."""
TENANT, KEY, ACCOUNT = new_id("ten"), new_id("key"), new_id("acct")
DIMENSIONS = f"""tenant_id, key_id, coalesce(account_id, '{rollups.NIL}') AS account_id,
    coalesce(platform, '') AS platform, coalesce(model_used, model_asked) AS model"""
ALSO = f"coalesce(user_id, '{rollups.NIL}') AS user_id, coalesce(provider, '') AS provider"
SUMS = (
    "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens",
    "reasoning_tokens", "cost",
)  # fmt: skip
GOOD = "('complete', 'client_abort_drained', 'client_abort_cut')"
ORDER = f"1, 2, 3, 4, 5, 6, {8 + len(SUMS) + 2}, {8 + len(SUMS) + 3}"
PERIODS = {
    "usage_hours": ("hour", "date_trunc('hour', received_at, 'UTC')"),
    "usage_days": ("day", "(received_at AT TIME ZONE 'UTC')::date"),
    "usage_months": ("month", "date_trunc('month', received_at AT TIME ZONE 'UTC')::date"),
}
RECOMPUTED = {
    table: f"""
SELECT {value} AS {period}, {DIMENSIONS}, count(*) AS requests,
    count(*) FILTER (WHERE coalesce(status, 0) >= 400 OR ending NOT IN {GOOD}) AS errors,
    count(*) FILTER (WHERE unpriced) AS unpriced,
    {", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in SUMS)}, {ALSO}
FROM requests GROUP BY {ORDER} ORDER BY {ORDER}
"""
    for table, (period, value) in PERIODS.items()
}
ROLLED_UP = {
    table: f"""
SELECT {period}, tenant_id, key_id, account_id, platform, model, requests, errors, unpriced, {", ".join(SUMS)},
    user_id, provider
FROM {table} WHERE (requests, errors, unpriced, {", ".join(SUMS)}) <> (0, 0, 0{", 0" * len(SUMS)})
ORDER BY {ORDER}
"""
    for table, (period, _) in PERIODS.items()
}


def row(milliseconds: int = MOMENT, **fields: Any) -> Row:
    """A request that ended well."""
    values: dict[str, Any] = {
        "request_id": f"req_{uuid7(milliseconds)}",
        "received_at": milliseconds / 1000,
        "tenant_id": TENANT,
        "key_id": KEY,
        "account_id": ACCOUNT,
        "protocol": "anthropic",
        "path": "/v1/messages",
        "model_asked": "claude-x",
        "model_used": "claude-x",
        "platform": "claude-official",
        "stream": False,
        "ending": "complete",
        "status": 200,
        "usage_source": "provider",
        "input_tokens": 10,
        "output_tokens": 5,
        "cost": 1_000_000,
    }
    return Row(**{**values, **fields})


def reservation(real: Row) -> Row:
    """The beginning of a row, as admission leaves it in Redis."""
    return Row(
        request_id=real.request_id, received_at=real.received_at, tenant_id=real.tenant_id, key_id=real.key_id,
        protocol=real.protocol, path=real.path, model_asked=real.model_asked, stream=real.stream,
        input_tokens=3, usage_source="estimated",
    )  # fmt: skip


class Scene:
    def __init__(self, redis: Redis, connection: asyncpg.Connection) -> None:
        self.redis = redis
        self.connection = connection

    async def put(self, tag: int, real: Row | bytes, instance: str = "i", sequence: int = 0) -> None:
        """As the settle script does."""
        data = encode(real) if isinstance(real, Row) else real
        await self.add(tag, {"i": instance, "s": str(sequence), "r": data})

    async def put_lost(self, tag: int, begun: Row, account: str = ACCOUNT) -> None:
        """As the sweep does."""
        await self.add(tag, {"i": "sweep", "s": "0", "a": account, "g": encode(begun)})

    async def add(self, tag: int, fields: Mapping[str, Any]) -> None:
        await self.redis.xadd(prefix(tag) + "u", dict(fields))

    async def drain(self, tag: int = 0, *, pending: bool = False) -> int:
        """All there is. The group is made by the first call."""
        taken = 0
        await ledger.drain(self.redis, self.connection, tag, pending=True)
        while found := await ledger.drain(self.redis, self.connection, tag, pending=pending):
            taken += found
        return taken

    async def rows(self, columns: str = "*") -> list[Any]:
        return await self.connection.fetch(f"SELECT {columns} FROM requests ORDER BY request_id")

    async def usage(self, table: str = "usage_hours") -> list[tuple[Any, ...]]:
        return [tuple(found) for found in await self.connection.fetch(ROLLED_UP[table])]

    async def recomputed(self, table: str = "usage_hours") -> list[tuple[Any, ...]]:
        return [tuple(found) for found in await self.connection.fetch(RECOMPUTED[table])]

    async def journals(self) -> dict[tuple[str, int], int]:
        found = await self.connection.fetch("SELECT instance, tag, committed FROM journals")
        return {(one["instance"], one["tag"]): one["committed"] for one in found}

    async def done(self, tag: int = 0) -> Any:
        return await self.redis.hgetall(prefix(tag) + "done")


@asynccontextmanager
async def scene(database_url: str, redis_url: str) -> AsyncGenerator[Scene]:
    """With empty tables."""
    connection = await connect(database_url)
    try:
        await connection.execute(
            "TRUNCATE requests, usage_hours, usage_days, usage_months, journals, counters, batches"
        )
        async with client(redis_url) as redis:
            yield Scene(redis, connection)
    finally:
        await connection.close()
