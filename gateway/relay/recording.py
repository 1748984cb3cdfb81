"""The beginnings of a request and of its answer, as they pass, for a tenant that wants them kept."""

from gateway.core.domain import Capture
from gateway.relay.meter import Listener
from gateway.relay.redaction import Part, Task


class Recording:
    """The beginnings of one request and its answer, at most `max_bytes` of each."""

    __slots__ = ("_answer", "answer_bytes", "answered", "capture", "request", "request_bytes")

    def __init__(self, capture: Capture, body: bytes) -> None:
        self.capture = capture
        self.request = body[: capture.max_bytes]
        self.request_bytes = len(body)
        self.answered = False
        self.answer_bytes = 0
        self._answer = bytearray()

    def over(self, reader: Listener) -> "Listening":
        """For an attempt's answer: it is read, and recorded in the place of an earlier attempt's."""
        self._anew()
        return Listening(reader, self)

    def instead(self, body: bytes) -> None:
        """An upstream's error that is passed on, in the place of what was recorded before."""
        self._anew()
        self.feed(body)

    def _anew(self) -> None:
        self.answered, self.answer_bytes = True, 0
        self._answer.clear()

    def feed(self, data: bytes) -> None:
        self.answer_bytes += len(data)
        if (room := self.capture.max_bytes - len(self._answer)) > 0:
            self._answer += data[:room]

    def task(self) -> Task:
        parts = [Part(self.request, self.request_bytes > len(self.request))]
        if self.answered:
            parts.append(Part(bytes(self._answer), self.answer_bytes > len(self._answer)))
        return Task(self.capture.redact, tuple(parts))


class Listening:
    """What a tap feeds: the reader and the recording. Everything else is asked of the reader itself."""

    __slots__ = ("_reader", "_recording")

    def __init__(self, reader: Listener, recording: Recording) -> None:
        self._reader = reader
        self._recording = recording

    @property
    def begun(self) -> bool:
        return self._reader.begun

    @begun.setter
    def begun(self, begun: bool) -> None:
        self._reader.begun = begun

    def feed(self, data: bytes) -> None:
        self._recording.feed(data)
        self._reader.feed(data)
