"""What counts against an account: faults for its breaker, failures of the network in a row. Two keys must meet them.

A request may be such that every upstream fails at it, so one key's faults count only where no other key was served
meanwhile: nobody takes an account from the others. Faults are counted in Redis, for all gateways together; what the
network does to one process is counted here.
"""

import asyncio
import time
from collections.abc import Callable
from functools import lru_cache, partial

from msgspec import Struct

from gateway.core.domain import Account
from gateway.core.scripts import AWAY, FAULT, RedisGone, Scripts
from gateway.platforms.platform import model_family

WINDOW = 30.0
_KEPT = 8192
_KEYS = 64


@lru_cache(4096)
def scope_of_family(model: str) -> str:
    """The scope of an upstream's model in the accounts' state."""
    return f"family:{model_family(model)}"


class Row(Struct):
    """Failures in a row, without an answer between."""

    count: int = 0
    by_key: dict[str, int] = {}
    last: str = ""
    """The request that failed last, where one counts once however often it is tried."""

    def met(self, key_id: str) -> None:
        self.count += 1
        if key_id in self.by_key or len(self.by_key) < _KEYS:
            self.by_key[key_id] = self.by_key.get(key_id, 0) + 1

    def counted(self, *, alone: bool) -> int:
        """As many as count for a state. `alone`: no other key was served meanwhile. All of one key's count only then;
        where others have met failures too, those of the most stubborn key are taken for one."""
        if alone and len(self.by_key) < 2:
            return self.count
        return self.count - max(self.by_key.values(), default=0) + 1


class Reached:
    """Who was served by what, and what failed in a row, as this process has met it.

    A row is named by what failed: an account or a proxy for dials, "ACCOUNT|SCOPE" for answers that broke off.
    """

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._served: dict[str, tuple[str, float, str, float]] = {}

    def failed(self, what: str, key_id: str, request_id: str = "") -> Row:
        """`request_id`: of a failure in which the request may have had a part."""
        row = self._rows.get(what)
        if row is None:
            row = self._rows[what] = Row(by_key={})
        if not request_id or request_id != row.last:
            row.last = request_id
            row.met(key_id)
        return row

    def answered(self, account: Account, scope: str) -> None:
        """It answers, whatever it says: its rows of this scope are over, and its proxy's."""
        if self._rows:
            for one in (account.id, f"{account.id}|{scope}", account.proxy.id if account.proxy else ""):
                self._rows.pop(one, None)

    def served(self, field: str, key_id: str, now: float) -> None:
        """The key got what it asked for. The last two different keys are kept."""
        before = self._served.get(field)
        if before is None:
            if len(self._served) >= _KEPT:
                self._served.clear()
            self._served[field] = (key_id, now, "", 0.0)
        elif before[0] == key_id:
            self._served[field] = (key_id, now, before[2], before[3])
        else:
            self._served[field] = (key_id, now, before[0], before[1])

    def serves_others(self, field: str, key_id: str, now: float) -> bool:
        """Whether another key was served within the last 30 s."""
        first, at, second, then = self._served.get(field, ("", 0.0, "", 0.0))
        other = at if first != key_id else then if second else 0.0
        return now - other < WINDOW

    def clear(self) -> None:
        self._rows.clear()
        self._served.clear()


async def served_anywhere(scripts: Scripts, prefix: str, field: str, key_id: str, now: float) -> bool:
    """Whether any gateway has served another key within the last 30 s; not, as far as is known, while Redis is away."""
    try:
        held: bytes | None = await scripts.command(b"GET", f"{prefix}served:{field}")
    except AWAY:
        return False
    words = held.decode().split() if held else []
    return any(
        other != key_id and now - int(at) / 1000 < WINDOW for other, at in zip(words[::2], words[1::2], strict=False)
    )


Opens = Callable[[float, int, bool], None]
"""Called with the seconds for which the breaker opens, the number of faults that opened it, and whether two keys met
them."""


def count(
    scripts: Scripts, prefix: str, field: str, request_id: str, key_id: str, *, serves_others: bool, opens: Opens
) -> None:
    """Counts one fault of "ACCOUNT|SCOPE"; `opens` is called when it was one too many. Never waits."""
    arguments = (field, request_id, key_id, f"{time.time():.3f}", "1" if serves_others else "0")
    try:
        future = scripts.call(FAULT, prefix, arguments)
    except RedisGone:
        return  # failing over goes on without; no breaker opens by what one process alone has seen
    future.add_done_callback(partial(_counted, opens))


def _counted(opens: Opens, future: "asyncio.Future[list[int] | None]") -> None:
    if future.cancelled() or future.exception() is not None:
        return
    said = future.result()
    if said is not None:
        opens(float(said[0]), said[1], said[2] == 1)
