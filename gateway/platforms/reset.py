"""When a limit ends: every way in which providers say it, read into seconds since the epoch.

Nothing here raises, whatever the text: junk, negative or absurd values give None. A reset is believed only within
`FURTHEST` from now (the longest real windows are a month), so that one bad header cannot take an account away for good.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

FURTHEST = 35 * 86_400.0
"""Seconds ahead beyond which a reset is junk."""
BARE_RETRY_AFTER = 30 * 60.0
"""Seconds to which a `retry-after` that stands alone is cut: it can be days, and says nothing of what was used up."""

_SKEW = 1.0
_LONGEST_TEXT = 64
_EPOCH_FROM = 1e9
"""A plain number from here on is a date (2001), below it a number of seconds."""
_MILLISECONDS_FROM = 1e11
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?\Z")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|us|µs|ns|d|h|m|s)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+\Z")
_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def plausible(at: float | None, now: float) -> float | None:
    """`at` when it lies between now and `FURTHEST`, else None (NaN too)."""
    if at is None or not now - _SKEW <= at <= now + FURTHEST:
        return None
    return max(at, now)


def delay(value: object) -> float | None:
    """Seconds of `6m0s`, `20ms`, `1h2m3.5s`, `34s`, `12`, `0.5` or a number. None when it is none of these."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _finite(value)
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        return None
    return _seconds(value.strip())


# The limits of every answer are read: their resets are the same texts for a while.
@lru_cache(1024)
def _seconds(text: str) -> float | None:
    if _NUMBER.match(text):
        return float(text)
    if not _DURATION.match(text):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def moment(value: object, now: float) -> float | None:
    """The end that a header or a field of a body gives: RFC 3339, seconds (or milliseconds) since the epoch,
    a duration, or seconds from now. Seconds since the epoch, or None."""
    seconds = delay(value)
    if seconds is None:
        return plausible(_date(value), now)
    if seconds >= _MILLISECONDS_FROM:
        return plausible(seconds / 1000, now)
    return plausible(seconds if seconds >= _EPOCH_FROM else now + seconds, now)


def instant(value: object) -> float | None:
    """When a token ends: RFC 3339, or seconds or milliseconds since the epoch, as a number or as text; it may be past,
    and years ahead. Seconds since the epoch, or None."""
    seconds = delay(value)
    if seconds is None:
        return _date(value)
    return seconds / 1000 if seconds >= _MILLISECONDS_FROM else seconds


def after(value: object, now: float) -> float | None:
    """The end of a wait that begins now (`resets_in_seconds`, RetryInfo's `34s`)."""
    seconds = delay(value)
    return None if seconds is None else plausible(now + seconds, now)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """`retry-after-ms`, or `retry-after` in seconds or as an HTTP date (RFC 9110 §10.2.3), cut to 30 minutes."""
    milliseconds = delay(headers.get("retry-after-ms"))
    text = headers.get("retry-after", "")
    wait = delay(text) if milliseconds is None else milliseconds / 1000
    at = _http_date(text) if wait is None else now + wait
    if at is None or at < now - _SKEW:
        return None
    return min(max(at, now), now + BARE_RETRY_AFTER)


def of_headers(headers: Mapping[str, str], now: float) -> float | None:
    """The end of the limit that an answer's headers speak of, without the unified windows (see `unified`).

    A window with nothing remaining is the one that refused: the latest of these. When all have something left (the
    request asked for more than was left), no reset is the answer's own: then `retry-after`, else the earliest of them.
    """
    plan = _of_plan(headers, now)
    if plan is not None:
        return plan
    spent: list[float] = []
    unspent: list[float] = []
    for at, remaining in _windows(headers.items(), now):
        (unspent if _left(headers.get(remaining)) else spent).append(at)
    if spent:
        return max(spent)
    wait = retry_after(headers, now)
    return wait if wait is not None else min(unspent, default=None)


def _of_plan(headers: Mapping[str, str], now: float) -> float | None:
    """The end of a ChatGPT plan's window that is used up (`x-codex-{primary,secondary}-used-percent`), the latest."""
    ends: list[float] = []
    for window in ("x-codex-primary-", "x-codex-secondary-"):
        if (delay(headers.get(window + "used-percent")) or 0.0) >= 100:
            at = moment(headers.get(window + "reset-at"), now)
            end = at if at is not None else after(headers.get(window + "reset-after-seconds"), now)
            ends += [] if end is None else [end]
    return max(ends, default=None)


def _windows(headers: Iterable[tuple[str, str]], now: float) -> Iterable[tuple[float, str]]:
    """(end, name of the header with what remains): Anthropic's `anthropic-ratelimit-{what}-reset`, OpenAI's
    `x-ratelimit-reset-{what}`, and the `x-ratelimit-reset` of others."""
    for name, value in headers:
        if name.startswith("anthropic-ratelimit-") and name.endswith("-reset"):
            remaining = name.removesuffix("reset") + "remaining"
            known = not name.startswith("anthropic-ratelimit-unified-")
        else:
            remaining = name.replace("-reset", "-remaining")
            known = name.startswith("x-ratelimit-reset")
        at = moment(value, now) if known else None
        if at is not None:
            yield at, remaining


def _left(text: str | None) -> bool:
    return text is not None and (delay(text) or 0.0) > 0


def _finite(number: float) -> float | None:
    try:
        value = float(number)
    except OverflowError:
        return None
    return value if value >= 0 else None


def _date(value: object) -> float | None:
    return _rfc3339(value) if isinstance(value, str) and len(value) <= _LONGEST_TEXT else None


@lru_cache(1024)
def _rfc3339(text: str) -> float | None:
    try:
        at = datetime.fromisoformat(text.strip())
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _http_date(text: str) -> float | None:
    if len(text) > _LONGEST_TEXT:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
