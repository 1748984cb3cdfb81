"""Gemini: https://ai.google.dev/api/generate-content, its streams (SSE and JSON array) and its errors.

The model is in the path; copies of it inside the body are renamed with it. Members are read in both spellings
that Google's JSON parser takes (camelCase and snake_case).
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols import requests
from gateway.protocols.codec import Codec, Endpoint, InvalidBody, Peek, Problem, Reader, Span, Usage
from gateway.protocols.framing import ArraySplitter
from gateway.protocols.problems import names
from gateway.protocols.reading import (
    Answer,
    StreamReader,
    Unmeasured,
    WholeReader,
    count,
    decode,
    length,
    mapping,
    sequence,
    written,
)
from gateway.protocols.spans import Edit, Members, elements, inner, members, splice

_OPERATIONS = {
    "batchEmbedContents": "embed",
    "countTokens": "count",
    "embedContent": "embed",
    "generateContent": "generate",
    "streamGenerateContent": "generate",
}

ENDPOINTS = tuple(
    Endpoint("gemini", operation, "/v1beta/models/{model}:" + action, action)
    for action, operation in _OPERATIONS.items()
)

CHAT = Endpoint("gemini", "generate", "/gemini/v1/chat", "generateContent")
"""A path of our own for generateContent: the body names the model."""

STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""The HTTP status of each `error.status`: google/rpc/code.proto"""

_MODEL = frozenset({"model"})
_CONFIG = ("generationConfig", "generation_config")
_LIMIT = ("maxOutputTokens", "max_output_tokens")
_ANSWERS = ("candidateCount", "candidate_count")
_NESTED = ("generateContentRequest", "generate_content_request")
_WATCHED = requests.WATCHED | {*_CONFIG, *_NESTED, "requests"}
_PLAIN = "models/"
#: What was cached is part of the prompt's. Embeddings spell theirs without the s.
_DETAILS = ("promptTokensDetails", "promptTokenDetails", "toolUsePromptTokensDetails", "candidatesTokensDetails")


class _Answer(Struct):
    candidates: Any = None
    promptFeedback: Any = None  # noqa: N815
    usageMetadata: Any = None  # noqa: N815
    error: Any = None


_answer = msgspec.json.Decoder(_Answer)


def usage(figures: dict[str, Any]) -> Usage:
    """The classes of `usageMetadata`: its prompt holds what was cached, its candidates no thoughts. Raises Absurd."""
    cached, thoughts = count(figures.get("cachedContentTokenCount")), count(figures.get("thoughtsTokenCount"))
    parts = [part for name in _DETAILS for part in map(mapping, sequence(figures.get(name)))]
    return Usage(
        input_tokens=count(count(figures.get("promptTokenCount")) - cached)
        + count(figures.get("toolUsePromptTokenCount")),
        cache_read_tokens=cached,
        output_tokens=count(figures.get("candidatesTokenCount")) + thoughts,
        reasoning_tokens=thoughts,
        audio_tokens=sum(count(part.get("tokenCount")) for part in parts if part.get("modality") == "AUDIO"),
        image_tokens=sum(count(part.get("tokenCount")) for part in parts if part.get("modality") == "IMAGE"),
    )


def _status(error: Any) -> int:
    found = mapping(error)
    code = found.get("code")
    if type(code) is int and 400 <= code <= 599:
        return code
    return STATUS.get(str(found.get("status")), 500)


def _characters(candidate: Any) -> int:
    size = 0
    for part in sequence(mapping(mapping(candidate).get("content")).get("parts")):
        found = mapping(part)
        size += length(found.get("text"))
        if "functionCall" in found:
            size += len(written(mapping(found["functionCall"]).get("args")))
    return size


def _searches(candidate: Any) -> int:
    """Queries of the search that answers are grounded in."""
    return len(sequence(mapping(mapping(candidate).get("groundingMetadata")).get("webSearchQueries")))


def _counted(figures: Any) -> bool:
    """Vertex sends `usageMetadata` that names only the kind of traffic: no figures yet."""
    return figures is not None and any(name.endswith("TokenCount") for name in mapping(figures))


class _Parts(Answer):
    """Reads answers that come in one or more objects; a finish reason, or a refused prompt, is the end."""

    __slots__ = ()

    def _part(self, data: bytes) -> bool:
        """Reads one object; says whether it ends the answer."""
        part = decode(_answer, data)
        if part is None:
            return False
        if part.error is not None:
            self._fail(_status(part.error), data)
        ends = bool(mapping(part.promptFeedback).get("blockReason"))
        for candidate in sequence(part.candidates):
            self.characters += _characters(candidate)
            self.calls = max(self.calls, _searches(candidate))
            ends = ends or bool(mapping(candidate).get("finishReason"))
        if _counted(part.usageMetadata):
            self._report(usage, part.usageMetadata)
        return ends


class _Stream(_Parts, StreamReader):
    __slots__ = ()

    def _event(self, name: bytes, data: bytes) -> None:
        self.complete = self._part(data) or self.complete
        self.usage_final = self.complete and self.usage is not None


