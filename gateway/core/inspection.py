"""What Redis knows of accounts and limits, read and lifted for operators. Off the hot path, by redis-py.

The automatic state of an account is written by the relay (script `mark`): field `ACCOUNT|SCOPE` of the tenant's state
hash, the scope being "account", "family:…" or "model:…"; `PROXY|account` is that of a proxy.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import learned
from gateway.core.counters import BUCKETS, Counter, counter
from gateway.core.domain import Limit
from gateway.core.limits import describe, shown
from gateway.core.names import tag_of, tenant_prefix
from gateway.core.scripts import MARK
from gateway.core.state import BREAKER, State, ending, rfc3339

HISTORY = 7 * 86_400
"""Seconds for which changes of state are shown."""
SHOWN = 500
"""Of these changes, at most."""
_KINDS = ("account", "family", "model")
"""Of scopes: what is said of the first is shown before what is said of the last, of which clients make many."""

Lift = Callable[[Redis, str, str, str], Awaitable[object]]
"""`recover` or `forget`: of (tenant, account or proxy, who asked)."""
_LIFTS = "poolgate.lifts"
_FORGET = text("DELETE FROM counters WHERE tag = :tag AND name = ANY(:names)")
log = structlog.get_logger()


async def read_state(redis: Redis, tenant_id: str, account_id: str, proxy_id: str | None = None) -> dict[str, Any]:
    """The account's state as `GET /admin/v1/accounts/{id}/state` gives it; its proxy's belongs to it."""
    prefix = tenant_prefix(tenant_id)
    now = time.time()
    scopes = await _states(redis, prefix, account_id)
    ways = await _states(redis, prefix, proxy_id) if proxy_id else {}
    cooling = [(scope, state) for scope, state in [*sorted(scopes.items()), *ways.items()] if state.until > now]
    whole = [state for scope, state in cooling if scope == "account" and not state.soft]
    out = max(whole, key=lambda state: state.until, default=None)
    probed: Any = await redis.hget(prefix + "probed", account_id)
    told: Any = await redis.hgetall(prefix + "learned")
    return {
        "usable": out is None,
        "reason": out.reason if out else None,
        "until": ending(out.until) if out else None,
        "source": _source(out.request_id, out.status) if out else None,
        "in_flight": await redis.zcount(prefix + "s:" + account_id, f"({int(now * 1000)}", "+inf"),
        "cooldowns": [
            {"scope": scope, "reason": state.reason, "until": ending(state.until)} for scope, state in cooling
        ],
        "breaker": [_breaker(scope, state, now) for scope, state in sorted(scopes.items()) if _trips(state, now)],
        "learned_limits": learned.shown(told, account_id, now),
        "recent": await _recent(redis, prefix, [account_id, *([proxy_id] if proxy_id else [])], now),
        "probe": _probe(probed),
    }


async def _recent(redis: Redis, prefix: str, owners: Sequence[str], now: float) -> list[dict[str, Any]]:
    """Changes of the states of an account and of its proxy, newest first."""
    found: list[tuple[float, dict[str, Any]]] = []
    for kind in _KINDS:
        for owner in owners:
            held: Any = await redis.zrange(f"{prefix}h:{owner}:{kind}", 0, SHOWN - 1, desc=True, withscores=True)
            entries = ((moment, msgspec.json.decode(text)) for text, moment in held)
            found += [(moment, entry) for moment, entry in entries if entry["at"] > now - HISTORY]
    return [_shown(entry) for _, entry in sorted(found[:SHOWN], key=lambda one: one[0], reverse=True)]


async def _states(redis: Redis, prefix: str, owner: str) -> dict[str, State]:
    """By scope, of an account or a proxy."""
    held: Any = await redis.hgetall(prefix + "state")
    return {
        field.partition("|")[2]: msgspec.json.decode(text, type=State)
        for field, text in held.items()
        if field.startswith(owner + "|")
    }


def _trips(state: State, now: float) -> bool:
    return state.reason == BREAKER and (state.until > now or state.half_open(now))


def _breaker(scope: str, state: State, now: float) -> dict[str, Any]:
    return {
        "scope": scope,
        "state": "open" if state.until > now else "half_open",
        "until": ending(state.until),
        "faults": state.faults,
    }


def _probe(text: str | None) -> dict[str, Any] | None:
    """The last probe of an account that has them: written by the jobs."""
    if text is None:
        return None
    last: dict[str, Any] = msgspec.json.decode(text)
    return {**last, "at": rfc3339(last["at"])}


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = entry.get("state") or {}
    return {
        "at": rfc3339(entry["at"]),
        "scope": entry["scope"],
        "reason": state.get("reason", entry.get("reason", "recovered")),
        "until": ending(state.get("until")),
        "source": _source(state.get("request_id") or entry.get("request_id"), state.get("status")),
    }


def _source(request_id: str | None, status: int | None) -> dict[str, Any] | None:
    """The request that a change came from, and what the upstream answered: null where it did not."""
    return {"request_id": request_id or None, "status": status or None} if request_id or status else None


async def recover(redis: Redis, tenant_id: str, account_id: str, actor: str) -> int:
    """Lifts every automatic state of the account. Returns how many there were."""
    prefix = tenant_prefix(tenant_id)
    names: Any = await redis.hkeys(prefix + "state")
    fields: list[str] = [field for field in names if field.startswith(account_id + "|")]
    for field in fields:
        scope = field.partition("|")[2]
        entry = {"scope": scope, "at": time.time(), "state": None, "reason": f"recovered by {actor}"}
        told = msgspec.json.encode(entry)
        await redis.eval(MARK.source.decode(), 1, prefix, account_id, scope, "", told)
    return len(fields)


async def forget(redis: Redis, tenant_id: str, owner: str, actor: str) -> None:
    """An account or a proxy is gone: its states are lifted, and what was learned of it goes. Its history runs out."""
    prefix = tenant_prefix(tenant_id)
    await recover(redis, tenant_id, owner, actor)
    names: Any = await redis.hkeys(prefix + "learned")
    if gone := [field for field in names if field.startswith(owner + "|")]:
        await redis.hdel(prefix + "learned", *gone)
    await redis.hdel(prefix + "probed", owner)


def once_committed(session: AsyncSession, lift: Lift, tenant_id: str, owner: str, actor: str) -> None:
    """Lifts when the session's transaction is committed: until then gateways use what is being replaced, and would
    find the same trouble again. See `lift_committed`."""
    session.info.setdefault(_LIFTS, []).append((lift, tenant_id, owner, actor))


async def lift_committed(session: AsyncSession, redis: Redis) -> None:
    """After the commit only, which a Redis that is away does not undo: what stays then is for an operator to lift."""
    for lift, tenant_id, owner, actor in session.info.pop(_LIFTS, []):
        try:
            await lift(redis, tenant_id, owner, actor)
        except (RedisError, OSError) as error:
            log.warning("automatic states were not lifted", owner=owner, reason=type(error).__name__)


async def read_limits(redis: Redis, tenant_id: str, limits: Sequence[Limit]) -> list[dict[str, Any]]:
    """Each limit with what is used and left, and when a place comes back (None: none is taken, or never)."""
    prefix = tenant_prefix(tenant_id)
    now = time.time()
    found: list[dict[str, Any]] = []
    for limit in limits:
        one = counter(limit, now)
        used, resets = await _used(redis, prefix, one, now)
        found.append(
            {
                **describe(limit),
                "used": shown(limit, used),
                "remaining": shown(limit, max(0, limit.max - used)),
                "resets_at": rfc3339(resets) if resets else None,
            }
        )
    return found


async def used_up(redis: Redis, tenant_id: str, limits: Sequence[Limit]) -> tuple[bool, float | None]:
    """Whether one of the limits is reached, and when the last of those has a place again (None: not known)."""
    prefix = tenant_prefix(tenant_id)
    now = time.time()
    ends: list[float | None] = []
    for limit in limits:
        used, resets = await _used(redis, prefix, counter(limit, now), now)
        if used >= limit.max:
            ends.append(resets)
    return bool(ends), max((end for end in ends if end is not None), default=None)


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


async def reset_limits(redis: Redis, session: AsyncSession, tenant_id: str, limits: Sequence[Limit]) -> None:
    """Forgets what was counted, also where it would be made anew from when Redis loses it; running requests keep their
    place under a concurrency limit."""
    now = time.time()
    names = [one.name for one in (counter(limit, now) for limit in limits) if one.kind != "C"]
    if names:
        await session.execute(_FORGET, {"tag": tag_of(tenant_id), "names": names})
        await redis.delete(*(tenant_prefix(tenant_id) + name for name in names))
