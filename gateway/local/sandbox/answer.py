"""From what a request asks to what the answer says, for every protocol alike: text, thinking, tool call, tokens.

Deterministic: the same prompt and script give the same words and the same usage. The rules of usage:
- a prompt has one token for each four bytes of the JSON of its prompt members (messages, system, tools …);
- an answer has one token for each piece (a word, or twelve characters of a longer one), and a stream sends one event
  for each piece;
- caches: `cached-n` and `wrote-n` in the script, otherwise the protocol's own rule (see `Ask.usage`).
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, cast

import msgspec
from msgspec import Raw, Struct

from gateway.local.sandbox.schema import example, mapping
from gateway.local.sandbox.script import Script
from gateway.protocols.codec import Usage

Members = Mapping[str, Raw]
"""The top level of a request body, its values unread."""

encode = msgspec.json.encode
_members = msgspec.json.Decoder(dict[str, Raw])
_any = msgspec.json.Decoder()
_PIECE = re.compile(r"\s*\S{1,12}|\s+")
_DIRECTIVE = re.compile(r"MOCK_TOOL\s+([\w.-]+)\s+(?=\{)")
_WORDS = re.findall(r"\S+", "the relay passes every byte on as it came and counts what was used, no more and no less,")
_DOUBT = re.findall(r"\S+", "Let me think about what is being asked here, step by step, before I give an answer to it.")
_REFUSAL = "I can't help with that request."


class Invalid(Exception):
    """The request is wrong in a way that the provider itself would refuse."""

    def __init__(self, message: str, param: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.status = status


class Tool(Struct, frozen=True):
    name: str
    schema: Mapping[str, Any]
    kind: str = "function"
    namespace: str = ""


class Ask(Struct, frozen=True):
    """A request to generate, in neutral words."""

    model: str
    stream: bool
    text: str
    """The last user text."""
    usage: Usage
    """Tokens of the prompt; its output fields are 0."""
    tools: tuple[Tool, ...] = ()
    result: str | None = None
    """Text of the tool result that the conversation ends with."""
    forced: str | None = None
    """A tool must be called: this one, or any for the empty string."""
    schema: Mapping[str, Any] | None = None
    """The answer must be JSON of this schema ({}: any object)."""
    max_tokens: int | None = None
    """Of each answer."""
    answers: int = 1
    """How many are wanted; each is the same."""
    members: Members = {}
    sse: bool = True
    """Gemini: server-sent events, else a JSON array."""
    action: str = ""
    """Ollama: chat or generate, whose answers differ in form."""


class Call(Struct, frozen=True):
    tool: Tool
    arguments: dict[str, Any]
    pieces: tuple[str, ...]
    """The arguments' JSON text, as it is streamed."""


class Answer(Struct, frozen=True):
    serial: str
    """24 characters that no other answer has: the base of every id in it."""
    created: int
    model: str
    thinking: tuple[str, ...]
    text: tuple[str, ...]
    call: Call | None
    stop: Literal["end", "length", "tool", "refusal"]
    usage: Usage


def members_of(body: bytes) -> Members:
    """The members of a JSON object. Invalid when the body is anything else."""
    try:
        return _members.decode(body)
    except msgspec.DecodeError as error:
        raise Invalid(f"We could not parse the JSON body of your request: {error}") from None


def member(members: Members, name: str, default: Any = None) -> Any:
    """A member, decoded; the default when it is missing or null."""
    raw = members.get(name)
    if raw is None:
        return default
    value = _any.decode(raw)
    return default if value is None else value


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; nothing for anything else."""
    return (
        [cast("dict[str, Any]", v) for v in cast("list[Any]", value) if isinstance(v, dict)]
        if isinstance(value, list)
        else []
    )


def rows(value: Any) -> list[Any]:
    """The items of a list; any other value as the only item."""
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def text_of(content: Any, *kinds: str) -> str:
    """Text of a content that is a string or a list of parts of the given types."""
    if isinstance(content, str):
        return content
    return "\n".join(str(p["text"]) for p in objects(content) if "text" in p and (not kinds or p.get("type") in kinds))


def prompt_tokens(members: Members, *names: str) -> int:
    """Tokens of the prompt members that are there."""
    return max(1, sum(len(members[name]) for name in names if name in members) // 4)


def with_script(usage: Usage, script: Script) -> Usage:
    """The caches that a script asks for, on top of the prompt's own tokens."""
    if script.cached is None and script.wrote is None and script.wrote_long is None:
        return usage
    return msgspec.structs.replace(
        usage,
        cache_read_tokens=script.cached or 0,
        cache_write_5m_tokens=script.wrote or 0,
        cache_write_1h_tokens=script.wrote_long or 0,
    )


