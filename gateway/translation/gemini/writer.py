"""Events → Gemini's answers: `GenerateContentResponse` (https://ai.google.dev/api/generate-content) as SSE, as the JSON
array of a stream without `alt=sse`, or whole.

Gemini's parts have no numbers, so one block is written at a time, in the order of their opening: text and thinking as
they come, a call once it is closed. Every object has a part, since the SDKs' chats count one without as invalid. Pure.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols import gemini
from gateway.protocols.codec import Problem, Usage
from gateway.translation.arguments import as_object
from gateway.translation.events import (
    Begun,
    Closed,
    Delta,
    Ended,
    Event,
    Failed,
    Logprobs,
    Opened,
    Sealing,
    Stop,
)
from gateway.translation.gemini.logprobs import write_logprobs
from gateway.translation.speech import Asking

_Part = dict[str, Any]

REASONS: dict[Stop, str] = {"length": "MAX_TOKENS", "refusal": "SAFETY"}
"""All else is STOP, a call too."""


class _Block(Struct):
    opened: Opened
    ready: list[_Part]
    """What waits for its turn; of a call nothing until it is closed."""
    arguments: list[str]
    signature: str | None = None
    closed: bool = False


class _Parts:
    """The parts that each event makes ready, in an order that Gemini's protocol can say."""

    __slots__ = ("_blocks", "_logprobs", "_thoughts")

    def __init__(self, asking: Asking) -> None:
        self._blocks: dict[int, _Block] = {}
        self._thoughts = asking.prompt.reasoning.shown is not False
        self._logprobs = asking.prompt.logprobs is not None

    def of(self, event: Event) -> list[_Part]:
        match event:
            case Opened():
                self._blocks[event.block] = _Block(event, [], [])
            case Delta():
                self._more(self._blocks[event.block], event.text)
            case Sealing():
                self._seal(self._blocks[event.block], event)
            case Logprobs() if self._logprobs:
                self._blocks[event.block].ready.append({"text": "", _TOKENS: event.tokens})
            case Closed():
                block = self._blocks[event.block]
                block.closed = True
                if block.opened.kind == "call":
                    block.ready.append(_call(block))
            case _:
                pass
        return self._due()

    def rest(self) -> list[_Part]:
        """Of an answer that ended with a block open."""
        return [part for number in [*self._blocks] for part in self.of(Closed(number))]

    def _more(self, block: _Block, text: str) -> None:
        if block.opened.kind == "call":
            block.arguments.append(text)
        elif text and block.opened.kind == "text":
            block.ready.append({"text": text})
        elif text and self._thoughts and not block.opened.redacted:
            block.ready.append({"text": text, "thought": True})

    def _seal(self, block: _Block, event: Sealing) -> None:
        if event.sealed.family != "gemini":
            return
        if block.opened.kind == "call":
            block.signature = event.sealed.data
        elif self._thoughts:
            block.ready.append({"text": "", "thought": True, "thoughtSignature": event.sealed.data})

    def _due(self) -> list[_Part]:
        """What the first block has, and those after it once it is closed."""
        due: list[_Part] = []
        for number in [*self._blocks]:
            block = self._blocks[number]
            due += block.ready
            block.ready = []
            if not block.closed:
                break
            del self._blocks[number]
        return due


_TOKENS = "logprobs"
"""Beside the text of a part on its way to the candidate, where Gemini has them."""


def _call(block: _Block) -> _Part:
    text = "".join(block.arguments)
    args = as_object(text, block.opened.custom)
    found: _Part = {"functionCall": {"id": block.opened.id, "name": block.opened.name, "args": args}}
    return found if block.signature is None else found | {"thoughtSignature": block.signature}


def metadata(usage: Usage) -> dict[str, Any]:
    """`usageMetadata`: what `gateway.protocols.gemini.usage` reads again, but for the kinds of tokens."""
    prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    found = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "totalTokenCount": prompt + usage.output_tokens,
    }
    if usage.cache_read_tokens:
        found["cachedContentTokenCount"] = usage.cache_read_tokens
    if usage.reasoning_tokens:
        found["thoughtsTokenCount"] = usage.reasoning_tokens
    return found


