"""What is asked and what is answered, in the words of no protocol: two SDKs' readings of one answer can be compared."""

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from gateway.protocols.codec import Usage

Protocol = Literal["anthropic", "openai_chat", "openai_responses", "gemini", "ollama"]
PROTOCOLS: tuple[Protocol, ...] = ("anthropic", "openai_chat", "openai_responses", "gemini", "ollama")
Stop = Literal["end", "stop_sequence", "length", "tool_use", "refusal", "pause"]

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Called(NamedTuple):
    """`free`: the arguments are one text, not JSON."""

    name: str
    arguments: Any
    free: bool = False


class Figures(NamedTuple):
    """Tokens. `asked` leaves caches out."""

    asked: int = 0
    cached: int = 0
    wrote: int = 0
    output: int = 0
    reasoning: int = 0


class Said(NamedTuple):
    """An answer. Texts and thoughts that follow one another are one; `figures` is None where none were given."""

    text: str
    thinking: str
    calls: tuple[Called, ...]
    stop: str
    sequence: str | None
    figures: Figures | None
    raw: Any = None
    """What its client wants to see again in the next turn."""

    def differing(self, other: "Said") -> dict[str, tuple[Any, Any]]:
        """Between what is compared."""
        pairs = zip(self._fields, self, other, strict=True)
        return {name: (mine, its) for name, mine, its in pairs if name != "raw" and mine != its}


class Talk(Struct, frozen=True):
    """A request. `past`: what was answered first, to be given back with these `results`, one for each call."""

    model: str
    text: str = "one two thrée"
    system: str = ""
    tools: tuple[str, ...] = ()
    """Names; each takes `WEATHER`."""
    past: Said | None = None
    results: tuple[str, ...] = ()
    image: bool = False
    think: bool = False
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None


def parsed(arguments: Any) -> Any:
    """Arguments as the JSON that they are; no arguments are an empty object, what is no JSON is a text."""
    if not isinstance(arguments, str):
        return arguments or {}
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def figures(usage: Usage | None) -> Figures | None:
    if usage is None:
        return None
    wrote = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    return Figures(usage.input_tokens, usage.cache_read_tokens, wrote, usage.output_tokens, usage.reasoning_tokens)
