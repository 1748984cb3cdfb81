"""Prices that come after the requests: rows of the ledger without a price get theirs, and the sums follow, each once.

The roll-ups say where such rows are: in which hours of which keys. They are read and written on the leader's own
connection, in its turn: nobody else writes the ledger meanwhile, and a leader that has lost its lock commits nothing.
"""

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import asyncpg
import structlog
from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError

from gateway.core import prices
from gateway.core.db import Sessions
from gateway.core.prices import Table, priced
from gateway.core.services import prices as price_versions
from gateway.jobs import rollups
from gateway.jobs.ledger import COLUMNS
from gateway.jobs.multipliers import multipliers

EVERY = 1.0
BATCH = 500
RECENT = dt.timedelta(hours=2)
"""How far back it is looked again and again, for rows of gateways that did not know a price yet."""
_AGAIN = 30.0
_ALL_AGAIN = 3600.0
_MOST = 10**20
"""What numeric(20,9) cannot hold any more, in 10⁻⁹."""
_LIST = ", ".join(COLUMNS)
_BEFORE = ", ".join({"cost": "NULL", "unpriced": "true"}.get(name, name) for name in COLUMNS)
"""Of a row that has got its price: what it was counted as."""
_NIL = UUID(int=0)
_BEGINNING = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
log = structlog.get_logger()

_WHERE = """
SELECT DISTINCT hour, key_id FROM usage_hours WHERE unpriced > 0 AND (hour, key_id) > ($1, $2)
ORDER BY hour, key_id LIMIT 1
"""
_ROWS = """
SELECT request_id, received_at, tenant_id, user_id, key_id, account_id, platform, provider, model_asked, model_used,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens
FROM requests WHERE key_id = $1 AND received_at >= $2 AND received_at < $3 AND unpriced
    AND (received_at, request_id) > ($4, $5) AND platform IS NOT NULL
ORDER BY received_at, request_id LIMIT $6
"""
_PRICE = f"""
WITH found AS (
    SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::numeric[], $4::numeric[], $5::text[])
        AS f(id, at, amount, base, version)
), became AS (
    UPDATE requests r
    SET cost = amount, base_cost = base, price_version = version, currency = $6, unpriced = false FROM found
    WHERE r.request_id = id AND r.received_at = at AND r.unpriced AND r.received_at BETWEEN $7 AND $8
    RETURNING r.*
), counted AS (
    SELECT {_LIST}, 1 AS sign FROM became UNION ALL SELECT {_BEFORE}, -1 FROM became
), {rollups.CTES}
SELECT request_id FROM became
"""  # noqa: S608  # names of our own columns only


class Priced(Struct, frozen=True):
    """A request that has its price now. Costs are in 10⁻⁹ of the currency, `base_cost` before any multiplier;
    `received_at` is in epoch seconds."""

    request_id: str
    received_at: float
    tenant_id: str
    key_id: str
    user_id: str | None
    account_id: str | None
    platform: str
    provider: str | None
    model_asked: str
    model_used: str | None
    cost: int
    base_cost: int
    price_version: str


OnPriced = Callable[[Sequence[Priced]], Awaitable[None]]
"""Told of each batch inside its transaction: what it writes on the leader's connection is committed with the prices, or
not at all."""


class _Tokens(Struct, frozen=True):
    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int


