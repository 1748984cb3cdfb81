"""Takes rows from the streams into PostgreSQL, each exactly once.

One batch of a tag is one transaction: COPY into a temporary table, insert what is new, apply the roll-up from the rows
really written, and note how far each journal is committed. Then the entries are acknowledged and deleted, and the
gateways are told. A crash between commit and acknowledgement makes the batch come again, and nothing happens twice.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import asyncpg
import msgspec
import structlog
from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from gateway.core.counters import Charge, written
from gateway.core.ids import milliseconds_of
from gateway.core.ledger import Row, decode, shown
from gateway.core.names import prefix
from gateway.core.prices import Table
from gateway.core.scripts import COMMIT, evaluate
from gateway.jobs import charges, lost, refusals, rollups

GROUP = "ledger"
BATCH = 500
log = structlog.get_logger()

COLUMNS: Sequence[str] = (
    "request_id", "received_at", "client_request_id", "tenant_id", "user_id", "key_id", "account_id", "platform",
    "provider", "protocol", "path", "model_asked", "model_used", "stream", "status", "error_code", "ending",
    "usage_source", "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
    "output_tokens", "reasoning_tokens", "audio_tokens", "image_tokens", "server_tool_calls", "cost", "base_cost",
    "currency", "price_version", "unpriced", "first_byte_at", "ended_at", "overhead_us", "attempts", "client_ip",
    "user_agent", "session_id",
)  # fmt: skip
_KEY = {"request_id", "received_at"}
_IDS = {"request_id", "tenant_id", "user_id", "key_id", "account_id"}
_TIMES = {"first_byte_at", "ended_at"}
_MONEY = {"cost", "base_cost"}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NO_NUL = "\ufffd"
"""PostgreSQL's text has no NUL; a client may send one in a name."""
_LIST = ", ".join(COLUMNS)

_STAGE = "CREATE TEMP TABLE IF NOT EXISTS arriving (LIKE requests INCLUDING DEFAULTS) ON COMMIT DELETE ROWS"
# A real row replaces what the sweep wrote in its place; the roll-up then takes the difference. `lost` reads what stood
# there before this statement: it must not lock (FOR UPDATE passes over a row that the statement itself has changed).
_INSERT = f"""
WITH arrived AS (
    SELECT DISTINCT ON (request_id, received_at) {_LIST} FROM arriving
    ORDER BY request_id, received_at, (ending = 'gateway_lost')
), lost AS (
    SELECT r.* FROM requests r JOIN arrived a USING (request_id, received_at)
    WHERE r.ending = 'gateway_lost' AND a.ending <> 'gateway_lost'
), written AS (
    INSERT INTO requests ({_LIST}) SELECT {_LIST} FROM arrived
    ON CONFLICT (request_id, received_at) DO UPDATE SET
        {", ".join(f"{name} = EXCLUDED.{name}" for name in COLUMNS if name not in _KEY)}
    WHERE requests.ending = 'gateway_lost' AND EXCLUDED.ending <> 'gateway_lost'
    RETURNING {_LIST}
), counted AS (
    SELECT *, 1 AS sign FROM (SELECT {_LIST} FROM written) w
    UNION ALL
    SELECT *, -1 FROM (SELECT {_LIST} FROM lost) l
), {rollups.CTES}
SELECT {charges.RETURNED} FROM counted
"""  # noqa: S608  # names of our own columns only
_BEFORE = "SELECT instance, committed FROM journals WHERE tag = $1 AND instance = ANY($2)"
_COMMITTED = """
INSERT INTO journals (instance, tag, committed) VALUES ($1, $2, $3)
ON CONFLICT (instance, tag) DO UPDATE SET committed = EXCLUDED.committed, updated_at = now()
WHERE journals.committed < EXCLUDED.committed
"""
_LAST_USED = """
UPDATE keys SET last_used_at = used.at FROM unnest($1::uuid[], $2::timestamptz[]) AS used(id, at)
WHERE keys.id = used.id AND (keys.last_used_at IS NULL OR keys.last_used_at < used.at - interval '1 minute')
"""
_REFUSED = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError, OverflowError)


