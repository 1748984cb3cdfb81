"""Limits as operators write them: every field, every period, every time zone; errors that name what is wrong."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.domain import Limit, Period
from gateway.core.limits import InvalidLimit, all_of, describe, parse, shown, window, written

MINUTE = {"type": "requests", "per": "minute", "max": 60}


@pytest.mark.parametrize(
    ("per", "period"),
    [
        ("minute", Period("minute", 60)),
        ("hour", Period("hour", 3600)),
        ("day", Period("day", None)),
        ("week", Period("week", None)),
        ("month", Period("month", None)),
        ("total", Period("total", None)),
        ({"rolling": "1s"}, Period("rolling:1s", 1)),
        ({"rolling": "90s"}, Period("rolling:90s", 90)),
        ({"rolling": "30m"}, Period("rolling:30m", 1800)),
        ({"rolling": "5h"}, Period("rolling:5h", 18000)),
        ({"rolling": "7d"}, Period("rolling:7d", 604800)),
        ({"rolling": "999999d"}, Period("rolling:999999d", 86399913600)),
    ],
)
def test_periods(per, period: Period) -> None:
    (limit,) = parse([{"type": "requests", "per": per, "max": 5}])
    assert (limit.per, limit.max, limit.timezone, limit.on_limiter_failure) == (period, 5, "UTC", "open")
    assert describe(limit)["per"] == per


def test_every_field() -> None:
    given = {
        "type": "requests", "per": "day", "max": 0, "timezone": "Asia/Shanghai", "models": ["claude-*", "gpt-5"],
        "platforms": ["claude"], "on_limiter_failure": "closed",
    }  # fmt: skip
    (limit,) = parse([given], scope="tenant", owner="ten_1")
    assert limit == Limit(
        "requests", 0, Period("day", None), "Asia/Shanghai", ("claude-*", "gpt-5"), ("claude",), "closed",
        scope="tenant", owner="ten_1",
    )  # fmt: skip
    assert parse([{"type": "concurrency", "max": 5}]) == (Limit("concurrency", 5),)
    assert hash(limit) == hash(parse([given], scope="tenant", owner="ten_1")[0])


WRONG = [
    ("limits", {"type": "requests"}),
    ("limits", None),
    ("limits", "x"),
    ("limits[0]", ["x"]),
    ("limits[2]", [MINUTE, MINUTE, None]),
    ("limits[2].per", [MINUTE, MINUTE, {**MINUTE, "per": "fortnight"}]),
    ("limits[0].per", [{"type": "requests", "max": 1}]),
    ("limits[0].per", [{**MINUTE, "per": None}]),
    ("limits[0].per", [{**MINUTE, "per": 60}]),
    ("limits[0].per", [{**MINUTE, "per": []}]),
    ("limits[0].per", [{**MINUTE, "per": {}}]),
    ("limits[0].per", [{**MINUTE, "per": {"rolling": "5h", "x": 1}}]),
    ("limits[0].per", [{"type": "concurrency", "per": "minute", "max": 1}]),
    *[
        ("limits[0].per.rolling", [{**MINUTE, "per": {"rolling": length}}])
        for length in (
            "",
            "5",
            "h",
            "0s",
            "-5h",
            "5H",
            "1.5h",
            "5h ",
            " 5h",
            "5h30m",
            "1w",
            "٥h",
            5,
            None,
            [],
            "1" * 7 + "s",
        )
    ],
    ("limits[0].max", [{"type": "requests", "per": "day"}]),
    *[("limits[0].max", [{**MINUTE, "max": value}]) for value in (-1, 1.0, 1.5, "5", None, True, [], 2**53)],
    *[("limits[0].type", [{**MINUTE, "type": value}]) for value in (None, "", "request", 5, [], {})],
    *[
        ("limits[0].timezone", [{**MINUTE, "timezone": value}])
        for value in ("", "Mars/Olympus", "../etc/passwd", "/etc/passwd", 5, None, [], "a\0b", "A" * 5000, "Europe")
    ],
    *[("limits[0].models", [{**MINUTE, "models": value}]) for value in ("claude-*", None, [5], [""], {}, [None])],
    *[("limits[0].platforms", [{**MINUTE, "platforms": value}]) for value in ("claude", None, [5], [""])],
    *[("limits[0].on_limiter_failure", [{**MINUTE, "on_limiter_failure": v}]) for v in (None, "", "shut", [], {}, 1)],
    ("limits[1].perr", [MINUTE, {**MINUTE, "perr": "day"}]),
]


@pytest.mark.parametrize(("field", "items"), WRONG)
def test_what_is_wrong_is_named(field: str, items) -> None:
    with pytest.raises(InvalidLimit) as caught:
        parse(items)
    assert caught.value.field == field
    assert caught.value.message


DEFAULTS = [
    ({"type": "requests", "per": "minute", "max": 60}, ("open", "expected", 0)),
    ({"type": "tokens", "per": "minute", "max": 200_000}, ("open", "expected", 0)),
    ({"type": "input_tokens", "per": "hour", "max": 0}, ("open", "expected", 0)),
    ({"type": "output_tokens", "per": {"rolling": "5h"}, "max": 2**53 - 1}, ("open", "expected", 0)),
    ({"type": "concurrency", "max": 5}, ("open", "expected", 0)),
    ({"type": "budget", "per": "day", "max": "20.00"}, ("closed", "worst", 0)),
    ({"type": "tokens", "per": "day", "max": 5, "reserve": "worst"}, ("open", "worst", 0)),
    ({"type": "output_tokens", "per": "day", "max": 5, "reserve": "expected"}, ("open", "expected", 0)),
    ({"type": "budget", "per": "week", "max": 20, "reserve": "expected"}, ("closed", "expected", 0)),
    ({"type": "budget", "per": "month", "max": "1", "on_limiter_failure": "open"}, ("open", "worst", 0)),
    ({"type": "concurrency", "max": 5, "queue_ms": 0}, ("open", "expected", 0)),
    ({"type": "concurrency", "max": 5, "queue_ms": 60_000}, ("open", "expected", 60_000)),
]


@pytest.mark.parametrize(("item", "expected"), DEFAULTS)
def test_each_type_with_what_is_taken_for_granted(item: dict[str, Any], expected: tuple[str, str, int]) -> None:
    (limit,) = parse([item])
    assert limit.type == item["type"]
    assert (limit.on_limiter_failure, limit.reserve, limit.queue_ms) == expected


TOKENS, BUDGET, CONCURRENCY = DEFAULTS[1][0], DEFAULTS[5][0], DEFAULTS[4][0]
WRONG_OF_A_TYPE = [
    *[
        ("limits[0].max", {**TOKENS, "max": value})
        for value in ("200000", "20.00", 1.5, -1, None, True, 2**53)
    ],
    *[
        ("limits[0].max", {**BUDGET, "max": value})
        for value in (
            None, "", " ", "x", "-1", "-0.01", "+1", "20,00", "1e3", "1_000", " 20", "20 ", "20.", ".5", "$20", "٢٠",
            "Infinity", "NaN", "0x10", 20.5, 20.0, -1, True, [], {}, "9007200", 9_007_200, "9" * 5000, 10**4000,
            "0.0000000001", "1.0000000001", "9007199.0000000000000000000000000000001", "0." + "0" * 50 + "1",
        )
    ],
    ("limits[0].max", {"type": "budget", "per": "day"}),
    *[("limits[0].per", {"type": kind, "max": 1}) for kind in ("tokens", "input_tokens", "output_tokens", "budget")],
    *[("limits[0].reserve", {**TOKENS, "reserve": value}) for value in (None, "", "most", 1, [], {}, "Worst")],
    *[("limits[0].reserve", {**BUDGET, "reserve": value}) for value in (None, "none")],
    *[
        ("limits[0].reserve", {**one, "reserve": "worst"})
        for one in (MINUTE, CONCURRENCY, {"type": "input_tokens", "per": "day", "max": 1})
    ],
    *[
        ("limits[0].queue_ms", {**CONCURRENCY, "queue_ms": value})
        for value in (-1, 60_001, 1.0, "5", None, True, [])
    ],
    *[("limits[0].queue_ms", {**one, "queue_ms": 5}) for one in (MINUTE, TOKENS, BUDGET)],
    *[("limits[0].on_limiter_failure", {**BUDGET, "on_limiter_failure": value}) for value in (None, "shut")],
]  # fmt: skip


@pytest.mark.parametrize(("field", "item"), WRONG_OF_A_TYPE, ids=lambda value: repr(value)[:60])
def test_what_is_wrong_of_a_type_is_named(field: str, item: dict[str, Any]) -> None:
    with pytest.raises(InvalidLimit) as caught:
        parse([item])
    assert caught.value.field == field
    assert caught.value.message


MONEY = [
    ("20.00", 20_000_000_000, "20"),
    ("20", 20_000_000_000, "20"),
    (20, 20_000_000_000, "20"),
    (0, 0, "0"),
    ("0.00", 0, "0"),
    ("0.000000001", 1, "0.000000001"),
    ("0.100000000", 100_000_000, "0.1"),
    ("0.10000000000000000000000000000000000000000", 100_000_000, "0.1"),
    ("00012.5", 12_500_000_000, "12.5"),
    ("1234567.123456789", 1_234_567_123_456_789, "1234567.123456789"),
    ("9007199", 9_007_199_000_000_000, "9007199"),
    ("0.3", 300_000_000, "0.3"),
    ("100", 100_000_000_000, "100"),
]


@pytest.mark.parametrize(("given", "nano", "written"), MONEY)
def test_money_is_exact_to_nine_decimals(given: str | int, nano: int, written: str) -> None:
    (limit,) = parse([{**BUDGET, "max": given}])
    assert (limit.max, shown(limit, limit.max), describe(limit)["max"]) == (nano, written, written)


@given(st.integers(0, 9_007_199_000_000_000))
def test_money_that_is_shown_reads_as_the_same(nano: int) -> None:
    (limit,) = parse([BUDGET])
    written = shown(limit, nano)
    assert isinstance(written, str)
    assert "e" not in written.lower()
    assert parse([{**BUDGET, "max": written}])[0].max == nano


def test_a_list_is_written_with_its_budgets_as_decimal_strings() -> None:
    items = [MINUTE, {**BUDGET, "max": 20}, {**BUDGET, "max": "0.50"}, CONCURRENCY]
    assert written(items) == [MINUTE, {**BUDGET, "max": "20"}, {**BUDGET, "max": "0.50"}, CONCURRENCY]
    assert items[1]["max"] == 20, "what was given is not changed"
    wrong: list[dict[str, Any]] = [
        {},
        {"type": []},
        {"type": "budget"},
        {**BUDGET, "max": True},
        {**BUDGET, "max": 1.5},
    ]
    assert written(wrong) == wrong
    with pytest.raises(InvalidLimit, match="money"):
        parse(written([{**BUDGET, "max": -1}]))


def test_of_other_types_numbers_are_shown() -> None:
    for item in (MINUTE, TOKENS, CONCURRENCY):
        assert shown(parse([item])[0], 1500) == 1500


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = ["per", "max", "timezone", "models", "platforms", "on_limiter_failure", "reserve", "queue_ms"]
TYPES = st.sampled_from(["requests", "tokens", "input_tokens", "output_tokens", "concurrency", "budget"])
near = st.lists(st.fixed_dictionaries({"type": TYPES}, optional=dict.fromkeys(NAMES, json_values)))


@given(json_values | near)
def test_nothing_else_is_ever_raised(items) -> None:
    try:
        parse(items)
    except InvalidLimit as error:
        assert error.field.startswith("limits")


def calendar(per: str, zone: str) -> Limit:
    return Limit("requests", 1, Period(per, None), zone)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


WINDOWS = [
    # a plain day, and its very edges
    ("day", "UTC", "2026-03-01T12:00Z", "day:20260301", "2026-03-02T00:00Z"),
    ("day", "UTC", "2026-03-01T23:59:59.999999Z", "day:20260301", "2026-03-02T00:00Z"),
    ("day", "UTC", "2026-03-02T00:00Z", "day:20260302", "2026-03-03T00:00Z"),
    ("day", "Asia/Shanghai", "2026-03-01T15:59Z", "day:20260301", "2026-03-01T16:00Z"),
    ("day", "Asia/Shanghai", "2026-03-01T16:00Z", "day:20260302", "2026-03-02T16:00Z"),
    ("day", "Asia/Kathmandu", "2026-03-01T18:15Z", "day:20260302", "2026-03-02T18:15Z"),
    # 23 hours, 25 hours
    ("day", "Europe/Berlin", "2026-03-29T00:30Z", "day:20260329", "2026-03-29T22:00Z"),
    ("day", "Europe/Berlin", "2026-10-25T12:00Z", "day:20261025", "2026-10-25T23:00Z"),
    ("day", "America/New_York", "2026-03-08T05:00Z", "day:20260308", "2026-03-09T04:00Z"),
    ("day", "America/New_York", "2026-11-01T04:00Z", "day:20261101", "2026-11-02T05:00Z"),
    # half an hour of summer time; midnight that does not exist; midnight that comes twice; a day that never was
    ("day", "Australia/Lord_Howe", "2026-10-03T20:00Z", "day:20261004", "2026-10-04T13:00Z"),
    ("day", "Africa/Cairo", "2026-04-23T12:00Z", "day:20260423", "2026-04-23T22:00Z"),
    ("day", "America/Havana", "2026-11-01T04:30Z", "day:20261101", "2026-11-02T05:00Z"),
    ("day", "America/Havana", "2026-11-01T05:30Z", "day:20261101", "2026-11-02T05:00Z"),
    ("day", "Pacific/Apia", "2011-12-30T09:00Z", "day:20111229", "2011-12-30T10:00Z"),
    ("day", "Pacific/Apia", "2011-12-30T10:00Z", "day:20111231", "2011-12-31T10:00Z"),
    # weeks begin on Monday
    ("week", "UTC", "2026-11-20T12:00Z", "week:20261116", "2026-11-23T00:00Z"),
    ("week", "UTC", "2026-11-22T23:59Z", "week:20261116", "2026-11-23T00:00Z"),
    ("week", "UTC", "2026-11-23T00:00Z", "week:20261123", "2026-11-30T00:00Z"),
    ("week", "Europe/Berlin", "2026-10-25T23:30Z", "week:20261026", "2026-11-01T23:00Z"),
    ("week", "Europe/Berlin", "2026-10-25T22:30Z", "week:20261019", "2026-10-25T23:00Z"),
    ("week", "UTC", "2027-01-01T00:00Z", "week:20261228", "2027-01-04T00:00Z"),
    # months of every length
    ("month", "UTC", "2026-02-28T23:59Z", "month:20260201", "2026-03-01T00:00Z"),
    ("month", "UTC", "2028-02-29T12:00Z", "month:20280201", "2028-03-01T00:00Z"),
    ("month", "UTC", "2026-12-31T23:59Z", "month:20261201", "2027-01-01T00:00Z"),
    ("month", "America/New_York", "2026-11-01T03:59Z", "month:20261001", "2026-11-01T04:00Z"),
    ("month", "America/New_York", "2026-11-15T00:00Z", "month:20261101", "2026-12-01T05:00Z"),
]


@pytest.mark.parametrize(("per", "zone", "now", "name", "end"), WINDOWS)
def test_windows(per: str, zone: str, now: str, name: str, end: str) -> None:
    found, ends = window(calendar(per, zone), at(now))
    assert ends is not None
    assert (found, ends.astimezone(UTC)) == (name, at(end))


def test_total_never_ends() -> None:
    assert window(calendar("total", "UTC"), at("2026-01-01T00:00Z")) == ("total", None)


ZONES = sorted(
    zone for zone in available_timezones() if "/" in zone and not zone.startswith(("Etc/", "posix/", "right/"))
)
moments = st.floats(946_684_800, 2_082_758_400).map(lambda moment: datetime.fromtimestamp(moment, UTC))


@settings(max_examples=300)
@given(st.sampled_from(ZONES), st.sampled_from(["day", "week", "month"]), moments)
def test_windows_touch_and_do_not_overlap(zone: str, per: str, now: datetime) -> None:
    limit = calendar(per, zone)
    name, end = window(limit, now)
    assert end is not None
    assert now < end
    ends = end.astimezone(UTC)
    assert window(limit, ends - timedelta(microseconds=1))[0] == name
    assert window(limit, ends)[0] != name
    local = end.astimezone(ZoneInfo(zone))
    start = date.fromisoformat(name.partition(":")[2])
    assert start.weekday() == 0 or per != "week"
    assert start.day == 1 or per != "month"
    assert local.date() > start


def test_a_callers_limits_are_those_of_all_owners() -> None:
    found = all_of([("key", "key_1", [MINUTE]), ("user", "usr_1", []), ("tenant", "ten_1", [MINUTE])])
    assert [(limit.scope, limit.owner) for limit in found] == [("key", "key_1"), ("tenant", "ten_1")]


def test_described_as_written() -> None:
    for item in (MINUTE, {"type": "concurrency", "max": 5}, {**MINUTE, "models": ["a"], "platforms": ["claude"]}):
        assert {**item, "scope": "key"} == describe(parse([item])[0])
    daily = {"type": "requests", "per": "day", "max": 5, "timezone": "Asia/Tokyo", "scope": "key"}
    assert describe(calendar("day", "Asia/Tokyo")) == {**daily, "max": 1}
    assert describe(parse([{**BUDGET, "max": "20.50"}])[0]) == {
        "type": "budget", "per": "day", "max": "20.5", "timezone": "UTC", "scope": "key",
    }  # fmt: skip
