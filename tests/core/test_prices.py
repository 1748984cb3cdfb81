"""The shipped price table is sane and names models exactly; the sums are exact."""

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from gateway.core.prices import Price, Table, Tier, cost, shipped

TABLE = shipped()
TODAY = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()


class Count(Struct, frozen=True):
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0


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

    expected = of(plain, rate_in) + of(read, rate_read) + of(short, rate_short) + of(long, rate_long)
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
