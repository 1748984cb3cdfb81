"""An account's automatic state, as a value: why it (or a part of it) is not used, and until when. Pure."""

from datetime import UTC, datetime

import msgspec
from msgspec import Struct

FOR_EVER = 4102444800.0
"""2100: the end of a state that only an operator lifts."""


class State(Struct, frozen=True):
    """Why an account (or a part of it) is not used. `until` is the epoch in seconds."""

    reason: str
    until: float
    since: float = 0.0
    request_id: str = ""
    status: int = 0
    soft: bool = False
    """Only tried last: the last usable account is never taken out for an overload."""


def encode(state: State) -> bytes:
    return msgspec.json.encode(state)


def rfc3339(moment: float) -> str:
    """Milliseconds and `Z`, as everywhere."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
