"""What tokens cost: a dated table, looked up by platform, model and the day of the request. Money is exact.

Amounts are integers of 10⁻⁹ of the currency. An unknown model has no price: the row says `unpriced`, never 0.
"""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

SHIPPED = Path(__file__).parent / "prices.json"
_MILLION = 1_000_000
_NANO = 1_000_000_000


class Tokens(Protocol):
    """Tokens by class; `input_tokens` leaves caches out, `reasoning_tokens` are part of `output_tokens`."""

    @property
    def input_tokens(self) -> int: ...
    @property
    def cache_read_tokens(self) -> int: ...
    @property
    def cache_write_5m_tokens(self) -> int: ...
    @property
    def cache_write_1h_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...


class Tier(Struct, frozen=True, forbid_unknown_fields=True):
    """Other prices for a request whose whole prompt (caches included) is longer than `above` tokens."""

    above: int
    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None


class Price(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Per million tokens, from a day on. `model`, `platforms` are patterns; a class without a price costs as input."""

    model: str
    input: Decimal
    output: Decimal
    platforms: tuple[str, ...] = ("*",)
    since: date = date(2000, 1, 1)
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    per_request: Decimal = Decimal(0)
    tiers: tuple[Tier, ...] = ()


class Table(Struct, frozen=True, forbid_unknown_fields=True, eq=False):
    """All prices of one version."""

    version: str
    currency: str
    prices: tuple[Price, ...]


def shipped() -> Table:
    return msgspec.json.decode(SHIPPED.read_bytes(), type=Table)


_WILDCARD = re.compile(r"[*?\[]")


@lru_cache(8)
def _by_beginning(table: Table) -> Mapping[str, Sequence[tuple[str, Price]]]:
    """Prices by the first three characters of their pattern, each with the part before its first wildcard."""
    found: dict[str, list[tuple[str, Price]]] = {}
    for price in table.prices:
        beginning = _WILDCARD.split(price.model, maxsplit=1)[0]
        found.setdefault(beginning[:3], []).append((beginning, price))
    return found


@lru_cache(4096)
def _find(table: Table, platform: str, model: str, day: date) -> Price | None:
    """The price that says most about the model: an exact name, else the longest beginning; of two alike the newer."""
    index = _by_beginning(table)
    near = [one for length in range(4) for one in index.get(model[:length], ())]
    found = [
        (beginning == model, len(beginning), price.since, at)
        for at, (beginning, price) in enumerate(near)
        if model.startswith(beginning)
        and price.since <= day
        and any(fnmatch.fnmatchcase(platform, pattern) for pattern in price.platforms)
        and fnmatch.fnmatchcase(model, price.model)
    ]
    return near[max(found)[3]][1] if found else None


def cost(table: Table, platform: str, model: str, at: float, tokens: Tokens, multiplier: str = "1") -> int | None:
    """The cost of one request in 10⁻⁹ of the currency, rounded half-even; None when the model has no price."""
    price = _find(table, platform, model, datetime.fromtimestamp(at, UTC).date())
    if price is None:
        return None
    prompt = (
        tokens.input_tokens + tokens.cache_read_tokens + tokens.cache_write_5m_tokens + tokens.cache_write_1h_tokens
    )
    rates: Price | Tier = price
    for tier in price.tiers:
        if prompt > tier.above:
            rates = tier
    total = (
        tokens.input_tokens * rates.input
        + tokens.output_tokens * rates.output
        + tokens.cache_read_tokens * (rates.input if rates.cache_read is None else rates.cache_read)
        + tokens.cache_write_5m_tokens * (rates.input if rates.cache_write_5m is None else rates.cache_write_5m)
        + tokens.cache_write_1h_tokens * (rates.input if rates.cache_write_1h is None else rates.cache_write_1h)
    ) / _MILLION + price.per_request
    return int((total * Decimal(multiplier) * _NANO).to_integral_value(ROUND_HALF_EVEN))
