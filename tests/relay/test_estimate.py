"""What a request reserves: by its bytes, its key's answers, and what its models can write and cost."""

import base64
import json
import os
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.domain import Limit, Period
from gateway.core.prices import Price, Table, max_output, priced, shipped
from gateway.protocols.codec import Endpoint, Peek, Usage
from gateway.relay import estimate as module
from gateway.relay.estimate import LEAST_OUTPUT, PROMPT_CAP, UNKNOWN_OUTPUT, Estimate, Means, prompt_tokens
from gateway.routing.fitting import Candidate
from gateway.routing.speaking import Spoken
from tests.routing.test_choose import account, route

AT = 1_790_000_000.0
SONNET, HAIKU, NONESUCH = "claude-3-5-sonnet", "claude-3-haiku", "no-such-model"
TABLE = shipped()


def candidate(model: str, platform: str = "claude-console") -> Candidate:
    return Candidate(account("a", platform=platform), model, 50, Spoken("anthropic", "generate"))


def made(
    asked: int | None = None,
    *,
    models: Sequence[str] = (SONNET,),
    prompt: int = 1000,
    mean: float = 0,
    operation: Any = "generate",
    multiplier: str = "1",
    named: str = "",
    platform: str = "claude-console",
    answers: int = 1,
    table: Table = TABLE,
) -> Estimate:
    endpoint = Endpoint("anthropic", operation, "/v1/messages")
    asking = route(named or models[0], caller={"price_multiplier": multiplier}, endpoint=endpoint)
    means = Means()
    if mean:
        means.add("key_1", asking.model, int(mean))
    offered = [candidate(model, platform) for model in models]
    peek = Peek(asking.model, max_tokens=asked, answers=answers)
    return Estimate(asking, peek, prompt, offered, means, table, AT)


def limit(kind: Any, reserve: Any = "expected", scope: Any = "key") -> Limit:
    return Limit(kind, 10**9, Period("minute", 60), reserve=reserve, scope=scope)


# The prompt


@pytest.mark.parametrize(
    ("size", "tokens"),
    [(0, 0), (3, 0), (4, 1), (4000, 1000), (799_999, 199_999), (800_000, PROMPT_CAP), (10_000_000, PROMPT_CAP)],
)
def test_bytes_by_four_up_to_a_cap(size: int, tokens: int) -> None:
    assert prompt_tokens(b"x " * (size // 2) + b"x" * (size % 2)) == tokens


DATA = base64.b64encode(os.urandom(30_000)).decode()
IMAGES: dict[str, Any] = {
    "anthropic": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}},
    "openai": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
    "openai audio": {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}},
    "openai file": {"type": "file", "file": {"file_data": DATA}},
    "responses": {"type": "input_image", "image_url": f"data:image/png;base64,{DATA}"},
    "gemini": {"inlineData": {"mimeType": "image/png", "data": DATA}},
    "gemini, other spelling": {"inline_data": {"mime_type": "image/png", "data": DATA}},
    "ollama": {"role": "user", "content": "", "images": [DATA, DATA]},
    "url-safe": {"type": "base64", "data": base64.urlsafe_b64encode(os.urandom(30_000)).decode()},
    "broken into lines": {"type": "base64", "data": base64.encodebytes(os.urandom(30_000)).decode()},
}


@pytest.mark.parametrize("kind", IMAGES)
def test_base64_is_left_out(kind: str) -> None:
    text = "Say what you see. " * 300
    body = json.dumps({"model": "m", "content": [{"text": text}, IMAGES[kind]]}).encode()
    assert len(body) > 40_000
    assert len(text) // 4 <= prompt_tokens(body) <= (len(text) + 600) // 4


def test_base64_whose_slashes_are_escaped() -> None:
    body = json.dumps(IMAGES["anthropic"]).replace("/", "\\/").encode()
    assert prompt_tokens(body) < 100


