"""The upstream's bytes → the client's, on the way of one answer. Nothing here waits."""

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from gateway.protocols.codec import Problem
from gateway.protocols.reading import MAX_ANSWER
from gateway.translation.compat import Finder
from gateway.translation.events import Event, Failed
from gateway.translation.speech import Asking, EventReader, EventWriter, Speech

JSON = b"application/json"
_BROKEN = Failed(500, "The answer could not be translated.", "internal")
_UNREADABLE = "The upstream's answer could not be read."
log = structlog.get_logger()


class Converter(Protocol):
    """Fed as the bytes come. After a failure nothing more is said."""

    content_type: bytes
    failed: Failed | None
    """Why there is no answer, or only a part of one."""

    def feed(self, data: bytes) -> bytes: ...

    def close(self) -> bytes: ...

    def ping(self) -> bytes:
        """What keeps a silent stream alive."""
        ...

    def fail(self, problem: Problem) -> bytes:
        """The last word of a stream that broke; nothing of an answer in one piece."""
        ...


class StreamConverter:
    def __init__(self, reader: EventReader, finder: Finder | None, writer: EventWriter) -> None:
        self._reader = reader
        self._finder = finder
        self._writer = writer
        self.content_type = writer.content_type
        self.failed: Failed | None = None

    def feed(self, data: bytes) -> bytes:
        return self._said(lambda: self._reader.feed(data))

    def close(self) -> bytes:
        return self._said(self._reader.close)

    def ping(self) -> bytes:
        return self._writer.ping()

    def fail(self, problem: Problem) -> bytes:
        self.failed = Failed(problem.status, problem.message, problem.code)
        return self._writer.write(self.failed)

    def _said(self, read: Callable[[], Sequence[Event]]) -> bytes:
        if self.failed is not None:
            return b""
        try:
            events = read()
            if self._finder is not None:
                events = [found for event in events for found in self._finder.read(event)]
            said = b"".join([self._writer.write(event) for event in events])
            self.failed = next((event for event in events if isinstance(event, Failed)), None)
        except Exception:
            # A fault of ours ends this one stream, in its protocol's words.
            log.exception("a stream could not be translated")
            self.failed = _BROKEN
            return self._writer.write(_BROKEN)
        return said


class WholeConverter:
    """Of events: says everything at the end, and nothing when the answer failed."""

    content_type = JSON

    def __init__(self, reader: EventReader, finder: Finder | None, client: Speech, asking: Asking) -> None:
        self._reader = reader
        self._finder = finder
        self._client = client
        self._asking = asking
        self._events: list[Event] = []
        self.failed: Failed | None = None

    def feed(self, data: bytes) -> bytes:
        self._keep(self._reader.feed(data))
        return b""

    def close(self) -> bytes:
        self._keep(self._reader.close())
        if self.failed is not None:
            return b""
        try:
            return self._client.whole(self._asking, self._events)
        except Exception:
            log.exception("an answer could not be translated")
            self.failed = _BROKEN
            return b""

    def ping(self) -> bytes:
        return b""

    def fail(self, problem: Problem) -> bytes:
        return b""

    def _keep(self, events: Sequence[Event]) -> None:
        for event in events:
            for found in (event,) if self._finder is None else self._finder.read(event):
                if isinstance(found, Failed):
                    self.failed = self.failed or found
                self._events.append(found)


class BodyConverter:
    """Of a body that is read as a whole. `convert` raises ValueError for one that is no answer."""

    content_type = JSON

    def __init__(self, convert: Callable[[bytes], bytes]) -> None:
        self._convert = convert
        self._held = bytearray()
        self.failed: Failed | None = None

    def feed(self, data: bytes) -> bytes:
        self._held += data
        if len(self._held) > MAX_ANSWER:
            self.failed = Failed(502, "The upstream's answer is too long.")
            self._held.clear()
        return b""

    def close(self) -> bytes:
        if self.failed is not None:
            return b""
        try:
            return self._convert(bytes(self._held))
        except ValueError:
            self.failed = Failed(502, _UNREADABLE)
            return b""

    def ping(self) -> bytes:
        return b""

    def fail(self, problem: Problem) -> bytes:
        return b""
