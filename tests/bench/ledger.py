"""The ledger at size: the ten questions of a dashboard, and a migration while rows are written.

    python -m tests.bench.ledger ROWS [--json]

Each question is asked twice: from the beginning of a day, and from half past noon, where the edges are read by hour.

Makes ROWS rows straight into partitions of three months, on a PostgreSQL of its own that is removed afterwards: 500
keys of 50 users in 8 teams and 2 tenants, 10 accounts of 3 providers, 12 models; keys differ in how much they ask, each
has four models and three accounts. The roll-ups are made by what the jobs use. The exit code is 1 when a
question takes longer than 300 ms, or an insert waits longer than a second.
"""

import argparse
import asyncio
import datetime as dt
import json
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from msgspec import Struct

from gateway.core import db, migrate
from gateway.core.services import usage
from gateway.core.services.reach import Reach
from gateway.jobs import partitions, rollups
from gateway.jobs.leader import connect
from tests.support.servers import Databases, home_directory, postgres_server

LONGEST_QUESTION = 0.3
LONGEST_WAIT = 1.0
MONTHS = 3
_TIMES = 7
_TENANT, _KEY = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-9000-000000000003"

PEOPLE = """
INSERT INTO tenants (id, name)
SELECT format('00000000-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid, 'bench-' || n FROM generate_series(1, 2) n;
INSERT INTO users (id, email) SELECT md5('user' || n)::uuid, n || '@bench.test' FROM generate_series(0, 49) n;
INSERT INTO user_roles (user_id, tenant_id, role) SELECT u.id, t.id, 'member' FROM users u, tenants t;
INSERT INTO teams (id, tenant_id, name)
SELECT md5(t.name || n)::uuid, t.id, 'team-' || n FROM tenants t, generate_series(0, 7) n WHERE t.name <> 'default';
INSERT INTO team_members (tenant_id, user_id, team_id)
SELECT t.id, md5('user' || n)::uuid, md5(t.name || n % 8)::uuid FROM tenants t, generate_series(0, 44) n
WHERE t.name <> 'default';
CREATE UNLOGGED TABLE bench_keys AS
SELECT n, format('00000000-0000-4000-9000-%s', lpad(n::text, 12, '0'))::uuid AS key_id,
    md5('user' || n % 50)::uuid AS user_id,
    format('00000000-0000-4000-8000-%s', lpad((1 + (n % 5 = 4)::int)::text, 12, '0'))::uuid AS tenant_id
FROM generate_series(0, 499) n;
CREATE UNLOGGED TABLE bench_accounts AS
SELECT n, md5('account' || n)::uuid AS account_id, (ARRAY['claude-console', 'openai', 'gemini'])[n % 3 + 1] AS platform,
    (ARRAY['anthropic', 'openai', 'google'])[n % 3 + 1] AS provider FROM generate_series(0, 9) n;
ANALYZE bench_keys, bench_accounts
"""
#: A row every `step` ms from `since`: the id holds the moment, as ids do. A key asks the more the lower its number.
_ROWS = """
INSERT INTO {table} (request_id, received_at, tenant_id, user_id, key_id, account_id, platform, provider, protocol,
    path, model_asked, model_used, stream, status, error_code, ending, usage_source, input_tokens, cache_read_tokens,
    output_tokens, cost, unpriced, first_byte_at, ended_at, overhead_us, client_ip, user_agent)
SELECT (lpad(to_hex(ms), 12, '0') || '7' || substr(h, 14, 3) || '8' || substr(h, 18))::uuid, at, k.tenant_id, k.user_id,
    k.key_id, CASE WHEN failed < 0.995 THEN a.account_id END, CASE WHEN failed < 0.995 THEN a.platform END,
    CASE WHEN failed < 0.995 THEN a.provider END, 'anthropic', '/v1/messages', 'model-' || m, 'model-' || m, true,
    CASE WHEN failed < 0.98 THEN 200 ELSE 529 END, CASE WHEN failed < 0.98 THEN NULL ELSE 'overloaded' END,
    CASE WHEN failed < 0.98 THEN 'complete' WHEN failed < 0.995 THEN 'upstream_error' ELSE 'refused' END, 'provider',
    (failed * 9000)::int, (failed * 50000)::int, (failed * 2000)::int,
    CASE WHEN m < 11 THEN round((failed * 0.1)::numeric, 9) END, m = 11, at + interval '800 ms',
    at + interval '6 s', 900, '192.0.2.17', 'anthropic-sdk-python/0.75.0'
FROM (
    SELECT ms, timestamptz 'epoch' + ms * interval '1 ms' AS at, md5(ms::text) AS h, (500 * r * r)::int % 500 AS key,
        (r1 * 3)::int % 3 AS pick, (4 * r2 * r2)::int % 4 AS kind, failed
    FROM (
        SELECT {since} + i::bigint * {step} AS ms, random() AS r, random() AS r1, random() AS r2, random() AS failed
        FROM generate_series(0, {count} - 1) i OFFSET 0
    ) thrown
) drawn
JOIN bench_keys k ON k.n = key
JOIN bench_accounts a ON a.n = (key * 7 + pick) % 10
CROSS JOIN LATERAL (SELECT (key * 5 + kind) % 12 AS m) named
"""