def pieces(text: str) -> tuple[str, ...]:
    """A text in the pieces that count as tokens; joined they are the text again."""
    return tuple(_PIECE.findall(text))


def compose(ask: Ask, script: Script, serial: str, created: int) -> Answer:
    """The answer to a request, decided whole before any byte of it is sent."""
    thinking = _repeat(_DOUBT, script.think)
    call = None if script.refuse or script.say is not None else _call(ask, script)
    text = () if call else _text(ask, script)
    stop: Literal["end", "length", "tool", "refusal"] = "tool" if call else "refusal" if script.refuse else "end"
    if stop == "end":
        limit = ask.max_tokens
        if limit is not None and ask.schema is None and limit < len(thinking) + len(text):
            thinking = thinking[:limit]
            text, stop = text[: limit - len(thinking)], "length"
        stop = "length" if script.length else stop
    spoken = len(thinking) + len(text) + (1 + len(call.pieces) if call else 0)
    usage = msgspec.structs.replace(
        with_script(ask.usage, script),
        output_tokens=spoken * ask.answers,
        reasoning_tokens=len(thinking) * ask.answers,
    )
    return Answer(serial, created, ask.model, thinking, text, call, stop, usage)


def _repeat(words: list[str], count: int) -> tuple[str, ...]:
    return tuple((words[i % len(words)] if i == 0 else " " + words[i % len(words)]) for i in range(count))


def _text(ask: Ask, script: Script) -> tuple[str, ...]:
    if script.refuse:
        return pieces(_REFUSAL)
    if script.say is not None:
        return pieces(script.say)
    if ask.schema is not None:
        value = example(ask.schema, ask.text[:80] or "sandbox") if ask.schema else {"answer": "sandbox"}
        return pieces(json.dumps(value, ensure_ascii=False))
    if script.tokens is not None:
        return _repeat(_WORDS, max(1, script.tokens - script.think))
    if ask.result is not None:
        return pieces(f"The tool answered: {ask.result}")
    if script.echo and ask.text:
        return pieces(ask.text)
    return pieces(f"Hello from the sandbox. This is {ask.model}, and nothing here costs anything.")


def _call(ask: Ask, script: Script) -> Call | None:
    if ask.result is not None:
        return None
    if directive := _directed(ask):
        name, arguments = directive
        tool = next((t for t in ask.tools if t.name == name), Tool(name, {}))
        return _called(tool, arguments)
    if not ask.tools or not (script.tool or ask.forced is not None):
        return None
    tool = next((t for t in ask.tools if t.name == ask.forced), ask.tools[0])
    return _called(tool, mapping(example(tool.schema)))


def _called(tool: Tool, arguments: dict[str, Any]) -> Call:
    return Call(tool, arguments, pieces(json.dumps(arguments, ensure_ascii=False)))


def _directed(ask: Ask) -> tuple[str, dict[str, Any]] | None:
    """`MOCK_TOOL name {json}` in the last user text: for clients whose model name is fixed.

    Not for a request without tools: clients also send the text to a model that titles or routes.
    """
    if not ask.tools or "MOCK_TOOL" not in ask.text or not (found := _DIRECTIVE.search(ask.text)):
        return None
    try:
        arguments, _ = json.JSONDecoder().raw_decode(ask.text, found.end())
    except ValueError:
        return None
    return found[1], arguments