class Entry(Struct, frozen=True):
    """One entry of a stream."""

    id: str
    instance: str
    sequence: int
    row: Row | None
    """None: it could not be read; it is logged and skipped, never in the way of the others."""
    applied: bool = False
    """Redis counts under limits what it really used."""
    refused: Sequence[refusals.Record] = ()
    """Counts of what has no row, in the place of one."""


def read_entry(identity: str, fields: Mapping[str, str]) -> Entry:
    lost = fields.get("g")
    sequence = fields.get("s", "0")
    counts: Sequence[refusals.Record] | None = None
    row: Row | None = None
    try:
        counts = refusals.read(fields["r"]) if lost is None else None
        row = decode(lost if lost is not None else fields["r"]) if counts is None else None
        if row is not None and lost is not None:
            row.ending = "gateway_lost"
            row.account_id = fields.get("a") or None
            row.charges = fields.get("c", "")
    except (KeyError, ValueError):
        row = None
    number = int(sequence) if sequence.isdecimal() else 0
    applied = lost is None and fields.get("a") == "1"
    return Entry(identity, fields.get("i", ""), number, row, applied, counts or ())


def _moment(seconds: float) -> dt.datetime:
    return _EPOCH + dt.timedelta(seconds=seconds)


def record(row: Row) -> tuple[Any, ...]:
    """A row as COPY wants it, in the order of COLUMNS. Raises ValueError or OverflowError when it cannot be one."""
    values: list[Any] = []
    for name in COLUMNS:
        value: Any = getattr(row, name)
        if value is None:
            pass
        elif name in _IDS:
            value = UUID(value.partition("_")[2])
        elif name == "received_at":
            value = _EPOCH + dt.timedelta(milliseconds=milliseconds_of(values[0]))
        elif name in _TIMES:
            value = _moment(value)
        elif name in _MONEY:
            value = Decimal(value).scaleb(-9)
        elif name == "attempts":
            value = msgspec.json.encode([shown(attempt) for attempt in value]).decode()
            if "\\u0000" in value:
                value = msgspec.json.encode(_without_nul(msgspec.json.decode(value))).decode()
        elif isinstance(value, str):
            value = value.replace("\0", _NO_NUL)
        values.append(value)
    return tuple(values)


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", _NO_NUL)
    if isinstance(value, list):
        return [_without_nul(item) for item in cast(list[Any], value)]
    if isinstance(value, dict):
        return {name: _without_nul(item) for name, item in cast(dict[str, Any], value).items()}
    return value


class Committed(Struct):
    """What Redis is to be told of a batch that is in PostgreSQL."""

    done: dict[str, int] = {}
    """How far each journal is committed in this tag."""
    batch: int | None = None
    charges: list[Charge] = []


async def commit(
    connection: asyncpg.Connection, tag: int, entries: Sequence[Entry], table: Table | None = None
) -> Committed:
    """One batch, one transaction. `table`: by which the rows of killed gateways are priced.

    A row that PostgreSQL refuses is found by halving, and skipped as one that cannot be read.
    """
    committed = Committed()
    rows = [entry.row for entry in entries if entry.row is not None and entry.row.ending == "gateway_lost"]
    if rows and table is not None:
        await lost.appraise(connection, rows, table)
    await _halving(connection, tag, entries, committed)
    return committed


async def _halving(connection: asyncpg.Connection, tag: int, entries: Sequence[Entry], committed: Committed) -> None:
    try:
        await _commit(connection, tag, entries, committed)
    except _REFUSED:
        middle = len(entries) // 2
        if not middle:
            unread = [msgspec.structs.replace(one, row=None, refused=()) for one in entries]
            await _commit(connection, tag, unread, committed)
            return
        await _halving(connection, tag, entries[:middle], committed)
        await _halving(connection, tag, entries[middle:], committed)


