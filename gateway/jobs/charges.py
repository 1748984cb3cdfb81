"""What the rows of one batch change of the counters of limits: in PostgreSQL always, in Redis where nothing else has.

Settling puts a request's own reservation right, and its entry says so. What no reservation has put right (it was lost
with Redis, or swept with its gateway) counts once its row is in the ledger, and not before.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import asyncpg
from msgspec import Struct
from msgspec.structs import replace

from gateway.core.counters import BUCKETS, Charge, amount_of, read
from gateway.core.ledger import Row

_CLASSES = "input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens"
RETURNED = f"request_id, sign, {_CLASSES}, cost, base_cost"
"""Of the rows that a batch has really written (sign 1) and replaced (sign -1): what their charges are made of."""

_ADD = """
INSERT INTO counters AS c (tag, name, bucket, span, amount, ends_at)
SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::timestamptz[])
ON CONFLICT (tag, name, bucket) DO UPDATE SET amount = c.amount + EXCLUDED.amount
"""
_BATCH = """
INSERT INTO batches AS b (tag, batch, charges) VALUES ($1, 1, $2)
ON CONFLICT (tag) DO UPDATE SET batch = b.batch + 1, charges = EXCLUDED.charges RETURNING batch
"""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Arrived(Struct, frozen=True):
    """A row that came with an entry. `applied`: Redis has counted what it really used."""

    row: Row
    applied: bool


class _Written(Struct):
    """What stands in the ledger, or stood there."""

    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    cost: int | None
    base_cost: int | None


def differences(
    arrived: Mapping[str, Arrived], changed: Iterable[Mapping[str, Any]]
) -> tuple[list[Charge], list[Charge]]:
    """`changed`: RETURNED of the rows. Returns what PostgreSQL's counters take, and what Redis' do."""
    ledger: list[Charge] = []
    redis: list[Charge] = []
    for values in changed:
        one = arrived.get(f"req_{values['request_id']}")
        if one is None or not one.row.charges:
            continue
        row = _written(values)
        for charge in read(one.row.charges):
            amount = values["sign"] * amount_of(charge.type, row, of_account=charge.of_account)
            found = Charge(charge.kind, charge.name, charge.span, charge.at, amount)
            ledger.append(found)
            if values["sign"] < 0 or not one.applied:
                redis.append(found)
    return merged(ledger), merged(redis)


def merged(charges: Iterable[Charge]) -> list[Charge]:
    """One for each bucket of each counter, without those that come to nothing."""
    sums: dict[tuple[str, int], Charge] = {}
    for one in charges:
        name = one.name, one.bucket
        held = sums.get(name)
        sums[name] = one if held is None else replace(held, amount=held.amount + one.amount)
    return [one for one in sums.values() if one.amount]


def _written(values: Mapping[str, Any]) -> _Written:
    cost, base_cost = (None if values[name] is None else int(values[name].scaleb(9)) for name in ("cost", "base_cost"))
    return _Written(
        values["input_tokens"],
        values["cache_read_tokens"],
        values["cache_write_5m_tokens"],
        values["cache_write_1h_tokens"],
        values["output_tokens"],
        cost,
        base_cost,
    )


async def add(connection: asyncpg.Connection, tag: int, charges: Sequence[Charge]) -> None:
    """Within the transaction that writes the rows."""
    if charges:
        # Sorted: two statements must not wait for one another.
        ordered = sorted(charges, key=lambda one: (one.name, one.bucket))
        columns = zip(*((one.name, one.bucket, one.span, one.amount, _end(one)) for one in ordered), strict=True)
        await connection.execute(_ADD, tag, *map(list, columns))


async def batch(connection: asyncpg.Connection, tag: int, charges: str) -> int:
    """Notes what Redis is to be told, within the same transaction: a leader that dies leaves it to the next."""
    return cast(int, await connection.fetchval(_BATCH, tag, charges))


def _end(charge: Charge) -> dt.datetime | None:
    """When it counts no more; None: never."""
    if charge.kind == "D":
        return _EPOCH + dt.timedelta(milliseconds=charge.span) if charge.span else None
    return _EPOCH + dt.timedelta(milliseconds=(charge.bucket + BUCKETS + 1) * charge.span / BUCKETS)