@pytest.mark.parametrize(
    "text",
    ["word " * 5000, "The word base64 is said. " * 1000, '\\"inlineData\\" ' * 1000, "日本語の文章です。" * 1000],
)
def test_words_are_not_left_out(text: str) -> None:
    body = f'{{"content": "{text}", "note": "base64"}}'.encode()
    assert prompt_tokens(body) == len(body) // 4


def test_long_words_are_left_out_only_beside_what_may_be_a_picture() -> None:
    body = b'{"content": "' + b"x" * 8000 + b'"}'
    assert prompt_tokens(body) == len(body) // 4


@given(st.binary(max_size=3000))
def test_any_bytes(body: bytes) -> None:
    assert 0 <= prompt_tokens(body) <= len(body) // 4


# The moving mean


def test_the_mean_moves() -> None:
    means = Means()
    assert means.of("key_1", "m") == 0
    means.add("key_1", "m", 1000)
    assert means.of("key_1", "m") == 1000
    means.add("key_1", "m", 2000)
    assert means.of("key_1", "m") == 1200
    for _ in range(60):
        means.add("key_1", "m", 50)
    assert means.of("key_1", "m") == pytest.approx(50, abs=1)
    assert means.of("key_1", "n") == means.of("key_2", "m") == 0


def test_the_means_are_bounded_and_those_that_are_used_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MEANS", 10)
    means = Means()
    for at in range(100):
        means.add("key_1", f"m{at}", 5)
        means.add("key_1", "m0", 5)
    assert len(means._means) == 10
    assert means.of("key_1", "m0") == 5
    assert means.of("key_1", "m99") == 5
    assert means.of("key_1", "m50") == 0


def test_the_mean_is_that_of_one_answer() -> None:
    means = Means()
    means.add("key_1", "m", 3000, 3)
    assert means.of("key_1", "m") == 1000
    means.add("key_1", "m", 2000)
    assert means.of("key_1", "m") == 1200


# Tokens


@pytest.mark.parametrize(
    ("asked", "mean", "output"),
    [
        (None, 0, LEAST_OUTPUT),
        (128_000, 0, LEAST_OUTPUT),  # as Claude Code asks
        (100, 0, 100),
        (0, 0, 0),
        (128_000, 500, LEAST_OUTPUT),
        (128_000, 513, 1026),
        (128_000, 40_000, 80_000),
        (2000, 40_000, 2000),
        (None, 40_000, 80_000),
    ],
)
def test_expected(asked: int | None, mean: float, output: int) -> None:
    found = made(asked, mean=mean)
    assert found.output("expected") == output
    assert found.under(limit("tokens")) == 1000 + output
    assert found.under(limit("output_tokens")) == max(1, output)


@pytest.mark.parametrize(
    ("asked", "models", "output"),
    [
        (100, (SONNET,), 100),
        (8192, (SONNET,), 8192),
        (128_000, (SONNET,), 8192),
        (None, (SONNET,), 8192),
        (128_000, (HAIKU, SONNET), 8192),
        (128_000, (HAIKU,), 4096),
        (128_000, (NONESUCH,), 128_000),
        (128_000, (SONNET, NONESUCH), 128_000),
        (None, (NONESUCH,), UNKNOWN_OUTPUT),
        (None, (SONNET, NONESUCH), UNKNOWN_OUTPUT),
        (5, (NONESUCH,), 5),
    ],
)
def test_worst(asked: int | None, models: Sequence[str], output: int) -> None:
    assert (max_output(TABLE, "claude-console", SONNET), max_output(TABLE, "claude-console", HAIKU)) == (8192, 4096)
    found = made(asked, models=models, mean=5, named=models[-1])
    assert found.output("worst") == output
    assert found.under(limit("tokens", "worst")) == 1000 + output
    assert found.under(limit("output_tokens", "worst")) == output


def test_a_deployment_writes_as_much_as_what_it_was_asked_for_as() -> None:
    assert made(128_000, models=("my-deployment",), named=SONNET).output("worst") == 8192


