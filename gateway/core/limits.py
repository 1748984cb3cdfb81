"""Limits as operators write them, checked and turned into the values that are enforced.

    {"type": "requests", "per": "minute", "max": 60}
    {"type": "concurrency", "max": 5}
    {"type": "requests", "per": {"rolling": "5h"}, "max": 100, "models": ["claude-*"], "platforms": ["claude"]}

`minute`, `hour` and `rolling` slide; `day`, `week`, `month` and `total` are windows of the calendar in `timezone`.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, cast, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.core.domain import Limit, LimitScope, LimitType, Period

SLIDING: Mapping[str, int] = {"minute": 60, "hour": 3600}
CALENDAR = ("day", "week", "month", "total")
_ROLLING = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FIELDS = {"type", "per", "max", "timezone", "models", "platforms", "on_limiter_failure"}
_LATER = {"tokens", "input_tokens", "output_tokens", "budget"}
_LARGEST = 2**53 - 1


class InvalidLimit(ValueError):
    """`field` names what is wrong, as `limits[2].per`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def parse(items: Any, *, scope: LimitScope = "key", owner: str = "") -> tuple[Limit, ...]:
    """Raises InvalidLimit, naming the field."""
    if not isinstance(items, list):
        raise InvalidLimit("limits", "a list is expected")
    given = cast(list[Any], items)
    return tuple(_one(item, f"limits[{at}]", scope, owner) for at, item in enumerate(given))


def _one(given: Any, at: str, scope: LimitScope, owner: str) -> Limit:
    if not isinstance(given, dict):
        raise InvalidLimit(at, "an object is expected")
    item = cast(dict[str, Any], given)
    for name in item:
        if name not in _FIELDS:
            raise InvalidLimit(f"{at}.{name}", "unknown field")
    kind, per = item.get("type"), item.get("per")
    if isinstance(kind, str) and kind in _LATER:
        raise InvalidLimit(f"{at}.type", f"limits of type {kind} are not enforced yet: use requests or concurrency")
    if kind not in get_args(LimitType):
        raise InvalidLimit(f"{at}.type", "expected requests or concurrency")
    maximum = item.get("max")
    if type(maximum) is not int or not 0 <= maximum <= _LARGEST:
        raise InvalidLimit(f"{at}.max", "a whole number, 0 or more, is expected")
    if kind == "concurrency" and per is not None:
        raise InvalidLimit(f"{at}.per", "a concurrency limit has no period")
    failure = item.get("on_limiter_failure", "open")
    if failure not in ("open", "closed"):
        raise InvalidLimit(f"{at}.on_limiter_failure", "expected open or closed")
    return Limit(
        type=cast(LimitType, kind),
        max=maximum,
        per=None if kind == "concurrency" else _period(per, f"{at}.per"),
        timezone=_timezone(item.get("timezone", "UTC"), f"{at}.timezone"),
        models=_patterns(item.get("models", []), f"{at}.models"),
        platforms=_patterns(item.get("platforms", []), f"{at}.platforms"),
        on_limiter_failure=failure,
        scope=scope,
        owner=owner,
    )


def _period(per: Any, at: str) -> Period:
    if isinstance(per, str) and per in SLIDING:
        return Period(per, SLIDING[per])
    if isinstance(per, str) and per in CALENDAR:
        return Period(per, None)
    if isinstance(per, dict) and list(cast(dict[str, Any], per)) == ["rolling"]:
        length = cast(dict[str, Any], per)["rolling"]
        found = _ROLLING.fullmatch(length) if isinstance(length, str) else None
        if found:
            return Period(f"rolling:{length}", int(found[1]) * _UNITS[found[2]])
        raise InvalidLimit(f"{at}.rolling", "expected a length such as 90s, 30m, 5h or 7d")
    raise InvalidLimit(at, 'expected minute, hour, day, week, month, total or {"rolling": "5h"}')


def _timezone(name: Any, at: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise InvalidLimit(at, "not a known time zone") from None


def _patterns(items: Any, at: str) -> tuple[str, ...]:
    patterns: list[Any] = cast(list[Any], items) if isinstance(items, list) else [None]
    if not all(isinstance(item, str) and item for item in patterns):
        raise InvalidLimit(at, "a list of patterns is expected")
    return tuple(patterns)


def window(limit: Limit, now: datetime) -> tuple[str, datetime | None]:
    """The calendar window of `now` for a limit that does not slide: its name, and when it ends (None: never).

    Windows begin at midnight of the limit's own time zone, weeks on Monday; the end is found from the next
    local midnight, so a day of 23 or 25 hours is right.
    """
    name = limit.per.name if limit.per else "total"
    if name == "total":
        return "total", None
    zone = ZoneInfo(limit.timezone)
    local = now.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if name == "day":
        start, end = midnight, midnight + timedelta(days=1)
    elif name == "week":
        start = midnight - timedelta(days=midnight.weekday())
        end = start + timedelta(days=7)
    else:
        start = midnight.replace(day=1)
        end = (start + timedelta(days=32)).replace(day=1)
    return f"{name}:{start:%Y%m%d}", end.replace(tzinfo=zone)


def describe(limit: Limit) -> dict[str, Any]:
    """The limit as operators wrote it, for lists."""
    shown: dict[str, Any] = {"type": limit.type, "max": limit.max, "scope": limit.scope}
    if limit.per:
        head, _, length = limit.per.name.partition(":")
        shown["per"] = {"rolling": length} if head == "rolling" else head
        if limit.per.seconds is None:
            shown["timezone"] = limit.timezone
    if limit.models:
        shown["models"] = list(limit.models)
    if limit.platforms:
        shown["platforms"] = list(limit.platforms)
    return shown


def all_of(groups: Iterable[tuple[LimitScope, str, Any]]) -> tuple[Limit, ...]:
    """The limits of a key, its user and its tenant as one tuple: (scope, owner id, stored list) each."""
    return tuple(limit for scope, owner, items in groups for limit in parse(items, scope=scope, owner=owner))
