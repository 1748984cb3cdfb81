"""Counts what is refused before it is admitted, and hands the counts to the journal once a second.

Only known keys have counts of their own, so nobody can make them grow by presenting junk. From the journal on they go
the way of the ledger's rows, so they are counted once, whatever is restarted meanwhile.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable

from gateway.core.names import tag_of
from gateway.core.refusals import NO_KEY, NO_TENANT, STATUSES, Refused, encode
from gateway.relay.journal import Journal
from gateway.routing.call import Call

EVERY = 1.0
"""Seconds between the first refusal and the journal."""
MOST = 20_000
"""Different counts that are held; more than a second brings only while the journal takes nothing."""
_LINE = 200

Keep = Callable[[int, bytes], None]
"""Takes a line of a tag on its way: journal and stream."""
_Name = tuple[str, str, str, int, int]


class Refusals:
    """One a process."""

    def __init__(self, journal: Journal, keep: Keep) -> None:
        self._journal = journal
        self._keep = keep
        self._counts: Counter[_Name] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def count(self, call: Call, code: str, status: int) -> None:
        """A request got this answer. Those that were admitted have a row, and other statuses are no refusals."""
        if call.admitted or status not in STATUSES:
            return
        hour = int(call.received_at // 3600)
        name = (call.tenant_id or NO_TENANT, call.key_id or NO_KEY, code, status, hour)
        if len(self._counts) >= MOST and name not in self._counts:
            name = (NO_TENANT, NO_KEY, code, status, hour)
        self._counts[name] += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY, self._due)

    def _due(self) -> None:
        self._timer = None
        if self._journal.full:  # rows come first
            self._timer = asyncio.get_running_loop().call_later(EVERY, self._due)
        else:
            self.flush()

    def flush(self) -> None:
        """All counts to the journal, now: also when the process ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        counts, self._counts = self._counts, Counter()
        by_tag: defaultdict[int, list[Refused]] = defaultdict(list)
        for (tenant_id, key_id, code, status, hour), count in counts.items():
            by_tag[tag_of(tenant_id)].append(Refused(tenant_id, key_id, code, status, hour, count))
        for tag, refused in by_tag.items():
            for first in range(0, len(refused), _LINE):
                self._keep(tag, encode(refused[first : first + _LINE]))
