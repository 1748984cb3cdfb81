"""An upstream's answer: its head, and the body pushed into a sink as it arrives.

Nothing is queued and no task runs per chunk: `Sink.data` is called from the socket's own callback.
"""

import asyncio
from math import inf
from typing import TYPE_CHECKING, Protocol

from gateway.core.domain import Timeouts
from gateway.platforms.platform import Headers
from gateway.upstream.deadlines import Deadlines
from gateway.upstream.failures import Failure, Phase, TimedOut

if TYPE_CHECKING:
    from gateway.upstream.connection import Connection

EARLY_LIMIT = 64 * 1024
"""Bytes of body kept for a sink that is not there yet; beyond, the socket is paused."""


class Sink(Protocol):
    """Where a body goes: `data` any number of times, then exactly one of `end` and `fail`; nothing after `close`."""

    def data(self, chunk: bytes, /) -> None: ...

    def end(self) -> None: ...

    def fail(self, failure: Failure, /) -> None: ...


class Answer:
    """One exchange. `status`, `headers` (lower-case names; values as sent) and `content_length` (None: not told).

    `complete` is true once the whole body has arrived, though not all of it may have been taken yet.
    Methods and attributes below the line are the connection's and the timer's.
    """

    __slots__ = (
        "_begun",
        "_closed",
        "_connection",
        "_deadline",
        "_deadlines",
        "_early",
        "_early_size",
        "_failure",
        "_idle",
        "_loop",
        "_paused_at",
        "_rearmed",
        "_sink",
        "_stream",
        "_timeouts",
        "complete",
        "content_length",
        "due",
        "head",
        "headers",
        "heard",
        "status",
    )

    def __init__(
        self,
        connection: "Connection",
        deadlines: Deadlines,
        timeouts: Timeouts,
        *,
        stream: bool,
        started: float,
    ) -> None:
        loop = connection.loop
        self.status = 0
        self.headers: Headers = []
        self.content_length: int | None = None
        self.complete = False
        self.head: asyncio.Future[None] = loop.create_future()
        self.heard = 0.0
        self.due = 0.0
        self._loop = loop
        self._connection: Connection | None = connection
        self._deadlines = deadlines
        self._timeouts = timeouts
        self._stream = stream
        self._deadline = loop.time() + timeouts.first_event if stream else started + timeouts.total
        self._idle = inf
        self._begun = False
        self._rearmed = False
        self._closed = False
        self._paused_at: float | None = None
        self._sink: Sink | None = None
        self._early: list[bytes] = []
        self._early_size = 0
        self._failure: Failure | None = None
        deadlines.active.add(self)

    def header(self, name: bytes) -> bytes:
        """The first value of this name; empty when there is none."""
        for held, value in self.headers:
            if held == name:
                return value
        return b""

    def start(self, sink: Sink) -> None:
        """Push the body into the sink: at once what is here already, then all that comes, as it comes.

        Raises RuntimeError when the answer was closed: the sink would wait for an end that never comes.
        """
        if self._closed:
            raise RuntimeError("the answer is closed")
        self._sink = sink
        if self._early:
            early = b"".join(self._early)
            self._early.clear()
            sink.data(early)
        if self._sink is not sink:  # closed by the sink itself
            return
        if self._failure is not None:
            sink.fail(self._failure)
        elif self.complete:
            sink.end()
        elif self._paused_at is None and self._connection is not None:
            self._connection.resume()

    def pause(self) -> None:
        """Stop reading from the upstream. The time until `resume` is the client's, and counts against no limit."""
        if self._paused_at is None and self._connection is not None:
            self._paused_at = self._loop.time()
            self._connection.pause()

    def resume(self) -> None:
        if self._paused_at is None:
            return
        now = self._loop.time()
        self._deadline += now - self._paused_at
        self.heard = now
        self._paused_at = None
        if self._connection is not None:
            self._connection.resume()

    def rearm(self, seconds: float | None) -> None:
        """Replace the limit of the phase: so many seconds from now, None for no limit but the idle one.

        By itself `first_event` ends with the first byte of the body. A caller that waits for more than that (the
        first whole event, or the end of an error's body) calls this when the head is in, and with None when it has it.
        """
        self._rearmed = True
        self._deadline = inf if seconds is None else self._loop.time() + seconds
        self.due = 0.0

    async def read(self, limit: int) -> bytes:
        """Collect the body, at most `limit` bytes of it, and close. For error bodies; in place of `start`.

        Raises what ended the body, when that came before the limit.
        """
        rest = _Rest(self, limit)
        try:
            self.start(rest)
            await rest.over
        finally:
            self.close()
        return bytes(rest.body[:limit])

    def close(self) -> None:
        """Done with it, however far it came. An unfinished exchange is cut at once; may be called at any time."""
        if self._closed:
            return
        self._closed = True
        self._sink = None
        connection = self._connection
        if connection is not None:
            self._leave()
            connection.abort()
        if self.head.done() and not self.head.cancelled():
            self.head.exception()  # looked at, so that an abandoned one is not reported as never retrieved

    # ------------------------------------------------------------------ for the connection and the timer

    def arrived(self, status: int, headers: Headers, content_length: int | None) -> None:
        self.status = status
        self.headers = headers
        self.content_length = content_length
        if not self.head.done():
            self.head.set_result(None)

    def push(self, chunk: bytes) -> None:
        self.heard = self._loop.time()
        if not self._begun:
            self._begin()
        sink = self._sink
        if sink is not None:
            sink.data(chunk)
        elif not self._closed:
            self._early.append(chunk)
            self._early_size += len(chunk)
            if self._early_size > EARLY_LIMIT and self._connection is not None:
                self._connection.pause()

    def finish(self) -> None:
        self._leave()
        self.complete = True
        if self._sink is not None:
            self._sink.end()

    def fail(self, failure: Failure) -> None:
        self._leave()
        self._failure = failure
        if not self.head.done():
            self.head.set_exception(failure)
        elif self._sink is not None:
            self._sink.fail(failure)

    def overdue(self, now: float) -> bool:
        if self._paused_at is not None:
            return False
        self.due = min(self._deadline, self.heard + self._idle)
        return self.due <= now

    def expire(self) -> None:
        connection = self._connection
        if connection is None:
            return
        phase = self._phase()
        self.fail(TimedOut(f"{connection.peer}: out of time ({phase})", phase=phase))
        connection.abort()

    def _phase(self) -> Phase:
        if not self._stream:
            return "total"
        if not self.head.done():
            return "head"
        return "first_event" if self._deadline <= self.heard + self._idle else "idle"

    def _begin(self) -> None:
        self._begun = True
        if self._stream:
            self._idle = self._timeouts.stream_idle
            if not self._rearmed:
                self._deadline = inf
            self.due = 0.0

    def _leave(self) -> None:
        self._connection = None
        self._deadlines.active.discard(self)


class _Rest:
    """A sink that keeps what comes, up to a limit."""

    def __init__(self, answer: Answer, limit: int) -> None:
        self.body = bytearray()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answer = answer
        self._limit = limit

    def data(self, chunk: bytes) -> None:
        self.body += chunk
        if len(self.body) >= self._limit:
            self._answer.close()
            self.end()

    def end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def fail(self, failure: Failure) -> None:
        if not self.over.done():
            self.over.set_exception(failure)
