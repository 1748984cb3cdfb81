"""Answers of Anthropic, read: https://docs.anthropic.com/en/api/messages and …/build-with-claude/streaming.

What Anthropic's own tools did is passed over: a translated request has none of them.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols import anthropic
from gateway.protocols.codec import Problem, Usage
from gateway.protocols.framing import EventSplitter
from gateway.protocols.reading import Absurd, believed, decode, mapping, sequence, written
from gateway.translation.anthropic.mending import held_back, mended
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Failed, Opened, Sealing, Stop
from gateway.translation.held import Held
from gateway.translation.names import original
from gateway.translation.prompt import Sealed

_STOPS: dict[Any, Stop] = {
    "end_turn": "end",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_use",
    "refusal": "refusal",
    "pause_turn": "pause",
}
_DELTAS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_CUT = Failed(502, "The upstream's answer ended before its end.", "upstream_error")
_UNREADABLE = Failed(502, "The upstream's answer cannot be read.", "upstream_error")


class _Event(Struct):
    type: Any = None
    index: Any = None
    delta: Any = None
    content_block: Any = None
    message: Any = None
    usage: Any = None
    error: Any = None


class _Block:
    """One that is open. `number`: ours. `held`: half a letter."""

    __slots__ = ("held", "kind", "number", "signature", "spoken", "start")

    def __init__(self, number: int, kind: str, start: Any) -> None:
        self.number, self.kind, self.start = number, kind, start
        self.held = self.signature = ""
        self.spoken = False


class _Answer:
    """What an answer is made of, in whatever form it comes: blocks, figures, an end."""

    __slots__ = ("_begun", "_blocks", "_called", "_ended", "_figures", "_opened", "_said")

    def __init__(self) -> None:
        self._said: list[Event] = []
        self._begun = self._ended = self._called = False
        self._blocks: dict[Any, _Block] = {}
        self._opened = 0
        self._figures: dict[str, Any] = {}

    def _take(self) -> Sequence[Event]:
        said, self._said = self._said, []
        return said

    def _begin(self, message: dict[str, Any]) -> None:
        """A stream that begins twice has begun once."""
        self._figures = {}
        usage = self._counted(message.get("usage"))
        if not self._begun:
            self._begun = True
            self._said.append(Begun(_string(message.get("id")), _string(message.get("model")), usage))

    def _counted(self, figures: Any) -> Usage | None:
        """Later figures replace earlier ones, except by null. None where there are none, or none to believe."""
        given = mapping(figures)
        self._figures |= {name: value for name, value in given.items() if value is not None}
        try:
            return believed(anthropic.usage(self._figures)) if self._figures else None
        except Absurd:
            return None

    def _open(self, index: Any, start: dict[str, Any]) -> None:
        """A block, with what its start says already."""
        if not self._begun:
            self._begin({})
        if index in self._blocks:
            self._close(index)
        kind = start.get("type")
        opened = self._opened
        if kind == "text" or kind == "thinking":
            event = Opened(opened, kind)
        elif kind == "redacted_thinking":
            event = Opened(opened, "thinking", redacted=True)
        elif kind == "tool_use":
            self._called = True
            event = Opened(opened, "call", _string(start.get("id")), original(_string(start.get("name")) or ""))
        else:
            return
        self._opened += 1
        self._said.append(event)
        block = self._blocks[index] = _Block(opened, kind, start)
        block.signature = _string(start.get("data" if kind == "redacted_thinking" else "signature")) or ""
        self._say(block, start.get(kind) if kind in ("text", "thinking") else "")

    def _say(self, block: _Block, text: Any) -> None:
        if not isinstance(text, str) or not text:
            return
        text = block.held + text
        kept = len(text) - held_back(text)
        block.held = text[kept:]
        if text := mended(text[:kept]):
            block.spoken = True
            self._said.append(Delta(block.number, text))

    def _close(self, index: Any) -> None:
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if block.held:
            self._said.append(Delta(block.number, mended(block.held)))
        if block.kind == "tool_use" and not block.spoken:
            arguments = written(block.start.get("input") or {}).decode()
            self._said.append(Delta(block.number, arguments))
        if block.signature:
            self._said.append(Sealing(block.number, Sealed("anthropic", block.signature)))
        self._said.append(Closed(block.number))

    def _end(self, reason: Any, sequence: Any, usage: Usage | None) -> None:
        if not self._begun:
            self._begin({})
        for index in list(self._blocks):
            self._close(index)
        stop = _STOPS.get(reason) if isinstance(reason, str) else None
        self._ended = True
        self._said.append(Ended(stop or ("tool_use" if self._called else "end"), _string(sequence), usage))

    def _fail(self, failed: Failed) -> None:
        self._ended = True
        self._said.append(failed)


class StreamReader(_Answer):
    """message_start, blocks, message_delta, message_stop; an error may come at any place."""

    __slots__ = ("_reason", "_sequence", "_splitter", "_usage")

    def __init__(self) -> None:
        super().__init__()
        self._splitter = EventSplitter()
        self._reason: Any = None
        self._sequence: Any = None
        self._usage: Usage | None = None

    def feed(self, data: bytes) -> Sequence[Event]:
        for name, text in self._splitter.feed(data):
            self._event(name, text)
        if self._splitter.lost and not self._ended:
            self._fail(_UNREADABLE)
        return self._take()

    def close(self) -> Sequence[Event]:
        for name, text in self._splitter.close():
            self._event(name, text)
        if not self._ended:
            self._fail(_CUT)
        return self._take()

    def _event(self, name: bytes, data: bytes) -> None:
        event = decode(_event, data)
        if event is None or self._ended:
            return
        match event.type:
            case "content_block_delta":
                self._delta(event.index, mapping(event.delta))
            case "content_block_start" if isinstance(event.index, int):
                self._open(event.index, mapping(event.content_block))
            case "content_block_stop" if isinstance(event.index, int):
                self._close(event.index)
            case "message_start":
                self._begin(mapping(event.message))
            case "message_delta":
                delta = mapping(event.delta)
                self._reason, self._sequence = delta.get("stop_reason"), delta.get("stop_sequence")
                self._usage = self._counted(event.usage)
            case "message_stop":
                self._end(self._reason, self._sequence, self._usage)
            case _:
                if event.type == "error" or name == b"error":
                    self._fail(_failed(event.error))

    def _delta(self, index: Any, delta: dict[str, Any]) -> None:
        block = self._blocks.get(index) if isinstance(index, int) else None
        if block is None:
            return
        kind = delta.get("type")
        if kind == "signature_delta":
            block.signature = _string(delta.get("signature")) or ""
        elif isinstance(kind, str) and kind in _DELTAS:
            self._say(block, delta.get(_DELTAS[kind]))


class WholeReader(_Answer):
    """An answer in one piece: its events come at its end."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        super().__init__()
        self._held = Held()

    def feed(self, data: bytes) -> Sequence[Event]:
        self._held.add(data)
        return ()

    def close(self) -> Sequence[Event]:
        if (data := self._held.taken()) is None:
            self._fail(_UNREADABLE)
        else:
            self._read(data)
        return self._take()

    def _read(self, data: bytes) -> None:
        message = decode(_message, data)
        if message is None:
            self._fail(_UNREADABLE)
        elif message.get("type") == "error" or message.get("error") is not None:
            self._fail(_failed(message.get("error")))
        else:
            self._begin(message)
            for index, block in enumerate(sequence(message.get("content"))):
                self._open(index, mapping(block))
                self._close(index)
            self._end(message.get("stop_reason"), message.get("stop_sequence"), self._counted(None))


def reader(stream: bool) -> StreamReader | WholeReader:
    return StreamReader() if stream else WholeReader()


def failure(status: int, body: bytes) -> Problem:
    """What an error's body says; of one that is not Anthropic's, that it failed."""
    tree = decode(_message, body) or {}
    error = mapping(tree.get("error"))
    code, message = _string(error.get("type")), _string(error.get("message"))
    return Problem(status, code or "upstream_error", message or f"The upstream answered with status {status}.")


def _failed(error: Any) -> Failed:
    """An error event; its status is that of its type."""
    found = mapping(error)
    code, message = _string(found.get("type")), _string(found.get("message"))
    return Failed(anthropic.STATUS.get(code or "", 500), message or "The upstream failed.", code)


def _string(value: Any) -> str | None:
    return mended(value) if isinstance(value, str) else None


_event = msgspec.json.Decoder(_Event)
_message = msgspec.json.Decoder(dict[str, Any])
