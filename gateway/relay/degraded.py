"""Limits while Redis is away: each process enforces its share of them by itself, and says so.

The share is what this process admitted of all that was admitted in the last minute, as the counters in Redis showed
it while they could be read. A limit whose policy is `closed` refuses instead.
"""

import math
import time
from collections.abc import Sequence

from gateway.core.counters import Counter
from gateway.core.errors import LimitReached, Unavailable


class _Share:
    """Own and common growth of one counter, over one to two minutes."""

    __slots__ = ("base_own", "base_used", "own", "since", "used")

    def __init__(self, used: int, now: float) -> None:
        self.base_used, self.base_own = used - 1, 0
        self.used, self.own, self.since = used, 1, now

    def note(self, used: int, now: float) -> None:
        if now - self.since > 60:
            self.base_used, self.base_own, self.since = self.used, self.own, now
        self.used, self.own = used, self.own + 1

    def value(self) -> float:
        common = self.used - self.base_used
        return min(1.0, (self.own - self.base_own) / common) if common > 0 else 1.0


class LocalLimits:
    """Counts in this process only. `workers`: how many share a limit of which nothing is known yet."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._shares: dict[str, _Share] = {}
        self._admitted: dict[str, list[float]] = {}
        self._running: dict[str, int] = {}

    def note(self, counter: Counter, used: int, now: float) -> None:
        """A request was admitted by Redis, which then showed `used`."""
        share = self._shares.get(counter.name)
        if share is None:
            if len(self._shares) > 100_000:
                self._shares.clear()
            self._shares[counter.name] = _Share(used, now)
        else:
            share.note(used, now)

    def admit(self, counters: Sequence[Counter]) -> None:
        """Takes a place under every limit or raises LimitReached or Unavailable."""
        now = time.monotonic()
        for counter in counters:
            if counter.limit.on_limiter_failure == "closed":
                raise Unavailable("Limits cannot be checked at the moment.", code="overloaded", retry_after=1)
            self._check(counter, now)
        self.take(counters)

    def room(self, counters: Sequence[Counter]) -> bool:
        """Whether an account's own limits have a place: what has none is another account's turn, and no error."""
        now = time.monotonic()
        try:
            for counter in counters:
                if counter.limit.on_limiter_failure == "closed":
                    return False
                self._check(counter, now)
        except LimitReached:
            return False
        return True

    def take(self, counters: Sequence[Counter]) -> None:
        """A place under each, that was there when it was looked for."""
        now = time.monotonic()
        for counter in counters:
            if counter.kind != "C":
                self._admitted.setdefault(counter.name, []).append(now)
        self.hold(counters)

    def hold(self, counters: Sequence[Counter]) -> None:
        """A request runs here, whoever admitted it: what began while Redis was there still counts when it has gone."""
        for counter in counters:
            if counter.kind == "C":
                self._running[counter.name] = self._running.get(counter.name, 0) + 1

    def release(self, counters: Sequence[Counter]) -> None:
        for counter in counters:
            if counter.kind == "C":
                left = self._running.get(counter.name, 0) - 1
                if left > 0:
                    self._running[counter.name] = left
                else:
                    self._running.pop(counter.name, None)

    def recovered(self) -> None:
        self._admitted.clear()

    def _check(self, counter: Counter, now: float) -> None:
        share = self._shares.get(counter.name)
        allowed = math.ceil(counter.limit.max * (share.value() if share else 1 / self._workers))
        if counter.kind == "C":
            if self._running.get(counter.name, 0) >= allowed:
                raise LimitReached(
                    "The limit of concurrent requests is reached.", code="concurrency_limited", retry_after=1
                )
            return
        admitted = self._admitted.get(counter.name, [])
        if counter.limit.per and counter.limit.per.seconds:
            length = counter.limit.per.seconds
            while admitted and admitted[0] <= now - length:
                admitted.pop(0)
            wait = admitted[0] + length - now if admitted else length
        else:
            # The place in the calendar window that was used before Redis went is not given out again.
            allowed = math.ceil(
                max(0, counter.limit.max - (share.used if share else 0)) * (share.value() if share else 1)
            )
            wait = 60.0
        if len(admitted) >= allowed:
            raise LimitReached("The limit of requests is reached.", code="rate_limited", retry_after=wait)
