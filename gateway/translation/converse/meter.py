"""Listens to answers of Converse for their figures, as a protocol's own reader does (`gateway.protocols.codec.Reader`).

A stream is expected as `gateway.translation.converse.answer` reads it.
"""

from typing import Any

import msgspec

from gateway.protocols.codec import Reader
from gateway.protocols.reading import StreamReader, WholeReader, decode, length, mapping, sequence, written
from gateway.translation.converse.answer import exception, usage

_any = msgspec.json.Decoder(dict[str, Any])


def _characters(block: dict[str, Any]) -> int:
    """Of a block, or of a delta: text, thinking, arguments of calls."""
    reasoning, call = mapping(block.get("reasoningContent")), mapping(block.get("toolUse"))
    given = call.get("input")
    size = length(block.get("text")) + length(mapping(reasoning.get("reasoningText") or reasoning).get("text"))
    return size + (length(given) if isinstance(given, str) or given is None else len(written(given)))


class _Stream(StreamReader):
    """The figures follow the stop, or stand before it: both are the end."""

    __slots__ = ("_stopped",)

    def __init__(self) -> None:
        super().__init__()
        self._stopped = False

    def _event(self, name: bytes, data: bytes) -> None:
        if (failed := exception(name.decode(errors="replace"))) is not None:
            self._fail(failed, data)
            return
        event = decode(_any, data) or {}
        if name == b"contentBlockDelta":
            self.characters += _characters(mapping(event.get("delta")))
        elif name == b"messageStop":
            self._stopped = True
        elif name == b"metadata" and (figures := event.get("usage")) is not None:
            self._report(usage, figures)
        self.complete = self._stopped
        self.usage_final = self._stopped and self.usage is not None


class _Whole(WholeReader):
    __slots__ = ()

    def _answer(self, data: bytes) -> None:
        answer = decode(_any, data)
        if answer is None:
            self.characters = len(data)
            return
        message = mapping(mapping(answer.get("output")).get("message"))
        self.characters = sum(_characters(mapping(block)) for block in sequence(message.get("content")))
        self.complete = bool(message)
        self.usage_final = (figures := answer.get("usage")) is not None and self._report(usage, figures)


def meter(stream: bool) -> Reader:
    return _Stream() if stream else _Whole()
