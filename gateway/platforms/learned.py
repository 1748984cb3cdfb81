"""An upstream's own limits, as the headers of its answers give them. Pure; nothing here raises.

anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}
    https://docs.claude.com/en/api/rate-limits#response-headers
anthropic-ratelimit-unified-{5h,7d,…}-{utilization,status,reset}    (see `gateway.platforms.unified`)
x-ratelimit-{limit,remaining,reset}-{requests,tokens,…}, and the same without a name
    https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers, Azure's too
x-codex-{primary,secondary}-{used-percent,reset-at,reset-after-seconds}    (a ChatGPT account's windows)
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from gateway.core.learned import Window
from gateway.platforms import reset
from gateway.platforms.platform import Headers

_LONGEST = 64
_UNIFIED = re.compile(r"anthropic-ratelimit-unified-(?:([0-9a-z_]{1,32})-)?(utilization|status|reset)\Z")
_ANTHROPIC = re.compile(r"anthropic-ratelimit-([a-z-]{1,32})-(limit|remaining|reset)\Z")
_OPENAI = re.compile(r"x-ratelimit-(limit|remaining|reset)(?:-([a-z0-9-]{1,32}))?\Z")
_CODEX = re.compile(r"x-codex-(primary|secondary)-(used-percent|reset-at|reset-after-seconds)\Z")
_NUMBER = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,9})?\Z")
_MOST = 32
"""Windows of one answer: an upstream that sends more is not believed."""


@lru_cache(1024)
def field(name: bytes) -> tuple[str, str] | None:
    """(window, what is said of it) of a header's lower-case name; None for a header of another kind."""
    if not name.startswith((b"anthropic-ratelimit-", b"x-ratelimit-", b"x-codex-")):
        return None
    text = name.decode("latin-1")
    if found := _UNIFIED.match(text):
        # Of overage, the status says whether more can be bought, and its reset is a month's end.
        return None if found[1] == "overage" else (found[1] or "unified", found[2])
    if found := _ANTHROPIC.match(text):
        return found[1], found[2]
    if found := _OPENAI.match(text):
        return found[2] or "requests", found[1]
    found = _CODEX.match(text)
    return (found[1], found[2]) if found else None


def windows(headers: Headers, now: float) -> Sequence[Window]:
    """The limits that an answer's headers (lower-case names) speak of, in their order; empty when they say nothing."""
    said: dict[str, dict[str, Any]] = {}
    for name, value in headers:
        found = field(name)
        if found is not None and len(value) <= _LONGEST:
            said.setdefault(found[0], {})[found[1]] = value.decode("latin-1").strip()
    if not said or len(said) > _MOST:
        return ()
    return [window for name, given in said.items() if (window := _window(name, given, now)) is not None]


def _window(name: str, given: dict[str, str], now: float) -> Window | None:
    limit, remaining = _number(given.get("limit")), _number(given.get("remaining"))
    used = _number(given.get("utilization"))
    if used is None and (percent := _number(given.get("used-percent"))) is not None:
        used = percent / 100
    if used is None and limit and remaining is not None:
        used = max(0.0, 1 - remaining / limit)
    status = given.get("status", "").lower()
    if used is None and remaining is None and not status:
        return None  # a bare maximum or a bare reset says nothing of how the account stands
    return Window(name, limit, remaining, used, _reset(given, now), status)


def _reset(given: dict[str, str], now: float) -> float | None:
    for name in ("reset", "reset-at"):
        if name in given and (at := reset.moment(given[name], now)) is not None:
            return at
    return reset.after(given.get("reset-after-seconds"), now)


@lru_cache(1024)
def _number(text: str | None) -> float | None:
    return float(text) if text is not None and _NUMBER.match(text) else None
