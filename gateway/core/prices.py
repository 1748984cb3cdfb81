"""What tokens cost: versions of a dated table, looked up by platform, model and the moment of the request.

Versions lie on top of each other, the newest effective one first, the shipped one at the bottom: the first that names
the model and was in force says the price. Amounts are integers of 10⁻⁹ of the currency, exact until the one rounding.
An unknown model has no price: the row says `unpriced`, never 0.
"""

import fnmatch
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

SHIPPED = Path(__file__).parent / "prices.json"
CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning")
"""The classes of tokens that have a price, as `Price` and `Tier` name them."""
ALWAYS = date(2000, 1, 1)
"""The day from which on a price holds that names none."""
_NANO = 1_000_000_000
_NANO_A_TOKEN = 1000
"""One of the currency for a million tokens, in 10⁻⁹ for one."""
_MOST = 1_000_000
_DECIMALS = 18
_EXACT = Context(prec=200)
_WILDCARD = re.compile(r"[*?\[]")


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
    @property
    def reasoning_tokens(self) -> int: ...


class Tier(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Other prices for a request whose whole prompt (caches included) is longer than `above` tokens.

    A class that it does not name costs more than below by as much as the input does, reasoning as the output does: all
    vendors with tiers (Anthropic, Google, OpenAI) price caches in proportion to the input. The price below itself would
    be too little, and the tier's own input ten times too much for what is read from a cache.
    """

    above: int
    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None


class Price(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Per million tokens, from a day on. `model`, `platforms` are patterns; a class without a price costs as input (a
    1-hour cache write as a 5-minute one), reasoning as output. `max_output`: the most tokens that the model can write
    in one answer."""

    model: str
    input: Decimal
    output: Decimal
    platforms: tuple[str, ...] = ("*",)
    since: date = ALWAYS
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    per_request: Decimal = Decimal(0)
    tiers: tuple[Tier, ...] = ()
    max_output: int | None = None


class Table(Struct, frozen=True, forbid_unknown_fields=True, eq=False):
    """The prices of one version, in force from `effective_at` (epoch seconds) on, and `beneath` what they lie upon.

    `id` is empty for the shipped one, which is always the lowest.
    """

    version: str
    currency: str
    prices: tuple[Price, ...]
    id: str = ""
    effective_at: float = 0.0
    source: str = "shipped"
    beneath: "Table | None" = None


class Entry(Struct, frozen=True):
    """`price`, of the version `table`, is what a model costs from `since` (epoch seconds) on."""

    since: float
    table: Table
    price: Price


class InvalidPrice(ValueError):
    """A price that cannot be one; `field` names the member."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def shipped() -> Table:
    return msgspec.json.decode(SHIPPED.read_bytes(), type=Table)


def layers(table: Table) -> Iterator[Table]:
    """From the top, which is the last to become effective, to the shipped one."""
    found: Table | None = table
    while found is not None:
        yield found
        found = found.beneath


def stacked(base: Table, versions: Iterable[Table]) -> Table:
    """The versions, those that become effective first lowest, upon the base. What was worked out before is let go."""
    for cache in (_by_beginning, _history, max_output):
        cache.cache_clear()
    known: dict[Price, Price] = {}  # versions repeat each other, and all of them are kept
    table = base
    for version in versions:
        shared = tuple(known.setdefault(price, price) for price in version.prices)
        table = msgspec.structs.replace(version, prices=shared, beneath=table)
        _by_beginning(table)  # here, and not when the first request comes
    return table


def history(table: Table, platform: str, model: str) -> list[Entry]:
    """All that the model ever cost, costs and will cost, newest first; without what a higher version hides."""
    moments: set[float] = set()
    for layer in layers(table):
        for _, price in _naming(layer, platform, model):
            moments.add(max(layer.effective_at, _epoch(price.since)))
    found = [entry for moment in sorted(moments, reverse=True) if (entry := _at(table, platform, model, moment))]
    return [one for one, older in zip_longest(found, found[1:]) if not _goes_on(one, older)]


def cost(table: Table, platform: str, model: str, at: float, tokens: Tokens, multiplier: str = "1") -> int | None:
    """The cost of one request in 10⁻⁹ of the currency, rounded half-even; None when the model has no price.

    `at`: when the request was received, epoch seconds.
    """
    for since, rates in _history(table, platform, model, multiplier):
        if since <= at:
            return _amount(rates, tokens)
    return None


def priced(
    table: Table,
    platform: str,
    models: Sequence[str],
    at: float,
    tokens: Tokens,
    multiplier: str = "1",
    until: float | None = None,
) -> tuple[int, str] | None:
    """The cost by the first of the names that has a price, and the version that says so. `until`: with no price in
    force at `at`, the first that came after it and not after `until` counts."""
    known = [_history(table, platform, model, multiplier) for model in models]
    for entries in known:
        for since, rates in entries:
            if since <= at:
                return _amount(rates, tokens), rates.version
    if until is not None:
        for entries in known:
            if entries and entries[-1][0] <= until:
                return _amount(entries[-1][1], tokens), entries[-1][1].version
    return None


@lru_cache(4096)
def max_output(table: Table, platform: str, model: str) -> int | None:
    """The most tokens that the model can write in one answer; None when nobody has said it."""
    for layer in layers(table):
        price = _best(layer, platform, model, math.inf)
        if price is not None and price.max_output is not None:
            return price.max_output
    return None


def product(*multipliers: str) -> str:
    """Exactly."""
    made = Decimal(1)
    for one in multipliers:
        made = _EXACT.multiply(made, Decimal(one))
    return plain(made)


def plain(amount: Decimal) -> str:
    """As it is written in JSON: no exponent, no zeros at the end."""
    return format(_EXACT.normalize(amount), "f")


def check(price: Price) -> None:
    """Raises InvalidPrice, naming the member."""
    if not 1 <= len(price.model) <= 500:
        raise InvalidPrice("model", "expected 1 to 500 characters")
    if not price.platforms or not all(1 <= len(name) <= 100 for name in price.platforms):
        raise InvalidPrice("platforms", "expected at least one name or pattern")
    if price.max_output is not None and not 1 <= price.max_output <= _NANO:
        raise InvalidPrice("max_output", "expected a number of tokens")
    _check_amount("per_request", price.per_request)
    for at, rates in enumerate((price, *price.tiers)):
        for name in CLASSES:
            _check_amount(f"tiers[{at - 1}].{name}" if at else name, getattr(rates, name))
    limits = [tier.above for tier in price.tiers]
    if limits != sorted(set(limits)) or not all(1 <= limit <= _NANO for limit in limits):
        raise InvalidPrice("tiers", "expected `above` in rising order, each once")


def _check_amount(field: str, amount: Decimal | None) -> None:
    if amount is None:
        return
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or not 0 <= amount <= _MOST:
        raise InvalidPrice(field, f"expected an amount from 0 to {_MOST}")
    if exponent < -_DECIMALS:
        raise InvalidPrice(field, f"expected at most {_DECIMALS} decimals")


class _Step(Struct, frozen=True, gc=False):
    """Prices of one token above a length of the prompt, in parts of 10⁻⁹; `reasoning`: what it costs beyond output."""

    above: int
    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    reasoning: int


class _Rates(Struct, frozen=True):
    """`unit` parts are 10⁻⁹ of the currency: with it all prices are integers, the multiplier in them."""

    version: str
    unit: int
    per_request: int
    first: _Step
    further: tuple[_Step, ...]


def _amount(rates: _Rates, tokens: Tokens) -> int:
    fresh, read, output = tokens.input_tokens, tokens.cache_read_tokens, tokens.output_tokens
    short, long = tokens.cache_write_5m_tokens, tokens.cache_write_1h_tokens
    step = rates.first
    if rates.further:
        prompt = fresh + read + short + long
        for one in rates.further:
            if prompt > one.above:
                step = one
    total = rates.per_request + fresh * step.input + output * step.output
    if read or short or long:
        total += read * step.cache_read + short * step.cache_write_5m + long * step.cache_write_1h
    if step.reasoning:
        total += min(tokens.reasoning_tokens, output) * step.reasoning
    if rates.unit == 1:
        return total
    whole, rest = divmod(total, rates.unit)
    twice = 2 * rest
    return whole + 1 if twice > rates.unit or (twice == rates.unit and whole & 1) else whole


@lru_cache(4096)
def _history(table: Table, platform: str, model: str, multiplier: str) -> tuple[tuple[float, _Rates], ...]:
    """From when on, epoch seconds, and what; newest first."""
    factor = Fraction(multiplier)
    return tuple((one.since, _rates(one.table.version, one.price, factor)) for one in history(table, platform, model))


def _rates(version: str, price: Price, factor: Fraction) -> _Rates:
    steps = [(0, _a_token(price, factor)), *((tier.above, _a_token(tier, factor, price)) for tier in price.tiers)]
    fixed = Fraction(price.per_request) * factor * _NANO
    unit = math.lcm(fixed.denominator, *(one.denominator for _, step in steps for one in step))
    made = [_Step(above, *(int(one * unit) for one in step)) for above, step in steps]
    return _Rates(version, unit, int(fixed * unit), made[0], tuple(made[1:]))


def _a_token(rates: Price | Tier, factor: Fraction, below: Price | None = None) -> list[Fraction]:
    """In 10⁻⁹ of the currency, in the order of `_Step`. `below`: the price whose tier it is."""

    def of(name: str, like: str) -> Fraction | None:
        """What it costs, by its own price or by that below; None when neither has one."""
        if (amount := getattr(rates, name)) is not None:
            return Fraction(amount)
        lower = getattr(below, name, None)
        return None if lower is None else min(Fraction(lower) * _more(rates, below, like), Fraction(_MOST))

    fresh, output = Fraction(rates.input), Fraction(rates.output)
    read, short, long = (of(name, "input") for name in ("cache_read", "cache_write_5m", "cache_write_1h"))
    reasoning = of("reasoning", "output")
    short = fresh if short is None else short
    found = [
        fresh,
        output,
        fresh if read is None else read,
        short,
        short if long is None else long,
        0 if reasoning is None else reasoning - output,
    ]
    return [one * factor * _NANO_A_TOKEN for one in found]


def _more(tier: Price | Tier, below: Price | None, name: str) -> Fraction:
    """How many times as much the class costs in the tier; once where it is free below."""
    lower = Fraction(getattr(below, name))
    return Fraction(getattr(tier, name)) / lower if lower else Fraction(1)


def _goes_on(entry: Entry, older: Entry | None) -> bool:
    """Whether it says only that the older one still holds."""
    return older is not None and entry.table is older.table and entry.price is older.price


def _at(table: Table, platform: str, model: str, moment: float) -> Entry | None:
    for layer in layers(table):
        if layer.effective_at <= moment and (price := _best(layer, platform, model, moment)):
            return Entry(moment, layer, price)
    return None


def _best(layer: Table, platform: str, model: str, moment: float) -> Price | None:
    """The price that says most about the model: an exact name, else the longest beginning; of two alike the newer."""
    found = [
        (beginning == model, len(beginning), price.since, at, price)
        for at, (beginning, price) in enumerate(_naming(layer, platform, model))
        if _epoch(price.since) <= moment
    ]
    return max(found, key=lambda one: one[:4])[4] if found else None


def _naming(layer: Table, platform: str, model: str) -> list[tuple[str, Price]]:
    index = _by_beginning(layer)
    return [
        (beginning, price)
        for length in range(4)
        for beginning, price in index.get(model[:length], ())
        if length == len(beginning[:3])
        and model.startswith(beginning)
        and any(fnmatch.fnmatchcase(platform, pattern) for pattern in price.platforms)
        and fnmatch.fnmatchcase(model, price.model)
    ]


@lru_cache(64)
def _by_beginning(layer: Table) -> Mapping[str, Sequence[tuple[str, Price]]]:
    """Prices by the first three characters of their pattern, each with the part before its first wildcard."""
    found: dict[str, list[tuple[str, Price]]] = {}
    for price in layer.prices:
        beginning = _WILDCARD.split(price.model, maxsplit=1)[0]
        found.setdefault(beginning[:3], []).append((beginning, price))
    return found


def _epoch(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
