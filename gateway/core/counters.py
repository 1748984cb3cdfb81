"""Limits as counters in Redis: the name and the arguments that the admit script wants. Pure.

A counter is named by its owner and by what it counts, never by its maximum: raising a limit or rotating a key keeps
the count.
"""

import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

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
    """In ms. S: length; D: end of the window since the epoch, 0 for none; C: how long a request waits for its place."""
    said: str
    """The beginning of its charges."""


class Used(Protocol):
    """What a request used: a row of the ledger. Costs are in 10⁻⁹ of the currency; `cost` is None when nobody knows it,
    `base_cost` where no multiplier changes it."""

    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    cost: int | None
    base_cost: int | None


def amount_of(kind: str, row: Used, *, of_account: bool = False) -> int:
    """How much a finished request counts under a limit of this type. An account's budget is about the money that its
    provider asks for: no multiplier is in it."""
    if kind == "requests":
        return 1
    if kind == "budget":
        return (row.base_cost if of_account and row.base_cost is not None else row.cost) or 0
    if kind == "output_tokens":
        return row.output_tokens
    fresh = row.input_tokens + row.cache_write_5m_tokens + row.cache_write_1h_tokens
    return fresh if kind == "input_tokens" else fresh + row.cache_read_tokens + row.output_tokens


class Charge(Struct, frozen=True):
    """What one request takes of one counter. `at`: the moment of its admission, in ms."""

    kind: str
    name: str
    span: int
    at: int
    amount: int

    @property
    def type(self) -> str:
        """Of the limit."""
        return self.name.split(":", 3)[2]

    @property
    def of_account(self) -> bool:
        """Whether the limit is an account's own."""
        return self.name.split(":", 2)[1].startswith("acct_")

    @property
    def bucket(self) -> int:
        """S: the number of its sixtieth of the span; D: 0."""
        return self.at * BUCKETS // self.span if self.kind == "S" else 0


def written(charges: Iterable[Charge]) -> str:
    """As the scripts read them (gateway/core/lua/counting.lua)."""
    return " ".join(f"{one.kind} {one.name} {one.span} {one.at} {one.amount}" for one in charges)


def read(text: str) -> Iterator[Charge]:
    """What `written` wrote. Raises ValueError."""
    words = iter(text.split())
    for kind, name, span, at, amount in zip(words, words, words, words, words, strict=True):
        found = Charge(kind, name, int(span), int(at), int(amount))
        if kind not in {"S", "D"} or name.count(":") < 3 or found.span < (kind == "S"):
            raise ValueError("not a charge")
        yield found


class Taking(Struct):
    """What a running request has taken under a limit. `at`: when, in ms of Redis' clock."""

    counter: Counter
    amount: int
    at: int

    def charge(self, amount: int) -> str:
        """As `written` writes it: on every request, so without the value between."""
        return f"{self.counter.said} {self.at} {amount}"


def distinct(takings: Iterable[Taking]) -> list[Taking]:
    """The same thing limited twice is counted once, as the first of them says."""
    found: dict[str, Taking] = {}
    for one in takings:
        found.setdefault(one.counter.name, one)
    return list(found.values())


def _name(limit: Limit) -> str:
    text = "\0".join((limit.type, *(sorted(limit.models)), "\1", *(sorted(limit.platforms)), "\1", limit.timezone))
    period = limit.per.name if limit.per else ""
    return f"{limit.owner}:{limit.type}:{period}:{zlib.crc32(text.encode()):08x}"


def _counter(limit: Limit, kind: str, name: str, span: int) -> Counter:
    return Counter(limit, kind, name, span, f"{kind} {name} {span}")


@lru_cache(65536)
def _fixed(limit: Limit) -> Counter | None:
    if limit.type == "concurrency":
        return _counter(limit, "C", "c:" + _name(limit), limit.queue_ms)
    if limit.per and limit.per.seconds:
        return _counter(limit, "S", "w:" + _name(limit), limit.per.seconds * 1000)
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
        found.append((ends or float("inf"), _counter(limit, "D", f"d:{_name(limit)}:{name}", int(ends * 1000))))
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
