"""What Redis knows of accounts and limits, read and lifted for operators. Off the hot path, by redis-py.

The automatic state of an account is written by the relay (script `mark`): field `ACCOUNT|SCOPE` of the tenant's state
hash, the scope being "account", "family:…" or "model:…".
"""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from gateway.core.counters import BUCKETS, Counter, counter
from gateway.core.domain import Limit
from gateway.core.limits import describe
from gateway.core.names import tenant_prefix
from gateway.core.state import State, rfc3339


async def read_state(redis: Redis, tenant_id: str, account_id: str) -> dict[str, Any]:
    """The account's state as `GET /admin/v1/accounts/{id}/state` gives it."""
    prefix = tenant_prefix(tenant_id)
    now = time.time()
    held: Any = await redis.hgetall(prefix + "state")
    scopes = {
        field.partition("|")[2]: msgspec.json.decode(text, type=State)
        for field, text in held.items()
        if field.startswith(account_id + "|")
    }
    current = {scope: state for scope, state in scopes.items() if state.until > now}
    whole = current.get("account")
    out = whole if whole is not None and not whole.soft else None
    found: Any = await redis.lrange(prefix + "h:" + account_id, 0, 49)
    history: list[dict[str, Any]] = [msgspec.json.decode(entry) for entry in found]
    return {
        "usable": out is None,
        "reason": out.reason if out else None,
        "until": rfc3339(out.until) if out else None,
        "source": {"request_id": out.request_id, "status": out.status} if out else None,
        "in_flight": await redis.zcount(prefix + "s:" + account_id, f"({int(now * 1000)}", "+inf"),
        "cooldowns": [
            {"scope": scope, "reason": state.reason, "until": rfc3339(state.until)}
            for scope, state in sorted(current.items())
        ],
        "breaker": None,
        "learned_limits": [],
        "recent": [_shown(entry) for entry in history],
    }


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = entry.get("state") or {}
    return {
        "at": rfc3339(entry["at"]),
        "scope": entry["scope"],
        "reason": state.get("reason", entry.get("reason", "recovered")),
        "until": rfc3339(state["until"]) if state else None,
        "source": {"request_id": state["request_id"], "status": state["status"]} if state else None,
    }


async def recover(redis: Redis, tenant_id: str, account_id: str, actor: str) -> int:
    """Lifts every automatic state of the account. Returns how many there were."""
    prefix = tenant_prefix(tenant_id)
    names: Any = await redis.hkeys(prefix + "state")
    fields: list[str] = [field for field in names if field.startswith(account_id + "|")]
    for field in fields:
        entry = {"scope": field.partition("|")[2], "at": time.time(), "state": None, "reason": f"recovered by {actor}"}
        await redis.hdel(prefix + "state", field)
        await redis.lpush(prefix + "h:" + account_id, msgspec.json.encode(entry))
    return len(fields)


async def read_limits(redis: Redis, tenant_id: str, limits: Sequence[Limit]) -> list[dict[str, Any]]:
    """Each limit with what is used and left, and when a place comes back (None: none is taken, or never)."""
    prefix = tenant_prefix(tenant_id)
    now = time.time()
    shown: list[dict[str, Any]] = []
    for limit in limits:
        one = counter(limit, now)
        used, resets = await _used(redis, prefix, one, now)
        shown.append(
            {
                **describe(limit),
                "used": used,
                "remaining": max(0, limit.max - used),
                "resets_at": rfc3339(resets) if resets else None,
            }
        )
    return shown


async def _used(redis: Redis, prefix: str, one: Counter, now: float) -> tuple[int, float | None]:
    if one.kind == "C":
        return await redis.zcount(prefix + one.name, f"({int(now * 1000)}", "+inf"), None
    if one.kind == "D":
        return int(await redis.get(prefix + one.name) or 0), one.span / 1000 or None
    fields: Any = await redis.hgetall(prefix + one.name)
    low = int(now * 1000) * BUCKETS // one.span - BUCKETS
    counted = {int(name): int(n) for name, n in fields.items() if name.isdigit() and int(name) >= low}
    resets = (min(counted) + BUCKETS + 1) * one.span / BUCKETS / 1000 if counted else None
    return sum(counted.values()), resets


async def reset_limits(redis: Redis, tenant_id: str, limits: Sequence[Limit]) -> None:
    """Forgets what was counted; running requests keep their place under a concurrency limit."""
    prefix = tenant_prefix(tenant_id)
    now = time.time()
    names = [prefix + one.name for one in (counter(limit, now) for limit in limits) if one.kind != "C"]
    if names:
        await redis.delete(*names)
