"""How long accounts take to the first byte, as this process sees it, and which of them are slow against their peers.

Peers serve the same thing: the tenant's accounts of one priority, asked for the same model family and operation, as a
stream or in one piece (of which the first byte is also nearly the last). Pure: the clock is a parameter, in seconds.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from math import exp

from gateway.core.domain import Account
from gateway.core.paces import REMEMBERED, Pace

Kind = tuple[str, str, str, bool]
"""Tenant, model family, operation, stream."""

SLOW_TIMES = 3.0
SLOW_BY = 0.5
"""An account is slow when its mean is more than so many times its peers' median, and more than so many seconds over."""
SAMPLES = 5
"""Before which nothing is said of an account."""
LOOK_REQUESTS = 250
LOOK_SECONDS = 15.0
"""A slow account gets one request of so many, and none sooner than so many seconds after the last: four in a thousand
can be seen in nobody's p99, and a recovered account is found out within minutes under load."""
_FADING = 30.0
_LEAST, _MOST = 0.2, 0.5
_JUDGE_EVERY = 0.5
_KINDS = 10_000
NOBODY: frozenset[str] = frozenset()


class _Mean:
    """A mean that fades with time: what is half a minute old counts less than a third."""

    __slots__ = ("at", "priority", "samples", "value")

    def __init__(self, value: float, at: float, priority: int) -> None:
        self.value, self.at, self.samples, self.priority = value, at, 1, priority

    def add(self, sample: float, now: float) -> None:
        share = min(_MOST, max(_LEAST, 1 - exp((self.at - now) / _FADING)))
        if self.samples < SAMPLES:
            share = max(share, 1 / (self.samples + 1))
        else:
            sample = min(sample, 2 * self.value + SLOW_BY / 2)  # one answer that hung is no slow account
        self.value += share * (sample - self.value)
        self.at = max(now, self.at)
        self.samples += 1


class Peers:
    """The accounts that were asked for one kind of thing."""

    __slots__ = ("_judged_at", "_looked_at", "_means", "_requests", "slow")

    def __init__(self, now: float) -> None:
        self._means: dict[str, _Mean] = {}
        self._judged_at = now
        self._looked_at = now
        self._requests = 0
        self.slow: frozenset[str] = NOBODY

    def mean(self, account_id: str) -> float:
        """Seconds; 0 when nothing is known, so that an account is asked once to know it."""
        found = self._means.get(account_id)
        return found.value if found else 0.0

    def add(self, account: Account, seconds: float, now: float) -> None:
        mean = self._means.get(account.id)
        if mean is None:
            self._means[account.id] = _Mean(seconds, now, account.priority)
            return
        mean.add(seconds, now)
        mean.priority = account.priority
        if mean.samples == SAMPLES or not 0 <= now - self._judged_at < _JUDGE_EVERY:
            self._judge(now)

    def look(self, now: float) -> bool:
        """Counts a request; whether it should go to a slow account, to see whether that still is."""
        self._requests += 1
        return self._requests >= LOOK_REQUESTS and not 0 <= now - self._looked_at < LOOK_SECONDS

    def looked(self, now: float) -> None:
        self._looked_at, self._requests = now, 0

    def longest_unseen(self, account_ids: Sequence[str]) -> str | None:
        known = [one for one in account_ids if one in self._means]
        return min(known, key=lambda one: self._means[one].at, default=None)

    def paces(self) -> dict[str, Pace]:
        """What is known here, to be told to operators."""
        return {one: Pace(mean.value, mean.at, one in self.slow) for one, mean in self._means.items()}

    def believe(self, paces: Mapping[str, Pace]) -> None:
        """What gateways have told, in place of what was seen here."""
        self._means = {one: _Mean(pace.mean, pace.at, 0) for one, pace in paces.items()}
        self.slow = frozenset(one for one, pace in paces.items() if pace.slow)

    def _judge(self, now: float) -> None:
        self._judged_at = now
        self._means = {one: mean for one, mean in self._means.items() if now - mean.at < REMEMBERED}
        by_priority: dict[int, list[tuple[float, str]]] = {}
        for account_id, mean in self._means.items():
            if mean.samples >= SAMPLES:
                by_priority.setdefault(mean.priority, []).append((mean.value, account_id))
        self.slow = frozenset(one for peers in by_priority.values() for one in _slow(peers))


def _slow(peers: list[tuple[float, str]]) -> Sequence[str]:
    """Each against the median of the others: with two accounts, the median of both would hide the slow one."""
    if len(peers) < 2:
        return ()
    peers.sort()
    values = [value for value, _ in peers]
    found: list[str] = []
    low, high = (len(peers) - 2) // 2, (len(peers) - 1) // 2
    for at, (value, account_id) in enumerate(peers):
        median = (values[low + (low >= at)] + values[high + (high >= at)]) / 2
        if value > SLOW_TIMES * median and value > median + SLOW_BY:
            found.append(account_id)
    return found


class Latencies:
    def __init__(self) -> None:
        self._kinds: dict[Kind, Peers] = {}
        self._untold: dict[Kind, None] = {}

    def of(self, kind: Kind) -> Peers | None:
        return self._kinds.get(kind)

    def add(self, kind: Kind, account: Account, seconds: float, now: float) -> None:
        """The account took so long to its first byte."""
        peers = self._kinds.get(kind)
        if peers is None:
            if len(self._kinds) >= _KINDS:
                oldest = next(iter(self._kinds))
                del self._kinds[oldest]
                self._untold.pop(oldest, None)
            peers = self._kinds[kind] = Peers(now)
        peers.add(account, seconds, now)
        self._untold[kind] = None

    def untold(self, most: int) -> list[tuple[Kind, dict[str, Pace]]]:
        """So many kinds that something was added to and that were not given out since, the longest waiting first."""
        kinds = list(islice(self._untold, most))
        for kind in kinds:
            del self._untold[kind]
        return [(kind, peers.paces()) for kind in kinds if (peers := self._kinds.get(kind))]

    def believe(self, kind: Kind, paces: Mapping[str, Pace], now: float) -> None:
        """What gateways have told of this kind."""
        peers = self._kinds[kind] = Peers(now)
        peers.believe(paces)
