"""Whether what is kept of the ledger's rows in other places is their sum: counters of limits, roll-ups, leases."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.support.processes import Plant

TAGS = 16
BUCKETS = 60
MEASURES = (
    "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens",
    "reasoning_tokens",
)  # fmt: skip
_NIL = "'00000000-0000-0000-0000-000000000000'::uuid"


def amount(kind: str, row: Any, owner: str = "") -> int:
    """What a row of the ledger counts under a limit of this type, as accounting.md says; money in 10⁻⁹."""
    if kind == "requests":
        return 1
    if kind == "budget":
        base = row["cost"] if row["base_cost"] is None else row["base_cost"]
        return int(((base if owner.startswith("acct_") else row["cost"]) or 0) * 1_000_000_000)
    written = row["cache_write_5m_tokens"] + row["cache_write_1h_tokens"]
    if kind == "output_tokens":
        return row["output_tokens"]
    fresh = row["input_tokens"] + written
    return fresh if kind == "input_tokens" else fresh + row["cache_read_tokens"] + row["output_tokens"]


def in_redis(plant: Plant) -> dict[str, int]:
    """By owner, type and period: what all windows have counted, calendar and sliding."""
    found: dict[str, int] = defaultdict(int)
    with plant.redis_client() as made:
        client: Any = made
        for name in client.scan_iter("{pg:*}:d:*"):
            found[_owner_type_period(name)] += int(client.get(name) or 0)
        for name in client.scan_iter("{pg:*}:w:*"):
            found[_owner_type_period(name)] += int(client.hget(name, "n") or 0)
    return found


def _owner_type_period(name: str) -> str:
    """`{pg:NN}:d:OWNER:TYPE:PERIOD:HASH:WINDOW`; a rolling period has a colon of its own."""
    words = name.split(":")
    _, _, _, owner, kind, *rest = words
    return f"{owner} {kind} {':'.join(rest[:2]) if rest[0] == 'rolling' else rest[0]}"


def warm(plant: Plant) -> bool:
    """Every tag's counters can be trusted."""
    with plant.redis_client() as made:
        client: Any = made
        return client.exists(*(f"{{pg:{tag:02d}}}:epoch" for tag in range(TAGS))) == TAGS


def held(plant: Plant) -> list[str]:
    """What should not be there any more: slots, leases, reservations."""
    with plant.redis_client() as made:
        client: Any = made
        now = int(client.time()[0]) * 1000
        sets = [*client.scan_iter("{pg:*}:s:*"), *client.scan_iter("{pg:*}:c:*")]
        leases = [f"{name} holds {one}" for name in sets for one in client.zrangebyscore(name, now, "+inf")]
        return leases + [
            f"{name} reserves for {one}" for name in client.scan_iter("{pg:*}:r") for one in client.hkeys(name)
        ]


async def counters(plant: Plant, rows: Iterable[Any]) -> tuple[int, list[str]]:
    """How many counters of limits there are, and those that are not the sum of the rows: in Redis, and in PostgreSQL
    where Redis' are made anew from. Of a minute, only what both have: the rest has left the window."""
    owned: dict[str, list[Any]] = defaultdict(list)
    teams = {
        (one["tenant_id"], one["user_id"]): f"team_{one['team_id']}"
        for one in await plant.query("SELECT tenant_id, user_id, team_id FROM team_members")
    }
    for row in rows:
        for owner in _owners(row, teams):
            owned[owner].append(row)
    stored = await plant.query(
        "SELECT name, bucket, span, sum(amount)::bigint AS amount FROM counters GROUP BY 1, 2, 3"
    )
    kept: dict[str, int] = defaultdict(int)
    for one in stored:
        kept[_owner_type_period("{pg:00}:" + one["name"])] += one["amount"]
    faults: list[str] = []
    redis = in_redis(plant)
    for name in sorted(redis.keys() | kept.keys()):
        owner, kind, period = name.split(" ")
        if period == "minute":
            continue
        want = sum(amount(kind, row, owner) for row in owned[owner])
        if (redis.get(name), kept.get(name)) != (want, want):
            faults.append(f"{name}: Redis counts {redis.get(name)}, PostgreSQL {kept.get(name)}, the rows {want}")
    compared, wrong = _sliding(plant, stored)
    return len(redis) + compared, faults + wrong