_SUMMED = ", ".join((*rollups.DIMENSIONS, *rollups.MEASURES))
_HOURS = f"""
INSERT INTO usage_hours (hour, {_SUMMED})
WITH counted AS (SELECT *, 1 AS sign FROM {{table}}), {rollups.DIFFERENCES} SELECT hour, {_SUMMED} FROM differences
ORDER BY hour
"""
_COARSER = [
    f"""INSERT INTO {table} ({period}, {_SUMMED})
SELECT {value}, {", ".join(rollups.DIMENSIONS)}, {", ".join(f"sum({name})" for name in rollups.MEASURES)}
FROM usage_hours GROUP BY {value}, {", ".join(rollups.DIMENSIONS)} ORDER BY {value}"""
    for table, period, value in (("usage_days", "day", rollups.DAY), ("usage_months", "month", rollups.MONTH))
]


async def _without_indexes(connection: asyncpg.Connection) -> list[str]:
    """Takes the indexes of the roll-ups away while they are filled. Returns what brings them back."""
    statements: list[str] = []
    for table in ("usage_hours", "usage_days", "usage_months"):
        for name, index, key in await connection.fetch(
            "SELECT indexname, indexdef, pg_get_constraintdef(c.oid) FROM pg_indexes"
            " LEFT JOIN pg_constraint c ON c.conname = indexname WHERE tablename = $1",
            table,
        ):
            if key is None:
                await connection.execute(f"DROP INDEX {name}")
                statements.append(index)
            else:
                await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
                statements.append(f"ALTER TABLE {table} ADD CONSTRAINT {name} {key}")
    return statements


class Question(Struct, frozen=True):
    """What a dashboard asks: of today and the `days` before it, or of the last hours of one."""

    name: str
    group_by: tuple[str, ...]
    days: float
    sort: str | None = None
    limit: int = 10_000
    narrowed: Mapping[str, str] = {}

    def since(self, now: dt.datetime, *, noon: bool) -> dt.datetime:
        """What is asked by hour begins at any hour. `noon`: half past it, on the first day."""
        since = now - dt.timedelta(days=self.days)
        day = since.replace(hour=0, minute=0, second=0, microsecond=0)
        if noon:
            return day + dt.timedelta(hours=12, minutes=30)
        return day if self.days > 1 else since


_MINE = {"tenant_id": f"ten_{_TENANT}"}
QUESTIONS = (
    Question("requests, errors and cost by day, 30 days, a tenant", ("day",), 30, narrowed=_MINE),
    Question("by hour, 24 hours, a tenant", ("hour",), 1, narrowed=_MINE),
    Question("top 10 keys by cost, 30 days, a tenant", ("key",), 30, "cost", 10, _MINE),
    Question("top 10 users by cost, 30 days, a tenant", ("user",), 30, "cost", 10, _MINE),
    Question("top 10 models by requests, 30 days, all", ("model",), 30, "requests", 10),
    Question("top 10 accounts by errors, 30 days, all", ("account",), 30, "errors", 10),
    Question("cost by team, 30 days, a tenant", ("team",), 30, "cost", narrowed=_MINE),
    Question("cost by provider and month, 3 months, all", ("month", "provider"), 91),
    Question("a key's 30 days by day and model", ("day", "model"), 30, narrowed={"key_id": f"key_{_KEY}"}),
    Question("models without a price, 30 days, all", ("model",), 30, "unpriced", 20),
)


