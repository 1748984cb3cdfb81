"""What a platform module offers: where its requests go, how they are signed, what its answers mean.

Pure: no IO, no framework; the clock is a parameter. One module a platform, one row in `PLATFORMS`.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from gateway.core.domain import Account

Headers = list[tuple[bytes, bytes]]
"""Lower-case names, in order."""


class Outgoing(Struct, frozen=True):
    """A request as it will be written to the upstream. `url` is absolute."""

    method: str
    url: str
    headers: Headers
    body: bytes


class Kind(StrEnum):
    """Who is at fault. Only `caller` passes an error answer through to the client."""

    OK = "ok"
    CALLER = "caller"
    ELSEWHERE = "elsewhere"
    """Try another account; this one is not marked (it may count towards the breaker, see `counts`)."""
    COOL_DOWN = "cool_down"
    DISABLE = "disable"
    """Out until an operator acts: the reason cannot heal by itself."""


class Scope(StrEnum):
    ACCOUNT = "account"
    FAMILY = "family"
    MODEL = "model"


class Verdict(Struct, frozen=True):
    kind: Kind
    reason: str = ""
    """A short, stable word for the state and the ledger: rate_limited, overloaded, credentials, money, fault…"""
    until: float | None = None
    """End of a cool-down, seconds since the epoch."""
    scope: Scope = Scope.FAMILY
    family: str = ""
    """The family that the upstream itself named, in the words of `model_family`; empty: that of the request's model."""
    transient: bool = False
    """The same account may be tried again within the request (500 502 503 529, and 429 with a wait ≤ 5 s)."""
    overload: bool = False
    """503/529: the last usable account is never put on cool-down for this, only tried last."""
    counts: bool = False
    """Counts towards the account's breaker."""
    renew: bool = False
    """The credentials may be renewed once and the request sent again."""


class Platform(Struct, frozen=True):
    """An upstream platform, as a record of plain functions."""

    name: str
    family: str
    serves: Mapping[tuple[str, str], str]
    """(protocol, operation or Gemini action) → path template below the base URL; `{model}` is filled in escaped."""
    base_url: str | None
    """The vendor's own; None when every account must give one."""
    models: tuple[str, ...]
    """Globs served when an account names none."""
    credentials: tuple[type[Struct], ...]
    """The accepted sets of secrets, each a Struct that forbids unknown fields."""
    options: type[Struct]
    sign: Callable[[Outgoing, Account], Outgoing]
    """Adds the account's credentials and headers; these win over the client's."""
    judge: Callable[[int, Mapping[str, str], bytes, float], Verdict]
    """(status, headers with lower-case names, body or first error event, now) → Verdict."""
    explicit_only: bool = False
    probe: Callable[[str], tuple[str, str, dict[str, Any]]] | None = None
    """model → (protocol, operation, body) of a cheap request that proves an account works."""


#: `claude-3-5-sonnet-20241022`, `us.anthropic.claude-opus-4-1-v1:0`, `anthropic/claude-haiku-4.5`: the name between
#: or after the numbers. Three letters at least, so that the `v` of `claude-v2` is no family.
_CLAUDE_FAMILY = re.compile(r"claude-(?:[0-9.]+-)*([a-z]{3,})")


def model_family(model: str) -> str:
    """The family of a model, the scope of rate limits: Claude's opus, sonnet, haiku… by name, else the model.

    No list of families: one that appears tomorrow has its own limits without an upgrade.
    """
    lowered = model.lower()
    found = _CLAUDE_FAMILY.search(lowered)
    return found[1] if found else lowered
