"""LiteLLM's list: each entry becomes a price or is named with the reason, and no amount goes through a float."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.litellm import Imported, InvalidFile, read
from gateway.core.prices import CLASSES, Price, Table, check, cost
from gateway.protocols.codec import Usage

GOLDENS = Path(__file__).parents[1] / "goldens"
CHAT = {"litellm_provider": "openai", "mode": "chat"}


def one(**members: Any) -> Imported:
    """A file with one entry; numbers are written as Python writes floats, as LiteLLM does."""
    return read(json.dumps({"m": {**CHAT, **members}}).encode())


def test_every_form_of_entry():
    found = json.loads(msgspec.json.encode(read((GOLDENS / "litellm.json").read_bytes())))
    assert found == json.loads((GOLDENS / "litellm.expected.json").read_text())


def test_nothing_is_silently_left_out():
    data = (GOLDENS / "litellm.json").read_bytes()
    found = read(data)
    told = {one.model for one in (*found.same, *found.skipped)}
    named = {price.model for price in found.prices}
    for entry in json.loads(data):
        last = entry.rpartition("/")[2].replace("[", "[[]")
        assert entry in told or any(last in name for name in named), entry
    assert found.entries == len(json.loads(data))
    for price in found.prices:
        check(price)


@given(st.decimals(0, 1, places=12, allow_nan=False, allow_infinity=False), st.booleans())
def test_amounts_are_read_as_they_are_written(amount: Decimal, exponent: bool):
    written = f"{amount:e}" if exponent else f"{amount:f}"
    data = (
        f'{{"m": {{"litellm_provider": "openai", "input_cost_per_token": {written}, "output_cost_per_token": 1e-6}}}}'
    )
    (price,) = read(data.encode()).prices
    assert price.input == amount * 1_000_000
    assert "E" not in str(price.input)


def test_a_float_would_be_wrong():
    """0.1 + 0.2 of floats is not 0.3; three tokens at 1e-7 are exactly 3e-7."""
    (price,) = one(input_cost_per_token=1e-7, output_cost_per_token=3.3e-7).prices
    table = Table("t", "USD", (price,))
    assert cost(table, "openai", "m", 0x7000_0000, Usage(input_tokens=3, output_tokens=1)) == 630


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"{", b'{"m": NaN}', b"\xff", b"[" * 100_000, b'"m"', b"1e9999999999"]
)
def test_what_is_no_list_is_refused(data: bytes):
    with pytest.raises(InvalidFile):
        read(data)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"output_cost_per_token": 1e-6}, "no input_cost_per_token"),
        ({"input_cost_per_token": 1e-6}, "no output_cost_per_token"),
        ({"input_cost_per_token": 1e-6, "output_cost_per_token": [1]}, "output_cost_per_token: a list is no amount"),
        ({"input_cost_per_token": 1e-6, "output_cost_per_token": "1e-400"}, "output_cost_per_token: '1e-400'"),
        ({"input_cost_per_token": 1e-6, "output_cost_per_token": "NaN"}, "output_cost_per_token: 'NaN'"),
        ({"input_cost_per_token": 1e-6, "output_cost_per_token": "1e-30"}, "output: expected at most 18 decimals"),
        ({"input_cost_per_token": 0, "output_cost_per_token": 0.0}, "it says that it costs nothing"),
        ({"mode": "rerank", "input_cost_per_token": 1e-6}, "mode 'rerank'"),
        ({"litellm_provider": None}, "no platform for the provider nothing"),
        ({"litellm_provider": ["openai"]}, "no platform for the provider"),
    ],
)
def test_why_an_entry_is_none(members: dict[str, Any], reason: str):
    found = one(**members)
    assert found.prices == ()
    (skipped,) = found.skipped
    assert skipped.model == "m"
    assert skipped.reason.startswith(reason)


def test_a_tier_says_only_what_differs():
    (price,) = one(
        input_cost_per_token=1e-6, output_cost_per_token=2e-6, cache_read_input_token_cost=1e-7,
        output_cost_per_reasoning_token=3e-6, input_cost_per_token_above_128k_tokens=4e-6,
        output_cost_per_token_above_200k_tokens=5e-6, input_cost_per_token_above_200k_tokens=6e-6,
    ).prices  # fmt: skip
    assert [(tier.above, *(getattr(tier, name) for name in CLASSES)) for tier in price.tiers] == [
        (128_000, 4, 2, Decimal("0.1"), None, None, 3),
        (200_000, 6, 5, Decimal("0.1"), None, None, 3),
    ]


@pytest.mark.parametrize("given_maximum", [0, -1, 1.5, "many", None, True, 10**12])
def test_a_maximum_that_is_none_is_left_out(given_maximum: Any):
    (price,) = one(input_cost_per_token=1e-6, output_cost_per_token=1e-6, max_output_tokens=given_maximum).prices
    assert price.max_output is None


def test_names_are_no_patterns():
    entry = {"litellm_provider": "groq", "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
    table = Table("t", "USD", read(json.dumps({"groq/a[bc]": entry}).encode()).prices)
    assert cost(table, "openai", "a[bc]", 0x7000_0000, Usage(input_tokens=1)) == 1000
    assert cost(table, "openai", "ab", 0x7000_0000, Usage(input_tokens=1)) is None


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_member = st.sampled_from(
    ["input_cost_per_token", "output_cost_per_token", "litellm_provider", "mode", "tiered_pricing", "aliases"]
)


@given(
    st.dictionaries(st.sampled_from(["a", "b/c", "azure/eu/x"]), st.dictionaries(_member, _json) | _json, min_size=1)
)
def test_whatever_is_in_it_it_is_read(listed: dict[str, Any]):
    found = read(json.dumps(listed).encode())
    assert len({one.model.partition(" ")[0] for one in (*found.skipped, *found.same)}) + len(found.prices) >= 1
    assert all(isinstance(price, Price) for price in found.prices)
