"""What is known of a model by its name: what it can do, and how much it reads and writes. Pure.

Nobody is asked. The table holds what the vendors say of their families (platform.claude.com/docs/en/models,
developers.openai.com/api/docs/models, ai.google.dev/gemini-api/docs/models, ollama.com/library); a name that says
nothing has what most chat models have. Where a vendor has several figures it is the smallest: who is told too much runs
into an error. The longest answer is the price table's, which is dated and can be changed.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from msgspec import Struct

from gateway.core import prices

_TEXT = ("completion",)
_CHAT = ("completion", "tools")
_LOOKS = ("completion", "vision")
_SEES = ("completion", "tools", "vision")
_THINKS = ("completion", "tools", "thinking")
_ALL = ("completion", "tools", "vision", "thinking")
_EMBEDS = ("embedding",)


class Abilities(Struct, frozen=True):
    """`capabilities` and `architecture` in Ollama's words; lengths in tokens."""

    architecture: str
    capabilities: tuple[str, ...]
    context_length: int
    max_output: int | None = None
    """None when nobody has said it."""
    parameter_size: str = ""
    """As the name says it: `12B`."""


_UNKNOWN = ("unknown", _CHAT, 131_072)
#: The first pattern that is found in the name, in lower case, decides.
_TABLE: Sequence[tuple[str, tuple[str, tuple[str, ...], int]]] = (
    (r"gemini-embedding|embedding-00", ("gemini", _EMBEDS, 2048)),
    (r"embeddinggemma", ("gemma3", _EMBEDS, 2048)),
    (r"qwen3-embedding", ("qwen3", _EMBEDS, 32_768)),
    (r"nomic-embed", ("nomic-bert", _EMBEDS, 2048)),
    (r"minilm|mxbai|cohere\.embed|snowflake-arctic-embed", ("bert", _EMBEDS, 512)),
    (r"\bbge-m3", ("bert", _EMBEDS, 8192)),
    (r"\b(?:bge|e5|gte)-", ("bert", _EMBEDS, 512)),
    (r"embed", ("bert", _EMBEDS, 8191)),
    (r"claude-(?:v?2|instant)", ("claude", _TEXT, 100_000)),
    (r"claude-3-7|claude-(?:opus|sonnet|haiku)-4(?:-[0-5]\b|-20|@|$)", ("claude", _ALL, 200_000)),
    (r"claude-3", ("claude", _SEES, 200_000)),
    (r"claude-[a-z]+-[4-9]", ("claude", _ALL, 1_000_000)),
    (r"claude", ("claude", _ALL, 200_000)),
    (r"gpt-?oss", ("gptoss", _THINKS, 131_072)),
    (r"gpt-4\.1", ("gpt", _SEES, 1_047_576)),
    (r"gpt-4o|gpt-4-turbo|gpt-[5-9][.0-9]*-chat", ("gpt", _SEES, 128_000)),
    (r"gpt-4", ("gpt", _CHAT, 8192)),
    (r"gpt-3\.?5", ("gpt", _CHAT, 16_385)),
    (r"gpt-(?:5\.[4-9]|[6-9])(?!.*(?:mini|nano))", ("gpt", _ALL, 1_050_000)),
    (r"gpt-[5-9]", ("gpt", _ALL, 400_000)),
    (r"\bo1-mini", ("gpt", _THINKS, 128_000)),
    (r"\bo3-mini", ("gpt", _THINKS, 200_000)),
    (r"\bo[134](?:\b|-)|codex-", ("gpt", _ALL, 200_000)),
    (r"gemini-(?:1|2\.0)", ("gemini", _SEES, 1_048_576)),
    (r"gemini", ("gemini", _ALL, 1_048_576)),
    (r"gemma-?3n", ("gemma3n", _TEXT, 32_768)),
    (r"gemma-?3", ("gemma3", _LOOKS, 131_072)),
    (r"gemma-?2?\b", ("gemma2", _TEXT, 8192)),
    (r"llama-?4", ("llama4", _SEES, 1_048_576)),
    (r"llama-?3[.-]2.*vision", ("mllama", _LOOKS, 131_072)),
    (r"llama-?3[.-][1-3]", ("llama", _CHAT, 131_072)),
    (r"llama-?3", ("llama", _TEXT, 8192)),
    (r"llava|llama-?2", ("llama", _TEXT, 4096)),
    (r"qwen-?3.*-vl", ("qwen3vl", _ALL, 262_144)),
    (r"qwen-?3.*coder", ("qwen3", _CHAT, 262_144)),
    (r"qwen-?3", ("qwen3", _THINKS, 40_960)),
    (r"qwen.*-vl", ("qwen2", _LOOKS, 128_000)),
    (r"qwq", ("qwen2", _THINKS, 40_960)),
    (r"qwen-?2", ("qwen2", _CHAT, 32_768)),
    (r"deepseek.*(?:r1|reasoner|v3[.-][1-9]|v[4-9])", ("deepseek2", _THINKS, 131_072)),
    (r"deepseek", ("deepseek2", _CHAT, 131_072)),
    (r"magistral", ("llama", _THINKS, 40_960)),
    (r"pixtral|mistral-(?:small|medium)", ("mistral3", _SEES, 131_072)),
    (r"mistral|ministral|mixtral|codestral|devstral", ("llama", _CHAT, 32_768)),
    (r"glm-?(?:4\.[5-9]|[5-9])", ("glm4", _THINKS, 131_072)),
    (r"kimi-k2.*thinking|kimi-k[3-9]", ("kimi", _THINKS, 262_144)),
    (r"kimi", ("kimi", _CHAT, 131_072)),
    (r"minimax", ("minimax", _THINKS, 196_608)),
    (r"grok-[4-9]", ("grok", _ALL, 256_000)),
    (r"phi-?4", ("phi3", _TEXT, 16_384)),
    (r"command-", ("command-r", _CHAT, 131_072)),
)
_ROWS = tuple((re.compile(pattern), said) for pattern, said in _TABLE)
_SIZE = re.compile(r"(?<![a-z0-9.])([0-9]{1,4}(?:\.[0-9]{1,2})?)([bm])(?![a-z0-9])")


def abilities(names: Sequence[str], platform: str, table: prices.Table) -> Abilities:
    """By the first of the names that says something; `platform` and `table` are where its longest answer is found."""
    said = next((one for name in names if (one := _said(name.lower())) is not None), _UNKNOWN)
    size = next((one for name in names if (one := _size(name.lower()))), "")
    written = (prices.max_output(table, platform, name) for name in names)
    most = next((one for one in written if one is not None), None)
    return Abilities(said[0], said[1], max(said[2], most or 0), most, size)


@lru_cache(8192)
def _said(name: str) -> tuple[str, tuple[str, ...], int] | None:
    return next((said for pattern, said in _ROWS if pattern.search(name)), None)


@lru_cache(8192)
def _size(name: str) -> str:
    found = _SIZE.search(name)
    return f"{found[1]}{found[2].upper()}" if found else ""
