"""Limits as counters in Redis: the name and the arguments that the admit script wants. Pure.

A counter is named by its owner and by what it counts, never by its maximum: raising a limit or rotating a key keeps
the count.
"""

import zlib
from datetime import UTC, datetime
from functools import lru_cache

from msgspec import Struct

from gateway.core.domain import Limit
from gateway.core.limits import window

BUCKETS = 60


class Counter(Struct, frozen=True):
    limit: Limit
    kind: str
    """S sliding, C concurrency, D calendar."""
    name: str
    span: int
    """S: length in ms; D: end of the window in epoch ms, 0 for none."""


def _name(limit: Limit) -> str:
    text = "\0".join((limit.type, *(sorted(limit.models)), "\1", *(sorted(limit.platforms)), "\1", limit.timezone))
    period = limit.per.name if limit.per else ""
    return f"{limit.owner}:{limit.type}:{period}:{zlib.crc32(text.encode()):08x}"


@lru_cache(65536)
def _fixed(limit: Limit) -> Counter | None:
    if limit.type == "concurrency":
        return Counter(limit, "C", "c:" + _name(limit), 0)
    if limit.per and limit.per.seconds:
        return Counter(limit, "S", "w:" + _name(limit), limit.per.seconds * 1000)
    return None


@lru_cache(8192)
def _calendar(limit: Limit, day: int) -> tuple[tuple[float, Counter], ...]:
    """The windows of a calendar limit that touch a UTC day: found once a day, looked up on every request."""
    found: list[tuple[float, Counter]] = []
    moment = datetime.fromtimestamp(day * 86400, UTC)
    last = moment.timestamp() + 86400
    while True:
        name, end = window(limit, moment)
        ends = end.timestamp() if end else 0.0
        found.append((ends or float("inf"), Counter(limit, "D", f"d:{_name(limit)}:{name}", int(ends * 1000))))
        if end is None or ends >= last:
            return tuple(found)
        moment = end.astimezone(UTC)


def counter(limit: Limit, now: float) -> Counter:
    """The counter of a limit at a moment (epoch seconds)."""
    fixed = _fixed(limit)
    if fixed is not None:
        return fixed
    for ends, found in _calendar(limit, int(now // 86400)):
        if now < ends:
            return found
    return _calendar(limit, int(now // 86400))[-1][1]
