"""LiteLLM's list of prices (model_prices_and_context_window.json) as prices of ours. Pure.

Source: https://docs.litellm.ai/docs/proxy/model_cost_map and the file's own schema. Amounts are US dollars for one
token, written as floats; they are read as decimals. Nothing is silently left out: every entry becomes a price, or says
the same as another one, or is named with the reason.
"""

import glob
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Context, Decimal, InvalidOperation
from typing import Any, cast

import msgspec
from msgspec import Struct

from gateway.core.prices import InvalidPrice, Price, Tier, check, plain

CURRENCY = "USD"
_MODES = frozenset({"chat", "completion", "responses", "embedding"})
"""What is relayed and paid for by the token."""
_APART = frozenset({"sample_spec", "fallback_generalizations"})
_CLASSES: Mapping[str, str] = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
}
_TIER = re.compile(r"(?P<name>[a-z0-9_]+?)_above_(?P<thousands>[0-9]{1,6})k_tokens")
_REQUEST = "input_cost_per_request"
_CLAUDE, _OPENAI, _COMPATIBLE = ("claude-*",), ("openai", "openai-responses"), ("openai",)
_PROVIDERS: Mapping[str, tuple[str, tuple[str, ...], int]] = {
    "anthropic": ("anthropic", _CLAUDE, 0),
    "openai": ("openai", _OPENAI, 0),
    "text-completion-openai": ("openai", _OPENAI, 0),
    "azure": ("azure", ("azure-openai",), 0),
    "azure_text": ("azure", ("azure-openai",), 0),
    "azure_ai": ("azure_ai", ("azure-openai",), 3),
    "bedrock": ("bedrock", ("bedrock",), 0),
    "bedrock_converse": ("bedrock", ("bedrock",), 0),
    "gemini": ("gemini", ("gemini",), 0),
    "ollama": ("ollama", ("ollama",), 0),
    "ollama_chat": ("ollama_chat", ("ollama",), 0),
}
"""LiteLLM's provider: the prefix of its names, our platforms, and who goes before whom (least first)."""
_OTHERS = frozenset({
    "anyscale", "cerebras", "codestral", "dashscope", "deepinfra", "deepseek", "fireworks_ai", "friendliai", "groq",
    "hyperbolic", "lambda_ai", "meta_llama", "minimax", "mistral", "moonshot", "morph", "nebius", "novita", "nscale",
    "nvidia_nim", "openrouter", "ovhcloud", "perplexity", "sambanova", "text-completion-codestral", "together_ai",
    "v0", "vercel_ai_gateway", "volcengine", "wandb", "xai", "zai",
})  # fmt: skip
"""Providers that speak OpenAI's protocol: accounts of the platform `openai` with a base URL of their own."""
_COMMITMENT = re.compile(r"[0-9]+-month-commitment")
_EXACT = Context(prec=100)


class InvalidFile(ValueError):
    """It is not LiteLLM's list at all; the message says why."""


class Skipped(Struct, frozen=True):
    """An entry that became no price."""

    model: str
    reason: str


class Same(Struct, frozen=True):
    """An entry that says what another one says already."""

    model: str
    as_: str = msgspec.field(name="as")


class Imported(Struct, frozen=True):
    """`unused`: members with amounts that are no part of our prices, and in how many of the entries."""

    entries: int
    prices: tuple[Price, ...]
    same: tuple[Same, ...]
    skipped: tuple[Skipped, ...]
    unused: Mapping[str, int]


class _Unreadable(Exception):
    """Why an entry is none."""


class _Candidate(Struct, frozen=True):
    """An entry as a price; of several for one model the least rank counts."""

    entry: str
    rank: int
    price: Price


def read(data: bytes) -> Imported:
    """Raises InvalidFile."""
    twice: list[str] = []
    listed = _listed(data, twice)
    skipped = [Skipped(name, "named twice in the file: the last one counts") for name in twice if name in listed]
    unused: Counter[str] = Counter()
    candidates: dict[tuple[str, str], list[_Candidate]] = {}
    for entry, members in listed.items():
        try:
            found = _candidates(entry, members, unused)
        except _Unreadable as error:
            skipped.append(Skipped(entry, str(error)))
            continue
        for one in found:
            candidates.setdefault((one.price.platforms[0], one.price.model), []).append(one)
    prices: list[Price] = []
    same: list[Same] = []
    for alike in candidates.values():
        _settle(alike, prices, same, skipped)
    return Imported(len(listed), tuple(prices), tuple(same), tuple(skipped), dict(sorted(unused.items())))


