"""The shipped price table is sane and names models exactly; the sums are exact."""

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from gateway.core.prices import (
    ALWAYS,
    CLASSES,
    InvalidPrice,
    Price,
    Table,
    Tier,
    check,
    cost,
    history,
    layers,
    max_output,
    plain,
    priced,
    product,
    shipped,
    stacked,
)
from gateway.platforms import PLATFORMS

TABLE = shipped()
TODAY = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()


class Count(Struct, frozen=True):
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


MILLION_IN = Count(input_tokens=1_000_000)
MILLION_OUT = Count(output_tokens=1_000_000)


def dollars(platform: str, model: str, tokens: Count, at: float = TODAY) -> Decimal | None:
    amount = cost(TABLE, platform, model, at, tokens)
    return None if amount is None else Decimal(amount).scaleb(-9)


def table(*prices: Price) -> Table:
    return Table(version="test", currency="USD", prices=prices)


def test_the_table_is_dated() -> None:
    assert TABLE.version == "2026-11-20"
    assert TABLE.currency == "USD"


@pytest.mark.parametrize("price", TABLE.prices, ids=lambda price: f"{price.platforms[0]}:{price.model}:{price.since}")
def test_every_row_is_sane(price: Price) -> None:
    assert price.platforms
    assert "*" not in price.platforms, "the same name may cost something else at another platform"
    assert not price.model.rstrip("*").endswith("-"), "a pattern must not take a whole family"
    embedding = "embedding" in price.model
    for rates in (price, *price.tiers):
        assert 0 < rates.input <= Decimal(150)
        assert rates.output == 0 if embedding else rates.output > rates.input
        if rates.cache_read is not None:
            assert 0 < rates.cache_read < rates.input
        if rates.cache_write_5m is not None:
            assert rates.cache_write_5m == rates.input * Decimal("1.25") or "claude-3-haiku" in price.model
        if rates.cache_write_1h is not None and rates.cache_write_5m is not None:
            assert rates.cache_write_1h > rates.cache_write_5m
    limits = [tier.above for tier in price.tiers]
    assert limits == sorted(set(limits))
    assert all(tier.input >= price.input and tier.output >= price.output for tier in price.tiers)
    for tier in price.tiers:
        # Whatever has a price of its own below the limit has one above it: nothing falls back to the full input price.
        for name in ("cache_read", "cache_write_5m", "cache_write_1h"):
            assert (getattr(tier, name) is None) == (getattr(price, name) is None)


def test_no_row_is_there_twice() -> None:
    keys = [(price.model, platform, price.since) for price in TABLE.prices for platform in price.platforms]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("platform", "model", "per_million_in", "per_million_out"),
    [
        ("claude-official", "claude-sonnet-4-5", "3", "15"),
        ("claude-official", "claude-sonnet-4-5-20250929", "3", "15"),
        ("claude-console", "claude-haiku-4-5-20251001", "1", "5"),
        ("claude-console", "claude-3-5-haiku-latest", "0.8", "4"),
        ("claude-ccr", "claude-opus-4-5-20251101", "5", "25"),
        ("claude-official", "claude-opus-4-1-20250805", "15", "75"),
        ("claude-official", "claude-opus-4-20250514", "15", "75"),
        ("vertex", "claude-sonnet-4-5@20250929", "3", "15"),
        ("vertex", "claude-3-5-sonnet-v2@20241022", "3", "15"),
        ("bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0", "3", "15"),
        ("bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0", "3", "15"),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "3.3", "16.5"),
        ("bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", "3", "15"),
        ("bedrock", "apac.anthropic.claude-sonnet-4-20250514-v1:0", "3", "15"),
        ("bedrock", "anthropic.claude-opus-4-6-v1", "5.5", "27.5"),
        ("openai", "gpt-4o", "2.5", "10"),
        ("openai", "gpt-4o-2024-08-06", "2.5", "10"),
        ("openai", "gpt-4o-mini-2024-07-18", "0.15", "0.6"),
        ("azure-openai", "gpt-4.1-2025-04-14", "2", "8"),
        ("openai-responses", "gpt-5-2025-08-07", "1.25", "10"),
        ("openai-responses", "gpt-5.1-codex-mini", "0.25", "2"),
        ("openai", "o3", "2", "8"),
        ("openai", "text-embedding-3-small", "0.02", "0"),
        ("gemini", "gemini-2.5-flash", "0.3", "2.5"),
        ("gemini", "gemini-2.0-flash-001", "0.1", "0.4"),
        ("gemini", "gemini-embedding-001", "0.15", "0"),
    ],
)
def test_known_models(platform: str, model: str, per_million_in: str, per_million_out: str) -> None:
    assert dollars(platform, model, MILLION_IN) == Decimal(per_million_in)
    assert dollars(platform, model, MILLION_OUT) == Decimal(per_million_out)


