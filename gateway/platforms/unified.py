"""Anthropic's unified rate-limit headers: the windows of a subscription, and whose window is used up.

An answer carries `anthropic-ratelimit-unified-status` (allowed, allowed_warning, rejected), for each window
`…-unified-{5h,7d,7d_oi…}-status` and `-reset` (unix seconds), `…-unified-reset` for the window that decided, and
`…-unified-representative-claim` that names it (five_hour, seven_day, seven_day_opus, seven_day_overage_included…).
The headers are not documented by the vendor; the names are those its answers carry.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

from gateway.platforms import reset
from gateway.platforms.platform import Scope

_PREFIX = "anthropic-ratelimit-unified-"
_SHARED = frozenset({"5h", "7d"})
"""The windows that all models of an account share; every other window is a family's."""
_CLAIM = re.compile(r"(five_hour|seven_day)(?:_([a-z_]{1,64}))?\Z")
_SHORT = {"five_hour": "5h", "seven_day": "7d", "overage_included": "oi"}


class Window(Struct, frozen=True):
    """What was used up: `until` in seconds since the epoch, None when no header gives a believable end."""

    scope: Scope
    until: float | None
    family: str = ""
    """The family that the claim names; empty when it names none that is a model's word."""


def rejected(headers: Mapping[str, str]) -> bool:
    return _status(headers) == "rejected"


def allowed(headers: Mapping[str, str]) -> bool:
    """The windows have room: a 429 beside this is load, not a limit, and the windows' resets do not matter."""
    return _status(headers).startswith("allowed")


def used_up(headers: Mapping[str, str], now: float) -> Window:
    """The rejected window. A family's when the claim names one, or when only windows that no other model shares
    are rejected; then the account goes on serving the rest."""
    windows = _rejected_windows(headers)
    claim = _CLAIM.match(headers.get(_PREFIX + "representative-claim", "").strip().lower())
    suffix = (claim[2] or "") if claim else ""
    if suffix or (windows and not windows & _SHARED):
        family = "" if "_" in suffix else suffix
        return Window(Scope.FAMILY, _until(headers, windows, claim, now), family)
    # The end of a family's window must not keep the whole account out.
    return Window(Scope.ACCOUNT, _until(headers, windows & _SHARED, claim, now))


def decided(headers: Mapping[str, str], now: float) -> float | None:
    """The reset of the window that decided; seconds since the epoch."""
    return reset.moment(headers.get(_PREFIX + "reset"), now)


def _status(headers: Mapping[str, str]) -> str:
    return headers.get(_PREFIX + "status", "").strip().lower()


def _rejected_windows(headers: Mapping[str, str]) -> frozenset[str]:
    """`overage` is left out: it says whether more can be bought, and its reset is a month's end."""
    suffix = "-status"
    found = (
        name[len(_PREFIX) : -len(suffix)]
        for name, value in headers.items()
        # The last dash belongs to both: `…-unified-status` is no window's.
        if name.startswith(_PREFIX) and name[len(_PREFIX) :].endswith(suffix) and value.strip().lower() == "rejected"
    )
    return frozenset(found) - {"overage"}


def _until(
    headers: Mapping[str, str], windows: frozenset[str], claim: re.Match[str] | None, now: float
) -> float | None:
    """The latest reset of the rejected windows, in full; else the deciding window's, else a `retry-after`."""
    ends = [reset.moment(headers.get(f"{_PREFIX}{window}-reset"), now) for window in windows]
    known = [end for end in ends if end is not None]
    if known:
        return max(known)
    end = decided(headers, now)
    if end is None and claim:
        named = "_".join(_SHORT.get(part, part) for part in claim.groups() if part)
        end = reset.moment(headers.get(f"{_PREFIX}{named}-reset"), now)
    return end if end is not None else reset.retry_after(headers, now)
