"""Counters: named by owner and by what they count, right at every window's edge."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.counters import BUCKETS, counter
from gateway.core.domain import Limit
from gateway.core.limits import parse, window

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()


def limit(owner: str = "key_1", **fields) -> Limit:
    return parse([{"type": "requests", "per": "minute", "max": 60, **fields}], owner=owner)[0]


@pytest.mark.parametrize(
    ("per", "span"),
    [("minute", 60_000), ("hour", 3_600_000), ({"rolling": "1s"}, 1000), ({"rolling": "7d"}, 604_800_000)],
)
def test_sliding(per, span: int) -> None:
    found = counter(limit(per=per), NOW)
    assert (found.kind, found.span, found.name[:8]) == ("S", span, "w:key_1:")


def test_concurrency() -> None:
    found = counter(parse([{"type": "concurrency", "max": 5}], owner="usr_1")[0], NOW)
    assert (found.kind, found.span, found.name[:8]) == ("C", 0, "c:usr_1:")


@pytest.mark.parametrize("per", ["day", "week", "month"])
def test_calendar(per: str) -> None:
    found = counter(limit(per=per), NOW)
    name, end = window(limit(per=per), datetime.fromtimestamp(NOW, UTC))
    assert end is not None
    assert (found.kind, found.span) == ("D", end.timestamp() * 1000)
    assert found.name.startswith("d:key_1:")
    assert found.name.endswith(name)


def test_total() -> None:
    found = counter(limit(per="total"), NOW)
    assert (found.kind, found.span) == ("D", 0)
    assert found == counter(limit(per="total"), NOW + 1e9)


SAME = [
    ({"max": 5}, {"max": 500}),
    ({"models": ["a", "b"]}, {"models": ["b", "a"]}),
    ({}, {"on_limiter_failure": "closed"}),
]
OTHER = [
    ({}, {"per": "hour"}), ({}, {"models": ["a"]}), ({"models": ["a"]}, {"platforms": ["a"]}),
    ({"models": ["a", "b"]}, {"models": ["a"], "platforms": ["b"]}), ({"models": ["ab"]}, {"models": ["a", "b"]}),
    ({"per": "day"}, {"per": "day", "timezone": "Asia/Tokyo"}), ({"per": {"rolling": "60s"}}, {"per": "minute"}),
    ({}, {"owner": "key_2"}),
]  # fmt: skip


@pytest.mark.parametrize(("one", "two"), SAME)
def test_a_changed_maximum_keeps_the_count(one, two) -> None:
    assert counter(limit(**one), NOW).name == counter(limit(**two), NOW).name


@pytest.mark.parametrize(("one", "two"), OTHER)
def test_other_things_are_counted_apart(one, two) -> None:
    assert counter(limit(**one), NOW).name != counter(limit(**two), NOW).name


ZONES = [
    "UTC",
    "Asia/Kolkata",
    "Pacific/Kiritimati",
    "Pacific/Niue",
    "Africa/Cairo",
    "America/St_Johns",
    "Pacific/Apia",
]


@settings(max_examples=300)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(["day", "week", "month"]),
    st.floats(1_300_000_000, 2_000_000_000),
)
def test_the_window_looked_up_is_the_window(zone: str, per: str, now: float) -> None:
    one = limit(per=per, timezone=zone)
    name, end = window(one, datetime.fromtimestamp(now, UTC))
    assert end is not None
    found = counter(one, now)
    assert found.name.endswith(name)
    assert found.span == int(end.timestamp() * 1000)
    assert counter(one, end.timestamp()).name != found.name


@given(st.integers(1, 1 << 36), st.integers(1_500_000_000_000, 4_102_444_800_000))
def test_buckets_are_exact_in_doubles(span: int, now: int) -> None:
    """As the script computes them: Lua's numbers are doubles."""
    bucket = now * BUCKETS // span
    assert int((now * BUCKETS * 1.0) // 1 / span // 1) == bucket
    leaves = -(-(bucket + 61) * span // BUCKETS)
    assert span <= leaves - now <= span + -(-span // BUCKETS)
