"""Gemini's answers → events: `GenerateContentResponse` (https://ai.google.dev/api/generate-content), whole or as SSE.

Gemini has parts, not blocks: text parts of one kind that follow each other are one block, however they were cut, and a
call is a block of its own. The end is the finish reason with its figures, which may also come after it. Pure.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols import gemini
from gateway.protocols.codec import Problem, Usage
from gateway.protocols.framing import EventSplitter
from gateway.protocols.reading import Absurd, believed, mapping, sequence, written
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
from gateway.translation.gemini.logprobs import read_logprobs
from gateway.translation.gemini.pieces import Pieces
from gateway.translation.held import Held
from gateway.translation.prompt import Sealed

STOPS: Mapping[str, Stop] = {
    "MAX_TOKENS": "length",
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "LANGUAGE": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "MODEL_ARMOR": "refusal",
    "IMAGE_SAFETY": "refusal",
    "IMAGE_PROHIBITED_CONTENT": "refusal",
    "IMAGE_RECITATION": "refusal",
}
"""Any other reason is an end, or a call's where there was one: Gemini says STOP for both."""

BROKEN = frozenset({"MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE"})
"""The model's output could not be used: what came of it is no answer."""

_GENERATE = next(each for each in gemini.ENDPOINTS if each.action == "generateContent")
_unsafe = re.compile(r"[^A-Za-z0-9_-]")


class _Answer(Struct):
    candidates: Any = None
    promptFeedback: Any = None  # noqa: N815
    usageMetadata: Any = None  # noqa: N815
    modelVersion: Any = None  # noqa: N815
    responseId: Any = None  # noqa: N815
    error: Any = None


_answer = msgspec.json.Decoder(_Answer)


class _Call(Struct):
    """A call whose arguments are on their way."""

    block: int
    pieces: Pieces
    sealed: Sealed | None