@pytest.mark.parametrize(
    ("platform", "model"),
    [
        ("claude-official", "claude-unheard-of"),
        ("claude-official", "claude-sonnet-4-5-fast"),
        ("claude-official", "claude-sonnet-4-5@20250929"),
        ("claude-official", "gpt-4o"),
        ("claude-official", ""),
        ("bedrock", "claude-sonnet-4-5"),
        ("bedrock", "us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("vertex", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("openai", "gpt-4o-audio-preview"),
        ("openai", "gpt-4o-mini-realtime-preview-2024-12-17"),
        ("openai", "gpt-4o-2024-05-13"),
        ("openai", "gpt-4o-search-preview"),
        ("openai", "gpt-5-image"),
        ("openai", "GPT-4o"),
        ("openai", "llama-3.3-70b"),
        ("openai", "claude-sonnet-4-5"),
        ("gemini", "gemini-2.5-flash-image"),
        ("gemini", "gemini-2.5-pro-preview-tts"),
        ("gemini", "gemini-2.5-flash-native-audio-preview-12-2025"),
        ("gemini", "gemini-9"),
        ("sandbox", "gpt-4o"),
    ],
)
def test_what_is_not_known_has_no_price(platform: str, model: str) -> None:
    assert dollars(platform, model, MILLION_IN) is None


@pytest.mark.parametrize(
    ("platform", "model", "limit", "below", "above"),
    [
        ("gemini", "gemini-2.5-pro", 200_000, "1.25", "2.5"),
        ("gemini", "gemini-3.1-pro-preview", 200_000, "2", "4"),
        ("gemini", "gemini-1.5-pro-002", 128_000, "1.25", "2.5"),
        ("claude-official", "claude-haiku-5-5", 100_000, "0.1", "0.5"),
        ("openai", "gpt-5.4", 272_000, "2.5", "5"),
    ],
)
def test_a_long_prompt_costs_more_as_a_whole(platform: str, model: str, limit: int, below: str, above: str) -> None:
    assert dollars(platform, model, Count(input_tokens=limit)) == Decimal(below) * limit / 1_000_000
    assert dollars(platform, model, Count(input_tokens=limit + 1)) == Decimal(above) * (limit + 1) / 1_000_000


@pytest.mark.parametrize("name", ["cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"])
def test_caches_count_for_the_tier_and_output_does_not(name: str) -> None:
    price = Price("m", Decimal(1), Decimal(2), tiers=(Tier(100, Decimal(10), Decimal(20)),))
    long = Count(input_tokens=1, output_tokens=1, **{name: 100})
    assert cost(table(price), "p", "m", TODAY, long) == (101 * 10 + 20) * 1000
    assert cost(table(price), "p", "m", TODAY, Count(input_tokens=1, output_tokens=1000)) == 2001 * 1000


def test_the_highest_tier_passed_counts() -> None:
    tiers = (Tier(10, Decimal(2), Decimal(2)), Tier(20, Decimal(3), Decimal(3)))
    price = Price("m", Decimal(1), Decimal(1), tiers=tiers)
    for prompt, rate in ((10, 1), (11, 2), (20, 2), (21, 3)):
        assert cost(table(price), "p", "m", TODAY, Count(input_tokens=prompt)) == prompt * rate * 1000


def test_a_price_holds_from_its_day_on() -> None:
    old = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
    new = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    assert dollars("gemini", "gemini-3.8-flash", MILLION_IN, old) == Decimal("0.75")
    assert dollars("gemini", "gemini-3.8-flash", MILLION_IN, new) == Decimal("1.5")
    only_later = table(Price("m", Decimal(1), Decimal(1), since=date(2027, 1, 1)))
    assert cost(only_later, "p", "m", old, MILLION_IN) is None


def test_the_more_exact_pattern_counts() -> None:
    prices = table(Price("model-x", Decimal(3), Decimal(3)), Price("model-*", Decimal(1), Decimal(1)))
    assert cost(prices, "p", "model-x", TODAY, MILLION_IN) == 3 * 10**9
    assert cost(prices, "p", "model-y", TODAY, MILLION_IN) == 10**9


def test_a_request_may_cost_something_by_itself() -> None:
    price = Price("m", Decimal(1), Decimal(1), per_request=Decimal("0.005"))
    assert cost(table(price), "p", "m", TODAY, Count()) == 5_000_000


def test_nothing_used_costs_nothing_and_is_not_unpriced() -> None:
    assert cost(TABLE, "openai", "gpt-4o", TODAY, Count()) == 0


_tokens = st.integers(0, 10**9)
_rate = st.decimals(0, 1000, places=6, allow_nan=False, allow_infinity=False)
_optional = st.none() | _rate
_multiplier = st.decimals(0, 100, places=4, allow_nan=False, allow_infinity=False).map(str)


@given(
    counts=st.tuples(_tokens, _tokens, _tokens, _tokens, _tokens),
    rates=st.tuples(_rate, _rate, _optional, _optional, _optional),
    per_request=_rate,
    multiplier=_multiplier,
)
def test_sums_are_exact_and_rounded_half_even(
    counts: tuple[int, int, int, int, int],
    rates: tuple[Decimal, Decimal, Decimal | None, Decimal | None, Decimal | None],
    per_request: Decimal,
    multiplier: str,
) -> None:
    plain, read, short, long, out = counts
    rate_in, rate_out, rate_read, rate_short, rate_long = rates
    price = Price(
        "m",
        rate_in,
        rate_out,
        cache_read=rate_read,
        cache_write_5m=rate_short,
        cache_write_1h=rate_long,
        per_request=per_request,
    )

    def of(count: int, rate: Decimal | None) -> Fraction:
        return count * Fraction(rate_in if rate is None else rate) / 1_000_000

    expected = of(plain, rate_in) + of(read, rate_read) + of(short, rate_short)
    expected += of(long, rate_short if rate_long is None else rate_long)
    expected += of(out, rate_out) + Fraction(per_request)
    found = cost(table(price), "p", "m", TODAY, Count(plain, read, short, long, out), multiplier)
    # Fraction rounds half to even, exactly; the multiplier is in it once.
    assert found == round(expected * Fraction(multiplier) * 10**9)


@pytest.mark.parametrize(("output", "expected"), [(1, 0), (3, 2), (5, 2), (7, 4)])
def test_halves_go_to_the_even_neighbour(output: int, expected: int) -> None:
    price = Price("m", Decimal("0.0005"), Decimal("0.0005"))
    assert cost(table(price), "p", "m", TODAY, Count(output_tokens=output)) == expected


def test_the_multiplier_applies_once_to_everything() -> None:
    price = Price("m", Decimal(1), Decimal(2), per_request=Decimal("0.01"))
    count = Count(input_tokens=1_000_000, output_tokens=1_000_000)
    assert cost(table(price), "p", "m", TODAY, count) == 3_010_000_000
    assert cost(table(price), "p", "m", TODAY, count, "1.5") == 4_515_000_000
    assert cost(table(price), "p", "m", TODAY, count, "0") == 0


def test_the_shipped_table_passes_its_own_check() -> None:
    for price in TABLE.prices:
        check(price)
    assert {price.reasoning for price in TABLE.prices} == {None}


def test_every_shipped_platform_is_one_of_ours() -> None:
    """`vertex*` is a name that accounts of `gemini` do not have: it never stands alone."""
    for price in TABLE.prices:
        assert (
            any(cost(TABLE, name, price.model, TODAY, Count()) is not None for name in PLATFORMS) or "[" in price.model
        )
        assert set(price.platforms) != {"vertex*"}


# Reasoning


def test_reasoning_has_its_own_price_within_the_output() -> None:
    price = Price("m", Decimal(1), Decimal(2), reasoning=Decimal(5), tiers=(Tier(10, Decimal(1), Decimal(2)),))
    assert cost(table(price), "p", "m", TODAY, Count(output_tokens=10, reasoning_tokens=4)) == (6 * 2 + 4 * 5) * 1000
    assert cost(table(price), "p", "m", TODAY, Count(output_tokens=3, reasoning_tokens=4)) == 3 * 5 * 1000
    # A tier whose output costs the same, and one whose output costs twice as much.
    assert cost(table(price), "p", "m", TODAY, Count(11, output_tokens=10, reasoning_tokens=4)) == (11 + 32) * 1000
    double = Price("m", Decimal(1), Decimal(2), reasoning=Decimal(5), tiers=(Tier(10, Decimal(1), Decimal(4)),))
    assert cost(table(double), "p", "m", TODAY, Count(11, output_tokens=10, reasoning_tokens=4)) == (11 + 64) * 1000
    cheap = Price("m", Decimal(1), Decimal(2), reasoning=Decimal(0))
    assert cost(table(cheap), "p", "m", TODAY, Count(output_tokens=10, reasoning_tokens=4)) == 12 * 1000
    without = Price("m", Decimal(1), Decimal(2))
    assert cost(table(without), "p", "m", TODAY, Count(output_tokens=10, reasoning_tokens=4)) == 20 * 1000


_rates = st.fixed_dictionaries(
    {"input": _rate, "output": _rate},
    optional=dict.fromkeys(("cache_read", "cache_write_5m", "cache_write_1h", "reasoning"), _optional),
)


@given(
    rates=_rates, above=_rates, limit=st.integers(1, 10**6), counts=st.tuples(*[st.integers(0, 10**6)] * 6),
    per_request=_rate, multiplier=_multiplier,
)  # fmt: skip
def test_the_whole_is_the_sum_of_its_parts(
    rates: dict[str, Any], above: dict[str, Any], limit: int, counts: tuple[int, ...], per_request: Decimal,
    multiplier: str,
) -> None:  # fmt: skip
    fresh, read, short, long, output, thought = counts
    price = Price("m", per_request=per_request, tiers=(Tier(limit, **above),), **rates)
    used = above if fresh + read + short + long > limit else rates
    thought = min(thought, output)

    def of(name: str, like: str = "input") -> Fraction | None:
        """Of a class that the tier does not name, by how much more it costs what it is like."""
        own, below = used.get(name), rates.get(name)
        if own is not None or below is None:
            return None if own is None else Fraction(own)
        more = Fraction(used[like]) / Fraction(rates[like]) if rates[like] else 1
        return min(Fraction(below) * more, Fraction(1_000_000))

    short_rate = of("cache_write_5m")
    long_rate = of("cache_write_1h")
    parts = [
        (fresh, used["input"]), (read, of("cache_read")), (short, short_rate),
        (long, short_rate if long_rate is None else long_rate),
    ]  # fmt: skip
    exact = sum((count * Fraction(used["input"] if rate is None else rate) for count, rate in parts), Fraction(0))
    of_thought = of("reasoning", "output")
    exact += (output - thought) * Fraction(used["output"])
    exact += thought * Fraction(used["output"] if of_thought is None else of_thought)
    exact = (exact / 1_000_000 + Fraction(per_request)) * Fraction(multiplier) * 10**9
    found = cost(table(price), "p", "m", TODAY, Count(fresh, read, short, long, output, counts[5]), multiplier)
    assert found == round(exact)


CACHES = ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")


@pytest.mark.parametrize(
    ("named", "tier", "below", "above"),
    [
        # below and above: what a token costs that is read from a cache, written for 5 minutes, for an hour.
        ({}, {}, (4, 4, 4), (8, 8, 8)),
        ({"cache_write_5m": 5}, {}, (4, 5, 5), (8, 10, 10)),
        ({"cache_write_1h": 6}, {}, (4, 4, 6), (8, 8, 12)),
        ({"cache_read": 1, "cache_write_5m": 5, "cache_write_1h": 8}, {}, (1, 5, 8), (2, 10, 16)),
        ({"cache_read": 1, "cache_write_5m": 5}, {"cache_read": 3}, (1, 5, 5), (3, 10, 10)),
        ({"cache_read": 0}, {"cache_write_5m": 9}, (0, 4, 4), (0, 9, 9)),
        ({"cache_write_5m": 5, "cache_write_1h": 8}, {"cache_write_5m": 9}, (4, 5, 8), (8, 9, 16)),
    ],
)
def test_a_class_without_a_price(
    named: dict[str, int], tier: dict[str, int], below: tuple[int, ...], above: tuple[int, ...]
) -> None:
    """The 1-hour write is like the 5-minute one, and a tier keeps the proportion to the input."""
    more = Tier(100, Decimal(8), Decimal(2), **{name: Decimal(value) for name, value in tier.items()})
    rates = {name: Decimal(value) for name, value in named.items()}
    price = table(Price("m", Decimal(4), Decimal(1), tiers=(more,), **rates))
    for name, low, high in zip(CACHES, below, above, strict=True):
        assert cost(price, "p", "m", TODAY, Count(**{name: 1})) == low * 1000
        assert cost(price, "p", "m", TODAY, Count(input_tokens=200, **{name: 1})) == (200 * 8 + high) * 1000


def test_a_tier_above_what_is_free_keeps_the_price_below() -> None:
    price = table(Price("m", Decimal(0), Decimal(1), cache_read=Decimal(3), tiers=(Tier(1, Decimal(8), Decimal(1)),)))
    assert cost(price, "p", "m", TODAY, Count(input_tokens=2, cache_read_tokens=1)) == (16 + 3) * 1000


# Versions on top of each other

DAY = 86_400.0


def version(name: str, effective_at: float, *prices: Price) -> Table:
    return Table(name, "USD", prices, f"prv_{name}", effective_at, "manual")


def flat(model: str, amount: int, *platforms: str, **more: Any) -> Price:
    return Price(model, Decimal(amount), Decimal(amount), platforms or ("*",), **more)


def said(of: Table, model: str, at: float = TODAY, platform: str = "p", **more: Any) -> tuple[int, str] | None:
    found = priced(of, platform, (model,), at, Count(input_tokens=1000), **more)
    return found and (found[0] // 1_000_000, found[1])


def test_a_version_wins_for_what_it_names_from_its_moment_on() -> None:
    base = table(flat("a", 1), flat("b", 1))
    stack = stacked(base, [version("one", TODAY, flat("a", 2)), version("two", TODAY + DAY, flat("a", 3, "p"))])
    assert [layer.version for layer in layers(stack)] == ["two", "one", "test"]
    assert said(stack, "a", TODAY - 1) == (1, "test")
    assert said(stack, "a", TODAY) == (2, "one")
    assert said(stack, "a", TODAY + DAY - 0.001) == (2, "one")
    assert said(stack, "a", TODAY + DAY) == (3, "two")
    assert said(stack, "a", TODAY + DAY, platform="q") == (2, "one")
    assert said(stack, "b", TODAY + DAY) == (1, "test")
    assert said(stack, "c", TODAY + DAY) is None


def test_a_newer_pattern_wins_over_an_older_name() -> None:
    stack = stacked(table(flat("model-x", 1)), [version("one", TODAY, flat("model-*", 2))])
    assert said(stack, "model-x") == (2, "one")


def test_prices_of_the_base_begin_while_a_version_stands_on_it() -> None:
    new = flat("a", 5, since=date(2026, 11, 21))
    stack = stacked(table(flat("a", 1), new), [version("one", TODAY + 2 * DAY, flat("a", 9))])
    found = history(stack, "p", "a")
    assert [(one.table.version, one.price.input) for one in found] == [("one", 9), ("test", 5), ("test", 1)]
    assert [one.since for one in found] == [
        TODAY + 2 * DAY, datetime(2026, 11, 21, tzinfo=UTC).timestamp(), datetime(2000, 1, 1, tzinfo=UTC).timestamp()
    ]  # fmt: skip
    hidden = stacked(table(flat("a", 1), new), [version("one", TODAY, flat("a", 9))])
    assert [one.price.input for one in history(hidden, "p", "a")] == [9, 1]


def test_a_new_stack_forgets_what_the_old_one_said() -> None:
    base = table(flat("a", 1))
    first = stacked(base, [version("one", TODAY, flat("a", 2))])
    assert said(first, "a") == (2, "one")
    assert said(stacked(base, []), "a") == (1, "test")
    assert said(first, "a") == (2, "one")
    assert stacked(base, []) is base


def test_prices_that_repeat_are_kept_once() -> None:
    versions = [version(str(n), TODAY + n, flat("a", 2), flat("b", n)) for n in range(3)]
    top, middle, lowest, _ = layers(stacked(table(), versions))
    assert top.prices[0] is middle.prices[0] is lowest.prices[0]


def test_the_first_name_that_has_a_price_says_it() -> None:
    of = table(flat("asked", 1), flat("used", 2))
    count = Count(input_tokens=1)
    assert priced(of, "p", ("used", "asked"), TODAY, count) == (2000, "test")
    assert priced(of, "p", ("deployment", "asked"), TODAY, count) == (1000, "test")
    assert priced(of, "p", ("deployment", "other"), TODAY, count) is None
    assert priced(of, "p", (), TODAY, count) is None


def test_a_price_that_comes_later() -> None:
    """The first that came, and not before it holds; what was in force goes before it."""
    stack = stacked(table(), [version("one", TODAY, flat("a", 2)), version("two", TODAY + DAY, flat("a", 3))])
    assert said(stack, "a", TODAY - 5) is None
    assert said(stack, "a", TODAY - 5, until=TODAY - 1) is None
    assert said(stack, "a", TODAY - 5, until=TODAY) == (2, "one")
    assert said(stack, "a", TODAY - 5, until=TODAY + 9 * DAY) == (2, "one")
    assert said(stack, "a", TODAY + DAY, until=TODAY + 9 * DAY) == (3, "two")
    assert said(stack, "x", TODAY - 5, until=TODAY + 9 * DAY) is None


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab*"), st.integers(1, 9)), max_size=6), st.integers(-1, 6)
)
def test_what_is_in_force_is_the_newest_that_names_it(made: list[tuple[int, str, int]], at: int) -> None:
    versions = sorted(
        (version(str(n), TODAY + moment, flat(model, amount)) for n, (moment, model, amount) in enumerate(made)),
        key=lambda one: one.effective_at,
    )
    stack = stacked(table(flat("a", 10)), versions)
    expected: tuple[int, str] | None = (10, "test")
    for one in versions:
        if one.effective_at <= TODAY + at and one.prices[0].model in ("a", "*"):
            expected = (int(one.prices[0].input), one.version)
    assert said(stack, "a", TODAY + at) == expected


# The most that a model can write


@pytest.mark.parametrize(
    ("platform", "model", "most"),
    [
        ("claude-official", "claude-sonnet-4-5-20250929", 64_000),
        ("claude-official", "claude-3-haiku-20240307", 4_096),
        ("bedrock", "us.anthropic.claude-opus-4-1-20250805-v1:0", 32_000),
        ("openai", "gpt-4o-2024-08-06", 16_384),
        ("azure-openai", "o3-mini", 100_000),
        ("openai-responses", "gpt-5-codex", 128_000),
        ("gemini", "gemini-2.5-pro", 65_536),
        ("openai", "text-embedding-3-small", None),
        ("openai", "no-such-model", None),
        ("gemini", "gpt-4o", None),
    ],
)
def test_known_maxima(platform: str, model: str, most: int | None) -> None:
    assert max_output(TABLE, platform, model) == most


def test_a_version_without_a_maximum_leaves_the_one_beneath() -> None:
    base = table(flat("a", 1, max_output=100))
    assert max_output(stacked(base, [version("one", TODAY, flat("a", 2))]), "p", "a") == 100
    assert max_output(stacked(base, [version("one", TODAY, flat("a", 2, max_output=7))]), "p", "a") == 7


# What cannot be


@pytest.mark.parametrize(
    ("price", "field"),
    [
        (flat("", 1), "model"),
        (flat("x" * 501, 1), "model"),
        (Price("m", Decimal(1), Decimal(1), ()), "platforms"),
        (Price("m", Decimal(1), Decimal(1), ("",)), "platforms"),
        (Price("m", Decimal(-1), Decimal(1)), "input"),
        (Price("m", Decimal(1), Decimal("NaN")), "output"),
        (Price("m", Decimal(1), Decimal("Infinity")), "output"),
        (Price("m", Decimal(1), Decimal("1000000.1")), "output"),
        (Price("m", Decimal(1), Decimal("1E-19")), "output"),
        (Price("m", Decimal(1), Decimal("1E-999999")), "output"),
        (flat("m", 1, reasoning=Decimal(-1)), "reasoning"),
        (flat("m", 1, per_request=Decimal(-1)), "per_request"),
        (flat("m", 1, max_output=0), "max_output"),
        (flat("m", 1, tiers=(Tier(5, Decimal(1), Decimal(-1)),)), "tiers[0].output"),
        (flat("m", 1, tiers=(Tier(5, Decimal(1), Decimal(1)), Tier(5, Decimal(1), Decimal(1)))), "tiers"),
        (flat("m", 1, tiers=(Tier(0, Decimal(1), Decimal(1)),)), "tiers"),
    ],
)
def test_a_price_that_cannot_be_is_refused_by_its_member(price: Price, field: str) -> None:
    with pytest.raises(InvalidPrice) as refused:
        check(price)
    assert refused.value.field == field


@given(st.decimals(0, 1000, places=9), st.decimals(0, 1000, places=9))
def test_multipliers_multiply_exactly(key: Decimal, tenant: Decimal) -> None:
    assert Fraction(product(plain(key), plain(tenant))) == Fraction(key) * Fraction(tenant)
    assert product() == "1"


def test_the_classes_are_those_of_price_and_tier() -> None:
    assert set(CLASSES) <= set(Price.__struct_fields__)
    assert set(CLASSES) == set(Tier.__struct_fields__) - {"above"}
    assert Price("m", Decimal(1), Decimal(1)).since == ALWAYS