class Pricer:
    """`table`: the prices as the leader knows them, a second old at most."""

    def __init__(
        self, sessions: Sessions, connection: asyncpg.Connection, turn: asyncio.Lock, on_priced: OnPriced | None = None
    ) -> None:
        self.table: Table = prices.shipped()
        self._sessions = sessions
        self._connection = connection
        self._turn = turn
        self._on_priced = on_priced
        self._done: Table | None = None
        """The prices that all rows were looked at with, and when."""
        self._done_at = 0.0
        self._looked_at = 0.0

    async def look(self) -> int:
        """Looks for prices that are new or in force now, and for rows that have one. Returns how many got it."""
        now = time.time()
        try:
            async with self._sessions() as session:
                self.table = await price_versions.table(session, self.table)
            table = self.table
            if self._is_new(table, now):
                done = await self.price(table, now)
                self._done, self._done_at = table, now
            elif now - self._looked_at > _AGAIN:
                done = await self.price(table, now, dt.datetime.now(dt.UTC) - RECENT)
            else:
                return 0
        except (SQLAlchemyError, asyncpg.PostgresError) as error:
            if self._connection.is_closed():
                raise
            # The ledger must not wait for a price that cannot be written.
            log.warning("rows wait for their price", reason=type(error).__name__)
            return 0
        self._looked_at = now
        if done:
            log.info("rows got their price", rows=done)
        return done

    def _is_new(self, table: Table, now: float) -> bool:
        if table is not self._done or now - self._done_at > _ALL_AGAIN:
            return True
        return any(self._done_at < layer.effective_at <= now for layer in prices.layers(table))

    async def price(self, table: Table, now: float, since: dt.datetime = _BEGINNING) -> int:
        """All rows without a price since then that have one by `table` at `now` (epoch seconds). Returns how many."""
        done, hour, key = 0, since, _NIL
        while True:
            async with self._turn:
                place = cast(Any, await self._connection.fetchrow(_WHERE, hour, key))
            if place is None:
                return done
            hour, key = place["hour"], place["key_id"]
            done += await self._price_hour(table, now, hour, key)

    async def _price_hour(self, table: Table, now: float, hour: dt.datetime, key: UUID) -> int:
        done, at, last = 0, hour, _NIL
        end = hour + dt.timedelta(hours=1)
        while True:
            async with self._turn, self._connection.transaction():
                rows = cast(list[Any], await self._connection.fetch(_ROWS, key, hour, end, at, last, BATCH))
                if rows:
                    found = await self._found(table, now, rows)
                    done += len(await self._write(table, found))
                    at, last = rows[-1]["received_at"], rows[-1]["request_id"]
            if len(rows) < BATCH:
                return done

    async def _found(self, table: Table, now: float, rows: Sequence[Any]) -> list[Priced]:
        factors = await multipliers(self._connection, {row["key_id"] for row in rows})
        return [found for row in rows if (found := _priced(table, row, factors.get(row["key_id"], "1"), now))]

    async def _write(self, table: Table, found: Sequence[Priced]) -> Sequence[Priced]:
        """Returns those that were really without a price."""
        if not found:
            return ()
        ids = [_uuid(one.request_id) for one in found]
        moments = [_moment(one.received_at) for one in found]
        amounts = [Decimal(one.cost).scaleb(-9) for one in found]
        bases = [None if one.base_cost == one.cost else Decimal(one.base_cost).scaleb(-9) for one in found]
        versions = [one.price_version for one in found]
        values = (ids, moments, amounts, bases, versions, table.currency, min(moments), max(moments))
        written = cast(list[Any], await self._connection.fetch(_PRICE, *values))
        became = {f"req_{row['request_id']}" for row in written}
        new = [one for one in found if one.request_id in became]
        if new and self._on_priced is not None:
            await self._on_priced(new)
        return new


def _priced(table: Table, row: Any, multiplier: str, now: float) -> Priced | None:
    names = [name for name in (row["model_used"], row["model_asked"]) if name]
    tokens = _Tokens(**{name: row[name] for name in _Tokens.__struct_fields__})
    at = (row["received_at"] - _EPOCH) / dt.timedelta(seconds=1)
    found = priced(table, row["platform"], names, at, tokens, multiplier, until=now)
    base = priced(table, row["platform"], names, at, tokens, until=now)
    if found is None or base is None:
        return None
    cost, version = found
    if max(cost, base[0]) >= _MOST:
        log.error("a row's price is beyond all bounds", request=f"req_{row['request_id']}", version=version)
        return None
    return Priced(
        request_id=f"req_{row['request_id']}",
        received_at=at,
        tenant_id=f"ten_{row['tenant_id']}",
        key_id=f"key_{row['key_id']}",
        user_id=f"usr_{row['user_id']}" if row["user_id"] else None,
        account_id=f"acct_{row['account_id']}" if row["account_id"] else None,
        platform=row["platform"],
        provider=row["provider"],
        model_asked=row["model_asked"],
        model_used=row["model_used"],
        cost=cost,
        base_cost=base[0],
        price_version=version,
    )


def _uuid(public_id: str) -> UUID:
    return UUID(public_id.partition("_")[2])


def _moment(seconds: float) -> dt.datetime:
    """To the millisecond: the ledger's `received_at` has no more."""
    return _EPOCH + dt.timedelta(milliseconds=round(seconds * 1000))