class Parts:
    """The events of the objects of one answer, in order."""

    __slots__ = (
        "_answered",
        "_block",
        "_call",
        "_calls",
        "_events",
        "_id",
        "_kind",
        "_refused",
        "_text",
        "begun",
        "finish",
        "over",
        "usage",
    )

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._block = 0
        """The next one's number."""
        self._kind = ""
        """Of the text that is open: text, thinking or none."""
        self._text: int | None = None
        """The last block of text, which log probabilities belong to."""
        self._call: _Call | None = None
        self._calls = 0
        self._id = ""
        self._refused = False
        self._answered = False
        self.begun = False
        self.finish: str | None = None
        self.usage: Usage | None = None
        self.over = False

    def read(self, data: bytes) -> None:
        """One object of the answer."""
        found = None if self.over else _decoded(data)
        if found is None:
            return
        if found.error is not None:
            self.fail(_problem(data))
            return
        measured = self._measure(found.usageMetadata)
        self._begin(found, data)
        self._refused = self._refused or bool(mapping(found.promptFeedback).get("blockReason"))
        for each in sequence(found.candidates)[:1]:
            self._answered = True
            self._candidate(mapping(each))
        if measured and (self.finish is not None or self._refused):
            self.end(complete=True)

    def taken(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def end(self, complete: bool) -> None:
        """Nothing more will come; `complete`: a candidate needs no finish reason to be whole."""
        if self.over:
            return
        if self.finish in BROKEN:
            self.fail(Problem(502, str(self.finish).lower(), f"The model's output could not be used: {self.finish}"))
        elif self.finish is None and not self._refused and not (complete and self._answered):
            self.fail(Problem(502, "upstream_error", "The upstream's answer ended before its end."))
        else:
            self._settle()
            self._events.append(Ended(self._stop(), usage=self.usage))
            self.over = True

    def fail(self, problem: Problem) -> None:
        if not self.over:
            self._events.append(Failed(problem.status, problem.message, problem.code))
            self.over = True

    def _begin(self, found: _Answer, data: bytes) -> None:
        if self.begun:
            return
        self.begun = True
        given = found.responseId if isinstance(found.responseId, str) and found.responseId else None
        model = found.modelVersion if isinstance(found.modelVersion, str) else None
        # Calls without an id get one of this answer's own: the next answer's must differ.
        self._id = _unsafe.sub("_", given[:24]) if given else hashlib.sha256(data).hexdigest()[:24]
        self._events.append(Begun(given, model, self.usage))

    def _measure(self, figures: Any) -> bool:
        """Says whether there were any: Vertex names the kind of traffic before it has figures."""
        try:
            found = believed(gemini.usage(mapping(figures)))
        except Absurd:
            return False
        if found == Usage():
            return False
        self.usage = found
        return True

    def _candidate(self, candidate: dict[str, Any]) -> None:
        for part in sequence(mapping(candidate.get("content")).get("parts")):
            self._part(mapping(part))
        if (
            (tokens := read_logprobs(candidate.get("logprobsResult")))
            and self._kind == "text"
            and self._text is not None
        ):
            self._events.append(Logprobs(self._text, tokens))
        reason = candidate.get("finishReason")
        if isinstance(reason, str):
            self.finish = reason

    def _part(self, part: dict[str, Any]) -> None:
        text, signature = part.get("text"), part.get("thoughtSignature")
        sealed = Sealed("gemini", signature) if isinstance(signature, str) and signature else None
        if "functionCall" in part:
            self._function(mapping(part["functionCall"]), sealed)
        elif part.get("thought") is True:
            self._write("thinking", text if isinstance(text, str) else "", sealed)
        elif isinstance(text, str):
            self._write("text", text, None)

    def _write(self, kind: str, text: str, sealed: Sealed | None) -> None:
        if not text and sealed is None:
            return
        if self._kind != kind:
            self._settle()
            self._text = self._open("thinking" if kind == "thinking" else "text")
            self._kind = kind
        assert self._text is not None
        if text:
            self._events.append(Delta(self._text, text))
        if sealed is not None:
            self._events.append(Sealing(self._text, sealed))
            self._settle()

    def _function(self, found: dict[str, Any], sealed: Sealed | None) -> None:
        """A call without a name goes on with the one that is open; `willContinue` says that more will come."""
        name = found.get("name")
        if isinstance(name, str) and name:
            self._settle()
            given = found.get("id")
            known = given if isinstance(given, str) and given else f"call_{self._id}_{self._calls}"
            self._calls += 1
            self._call = _Call(self._open("call", known, name), Pieces(), sealed)
        if self._call is None:
            return
        for piece in sequence(found.get("partialArgs")):
            self._call.pieces.add(mapping(piece))
        if found.get("willContinue") is not True:
            self._finish(mapping(found.get("args")))

    def _open(self, kind: Any, call: str | None = None, name: str | None = None) -> int:
        block, self._block = self._block, self._block + 1
        self._events.append(Opened(block, kind, call, name))
        return block

    def _finish(self, args: dict[str, Any]) -> None:
        """The call has all of its arguments."""
        call, self._call = self._call, None
        if call is None:
            return
        self._events.append(Delta(call.block, written(args or call.pieces.whole()).decode()))
        if call.sealed is not None:
            self._events.append(Sealing(call.block, call.sealed))
        self._events.append(Closed(call.block))

    def _settle(self) -> None:
        """Closes what is open."""
        if self._kind and self._text is not None:
            self._events.append(Closed(self._text))
        self._kind = ""
        self._finish({})

    def _stop(self) -> Stop:
        if self._refused:
            return "refusal"
        return STOPS.get(self.finish or "", "tool_use" if self._calls else "end")


class StreamReader:
    """Of server-sent events."""

    __slots__ = ("_held", "_parts", "_splitter")

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._parts = Parts()
        self._held = 0

    def feed(self, data: bytes) -> Sequence[Event]:
        return self._read(self._splitter.feed(data))

    def close(self) -> Sequence[Event]:
        events = [*self._read(self._splitter.close())]
        self._parts.end(complete=False)
        return events + self._parts.taken()

    def _read(self, events: Sequence[tuple[bytes, bytes]]) -> list[Event]:
        for _, data in events:
            self._parts.read(data)
        if self._splitter.lost:
            self._parts.fail(Problem(502, "upstream_error", "An event of the upstream's is too long."))
        return self._parts.taken()


class WholeReader:
    """Of one object, or of an array of those that a stream has."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = Held()

    def feed(self, data: bytes) -> Sequence[Event]:
        self._held.add(data)
        return ()

    def close(self) -> Sequence[Event]:
        parts = Parts()
        if (data := self._held.taken()) is None:
            parts.fail(Problem(502, "upstream_error", "The upstream's answer is too long."))
            return parts.taken()
        for each in _objects(data):
            parts.read(each)
        parts.end(complete=True)
        return parts.taken()


_array = msgspec.json.Decoder(list[msgspec.Raw])


def _objects(data: bytes) -> list[bytes]:
    if not data.lstrip().startswith(b"["):
        return [data]
    try:
        return [bytes(each) for each in _array.decode(data)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def _decoded(data: bytes) -> _Answer | None:
    try:
        return _answer.decode(data)
    except (msgspec.ValidationError, RecursionError):
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _mended(data)


def _mended(data: bytes) -> _Answer | None:
    """Half a character (an emoji cut in two) is U+FFFD: what is written later must be UTF-8."""
    try:
        text = json.dumps(json.loads(data), ensure_ascii=False)
        return _answer.decode(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except (ValueError, RecursionError):
        return None


def _problem(data: bytes) -> Problem:
    """Of an error inside a 200: its status is that which the protocol's own reader finds."""
    listening = gemini.reader(_GENERATE, False)
    listening.feed(data)
    listening.close()
    return failure(listening.failure.status if listening.failure is not None else 500, data)


def failure(status: int, body: bytes) -> Problem:
    """`{"error": {"code", "message", "status"}}`, alone or in an array."""
    found = next(map(_decoded, _objects(body)[:1]), None)
    error = mapping(None if found is None else found.error)
    message, code = error.get("message"), error.get("status")
    return Problem(
        status,
        code.lower() if isinstance(code, str) and code else "upstream_error",
        message if isinstance(message, str) and message else f"The upstream answered with status {status}.",
    )


def reader(stream: bool) -> StreamReader | WholeReader:
    return StreamReader() if stream else WholeReader()
