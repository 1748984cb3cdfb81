"""Answers of Bedrock's Converse, read: one object, or the events of ConverseStream as server-sent events.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html. A message of AWS' event stream
is expected as `event: {its :event-type or :exception-type}`, `data: {its payload as it is}`. The figures follow the
stop, and in some recordings stand before it.
"""

from base64 import b64decode
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from gateway.protocols.codec import Problem, Usage
from gateway.protocols.framing import EventSplitter
from gateway.protocols.reading import Absurd, believed, count, decode, mapping, sequence, written
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Failed, Opened, Sealing, Stop
from gateway.translation.held import Held
from gateway.translation.names import original
from gateway.translation.prompt import Sealed
from gateway.translation.speech import EventReader

_CODE = "upstream_error"
_DAMAGED = Failed(502, "The upstream's answer is no answer of Converse.", _CODE)
_TOO_LONG = Failed(502, "The upstream's answer is too long.", _CODE)
_CUT_OFF = Failed(502, "The upstream's answer ended before it was complete.", _CODE)

_STOPS: dict[str, Stop] = {
    "content_filtered": "refusal",
    "end_turn": "end",
    "guardrail_intervened": "refusal",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
}
_MALFORMED = frozenset({"malformed_model_output", "malformed_tool_use"})

#: Exceptions, without that word: the status that is closest.
_STATUS = {
    "accessdenied": 403,
    "internalserver": 500,
    "modelerror": 502,
    "modelnotready": 503,
    "modelstreamerror": 502,
    "modeltimeout": 504,
    "resourcenotfound": 404,
    "servicequotaexceeded": 429,
    "serviceunavailable": 503,
    "throttling": 429,
    "validation": 400,
}
_any = msgspec.json.Decoder(dict[str, Any])


def usage(figures: dict[str, Any]) -> Usage:
    """The classes of a `usage` object: its input leaves caches out. Writes whose lifetime is not said are of 5 minutes.
    Raises Absurd. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html"""
    details = [mapping(each) for each in sequence(figures.get("cacheDetails"))]
    hour = sum(count(each.get("inputTokens")) for each in details if each.get("ttl") == "1h")
    written_all = count(figures.get("cacheWriteInputTokens"))
    if hour > written_all:
        raise Absurd
    return Usage(
        input_tokens=count(figures.get("inputTokens")),
        cache_read_tokens=count(figures.get("cacheReadInputTokens")),
        cache_write_5m_tokens=written_all - hour,
        cache_write_1h_tokens=hour,
        output_tokens=count(figures.get("outputTokens")),
    )


class _Blocks:
    """The blocks of an answer, by Bedrock's numbers and ours; ours count what is said at all."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[int, str]] = {}
        self._sealed: dict[int, bytes] = {}
        self._count = 0
        self.called = False

    def call(self, index: int, call: dict[str, Any]) -> Iterable[Event]:
        """A call of Bedrock's own tools is none that the client could answer: it and its result are passed over."""
        yield from self.close(index)
        if call.get("type") == "server_tool_use":
            return
        self.called = True
        yield self._opened(index, "call", _text(call.get("toolUseId")), original(_text(call.get("name"))))

    def more(self, index: int, kind: Literal["text", "thinking", "call"], text: Any) -> Iterable[Event]:
        """Text and thinking begin with their first piece; a call has been begun, or is none of the client's."""
        if not isinstance(text, str) or not text:
            return
        known = self._open.get(index)
        if known is None or known[1] != kind:
            if kind == "call":
                return
            yield from self.close(index)
            yield self._opened(index, kind)
        yield Delta(self._open[index][0], text)

    def reason(self, index: int, given: dict[str, Any]) -> Iterable[Event]:
        """Of a delta, or of a whole `reasoningText`."""
        yield from self.more(index, "thinking", given.get("text"))
        if signature := _text(given.get("signature")):
            if self._open.get(index, (0, ""))[1] != "thinking":
                yield from self.close(index)
                yield self._opened(index, "thinking")
            yield Sealing(self._open[index][0], Sealed("anthropic", signature))
        if redacted := _text(given.get("redactedContent")):
            if index not in self._sealed:
                yield from self.close(index)
                yield self._opened(index, "redacted")
            self._sealed[index] = self._sealed.get(index, b"") + _blob(redacted)

    def close(self, index: int) -> Iterable[Event]:
        known = self._open.pop(index, None)
        if known is None:
            return
        if sealed := self._sealed.pop(index, b""):
            # What Anthropic calls data is a text; Bedrock takes it for bytes.
            yield Sealing(known[0], Sealed("anthropic", sealed.decode(errors="replace")))
        yield Closed(known[0])

    def close_all(self) -> Iterable[Event]:
        for index in list(self._open):
            yield from self.close(index)

    def _opened(self, index: int, kind: str, name_id: str | None = None, name: str | None = None) -> Opened:
        block = self._count
        self._count += 1
        self._open[index] = (block, kind)
        match kind:
            case "redacted":
                return Opened(block, "thinking", redacted=True)
            case "thinking":
                return Opened(block, "thinking")
            case "call":
                return Opened(block, "call", name_id, name)
            case _:
                return Opened(block, "text")


