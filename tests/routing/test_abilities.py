"""What names say of models."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import prices
from gateway.routing.abilities import Abilities, abilities

TABLE = prices.shipped()
CHAT = ("completion", "tools")
ALL = ("completion", "tools", "vision", "thinking")
EMBEDS = ("embedding",)
KNOWN = frozenset({"completion", "tools", "vision", "thinking", "embedding"})


def of(*names: str, platform: str = "openai") -> Abilities:
    return abilities(names, platform, TABLE)


@pytest.mark.parametrize(
    ("name", "architecture", "capabilities", "context"),
    [
        ("claude-opus-4-20250514", "claude", ALL, 200_000),
        ("claude-sonnet-4@20250514", "claude", ALL, 200_000),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude", ALL, 200_000),
        ("us.anthropic.claude-opus-4-6-v1:0", "claude", ALL, 1_000_000),
        ("claude-haiku-5-5", "claude", ALL, 1_000_000),
        ("claude-3-5-haiku-latest", "claude", ("completion", "tools", "vision"), 200_000),
        ("claude-sandbox", "claude", ALL, 200_000),
        ("gpt-4", "gpt", CHAT, 8192),
        ("GPT-4o-mini", "gpt", ("completion", "tools", "vision"), 128_000),
        ("gpt-5-chat-latest", "gpt", ("completion", "tools", "vision"), 128_000),
        ("gpt-5-mini", "gpt", ALL, 400_000),
        ("gpt-5.4-mini-2026-03-17", "gpt", ALL, 400_000),
        ("gpt-5.6-sol", "gpt", ALL, 1_050_000),
        ("o3-mini", "gpt", ("completion", "tools", "thinking"), 200_000),
        ("o4-mini-2025-04-16", "gpt", ALL, 200_000),
        ("gpt-oss:120b", "gptoss", ("completion", "tools", "thinking"), 131_072),
        ("models/gemini-2.5-pro", "gemini", ALL, 1_048_576),
        ("gemma3:12b", "gemma3", ("completion", "vision"), 131_072),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama", CHAT, 131_072),
        ("qwen3-coder:30b", "qwen3", CHAT, 262_144),
        ("ministral-8b", "llama", CHAT, 32_768),
        ("deepseek-reasoner", "deepseek2", ("completion", "tools", "thinking"), 131_072),
        ("text-embedding-3-large", "bert", EMBEDS, 8191),
        ("gemini-embedding-001", "gemini", EMBEDS, 2048),
        ("nomic-embed-text:latest", "nomic-bert", EMBEDS, 2048),
        ("bge-m3", "bert", EMBEDS, 8192),
        ("sandbox-echo", "unknown", CHAT, 131_072),
        ("foo3-large", "unknown", CHAT, 131_072),
    ],
)
def test_names(name: str, architecture: str, capabilities: tuple[str, ...], context: int) -> None:
    found = of(name)
    assert (found.architecture, found.capabilities, found.context_length) == (architecture, capabilities, context)


def test_the_first_name_that_says_something_counts() -> None:
    assert of("sandbox-echo", "gemma3:12b") == of("gemma3:12b")
    assert of("gpt-4o", "claude-3-opus").architecture == "gpt"
    assert of().capabilities == CHAT


def test_the_longest_answer_is_the_price_tables() -> None:
    assert of("claude-opus-4-6", platform="claude-console").max_output == 128_000
    assert of("gpt-4.1").max_output == 32_768
    assert of("fast", "gpt-4.1").max_output == 32_768
    assert of("gpt-4.1", platform="ollama").max_output is None
    told = prices.Price("tiny", prices.Decimal(1), prices.Decimal(1), max_output=500_000)
    table = prices.stacked(TABLE, [prices.Table("v", "USD", (told,))])
    # Nobody writes more than fits into what it reads and writes together.
    assert abilities(["tiny"], "openai", table) == Abilities("unknown", CHAT, 500_000, 500_000)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("gemma3:12b", "12B"), ("qwen2.5:0.5b", "0.5B"), ("x-Llama-3.3-70B-Instruct", "70B"), ("smollm:360m", "360M"),
        ("mixtral:8x7b", ""), ("gpt-4", ""), ("glm-4.6", ""), ("b-2", ""), ("12bits", ""), ("3.5b4", ""),
    ],
)  # fmt: skip
def test_sizes(name: str, size: str) -> None:
    assert of(name).parameter_size == size


@given(st.text(max_size=40))
def test_every_name_has_some(name: str) -> None:
    found = of(name)
    assert found.capabilities and KNOWN.issuperset(found.capabilities)
    assert found.context_length > 0 and found.architecture
    assert ("embedding" in found.capabilities) is (found.capabilities == EMBEDS)