class _Writer:
    """Objects, one after the other."""

    content_type = b""

    __slots__ = ("_asking", "_over", "_parts", "_usage")

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._parts = _Parts(asking)
        self._usage: Usage | None = None
        self._over = False

    def write(self, event: Event) -> bytes:
        if self._over:
            return b""
        match event:
            case Begun():
                self._usage = event.usage
                return b""
            case Ended():
                self._over = True
                parts = [*self._parts.rest(), {"text": ""}]
                return self._framed(_object(self._asking, parts, event, event.usage or self._usage)) + self._end()
            case Failed():
                self._over = True
                return self._framed(gemini.error(_problem(self._asking, event))) + self._end()
            case _:
                parts = self._parts.of(event)
                return self._framed(_object(self._asking, parts)) if parts else b""

    def ping(self) -> bytes:
        """A blank line: a comment is no JSON, and Google's Python SDK reads every line that is no data as some."""
        return b"" if self._over else b"\n"

    def _framed(self, data: bytes) -> bytes:
        raise NotImplementedError

    def _end(self) -> bytes:
        return b""


class EventWriter(_Writer):
    """Server-sent events: `alt=sse`."""

    content_type = b"text/event-stream"

    __slots__ = ()

    def _framed(self, data: bytes) -> bytes:
        return b"data: %b\n\n" % data


class ArrayWriter(_Writer):
    """The elements of one JSON array: a stream without `alt=sse`."""

    content_type = b"application/json; charset=UTF-8"

    __slots__ = ("_begun",)

    def __init__(self, asking: Asking) -> None:
        super().__init__(asking)
        self._begun = False

    def _framed(self, data: bytes) -> bytes:
        before, self._begun = b",\r\n" if self._begun else b"[", True
        return before + data

    def _end(self) -> bytes:
        return b"\n]"


def writer(asking: Asking) -> EventWriter | ArrayWriter:
    return ArrayWriter(asking) if asking.array else EventWriter(asking)


def _problem(asking: Asking, event: Failed) -> Problem:
    return Problem(event.status, event.code or "upstream_error", event.message, request_id=asking.request_id)


def _object(asking: Asking, parts: Sequence[_Part], ended: Ended | None = None, usage: Usage | None = None) -> bytes:
    tokens = [token for part in parts for token in part.pop(_TOKENS, ())]
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
    if ended is not None:
        candidate["finishReason"] = REASONS.get(ended.stop, "STOP")
    candidate["index"] = 0
    if tokens:
        candidate["logprobsResult"] = write_logprobs(tokens)
    found: dict[str, Any] = {"candidates": [candidate]}
    if usage is not None:
        found["usageMetadata"] = metadata(usage)
    return msgspec.json.encode(found | {"modelVersion": asking.model, "responseId": asking.request_id})


def whole(asking: Asking, events: Sequence[Event]) -> bytes:
    """In one piece: the texts of a kind that follow each other are one part."""
    found = _Parts(asking)
    parts = [part for event in events for part in found.of(event)] + found.rest()
    ended = next(event for event in events if isinstance(event, Ended))
    begun = next((event.usage for event in events if isinstance(event, Begun)), None)
    return _object(asking, _joined(parts) or [{"text": ""}], ended, ended.usage or begun)


def _joined(parts: Sequence[_Part]) -> list[_Part]:
    runs: list[list[_Part]] = []
    for part in parts:
        if "text" in part and runs and _goes_on(runs[-1][-1], part):
            runs[-1].append(part)
        else:
            runs.append([part])
    return [run[0] if len(run) == 1 else _one(run) for run in runs]


def _goes_on(before: _Part, part: _Part) -> bool:
    return "text" in before and before.get("thought") == part.get("thought") and before.get("thoughtSignature") is None


def _one(run: Sequence[_Part]) -> _Part:
    one = {name: value for part in run for name, value in part.items() if name not in ("text", _TOKENS)}
    tokens = [token for part in run for token in part.get(_TOKENS, ())]
    return {"text": "".join(part["text"] for part in run), **one, **({_TOKENS: tokens} if tokens else {})}