def _listed(data: bytes, twice: list[str]) -> dict[str, Any]:
    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            twice.extend(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        return made

    try:
        listed: Any = json.loads(
            data, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_number, object_pairs_hook=members
        )
    except (ValueError, InvalidOperation, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are some
        raise InvalidFile(f"this is not JSON: {error}") from None
    if not isinstance(listed, dict) or not listed:
        raise InvalidFile("expected an object with a member for each model")
    return cast("dict[str, Any]", listed)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _settle(alike: list[_Candidate], prices: list[Price], same: list[Same], skipped: list[Skipped]) -> None:
    """One price for one model of one platform, or none."""
    alike.sort(key=lambda one: one.rank)
    best = alike[0]
    rivals = [one for one in alike if one.rank == best.rank and _costs(one.price) != _costs(best.price)]
    if rivals:
        entries = sorted(one.entry for one in alike if one.rank == best.rank)
        reason = f"the same model at different prices: {', '.join(entries[:5])}{', …' if len(entries) > 5 else ''}"
        skipped.extend(Skipped(one.entry, reason) for one in alike)
        return
    prices.append(best.price)
    for one in alike[1:]:
        if _costs(one.price) == _costs(best.price):
            same.append(Same(one.entry, best.entry))
        else:
            skipped.append(Skipped(one.entry, f"another price than {best.entry}, which goes before it"))


def _costs(price: Price) -> Price:
    return msgspec.structs.replace(price, platforms=(), max_output=None)


def _candidates(entry: str, members: Any, unused: Counter[str]) -> list[_Candidate]:
    if entry in _APART:
        raise _Unreadable("no model: a part of the file's own")
    if not isinstance(members, dict):
        raise _Unreadable("expected an object")
    said = cast("dict[str, Any]", members)
    mode = said.get("mode", "chat")
    if not isinstance(mode, str) or mode not in _MODES:
        raise _Unreadable(f"mode {_word(mode)} is not paid by the token here")
    provider = said.get("litellm_provider")
    prefix, platforms, rank = _provider(provider)
    aliases = said.get("aliases")
    names = [entry, *(one for one in _list(aliases) if isinstance(one, str))]
    made: list[_Candidate] = []
    for name in names:
        pattern, further = _pattern(name, prefix)
        price = _price(pattern, platforms, said, mode, free=platforms == ("ollama",))
        shown = entry if name == entry else f"{entry} (alias {name})"
        made.append(_Candidate(shown, rank + further, price))
    unused.update(_unused(said))
    return made


def _provider(provider: Any) -> tuple[str, tuple[str, ...], int]:
    if isinstance(provider, str):
        if provider in _PROVIDERS:
            return _PROVIDERS[provider]
        if provider == "vertex_ai" or provider.startswith("vertex_ai-"):
            return "vertex_ai", ("gemini",), 1  # accounts of Vertex are of the platform gemini
        if provider in _OTHERS:
            return provider, _COMPATIBLE, 5
    raise _Unreadable(f"no platform for the provider {_word(provider)}")


def _pattern(name: str, prefix: str) -> tuple[str, int]:
    """The model as upstreams call it, and how far behind the plain name it stands."""
    if not name or any(letter in name for letter in "*?"):
        raise _Unreadable("a pattern, no model")
    parts = name.split("/")
    if parts[0] == prefix and len(parts) > 1:
        parts = parts[1:]
    if prefix == "bedrock":
        if any(_COMMITMENT.fullmatch(part) for part in parts):
            raise _Unreadable("a price of provisioned throughput")
        return glob.escape(parts[-1]), 0 if len(parts) == 1 else 1 if parts[0] in {"converse", "invoke"} else 2
    if prefix == "azure":
        return glob.escape(parts[-1]), 0 if len(parts) == 1 else 1 if parts[0].startswith("global") else 2
    model = glob.escape("/".join(parts))
    # A fine-tuned model is called ft:BASE:ORGANISATION:NAME:ID.
    return (f"{model}:*" if model.startswith("ft:") else model), 0


def _price(model: str, platforms: tuple[str, ...], said: Mapping[str, Any], mode: str, *, free: bool) -> Price:
    base, tiers = _rates(said)
    if mode == "embedding":
        base.setdefault("output", Decimal(0))
    for name in ("input", "output"):
        if name not in base:
            raise _Unreadable(f"no {name}_cost_per_token")
    fixed = _per_token(said, _REQUEST)
    if not free and not fixed and not any(base.values()):
        raise _Unreadable("it says that it costs nothing: name it in a version of your own if that is so")
    try:
        price = Price(
            model=model,
            platforms=platforms,
            per_request=fixed or Decimal(0),
            tiers=tuple(Tier(above, **{**base, **tiers[above]}) for above in sorted(tiers)),
            max_output=_maximum(said.get("max_output_tokens")),
            **base,
        )
        check(price)
    except InvalidPrice as error:
        raise _Unreadable(str(error)) from None
    return price


def _rates(said: Mapping[str, Any]) -> tuple[dict[str, Any], dict[int, dict[str, Decimal]]]:
    """Amounts for a million tokens, and what differs above so many tokens of the prompt."""
    base = _classes(said)
    tiers: dict[int, dict[str, Decimal]] = {}
    for member in said:
        found = _TIER.fullmatch(member)
        if found and found["name"] in _CLASSES and (amount := _per_token(said, member)) is not None:
            tiers.setdefault(int(found["thousands"]) * 1000, {})[_CLASSES[found["name"]]] = _million(amount)
    for above, rates in _ranges(said.get("tiered_pricing")):
        if above == 0:
            base = {**rates, **base}
        else:
            tiers.setdefault(above, {}).update(rates)
    return base, tiers


def _ranges(given: Any) -> Iterator[tuple[int, dict[str, Decimal]]]:
    """`tiered_pricing`: a list of `{"range": [from, to], …}` with the members of an entry."""
    for step in _list(given):
        bounds = cast("dict[str, Any]", step).get("range") if isinstance(step, dict) else None
        lowest = _list(bounds)[0] if _list(bounds) else None
        if not isinstance(lowest, Decimal) or lowest != lowest.to_integral_value() or not 0 <= lowest <= 10**9:
            raise _Unreadable("tiered_pricing: expected ranges of tokens")
        yield int(lowest), _classes(cast("dict[str, Any]", step))


def _classes(said: Mapping[str, Any]) -> dict[str, Decimal]:
    found = {name: _per_token(said, member) for member, name in _CLASSES.items()}
    return {name: _million(amount) for name, amount in found.items() if amount is not None}


def _million(amount: Decimal) -> Decimal:
    return Decimal(plain(_EXACT.scaleb(amount, 6)))


def _per_token(said: Mapping[str, Any], member: str) -> Decimal | None:
    """Exactly as it is written. Raises _Unreadable naming the member."""
    value = said.get(member)
    if value is None:
        return None
    try:
        amount = value if isinstance(value, Decimal) else Decimal(value if isinstance(value, str) else "no")
    except InvalidOperation:
        raise _Unreadable(f"{member}: {_word(value)} is no amount") from None
    if not amount.is_finite() or amount < 0 or not -40 <= amount.adjusted() <= 10:
        raise _Unreadable(f"{member}: {_word(value)} is no amount")
    return amount


def _maximum(value: Any) -> int | None:
    """Not a price: what is no number of tokens is as good as absent."""
    if isinstance(value, Decimal) and 1 <= value <= 10**9 and value == value.to_integral_value():
        return int(value)
    return None


def _unused(said: Mapping[str, Any]) -> Iterator[str]:
    for member, value in said.items():
        tier = _TIER.fullmatch(member)
        known = member in _CLASSES or member == _REQUEST or (tier and tier["name"] in _CLASSES)
        if "cost" in member and not known and value not in (None, 0, False, {}, []):
            yield member


def _list(value: Any) -> Sequence[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else ()


def _word(value: Any) -> str:
    if value is None or isinstance(value, list | dict):
        return "nothing" if value is None else "a list" if isinstance(value, list) else "an object"
    text = str(value)
    return repr(text if len(text) <= 80 else text[:80] + "…")