async def _commit(connection: asyncpg.Connection, tag: int, entries: Sequence[Entry], committed: Committed) -> None:
    rows = [entry.row for entry in entries if entry.row is not None]
    for entry in entries:
        if entry.row is None and not entry.refused:
            log.error("a row of the ledger cannot be read", stream=tag, entry=entry.id, instance=entry.instance)
    untold, batch = committed.charges, committed.batch
    async with connection.transaction():
        done, first = await _progress(connection, tag, entries)
        await refusals.add(connection, [count for entry in first for count in entry.refused])
        if rows:
            await connection.execute(_STAGE)
            await connection.copy_records_to_table("arriving", records=map(record, rows), columns=list(COLUMNS))
            counted, later = charges.differences(_arrived(entries), cast(Any, await connection.fetch(_INSERT)))
            await charges.add(connection, tag, counted)
            if later:
                # With what an earlier half has left: Redis is told once, of all of it.
                untold = [*untold, *later]
                batch = await charges.batch(connection, tag, written(untold))
            await connection.execute(_LAST_USED, *_last_used(rows))
        for instance, sequence in done.items():
            await connection.execute(_COMMITTED, instance, tag, sequence)
    committed.done |= done
    committed.charges, committed.batch = untold, batch


def _arrived(entries: Sequence[Entry]) -> dict[str, charges.Arrived]:
    """By request id; what was really measured before what the sweep says, and the first before what came again."""
    found: dict[str, charges.Arrived] = {}
    for entry in entries:
        row = entry.row
        if row is not None:
            held = found.get(row.request_id)
            if held is None or (held.row.ending == "gateway_lost" and row.ending != "gateway_lost"):
                found[row.request_id] = charges.Arrived(row, entry.applied)
    return found


def _last_used(rows: Sequence[Row]) -> tuple[list[UUID], list[dt.datetime]]:
    latest: dict[str, float] = {}
    for row in rows:
        latest[row.key_id] = max(row.received_at, latest.get(row.key_id, 0))
    ids = [UUID(key_id.partition("_")[2]) for key_id in latest]
    return ids, [_moment(at) for at in latest.values()]


async def _progress(
    connection: asyncpg.Connection, tag: int, entries: Sequence[Entry]
) -> tuple[dict[str, int], Sequence[Entry]]:
    """How far each journal will be committed, and the entries that take it there: each of a journal is among them once,
    however often it comes. Only without gaps: what is missing is still in the journal."""
    first: list[Entry] = []
    instances = sorted({entry.instance for entry in entries if entry.sequence})
    before = dict(cast(list[tuple[str, int]], await connection.fetch(_BEFORE, tag, instances)))
    done = dict.fromkeys(instances, 0) | before
    for entry in entries:
        if entry.sequence and entry.sequence == done[entry.instance] + 1:
            done[entry.instance] = entry.sequence
            first.append(entry)
    return {instance: value for instance, value in done.items() if value}, first


async def drain(
    redis: Redis, connection: asyncpg.Connection, tag: int, table: Table | None = None, *, pending: bool = False
) -> int:
    """One batch of a tag, from what a former leader left (`pending`) or what is new. Returns its size."""
    stream = prefix(tag) + "u"
    try:
        reply: Any = await redis.xreadgroup(GROUP, "jobs", {stream: "0" if pending else ">"}, count=BATCH)
    except ResponseError as error:
        if not str(error).startswith("NOGROUP"):
            raise
        await redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
        return 0
    found = [(identity, fields) for _, batch in reply or () for identity, fields in batch]
    if not found:
        return 0
    entries = [read_entry(identity, fields or {}) for identity, fields in found]
    committed = await commit(connection, tag, entries, table)
    await _tell(redis, tag, [entry.id for entry in entries], committed)
    return len(entries)


async def _tell(redis: Redis, tag: int, ids: Sequence[str], committed: Committed) -> None:
    batch = "" if committed.batch is None else str(committed.batch)
    pairs = [word for name, sequence in committed.done.items() for word in (name, str(sequence))]
    said = [GROUP, batch, written(committed.charges), len(ids), *ids, *pairs]
    await evaluate(redis, COMMIT, prefix(tag), said)


async def tell_again(redis: Redis, connection: asyncpg.Connection, tag: int) -> None:
    """The last batch that was to be told: whoever committed it may have died, or Redis was away."""
    row: Any = await cast(Any, connection).fetchrow("SELECT batch, charges FROM batches WHERE tag = $1", tag)
    if row is not None:
        arguments = [GROUP, str(row["batch"]), row["charges"], 0]
        await evaluate(redis, COMMIT, prefix(tag), arguments)
