"""Tokens of a prompt, before it is answered: asked of an upstream that counts, or estimated. Pure.

https://docs.claude.com/en/api/messages-count-tokens (`POST /v1/messages/count_tokens`) and
https://ai.google.dev/api/tokens (`models.countTokens`).
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from gateway.protocols.codec import Endpoint, InvalidBody
from gateway.protocols.reading import Absurd, count, decode, written
from gateway.protocols.spans import members
from gateway.translation import anthropic, gemini
from gateway.translation.prompt import Audio, Call, Document, Image, Part, Prompt, Result, Text, Thinking
from gateway.translation.speech import Built, Limits

IMAGE = 1600
"""The largest that Anthropic counts (docs.claude.com/en/docs/build-with-claude/vision); others count less."""
PAGE = 1600
"""Of a PDF: its page is a picture and its text."""
_PAGE_BYTES = 75_000
_MOST_PAGES = 100
_AUDIO_BYTES = 1_500
"""Of base64 a token: a second of MP3 has about 14, of WAV 28."""
_TURN = 4
"""What stands around a message."""
_CALL = 10
"""What stands around a call, or its result."""
_TOOL = 12
"""What stands around a tool."""
_TOOLS = 20
"""What says that there are tools."""
_CLAUDES_TOOLS = 500
"""Claude is told at length how to call tools. As recorded; the vendor's own table says less
(docs.claude.com/en/docs/agents-and-tools/tool-use/overview#pricing)."""
_SCHEMA = 5
"""Characters of JSON schema a token: models see it in shorter words than JSON's."""


class Counter(Struct, frozen=True):
    """`operation`: what its platform is asked for. `figure`: where the answer says the number."""

    operation: str
    figure: str


COUNTERS: Mapping[str, Counter] = {
    "anthropic": Counter("count", "input_tokens"),
    "gemini": Counter("countTokens", "totalTokens"),
}
"""The protocols that count: their clients ask for it, their upstreams can be asked."""

_NESTED = ("generateContentRequest", "generate_content_request")
_members = msgspec.json.Decoder(dict[str, Raw])
_answer = msgspec.json.Decoder(dict[str, Any])


def parse(body: bytes, endpoint: Endpoint) -> Prompt:
    """The prompt that is to be counted: of Anthropic's a messages body, of Gemini's `contents` or
    `generateContentRequest`, which beats them. Raises InvalidBody."""
    if endpoint.protocol == "anthropic":
        return anthropic.SPEECH.parse(body, endpoint)
    raw = members(body, _NESTED).raw
    name = next((name for name in _NESTED if bytes(raw.get(name, b"null")) != b"null"), None)
    if name is None:
        return gemini.SPEECH.parse(body, endpoint)
    try:
        return gemini.SPEECH.parse(bytes(raw[name]), endpoint)
    except InvalidBody as error:
        raise InvalidBody(f"{name}: {error.message}", f"{name}.{error.field}" if error.field else name) from None


def answer(protocol: str, tokens: int) -> bytes:
    """The client's body."""
    return msgspec.json.encode({COUNTERS[protocol].figure: tokens})


def ask(protocol: str, prompt: Prompt, limits: Limits) -> Built:
    """The request for an upstream that counts. How an answer is to be made is left out. Raises Untranslatable."""
    built = _BUILD[protocol](_asked(prompt), limits)
    found = _members.decode(built.body)
    if protocol == "anthropic":
        del found["max_tokens"]
        return replace(built, body=msgspec.json.encode(found))
    found.pop("generationConfig", None)
    if found.keys() == {"contents"}:
        return replace(built, body=msgspec.json.encode(found))
    nested = {"model": f"models/{limits.model}", **found}
    return replace(built, body=msgspec.json.encode({_NESTED[0]: nested}))


_BUILD = {"anthropic": anthropic.SPEECH.build, "gemini": gemini.SPEECH.build}


def _asked(prompt: Prompt) -> Prompt:
    """What is read of it: what was said, tools, and a schema to answer by. Whether thinking is on decides what of the
    history is."""
    return Prompt(
        model=prompt.model,
        turns=prompt.turns,
        system=prompt.system,
        tools=prompt.tools,
        choice=prompt.choice,
        format=prompt.format,
        reasoning=prompt.reasoning,
    )


def told(protocol: str, body: bytes) -> int:
    """What the upstream counted. Raises Absurd (a ValueError) when it says no number."""
    found = decode(_answer, body)
    figure = None if found is None else found.get(COUNTERS[protocol].figure)
    if figure is None:
        raise Absurd
    return count(figure)


def estimate(prompt: Prompt) -> int:
    """About as many tokens as the upstream will find in it, by the model's name where that matters. 0 for nothing."""
    size = sum(_TURN + sum(map(_part, turn.parts)) for turn in prompt.turns)
    if prompt.system:
        size += _TURN + sum(size_of(each.text) for each in prompt.system)
    if prompt.tools:
        size += _CLAUDES_TOOLS if "claude" in prompt.model.lower() else _TOOLS
    for tool in prompt.tools:
        size += _TOOL + size_of(tool.name) + size_of(tool.description or "") + _schema(tool.schema)
    if prompt.format is not None:
        size += _schema(prompt.format.schema)
    return round(size)


def size_of(text: str) -> float:
    """Tokens of a text: letters of ASCII ÷ 4, bytes of all others ÷ 3, which is one a character for Chinese."""
    if text.isascii():
        return len(text) / 4
    plain = len(text.encode("ascii", "ignore"))
    return plain / 4 + (len(text.encode("utf-8", "surrogatepass")) - plain) / 3


def _part(part: Part) -> float:
    match part:
        case Text() | Thinking():  # what is sealed is its maker's to count
            return size_of(part.text)
        case Image():
            return IMAGE
        case Document():
            return _document(part)
        case Audio():
            return 1 + len(part.data) / _AUDIO_BYTES
        case Call():
            return _CALL + size_of(part.name) + size_of(part.arguments)
        case Result():
            return _CALL + sum(map(_part, part.content))


def _document(part: Document) -> float:
    """Without a look inside: pages by the size, one for what lies elsewhere."""
    if part.text is not None:
        return size_of(part.text)
    return PAGE * min(1 + len(part.data or "") * 3 // 4 // _PAGE_BYTES, _MOST_PAGES)


def _schema(schema: Mapping[str, Any] | None) -> float:
    return 0 if schema is None else len(written(schema)) / _SCHEMA