class _ArrayReader(_Parts):
    """`streamGenerateContent` without `alt=sse`: the end is the array's own, after a finish reason."""

    __slots__ = ("_finished", "_last", "_splitter")

    def __init__(self) -> None:
        super().__init__()
        self._splitter = ArraySplitter()
        self._last = b""
        self._finished = False

    def feed(self, data: bytes) -> None:
        for element in self._splitter.feed(data):
            self._finished = self._part(element) or self._finished
            self.begun = True
        self.usage_final = self._finished and self.usage is not None
        self.complete = self._finished and self._splitter.ended
        self._last = data.rstrip()[-1:] or self._last

    def close(self) -> None:
        pass

    def ended_by(self, element: bytes) -> bytes | None:
        """What ends the array with one more element; None inside an element, and after the end."""
        if not self._splitter.between:
            return None
        return (b",\r\n" if self._last == b"}" else b"") + element + b"\n]"


class _Whole(_Parts, WholeReader):
    __slots__ = ("_generates",)

    def __init__(self, generates: bool) -> None:
        super().__init__()
        self._generates = generates

    def _answer(self, data: bytes) -> None:
        found = decode(_answer, data)
        if found is None:
            self.characters = len(data) if self._generates else 0
            return
        self._part(data)
        self.complete = found.error is None
        self.usage_final = self.usage is not None


def peek(endpoint: Endpoint, body: bytes) -> Peek:
    """Raises InvalidBody. `model` is that of the body, rarely there: the path's counts."""
    found = members(body, _WATCHED)
    raw = found.raw
    model = requests.text(raw, "model")
    if endpoint is CHAT and requests.flag(raw, "stream"):
        raise InvalidBody("this path does not stream: use models/{model}:streamGenerateContent", "stream")
    configs = [config.raw for config in _objects(body, found, _CONFIG, frozenset((*_LIMIT, *_ANSWERS)))]
    return Peek(
        model=None if model is None else model[_prefix(model) :],
        stream=endpoint.action == "streamGenerateContent",
        max_tokens=max((most for raw in configs if (most := requests.most(raw, *_LIMIT)) is not None), default=None),
        models=tuple(_copies(body, found)),
        insert_at=found.insert_at,
        empty=not raw,
        session=requests.session(raw),
        written_in="openai_chat" if endpoint is CHAT and "messages" in raw and "contents" not in raw else "",
        answers=max((requests.answers(raw, *_ANSWERS) for raw in configs), default=1),
    )


def _copies(body: bytes, found: Members) -> Iterator[Span]:
    """The spans of every `model` in the body: its own, that of a nested request, those of a batch."""
    nested = [*_objects(body, found, _NESTED, _MODEL)]
    if "requests" in found.spans:
        spans = elements(body, found.spans["requests"], "requests")
        nested += [inner(body, span, _MODEL, "requests") for span in spans if body[span[0]] == 123]
    for each in (found, *nested):
        if "model" in each.spans:
            requests.text(each.raw, "model")
            yield each.spans["model"]


def _objects(body: bytes, found: Members, wanted: tuple[str, ...], watched: frozenset[str]) -> Iterator[Members]:
    """The members of those members that are objects."""
    for name in wanted:
        span = found.spans.get(name)
        if span is not None and body[span[0]] == 123:
            yield inner(body, span, watched, name)


def _prefix(model: str) -> int:
    """Length of what stands before the bare name: `models/`, `publishers/google/models/`…"""
    found = model.rfind("/" + _PLAIN)
    return found + 1 + len(_PLAIN) if found >= 0 else len(_PLAIN) if model.startswith(_PLAIN) else 0


def rename(endpoint: Endpoint, body: bytes, peeked: Peek, model: str) -> bytes:
    """The body with every copy of the model's name replaced, each keeping its `models/` prefix."""
    edits: list[Edit] = []
    for start, end in peeked.models:
        old = msgspec.json.decode(body[start:end])
        if not isinstance(old, str):
            raise InvalidBody("model must be a string", "model")
        name = old[: _prefix(old)] + model
        if name != old:
            edits.append((start, end, msgspec.json.encode(name)))
    return splice(body, edits) if edits else body


def reader(endpoint: Endpoint, stream: bool) -> Reader:
    """A Reader for one answer: SSE, a JSON array, or one object."""
    if endpoint.operation == "count":
        return Unmeasured(_status)
    if stream:
        return _Stream()
    if endpoint.action == "streamGenerateContent":
        return _ArrayReader()
    return _Whole(endpoint.operation == "generate")


def error(problem: Problem) -> bytes:
    """The body of an error answer."""
    about = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": problem.code.upper(),
        "domain": "poolgate",
    }
    return msgspec.json.encode(
        {
            "error": {
                "code": problem.status,
                "message": problem.message,
                "status": names(problem).gemini,
                "details": [about],
            }
        }
    )


def stream_error(problem: Problem) -> bytes:
    """The event that ends a broken event stream."""
    return b"data: " + error(problem) + b"\n\n"


def array_error(problem: Problem, reader: Reader) -> bytes | None:
    """What ends a broken JSON array: the error as its last element, where it was broken between two."""
    return reader.ended_by(error(problem)) if isinstance(reader, _ArrayReader) else None


CODEC = Codec(
    name="gemini",
    endpoints=ENDPOINTS,
    peek=peek,
    rename=rename,
    reader=reader,
    error=error,
    stream_error=stream_error,
    array_error=array_error,
)
