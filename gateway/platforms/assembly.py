"""An answer in one piece out of a stream of Responses events: the upstream only streams, the client wants none.

The events are those of https://platform.openai.com/docs/api-reference/responses-streaming. Pure, incremental, bounded;
the same bytes however it is fed.
"""

import msgspec
from msgspec import Raw

from gateway.protocols.codec import InvalidBody
from gateway.protocols.edits import edited
from gateway.protocols.framing import MAX_EVENT, EventSplitter
from gateway.protocols.spans import members

MAX_ITEMS = 64 * 1024 * 1024
"""Bytes of output items that are kept until the end is known."""

#: What an event must hold to matter; the others (most are deltas) are not decoded.
_MARKS = (b"response.completed", b"response.incomplete", b"response.failed", b"response.output_item.done", b'"error"')
_FAILED = b'{"error":{"message":"The response failed.","type":"server_error","param":null,"code":"server_error"}}'
_kind = msgspec.json.Decoder(str)
_index = msgspec.json.Decoder(int)


class Assembler:
    """Swallows the stream; its `close` gives the response object of the last event, in its own bytes.

    Where that has an empty `output` (ChatGPT's backend sends it so), the items that were said to be done stand in for
    it, in order. A failure inside gives an error body. A stream that was cut, or holds more than is kept, gives
    nothing: never half an answer.
    """

    content_type = b"application/json"

    def __init__(self, limit: int = MAX_EVENT, items: int = MAX_ITEMS) -> None:
        self._splitter = EventSplitter(limit)
        self._room = items
        self._items: dict[int, bytes] = {}
        self._end = b""
        self._failure = b""

    def feed(self, data: bytes) -> bytes:
        for _, text in self._splitter.feed(data):
            self._event(text)
        return b""

    def close(self) -> bytes:
        for _, text in self._splitter.close():
            self._event(text)
        if self._failure:
            return self._failure
        if not self._end:
            return b""
        whole = members(self._end, ())
        if not _is_empty(whole.raw.get("output", b"")):
            return self._end
        if self._splitter.lost or self._room < 0:
            return b""
        ordered = b",".join(self._items[at] for at in sorted(self._items))
        return edited(self._end, {"output": b"[" + ordered + b"]"}) if ordered else self._end

    def _event(self, text: bytes) -> None:
        if self._end or self._failure or not any(mark in text for mark in _MARKS):
            return
        try:
            found = members(text, ("type",))
            kind = _kind.decode(found.raw["type"])
        except (InvalidBody, msgspec.DecodeError, KeyError):
            return
        raw = found.raw
        match kind:
            case "response.output_item.done" if "item" in raw:
                self._keep(raw)
            case "response.completed" | "response.incomplete" if "response" in raw:
                self._finish(bytes(raw["response"]))
            case "response.failed":
                self._failure = _error_of(raw.get("response")) or _FAILED
            case "error":
                # Flat in the public API: the event is the error itself.
                self._failure = _error_of(text) or b'{"error":' + text + b"}"
            case _:
                pass

    def _keep(self, raw: dict[str, Raw]) -> None:
        item = bytes(raw["item"])
        self._room -= len(item)
        if self._room < 0:
            self._items.clear()
            return
        try:
            at = _index.decode(raw["output_index"])
        except (msgspec.DecodeError, KeyError):
            at = max(self._items, default=-1) + 1
        self._items[at] = item

    def _finish(self, response: bytes) -> None:
        try:
            members(response, ())
        except InvalidBody:
            return
        self._end = response


def _error_of(holder: Raw | bytes | None) -> bytes:
    """The `error` member of an object, as an error body; empty when it has none."""
    if holder is None:
        return b""
    try:
        error = bytes(members(bytes(holder), ()).raw.get("error", b""))
    except InvalidBody:
        return b""
    return b"" if _is_empty(error) else b'{"error":' + error + b"}"


def _is_empty(value: Raw | bytes) -> bool:
    return b"".join(bytes(value).split()) in (b"[]", b"null", b"")
