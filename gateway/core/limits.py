"""Limits as operators write them, checked and turned into the values that are enforced.

    {"type": "requests", "per": "minute", "max": 60}
    {"type": "concurrency", "max": 5}
    {"type": "requests", "per": {"rolling": "5h"}, "max": 100, "models": ["claude-*"], "platforms": ["claude"]}
    {"type": "tokens", "per": "minute", "max": 200000, "reserve": "worst"}
    {"type": "budget", "per": "day", "max": "20.00", "timezone": "Asia/Shanghai"}

`minute`, `hour` and `rolling` slide; `day`, `week`, `month` and `total` are windows of the calendar in `timezone`.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.core.domain import Limit, LimitScope, LimitType, Period

SLIDING: Mapping[str, int] = {"minute": 60, "hour": 3600}
CALENDAR = ("day", "week", "month", "total")
_ROLLING = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_MONEY = re.compile(r"[0-9]+(\.[0-9]+)?")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FIELDS = {"type", "per", "max", "timezone", "models", "platforms", "on_limiter_failure", "reserve", "queue_ms"}
_TYPES = get_args(LimitType)
_RESERVED = {"tokens", "output_tokens", "budget"}
"""What a request will use of these is not known before its end."""
LONGEST_QUEUE = 60_000
NANO = 1_000_000_000
_SMALLEST = Decimal("0.000000001")
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
    if kind not in _TYPES:
        raise InvalidLimit(f"{at}.type", f"expected one of {', '.join(_TYPES)}")
    if kind == "concurrency" and per is not None:
        raise InvalidLimit(f"{at}.per", "a concurrency limit has no period")
    return Limit(
        type=cast(LimitType, kind),
        max=_money(item.get("max"), f"{at}.max") if kind == "budget" else _count(item.get("max"), f"{at}.max"),
        per=None if kind == "concurrency" else _period(per, f"{at}.per"),
        timezone=_timezone(item.get("timezone", "UTC"), f"{at}.timezone"),
        models=_patterns(item.get("models", []), f"{at}.models"),
        platforms=_patterns(item.get("platforms", []), f"{at}.platforms"),
        on_limiter_failure=_word(
            item, "on_limiter_failure", at, "closed" if kind == "budget" else "open", ("open", "closed")
        ),
        reserve=_reserve(item, kind, at),
        queue_ms=_queue(item, kind, at),
        scope=scope,
        owner=owner,
    )


def _count(maximum: Any, at: str) -> int:
    if type(maximum) is not int or not 0 <= maximum <= _LARGEST:
        raise InvalidLimit(at, "a whole number, 0 or more, is expected")
    return maximum


def _money(text: Any, at: str) -> int:
    """A decimal string, or a whole number: other JSON numbers are not exact."""
    known = type(text) is int or (isinstance(text, str) and _MONEY.fullmatch(text))
    amount = Decimal(text) if known else Decimal(-1)
    if not 0 <= amount <= _LARGEST // NANO:
        raise InvalidLimit(at, f'an amount of money from 0 to {_LARGEST // NANO} is expected, such as "20.00"')
    exact = amount.quantize(_SMALLEST)
    if exact != amount:
        raise InvalidLimit(at, "an amount of money has at most 9 decimals")
    return int(exact.scaleb(9))


def _word(item: Mapping[str, Any], name: str, at: str, default: str, words: tuple[str, ...]) -> Any:
    word = item.get(name, default)
    if word not in words:
        raise InvalidLimit(f"{at}.{name}", f"expected {' or '.join(words)}")
    return word


def _reserve(item: Mapping[str, Any], kind: Any, at: str) -> Any:
    if "reserve" in item and kind not in _RESERVED:
        raise InvalidLimit(f"{at}.reserve", f"a limit of type {kind} reserves nothing that is not known")
    return _word(item, "reserve", at, "worst" if kind == "budget" else "expected", ("expected", "worst"))


def _queue(item: Mapping[str, Any], kind: Any, at: str) -> int:
    queue = item.get("queue_ms", 0)
    if type(queue) is not int or not 0 <= queue <= LONGEST_QUEUE:
        raise InvalidLimit(f"{at}.queue_ms", f"a whole number of milliseconds, 0 to {LONGEST_QUEUE}, is expected")
    if queue and kind != "concurrency":
        raise InvalidLimit(f"{at}.queue_ms", "only a concurrency limit has a queue")
    return queue


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


def shown(limit: Limit, amount: int) -> int | str:
    """What is counted under the limit, as operators read it: money is a decimal string."""
    if limit.type != "budget":
        return amount
    text = f"{Decimal(amount).scaleb(-9):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def written(items: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A stored list as it is stored and shown: a budget's amount is a decimal string, also where a whole number was
    given. What is wrong stays so, for `parse` to name."""
    return [
        {**item, "max": str(item["max"])} if item.get("type") == "budget" and type(item.get("max")) is int else {**item}
        for item in items
    ]


def describe(limit: Limit) -> dict[str, Any]:
    """The limit as operators wrote it, for lists."""
    described: dict[str, Any] = {"type": limit.type, "max": shown(limit, limit.max), "scope": limit.scope}
    if limit.per:
        head, _, length = limit.per.name.partition(":")
        described["per"] = {"rolling": length} if head == "rolling" else head
        if limit.per.seconds is None:
            described["timezone"] = limit.timezone
    if limit.models:
        described["models"] = list(limit.models)
    if limit.platforms:
        described["platforms"] = list(limit.platforms)
    return described


def of_user(user_id: str, tenant_id: str) -> str:
    """The owner of a user's limits: what is used in one tenant counts in no other, wherever their counters are."""
    return f"{user_id}/{tenant_id}"


def all_of(groups: Iterable[tuple[LimitScope, str, Any]]) -> tuple[Limit, ...]:
    """Of a key, its user, team and tenant, or of an account, as one tuple: (scope, owner id, stored list) each."""
    return tuple(limit for scope, owner, items in groups for limit in parse(items, scope=scope, owner=owner))
