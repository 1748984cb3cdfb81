"""An account's automatic state, as a value: why it (or a part of it) is not used, and until when. Pure."""

from datetime import UTC, datetime

import msgspec
from msgspec import Struct

FOR_EVER = 4102444800.0
"""2100: the end of a state that only an operator lifts."""
BREAKER = "breaker"
"""The reason of a state that faults opened. At its end it is half-open until one request has shown which it is."""
HALF_OPEN_FOR = 600.0
"""Seconds after its end for which a breaker is half-open at most: what nobody asks for in that time is free again."""


class State(Struct, frozen=True):
    """Why an account (or a part of it) is not used. `until` is the epoch in seconds."""

    reason: str
    until: float
    since: float = 0.0
    request_id: str = ""
    status: int = 0
    soft: bool = False
    """For those who have no other account it is as if it were not: an overload, and what one key alone has met."""
    key: str = ""
    """Of a soft breaker: the key that alone met the faults. For it the state is as hard as any."""
    faults: int = 0
    """Of a breaker: how many faults opened it, its failed probes included."""

    def spares(self, key_id: str) -> bool:
        """Whether it does not keep the account from this key where there is no other account."""
        return self.soft and self.key != key_id

    def half_open(self, now: float) -> bool:
        """Whether one request over all gateways may try, and no other, until it is known how that went."""
        return self.reason == BREAKER and self.until <= now < self.until + HALF_OPEN_FOR


def encode(state: State) -> bytes:
    return msgspec.json.encode(state)


def rfc3339(moment: float) -> str:
    """Milliseconds and `Z`, as everywhere."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ending(moment: float | None) -> str | None:
    """The end of a state as it is shown; None for what does not end by itself."""
    return None if moment is None or moment >= FOR_EVER else rfc3339(moment)
