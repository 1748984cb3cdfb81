"""Limits while Redis is away: each process enforces its share of them by itself, and says so.

What this process has taken of each counter is noted while Redis shows how much all have; the quotient is its share. A
limit whose policy is `closed` refuses instead.
"""

import math
import time
from collections import deque
from collections.abc import Sequence

from gateway.core.counters import BUCKETS, Counter, Taking, distinct
from gateway.core.errors import LimitReached, Unavailable

_KNOWN = 100_000
_MEMORY = 0.9
_CATCH_UP = 3.0
"""Seconds after which Redis, back again, has been told of all that was taken without it."""


class _Own:
    """What this process has taken of one counter: in the window, of the calendar's window so far, or running now."""

    __slots__ = ("alone", "at", "base", "buckets", "owed", "running", "share", "since", "span", "sum", "used")

    def __init__(self, counter: Counter) -> None:
        self.span = counter.span if counter.kind == "S" else 0
        self.buckets: deque[list[int]] = deque()
        """[number, amount], the oldest first."""
        self.sum = 0
        self.running = 0
        self.used, self.at = 0, 0
        """Of all processes, when Redis was last heard, and when that was."""
        self.alone = 0
        """Taken since then."""
        self.owed = 0
        """Of that, what Redis did not know when it came back."""
        self.share: float | None = None
        """Worked out when it is first asked for after that: mostly nobody asks."""
        self.base, self.since = (0, 0), 0
        """Calendar: own and used one to two minutes ago, and when. Others may have used much before we began."""

    def slide(self, now: int) -> int:
        low = now * BUCKETS // self.span - BUCKETS
        while self.buckets and self.buckets[0][0] < low:
            self.sum -= self.buckets.popleft()[1]
        return self.sum

    def put(self, at: int, amount: int) -> None:
        self.sum += amount
        if not self.span:
            return
        bucket, place = at * BUCKETS // self.span, len(self.buckets)
        if place and self.buckets[-1][0] == bucket:
            self.buckets[-1][1] += amount
            return
        while place and self.buckets[place - 1][0] > bucket:
            place -= 1
        if place and self.buckets[place - 1][0] == bucket:
            self.buckets[place - 1][1] += amount
        elif amount > 0:
            self.buckets.insert(place, [bucket, amount])
        else:
            self.sum -= amount  # what it came to has left the window

    def heard(self, used: int, amount: int, at: int) -> None:
        """Redis showed how much all have, with our `amount`."""
        if not self.span and at - self.since > 60_000:
            self.base = self.sum - amount, self.used if self.since else used - amount
            self.since = at
        self.used, self.at, self.alone, self.share = used, at, 0, None

    def part(self, otherwise: float) -> float:
        """This process' share; where nothing is known of it, `otherwise`."""
        if self.share is None:
            own, of = (
                (self.slide(self.at), self.used) if self.span else (self.sum - self.base[0], self.used - self.base[1])
            )
            # More was given back than taken: that says nothing of shares.
            self.share = min(1.0, own / of) if self.at and own > 0 and of > 0 else otherwise
        return self.share


class LocalLimits:
    """Counts in this process only. `workers`: how many share a limit of which nothing is known yet."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._caught_up = 0.0
        self._own: dict[str, _Own] = {}

    def _of(self, counter: Counter) -> _Own:
        own = self._own.get(counter.name)
        if own is None:
            if len(self._own) > _KNOWN:
                self._own = {name: one for name, one in self._own.items() if one.running}
            own = self._own[counter.name] = _Own(counter)
        return own

    def note(self, taking: Taking, used: int) -> None:
        """A request was admitted by Redis, which then showed `used`."""
        counter = taking.counter
        own = self._own.get(counter.name) or self._of(counter)
        if counter.kind == "C":
            own.running += 1
            # What runs changes from one moment to the next: the mean counts.
            seen, before = own.running / max(used, own.running), own.share
            own.share = seen if before is None else _MEMORY * before + (1 - _MEMORY) * seen
            return
        own.put(taking.at, taking.amount)
        share = own.share
        own.heard(used, taking.amount, taking.at)
        if share is not None and self.catching_up:
            own.share = share  # what we took alone is in our count and not in Redis' yet

    def admit(self, takings: Sequence[Taking]) -> None:
        """Takes all or raises LimitReached or Unavailable."""
        for one in takings:
            if one.counter.limit.on_limiter_failure == "closed":
                raise Unavailable("Limits cannot be checked at the moment.", code="overloaded", retry_after=1)
            self._check(one)
        self.take(takings)

    def room(self, takings: Sequence[Taking]) -> bool:
        """Whether an account's own limits have a place: what has none is another account's turn, and no error."""
        try:
            for one in takings:
                if one.counter.limit.on_limiter_failure == "closed":
                    return False
                self._check(one)
        except LimitReached:
            return False
        return True

    def take(self, takings: Sequence[Taking]) -> None:
        """What was there when it was looked for."""
        for one in distinct(takings):
            own = self._of(one.counter)
            if one.counter.kind == "C":
                own.running += 1
            else:
                own.put(one.at, one.amount)
                own.alone += one.amount

    def release(self, takings: Sequence[Taking], used: Sequence[int] = ()) -> None:
        """They are over. `used`: what each really came to; less is given back, more is taken."""
        for at, one in enumerate(takings):
            own = self._own.get(one.counter.name)
            if own is None:
                continue
            if one.counter.kind == "C":
                own.running = max(0, own.running - 1)
            elif used and (more := used[at] - one.amount):
                own.put(one.at, more)
                own.alone = max(0, own.alone + more) if own.alone else 0

    def recovered(self) -> None:
        """Redis is told what was taken meanwhile; from now on it says how much that is."""
        self._caught_up = time.monotonic() + _CATCH_UP
        for own in self._own.values():
            own.owed, own.alone = own.alone, 0

    @property
    def catching_up(self) -> bool:
        """Whether Redis may not know yet what was taken without it."""
        return time.monotonic() < self._caught_up

    def check_owed(self, takings: Sequence[Taking]) -> None:
        """While that is so, what was taken here counts as it did before. Raises LimitReached."""
        for one in takings:
            own = self._own.get(one.counter.name)
            if own is not None and own.owed and own.span:
                self._check(one)

    def _check(self, taking: Taking) -> None:
        counter, limit = taking.counter, taking.counter.limit
        own, now = self._of(counter), int(time.time() * 1000)
        share = own.part(1 / self._workers)
        if counter.kind == "C":
            if own.running >= math.ceil(limit.max * share):
                raise LimitReached(
                    "The limit of concurrent requests is reached.", code="concurrency_limited", retry_after=1
                )
            return
        if counter.kind == "S":
            taken, allowed = own.slide(now), math.ceil(limit.max * share)
            wait = ((own.buckets[0][0] + BUCKETS + 1) * own.span / BUCKETS - now) / 1000 if own.buckets else 1.0
        else:
            # What was used before Redis went is not given out again.
            taken, allowed, wait = own.alone, math.ceil(max(0, limit.max - own.used) * share), 60.0
        if taken >= allowed or taken + taking.amount > allowed:
            code = {"requests": "rate_limited", "budget": "budget_exceeded"}.get(limit.type, "token_limited")
            raise LimitReached(f"The limit of {limit.type} is reached.", code=code, retry_after=wait)