class _Reader:
    """What both forms share: the beginning, the end, and that nothing follows it."""

    def __init__(self) -> None:
        self._begun = False
        self._over = False
        self._blocks = _Blocks()
        self._usage: Usage | None = None

    def _begin(self) -> Iterable[Event]:
        if not self._begun:
            self._begun = True
            yield Begun()

    def _measure(self, figures: Any) -> None:
        try:
            self._usage = believed(usage(mapping(figures))) if isinstance(figures, dict) else None
        except Absurd:
            self._usage = None

    def _end(self, stopped: dict[str, Any]) -> Iterable[Event]:
        yield from self._blocks.close_all()
        reason = _text(stopped.get("stopReason"))
        if reason in _MALFORMED:
            yield self._fail(Failed(502, f"The model's output was not usable ({reason}).", _CODE))
            return
        self._over = True
        stop: Stop = _STOPS.get(reason, "end")
        if stop in ("tool_use", "end"):
            stop = "tool_use" if self._blocks.called else "end"
        yield Ended(stop, _sequence_met(stopped), self._usage)

    def _fail(self, failure: Failed) -> Failed:
        self._over = True
        return failure


class StreamReader(_Reader):
    def __init__(self) -> None:
        super().__init__()
        self._splitter = EventSplitter()
        self._stopped: dict[str, Any] | None = None
        self._measured = False

    def feed(self, data: bytes) -> Sequence[Event]:
        return self._read(self._splitter.feed(data))

    def close(self) -> Sequence[Event]:
        events = self._read(self._splitter.close())
        if self._over:
            return events
        if self._stopped is not None:
            return [*events, *self._end(self._stopped)]
        return [*events, self._fail(_CUT_OFF)]

    def _read(self, found: Sequence[tuple[bytes, bytes]]) -> list[Event]:
        events: list[Event] = []
        for name, data in found:
            if not self._over:
                events += self._event(name.decode(errors="replace"), decode(_any, data))
        if self._splitter.lost and not self._over:
            events.append(self._fail(_TOO_LONG))
        return events

    def _event(self, name: str, event: dict[str, Any] | None) -> Iterable[Event]:
        if (status := exception(name)) is not None:
            yield self._fail(_failed(status, event or {}))
            return
        if event is None:
            yield self._fail(_DAMAGED)
            return
        yield from self._begin()
        index = event.get("contentBlockIndex")
        match name:
            case "contentBlockStart" if isinstance(index, int):
                if call := mapping(mapping(event.get("start")).get("toolUse")):
                    yield from self._blocks.call(index, call)
            case "contentBlockDelta" if isinstance(index, int):
                yield from self._delta(index, mapping(event.get("delta")))
            case "contentBlockStop" if isinstance(index, int):
                yield from self._blocks.close(index)
            case "messageStop":
                self._stopped = event
            case "metadata":
                self._measured = True
                self._measure(event.get("usage"))
            case _:
                pass
        if self._stopped is not None and self._measured:
            yield from self._end(self._stopped)

    def _delta(self, index: int, delta: dict[str, Any]) -> Iterable[Event]:
        yield from self._blocks.more(index, "text", delta.get("text"))
        yield from self._blocks.more(index, "call", mapping(delta.get("toolUse")).get("input"))
        if reasoning := mapping(delta.get("reasoningContent")):
            yield from self._blocks.reason(index, reasoning)


