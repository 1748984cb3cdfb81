"""Counters: named by owner and by what they count, right at every window's edge."""

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.counters import BUCKETS, Charge, Taking, amount_of, counter, distinct, read, written
from gateway.core.domain import Limit
from gateway.core.ledger import Row
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
    ({"type": "tokens"}, {"type": "tokens", "reserve": "worst", "max": 9}),
    ({"type": "budget", "max": "1"}, {"type": "budget", "max": "2.5", "on_limiter_failure": "open"}),
]
OTHER = [
    ({}, {"per": "hour"}), ({}, {"models": ["a"]}), ({"models": ["a"]}, {"platforms": ["a"]}),
    ({"models": ["a", "b"]}, {"models": ["a"], "platforms": ["b"]}), ({"models": ["ab"]}, {"models": ["a", "b"]}),
    ({"per": "day"}, {"per": "day", "timezone": "Asia/Tokyo"}), ({"per": {"rolling": "60s"}}, {"per": "minute"}),
    ({}, {"owner": "key_2"}),
    *(({"type": one}, {"type": two}) for one, two in itertools.combinations(
        ("requests", "tokens", "input_tokens", "output_tokens", "budget"), 2)),
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


# What a request counts


def used(**fields: int | None) -> Row:
    return Row("req_1", 1.0, "ten_1", "key_1", "anthropic", "/v1/messages", "m", False, **fields)  # type: ignore[arg-type]


FULL = {
    "input_tokens": 1, "cache_read_tokens": 10, "cache_write_5m_tokens": 100, "cache_write_1h_tokens": 1000,
    "output_tokens": 10_000, "reasoning_tokens": 7, "cost": 123,
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (FULL, {"requests": 1, "tokens": 11_111, "input_tokens": 1101, "output_tokens": 10_000, "budget": 123}),
        ({}, {"requests": 1, "tokens": 0, "input_tokens": 0, "output_tokens": 0, "budget": 0}),
        ({"cost": None, "cache_read_tokens": 9}, {"requests": 1, "tokens": 9, "input_tokens": 0, "budget": 0}),
    ],
)
def test_what_a_row_counts_under_each_type(row: Mapping[str, int | None], expected: Mapping[str, int]) -> None:
    assert {kind: amount_of(kind, used(**row)) for kind in expected} == expected


@pytest.mark.parametrize(
    ("row", "of_account", "expected"),
    [
        ({"cost": 300, "base_cost": 100}, True, 100),
        ({"cost": 300, "base_cost": 100}, False, 300),
        ({"cost": 0, "base_cost": 100}, True, 100),
        ({"cost": 300}, True, 300),
        ({}, True, 0),
    ],
)
def test_the_budget_of_an_account_knows_no_multiplier(row: Mapping[str, int], of_account: bool, expected: int) -> None:
    assert amount_of("budget", used(**row), of_account=of_account) == expected
    assert amount_of("tokens", used(**row), of_account=of_account) == 0


# Charges


charges = st.builds(
    Charge,
    st.sampled_from(("S", "D")),
    st.sampled_from([counter(limit(type="tokens", per=per, max=9), NOW).name for per in ("minute", "day", "total")]),
    st.integers(1, 1 << 47),
    st.integers(0, 1 << 43),
    st.integers(-(1 << 53), 1 << 53),
)


@pytest.mark.parametrize(("owner", "of_account"), [("acct_1", True), ("key_1", False), ("usr_1/ten_1", False)])
def test_a_charge_knows_whose_limit_it_is(owner: str, of_account: bool) -> None:
    one = counter(limit(owner, type="budget", per="day", max="1"), NOW)
    (charge,) = read(Taking(one, 5, 1).charge(9))
    assert (charge.of_account, charge.type, charge.name) == (of_account, "budget", one.name)


@given(st.lists(charges, max_size=5))
def test_charges_are_read_as_they_were_written(found: list[Charge]) -> None:
    assert list(read(written(found))) == found
    assert {one.type for one in found} <= {"tokens"}


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "S w:k:tokens:minute:x 60000 1",
        "S w:k:tokens:minute:x 60000 1 2 3",
        "S w:k:tokens:minute:x 60000 1 many",
        "S w:k:tokens:minute:x 60000 1.5 2",
        "S w:k:tokens:minute:x 0 1 2",
        "S w:k:tokens:minute:x -5 1 2",
        "D d:k:tokens:day:x -1 1 2",
        "C c:k:concurrency::x 0 1 1",
        "S w:k:tokens 60000 1 2",
        "S w 60000 1 2",
    ],
)
def test_what_is_no_charge_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # of any message: the row is set aside
        list(read(text))


def test_a_charge_knows_its_bucket_and_its_limits_type() -> None:
    one = counter(limit(type="output_tokens", per={"rolling": "5h"}), NOW)
    (charge,) = read(Taking(one, 5, 1_790_000_000_123).charge(9))
    assert (charge.kind, charge.name, charge.span, charge.at, charge.amount) == (
        "S", one.name, 18_000_000, 1_790_000_000_123, 9,
    )  # fmt: skip
    assert (charge.type, charge.bucket) == ("output_tokens", 1_790_000_000_123 * 60 // 18_000_000)
    (day,) = read(Taking(counter(limit(type="budget", per="day", max="1"), NOW), 5, 1_790_000_000_123).charge(9))
    assert (day.kind, day.type, day.bucket) == ("D", "budget", 0)


def test_the_first_of_each_name_is_what_counts() -> None:
    first, same, other = (
        Taking(counter(limit(max=most, per=per), NOW), most, 0)
        for most, per in ((5, "minute"), (9, "minute"), (7, "hour"))
    )
    assert distinct([first, other, same, other]) == [first, other]