class Answer(Struct, frozen=True):
    """Seconds: the first time, the middle of all, the longest."""

    name: str
    groups: int
    first: float
    median: float
    longest: float


def spans(now: dt.datetime) -> list[tuple[str, int, int]]:
    """(partition, first ms, end ms) of the three months that end now."""
    since = now - dt.timedelta(days=91)
    found: list[tuple[str, int, int]] = []
    for name, first, following in partitions.months(since.date(), MONTHS + 2):
        begin = max(since, dt.datetime(first.year, first.month, 1, tzinfo=dt.UTC))
        end = min(now, dt.datetime(following.year, following.month, 1, tzinfo=dt.UTC))
        if begin < end:
            found.append((name, int(begin.timestamp() * 1000), int(end.timestamp() * 1000)))
    return found


async def fill(connection: asyncpg.Connection, rows: int, now: dt.datetime) -> int:
    """Rows in partitions that are attached once they are full and indexed, and their roll-ups. Returns how many."""
    for statement in PEOPLE.split(";\n"):
        await connection.execute(statement)
    await connection.execute("SET work_mem = '1GB'; SET maintenance_work_mem = '1GB'; SELECT setseed(0.5)")
    definitions = await _without_indexes(connection)
    parts = spans(now)
    step = max(1, (parts[-1][2] - parts[0][1]) // rows)
    made = 0
    for table, since, until in parts:
        count = (until - since) // step
        year, month = map(int, table.split("_")[1:])
        first = dt.date(year, month, 1)
        following = (first + dt.timedelta(days=32)).replace(day=1)
        await connection.execute(f"CREATE TABLE {table} (LIKE requests INCLUDING DEFAULTS)", timeout=None)
        await connection.execute(_ROWS.format(table=table, since=since, step=step, count=count), timeout=7200)
        await connection.execute(
            f"ALTER TABLE requests ATTACH PARTITION {table} FOR VALUES FROM ('{first}') TO ('{following}')",
            timeout=7200,
        )
        await connection.execute(_HOURS.format(table=table), timeout=7200)
        made += count
        _say(f"{made:,} rows")
    for statement in (*_COARSER, *definitions):
        await connection.execute(statement, timeout=7200)
    for table in ("requests", "usage_hours", "usage_days", "usage_months", "team_members"):
        how = "ANALYZE" if table == "requests" else "VACUUM ANALYZE"  # as autovacuum does, sooner or later
        await connection.execute(f"{how} {table}", timeout=7200)
    return made


async def ask(url: str, now: dt.datetime) -> list[Answer]:
    """Each question, from midnight and from mid-day, several times, on a connection as the control plane has them."""
    found: list[Answer] = []
    async with db.engine(url, size=1) as engine:
        for noon in (False, True):
            for question in QUESTIONS:
                since, until = question.since(now, noon=noon), dt.datetime.now(dt.UTC)  # until now, as dashboards ask
                asked = usage.UsageFilter(since=since, until=until, **question.narrowed)
                taken: list[float] = []
                groups: list[Any] = []
                for _ in range(_TIMES):
                    async with db.sessions(engine)() as session:
                        start = time.perf_counter()
                        groups = await usage.sums(
                            session, Reach(everything=True), asked, question.group_by, question.limit, question.sort
                        )
                        taken.append(time.perf_counter() - start)
                name = question.name + ", mid-day" * noon
                found.append(Answer(name, len(groups), taken[0], statistics.median(taken), max(taken)))
    return found


async def longest_wait(url: str, work: Any) -> float:
    """The longest that an insert of one row took while the work was done, in seconds."""
    writer = await connect(url)
    done = asyncio.Event()
    waits: list[float] = []

    async def write() -> None:
        while not done.is_set():
            start = time.perf_counter()
            await writer.execute(
                "INSERT INTO requests (request_id, received_at, tenant_id, key_id, protocol, path, model_asked, stream,"
                " ending, usage_source) VALUES (gen_random_uuid(), now(), gen_random_uuid(), gen_random_uuid(), '', '',"
                " '', false, 'complete', 'none')"
            )
            waits.append(time.perf_counter() - start)
            await asyncio.sleep(0.002)

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            await asyncio.sleep(0.2)
            await work()
            await asyncio.sleep(0.2)
            done.set()
    finally:
        await writer.close()
    return max(waits)


@asynccontextmanager
async def reading(url: str, seconds: float) -> AsyncGenerator[None]:
    """Meanwhile somebody reads the whole ledger, as a backup does: what changes it must wait for the end."""
    reader = await connect(url)
    try:
        transaction = reader.transaction()
        await transaction.start()
        await reader.fetch("SELECT 1 FROM requests LIMIT 1")

        async def end() -> None:
            await asyncio.sleep(seconds)
            await transaction.rollback()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(end())
            yield
    finally:
        await reader.close()


async def alter(url: str, statement: str) -> int:
    """By the rules of `poolgate migrate`. Returns how often it was tried."""
    connection = await connect(url)
    try:
        for attempt in range(migrate._TRIES):
            try:
                async with connection.transaction():
                    for beginning in migrate.BEGINNING:
                        await connection.execute(beginning)
                    await connection.execute(statement)
                return attempt + 1
            except asyncpg.LockNotAvailableError:
                await asyncio.sleep(0.5 * 2 ** min(attempt, 4))
        raise TimeoutError("the lock was never had")
    finally:
        await connection.close()


async def waits(url: str, read_for: float = 4.0) -> dict[str, float]:
    """The longest wait of an insert, in seconds: while the ledger gets a column, alone and beside a long reader."""

    async def beside_a_reader() -> None:
        async with reading(url, read_for):
            await alter(url, "ALTER TABLE requests ADD COLUMN bench_2 bigint DEFAULT 0 NOT NULL")

    return {
        "a new column": await longest_wait(url, lambda: alter(url, "ALTER TABLE requests ADD COLUMN bench_1 text")),
        f"the same beside a reader of {read_for:g} s": await longest_wait(url, beside_a_reader),
    }


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


async def measure(url: str, rows: int) -> dict[str, Any]:
    now = dt.datetime.now(dt.UTC)
    connection = await connect(url)
    start = time.monotonic()
    made = await fill(connection, rows, now)
    filled = time.monotonic() - start
    sizes = {
        "hours": await connection.fetchval("SELECT count(*) FROM usage_hours"),
        "days": await connection.fetchval("SELECT count(*) FROM usage_days"),
        "bytes": await connection.fetchval("SELECT pg_database_size(current_database())"),
    }
    agreed = await connection.fetchval("SELECT sum(requests) FROM usage_months")
    await connection.close()
    answers = await ask(url, now)
    waited = await waits(url)
    return {"rows": made, "counted": int(agreed), "seconds": filled, **sizes, "answers": answers, "waits": waited}


def report(found: Mapping[str, Any]) -> list[str]:
    made = (
        f"{found['rows']:,} rows ({found['counted']:,} in the roll-ups), made in {found['seconds']:.0f} s;"
        f" {found['hours']:,} hours and {found['days']:,} days rolled up; {found['bytes'] / 1e9:.1f} GB"
    )
    lines = [
        made,
        "",
        f"{'':<63}{'groups':>8}{'first':>9}{'median':>9}{'longest':>9}  ms",
    ]
    for one in found["answers"]:
        times = "".join(f"{seconds * 1000:>9.1f}" for seconds in (one.first, one.median, one.longest))
        lines.append(f"{one.name:<63}{one.groups:>8}{times}")
    lines += ["", "the longest that an insert waited"]
    return lines + [f"{name:<63}{'':>8}{seconds * 1000:>9.1f}  ms" for name, seconds in found["waits"].items()]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("rows", type=int)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    with home_directory() as home, postgres_server(home) as server:
        databases = Databases(server)
        with databases.template(), databases.clone() as url:
            found = asyncio.run(measure(url, given.rows))
    print("\n".join(report(found)))
    if given.json:
        print(json.dumps(found, default=lambda one: {name: getattr(one, name) for name in one.__struct_fields__}))
    slow = max(one.longest for one in found["answers"]) > LONGEST_QUESTION
    return int(slow or max(found["waits"].values()) > LONGEST_WAIT or found["counted"] != found["rows"])


if __name__ == "__main__":
    sys.exit(main())