@pytest.mark.parametrize(
    ("asked", "mean", "reserve", "output"),
    [
        (100, 0, "worst", 500),
        (None, 0, "worst", 5 * 8192),
        (128_000, 0, "worst", 5 * 8192),
        (100, 0, "expected", 500),
        (None, 0, "expected", 5 * LEAST_OUTPUT),
        (None, 2000, "expected", 5 * 4000),
    ],
)
def test_each_of_several_answers_is_reserved(asked: int | None, mean: float, reserve: Any, output: int) -> None:
    found = made(asked, mean=mean, answers=5)
    assert [found.output(reserve) for _ in range(2)] == [output] * 2
    assert found.under(limit("tokens", reserve)) == 1000 + output, "the prompt is read once"
    assert found.under(limit("output_tokens", reserve)) == output
    assert found.under(limit("budget", reserve)) == price(SONNET, output)


@pytest.mark.parametrize("reserve", ["expected", "worst"])
def test_what_writes_nothing(reserve: Any) -> None:
    embed = made(None, operation="embed")
    assert [embed.under(limit(kind, reserve)) for kind in ("requests", "tokens", "input_tokens", "output_tokens")] == [
        1, 1000, 1000, 1,
    ]  # fmt: skip
    count = made(500, operation="count")
    assert [count.under(limit(kind, reserve)) for kind in ("requests", "tokens", "input_tokens", "output_tokens")] == [
        1, 1, 1, 1,
    ]  # fmt: skip
    assert count.under(limit("budget", reserve)) == 0


def test_an_empty_prompt_counts_one() -> None:
    assert made(0, prompt=0).under(limit("tokens")) == made(prompt=0).under(limit("input_tokens")) == 1


# Money


def price(model: str, output: int, multiplier: str = "1", platform: str = "claude-console") -> int:
    usage = Usage(input_tokens=1000, output_tokens=output)
    found = priced(TABLE, platform, (model,), AT, usage, multiplier)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("multiplier", ["1", "0.5", "1.37"])
def test_money_is_that_of_the_dearest(multiplier: str) -> None:
    found = made(128_000, models=(HAIKU, SONNET), multiplier=multiplier)
    assert found.under(limit("budget", "worst")) == price(SONNET, 8192, multiplier) > price(HAIKU, 8192, multiplier)
    assert found.under(limit("budget")) == price(SONNET, LEAST_OUTPUT, multiplier)
    assert made(10, models=(HAIKU,)).under(limit("budget", "worst")) == price(HAIKU, 10)


@pytest.mark.parametrize(("multiplier", "key"), [("1", 1), ("3", 3), ("0", 0)])
def test_the_budget_of_an_account_knows_no_multiplier(multiplier: str, key: int) -> None:
    found = made(10, multiplier=multiplier)
    plain = price(SONNET, 10)
    assert found.under(limit("budget", scope="account")) == plain > 0
    assert found.under(limit("budget")) == key * plain
    assert found.under(limit("budget", scope="account")) == plain


def test_the_counting_of_tokens_costs_nothing() -> None:
    rates = Price(SONNET, Decimal(3), Decimal(15), per_request=Decimal("0.01"))
    paid = Table("t", "USD", (rates,))
    assert made(10, operation="count", table=paid).under(limit("budget")) == 0
    assert made(10, operation="embed", table=paid).under(limit("budget")) > 10_000_000


def test_what_has_no_price_costs_nothing_yet_and_the_others_count() -> None:
    assert made(10, models=(NONESUCH,)).under(limit("budget")) == 0
    assert made(10, models=(NONESUCH, HAIKU)).under(limit("budget")) == price(HAIKU, 10)


def test_a_deployment_costs_what_it_was_asked_for_as() -> None:
    """By the same names as the row's own price."""
    found = made(10, models=("my-deployment",), named="gpt-4o", platform="azure-openai")
    assert found.under(limit("budget")) == price("gpt-4o", 10, platform="azure-openai") > 0