class WholeReader(_Reader):
    """Says everything at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._held = Held()

    def feed(self, data: bytes) -> Sequence[Event]:
        if self._over:
            return ()
        if self._held.add(data):
            return ()
        return [self._fail(_TOO_LONG)]

    def close(self) -> Sequence[Event]:
        if self._over:
            return ()
        held = self._held.taken() or b""
        answer = decode(_any, held)
        output = mapping(answer.get("output")) if answer is not None else {}
        if answer is None or "message" not in output:
            return [self._fail(_DAMAGED if held else _CUT_OFF)]
        return list(self._answer(answer, sequence(mapping(output["message"]).get("content"))))

    def _answer(self, answer: dict[str, Any], content: list[Any]) -> Iterable[Event]:
        yield from self._begin()
        for index, block in enumerate(map(mapping, content)):
            yield from self._block(index, block)
            yield from self._blocks.close(index)
        self._measure(answer.get("usage"))
        yield from self._end(answer)

    def _block(self, index: int, block: dict[str, Any]) -> Iterable[Event]:
        yield from self._blocks.more(index, "text", block.get("text"))
        for cited in sequence(mapping(block.get("citationsContent")).get("content")):
            yield from self._blocks.more(index, "text", mapping(cited).get("text"))
        if reasoning := mapping(block.get("reasoningContent")):
            yield from self._blocks.reason(index, mapping(reasoning.get("reasoningText")) or reasoning)
        if call := mapping(block.get("toolUse")):
            yield from self._blocks.call(index, call)
            yield from self._blocks.more(index, "call", _arguments(call.get("input")))


def reader(stream: bool) -> EventReader:
    return StreamReader() if stream else WholeReader()


def failure(status: int, body: bytes) -> Problem:
    """The message is Bedrock's own (`message`, in some answers `Message`), else the body itself."""
    found = decode(_any, body) or {}
    said = _text(found.get("message")) or _text(found.get("Message")) or body.decode(errors="replace").strip()
    return Problem(status, _CODE if status >= 500 else "invalid_request", said or "The upstream failed.")


def exception(name: str) -> int | None:
    """The closest status of an event that is an exception; None for any other."""
    kind = name.lower()
    if not kind.endswith(("exception", "error")):
        return None
    kind = kind.removesuffix("exception")
    return _STATUS.get(kind) or _STATUS.get(kind.removesuffix("error"), 502)


def _failed(status: int, event: dict[str, Any]) -> Failed:
    said = _text(event.get("message")) or _text(event.get("originalMessage")) or "The upstream failed."
    return Failed(status, said, _CODE)


def _sequence_met(stopped: dict[str, Any]) -> str | None:
    """Only where the model was asked for it: at the top of an answer, in `delta` of a stream."""
    fields = mapping(stopped.get("additionalModelResponseFields"))
    return _text(fields.get("stop_sequence")) or _text(mapping(fields.get("delta")).get("stop_sequence")) or None


def _arguments(given: Any) -> str:
    if isinstance(given, str):
        return given or "{}"
    return "{}" if given is None else written(given).decode()


def _text(given: Any) -> str:
    return given if isinstance(given, str) else ""


def _blob(given: str) -> bytes:
    try:
        return b64decode(given, validate=True)
    except ValueError:
        return given.encode(errors="replace")
