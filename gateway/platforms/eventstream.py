"""`application/vnd.amazon.eventstream`, re-framed as server-sent events: Anthropic's own, or those of Converse.

A message is framed as https://docs.aws.amazon.com/lexv2/latest/dg/event-stream-encoding.html says. Of InvokeModel the
payload of a `chunk` is `{"bytes": base64 of one event's JSON text}`
(https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html), and that text passes as it
is. Memory is bounded by the longest message that botocore takes: 24 MiB.
"""

import struct
from typing import Any, cast

import msgspec
from botocore.eventstream import EventStreamBuffer, EventStreamMessage, ParserError
from msgspec import Struct, field

CONTENT_TYPE = b"application/vnd.amazon.eventstream"
_PRELUDE = 12
_SHORTEST = 16

#: Bedrock's exceptions by Anthropic's words (docs.claude.com/en/api/errors), which the verdict is then found by.
_TYPES = {
    "accessdenied": "permission_error",
    "internalserver": "api_error",
    "modelerror": "api_error",
    "modelnotready": "overloaded_error",
    "modelstreamerror": "api_error",
    "modeltimeout": "timeout_error",
    "resourcenotfound": "not_found_error",
    "servicequotaexceeded": "rate_limit_error",
    "serviceunavailable": "overloaded_error",
    "throttling": "rate_limit_error",
    "validation": "invalid_request_error",
}


class _Part(Struct):
    event: bytes = field(default=b"", name="bytes")
    """msgspec reads bytes from base64."""


class _Event(Struct):
    type: str = ""


class _Said(Struct):
    message: str = ""


_part = msgspec.json.Decoder(_Part)
_event = msgspec.json.Decoder(_Event)
_said = msgspec.json.Decoder(_Said)


class _Framing:
    """The same bytes however it is fed. After an error nothing more is said."""

    content_type = b"text/event-stream; charset=utf-8"

    def __init__(self) -> None:
        self._buffer = EventStreamBuffer()
        self._held = bytearray()
        self._length = 0
        """Of the message that has begun, all of it; 0 before its prelude is there."""
        self._over = False

    def feed(self, data: bytes) -> bytes:
        if self._over:
            return b""
        self._held += data
        said: list[bytes] = []
        try:
            while not self._over and (message := self._next()) is not None:
                said.append(self._reframed(message))
        # A type of header that there is not, a value that is cut or is no UTF-8: botocore lets these through.
        except (ParserError, KeyError, UnicodeDecodeError, struct.error, msgspec.DecodeError):
            said.append(self._failed("internalServerException", "The upstream's event stream is damaged."))
        return b"".join(said)

    def close(self) -> bytes:
        if self._over or not self._held:
            return b""
        return self._failed("internalServerException", "The upstream's event stream was cut off inside an event.")

    def _next(self) -> EventStreamMessage | None:
        """The next message, once it is whole. botocore's buffer is given the prelude, which it checks, then the rest
        at once: it would copy all it holds for every piece. Raises ParserError."""
        if not self._length:
            if len(self._held) < _PRELUDE:
                return None
            length = int.from_bytes(self._held[:4], "big")
            self._buffer.add_data(bytes(self._held[:_PRELUDE]))
            if length < _SHORTEST:
                raise ParserError("a message is shorter than its own frame")
            next(self._buffer, None)
            self._length = length
        if len(self._held) < self._length:
            return None
        self._buffer.add_data(bytes(self._held[_PRELUDE : self._length]))
        del self._held[: self._length]
        self._length = 0
        return next(self._buffer)

    def _reframed(self, message: EventStreamMessage) -> bytes:
        headers = cast("dict[str, Any]", message.headers)
        payload = cast("bytes", message.payload)
        match headers.get(":message-type"):
            case "event":
                return self._event(str(headers.get(":event-type", "")), payload)
            case "exception":
                return self._failed(str(headers.get(":exception-type")), _message(payload))
            case "error":
                return self._failed(str(headers.get(":error-code")), str(headers.get(":error-message", "")))
            case _:
                raise ParserError("a message of no known type")

    def _failed(self, kind: str, message: str) -> bytes:
        self._over = True
        self._held.clear()
        return self._error(kind, message or "The upstream failed.")

    def _event(self, kind: str, payload: bytes) -> bytes:
        raise NotImplementedError

    def _error(self, kind: str, message: str) -> bytes:
        """`kind`: AWS' name of it."""
        raise NotImplementedError


class AnthropicFraming(_Framing):
    """Of InvokeModelWithResponseStream."""

    def _event(self, kind: str, payload: bytes) -> bytes:
        return _as_sse(_part.decode(payload).event)

    def _error(self, kind: str, message: str) -> bytes:
        error = {"type": "error", "error": {"type": _type(kind), "message": message}}
        return b"event: error\ndata: %b\n\n" % msgspec.json.encode(error)


class ConverseFraming(_Framing):
    """Of ConverseStream: the event's name and its payload as it is. An exception is an event of its name.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
    """

    def _event(self, kind: str, payload: bytes) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (_one_line(kind.encode()), _one_line(payload))

    def _error(self, kind: str, message: str) -> bytes:
        name = kind if kind.lower().endswith(("exception", "error")) else f"{kind}Exception"
        return self._event(name, msgspec.json.encode({"message": message}))


def _one_line(text: bytes) -> bytes:
    """Line ends in JSON are blanks."""
    return b" ".join(text.splitlines()) if b"\n" in text or b"\r" in text else text


def _as_sse(event: bytes) -> bytes:
    """An event that says nothing (a kind of message that is not a chunk) is none of Anthropic's."""
    if not event:
        return b""
    name = _event.decode(event).type.encode()
    if b"\n" in event or b"\r" in event or b"\n" in name or b"\r" in name:
        # Line ends in JSON are blanks, and each line of an event needs its own field.
        event = b"\ndata: ".join(event.splitlines())
        name = b" ".join(name.splitlines())
    return b"event: %b\ndata: %b\n\n" % (name, event)


def _type(exception: object) -> str:
    """`throttlingException`, `ThrottlingException` or a bare `InternalServerError`'s name → Anthropic's word."""
    name = str(exception).lower().removesuffix("exception").removesuffix("error")
    return _TYPES.get(name) or _TYPES.get(name + "error", "api_error")


def _message(payload: bytes) -> str:
    try:
        return _said.decode(payload).message
    except msgspec.DecodeError:
        return ""