def _owners(row: Any, teams: Mapping[tuple[Any, Any], str]) -> Iterator[str]:
    """Of all limits that the row may have counted under."""
    yield f"key_{row['key_id']}"
    yield f"ten_{row['tenant_id']}"
    if row["account_id"] is not None:
        yield f"acct_{row['account_id']}"
    if row["user_id"] is not None:
        yield f"usr_{row['user_id']}/ten_{row['tenant_id']}"
        if team := teams.get((row["tenant_id"], row["user_id"])):
            yield team


def _sliding(plant: Plant, stored: Iterable[Any]) -> tuple[int, list[str]]:
    """Sliding windows bucket by bucket, as far as none leaves while it is looked at."""
    want: dict[str, dict[int, int]] = defaultdict(dict)
    spans: dict[str, int] = {}
    for one in stored:
        if one["name"].startswith("w:"):
            want[one["name"]][one["bucket"]], spans[one["name"]] = one["amount"], one["span"]
    faults: list[str] = []
    compared = 0
    with plant.redis_client() as made:
        client: Any = made
        now = int(client.time()[0]) * 1000
        for full in client.scan_iter("{pg:*}:w:*"):
            name = full.split(":", 2)[2]
            low = now * BUCKETS // spans.get(name, 60_000) - BUCKETS + 10
            have = {int(at): int(count) for at, count in client.hgetall(full).items() if at.isdecimal()}
            for bucket in sorted(have.keys() | want[name].keys()):
                if bucket >= low:
                    compared += 1
                    if have.get(bucket, 0) != want[name].get(bucket, 0):
                        faults.append(
                            f"{name}: bucket {bucket} is {have.get(bucket)}, in PostgreSQL {want[name].get(bucket)}"
                        )
    return compared, faults


async def rolled_up(plant: Plant) -> tuple[int, list[str]]:
    """How many sums by hour, by day and by month there are, and those that are not the rows'."""
    faults: list[str] = []
    compared = 0
    measures = ", ".join(f"sum({name})::bigint" for name in MEASURES)
    for table, period, moment in (
        ("usage_hours", "hour AT TIME ZONE 'UTC'", "date_trunc('hour', received_at AT TIME ZONE 'UTC')"),
        ("usage_days", "day::timestamp", "date_trunc('day', received_at AT TIME ZONE 'UTC')"),
        ("usage_months", "month::timestamp", "date_trunc('month', received_at AT TIME ZONE 'UTC')"),
    ):
        of_rows = await plant.query(
            f"SELECT {moment}, tenant_id, key_id, coalesce(account_id, {_NIL}), coalesce(model_used, model_asked), "
            f"count(*)::bigint, {measures}, coalesce(sum(cost), 0)::text FROM requests GROUP BY 1, 2, 3, 4, 5"
        )
        kept = await plant.query(
            f"SELECT {period}, tenant_id, key_id, account_id, model, sum(requests)::bigint, {measures}, "
            f"sum(cost)::text FROM {table} GROUP BY 1, 2, 3, 4, 5 HAVING sum(requests) <> 0"
        )
        found, want = (
            {tuple(row)[:5]: tuple(row)[5:] for row in kept},
            {tuple(row)[:5]: tuple(row)[5:] for row in of_rows},
        )
        compared += len(want)
        faults += [
            f"{table} {name}: {found.get(name)}, the rows {want.get(name)}"
            for name in found.keys() | want.keys()
            if _money(found.get(name)) != _money(want.get(name))
        ]
    return compared, faults


def _money(values: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    """0 and 0.000000000 are one."""
    return None if values is None else (*values[:-1], float(values[-1]))
