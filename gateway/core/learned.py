"""What an upstream said of its own limits in an answer's headers, as a value: kept per account and model family. Pure.

In Redis it is one field of the tenant's hash `learned`, `ACCOUNT|FAMILY` → JSON, written by the gateway that read it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.state import rfc3339

NEAR = 0.95
"""The part of a window from which on an account counts as near its limit."""
WITHOUT_RESET = 60.0
"""Seconds for which a window is believed whose end was not said: such windows are a minute long."""
_WARNINGS = frozenset({"allowed_warning", "rejected"})


class Window(Struct, frozen=True, omit_defaults=True):
    """One limit. `used` is the part of it from 0 to 1 (or more); `resets_at` is the epoch in seconds."""

    name: str
    limit: float | None = None
    remaining: float | None = None
    used: float | None = None
    resets_at: float | None = None
    status: str = ""
    """The upstream's own word: allowed, allowed_warning, rejected."""


class Learned(Struct, frozen=True):
    """All windows of one answer. `at`: when it was read; `until`: when the last of them is over."""

    windows: tuple[Window, ...]
    at: float
    until: float

    def near_until(self) -> float:
        """Until when the account is near a limit; 0 when it is not."""
        return max((_end(one, self.at) for one in self.windows if _near(one)), default=0.0)


def _near(window: Window) -> bool:
    return window.status in _WARNINGS or (window.used is not None and window.used >= NEAR)


def _end(window: Window, at: float) -> float:
    return at + WITHOUT_RESET if window.resets_at is None else window.resets_at


def learned(windows: tuple[Window, ...], now: float) -> Learned:
    return Learned(windows, now, max(_end(one, now) for one in windows))


_decoder = msgspec.json.Decoder(Learned)


def encode(value: Learned) -> bytes:
    return msgspec.json.encode(value)


def decode(text: str | bytes) -> Learned | None:
    """None for what another version wrote in another form."""
    try:
        return _decoder.decode(text)
    except msgspec.MsgspecError:
        return None


def shown(fields: Mapping[str, str], account_id: str, now: float) -> list[dict[str, Any]]:
    """The account's windows that are not over, for `learned_limits` of its state page, from the hash `learned`."""
    found: list[dict[str, Any]] = []
    for field, text in sorted(fields.items()):
        owner, _, family = field.partition("|")
        value = decode(text) if owner == account_id else None
        if value is None:
            continue
        found += [
            {
                "family": family,
                "name": one.name,
                "limit": one.limit,
                "remaining": one.remaining,
                "used": one.used,
                "status": one.status or None,
                "resets_at": None if one.resets_at is None else rfc3339(one.resets_at),
                "near": _near(one),
                "seen_at": rfc3339(value.at),
            }
            for one in value.windows
            if _end(one, value.at) > now
        ]
    return found
