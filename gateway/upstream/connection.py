"""One HTTP/1.1 connection to an upstream: writes a request, parses the answer, says whether it can be used again."""

import asyncio
import socket
import ssl
from typing import Protocol, cast

import httptools

from gateway.platforms.platform import Headers
from gateway.upstream.answer import Answer
from gateway.upstream.failures import BadAnswer, ConnectionBroken, Failure, Truncated

HEAD_LIMIT = 64 * 1024
"""Bytes of anything but body in a row: heads, informational answers, trailers, chunk extensions."""
JOIN_LIMIT = 64 * 1024
"""Up to this size a body is copied behind its head, for one write."""
_NO_BODY = (204, 304)


class Owner(Protocol):
    """Who keeps the connection while it has no exchange."""

    def give(self, connection: "Connection") -> None: ...

    def gone(self, connection: "Connection") -> None: ...


class Refused(Exception):
    """Parsed, but not to be trusted. Raised through the parser, never out of this module."""


class Connection(asyncio.Protocol):
    """`peer` names it in messages. `idle_since` is the owner's. Without an exchange, any byte received ends it."""

    __slots__ = (
        "_answer",
        "_barren",
        "_complete",
        "_headers",
        "_keep",
        "_owner",
        "_parser",
        "_parts",
        "_paused",
        "_transport",
        "_until_close",
        "idle_since",
        "loop",
        "on_body",
        "peer",
        "used",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: Owner, peer: str) -> None:
        self.loop = loop
        self.peer = peer
        self.idle_since = 0.0
        self.used = False
        self._owner = owner
        self._answer: Answer | None = None
        self._headers: Headers | None = None
        """The head being read; None outside of one."""
        self._parts: list[bytes] = []
        self._barren = 0
        self._until_close = False
        self._complete = False
        self._keep = False
        self._paused = False
        # The parser looks its callbacks up once: a list's own append costs no Python frame per chunk.
        self.on_body = self._parts.append

    # ------------------------------------------------------------------ for the pool and the answer

    def send(self, answer: Answer, head: bytes, body: bytes) -> None:
        self._answer = answer
        self._headers = []
        self._barren = 0
        self._until_close = self._complete = False
        if len(body) <= JOIN_LIMIT:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    @property
    def alive(self) -> bool:
        return not self._transport.is_closing()

    def pause(self) -> None:
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once, without sending what is left; the exchange hears nothing more."""
        self._answer = None
        self._transport.abort()

    def cut(self) -> None:
        """Close at once; a running exchange fails with that."""
        self._transport.abort()

    # ------------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is none by inheritance
        self._parser = httptools.HttpResponseParser(self)
        sock: socket.socket | None = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            self.abort()
            return
        self._barren += len(data)
        failure = self._feed(data)
        parts = self._parts
        if parts:
            self._barren = 0
            chunk = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            answer.push(chunk)
            if self._answer is not answer:  # closed by its sink
                return
        if self._complete:
            self._finish(answer, clean=failure is None)
        elif failure is not None:
            self._fail(answer, failure)
        elif self._barren > HEAD_LIMIT:
            self._fail(answer, self._bad(f"more than {HEAD_LIMIT} bytes without a body"))

    def eof_received(self) -> None:
        answer = self._answer
        if answer is not None and self._until_close and self._headers is None and self._ended_by_the_peer():
            self._finish(answer, clean=False)

    def connection_lost(self, exc: Exception | None) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.fail(self._broken(exc))
        self._owner.gone(self)
        # The parser holds this object's methods: without it, nothing is left for the collector to find.
        del self._parser, self.on_body

    # ------------------------------------------------------------------ httptools callbacks

    def on_message_begin(self) -> None:
        if self._complete:
            raise Refused("bytes after the end of the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        headers = self._headers
        if headers is not None:  # else it is a trailer, which nobody asked for
            headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        headers = self._headers
        if headers is None or self._answer is None:
            return
        if status < 200:
            if status < 100 or status == 101:
                raise Refused(f"status {status}")
            headers.clear()
            return
        if status > 599:
            raise Refused(f"status {status}")
        if self._barren > HEAD_LIMIT and sum(len(name) + len(value) + 4 for name, value in headers) > HEAD_LIMIT:
            raise Refused("the head is too large")
        length, chunked = self._framing(headers)
        if status in _NO_BODY:
            length = 0
        self._until_close = length is None and not chunked
        self._headers = None
        self._answer.arrived(status, headers, length)

    def on_message_complete(self) -> None:
        if self._headers is None:  # else it was an informational one
            self._complete = True
            self._keep = self._parser.should_keep_alive()

    # ------------------------------------------------------------------ inside

    def _framing(self, headers: Headers) -> tuple[int | None, bool]:
        """Content-length and chunked, by the stricter reading: what two readers could read differently is refused."""
        length: int | None = None
        coding: bytes | None = None
        for name, value in headers:
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                if coding is not None or value.strip().lower() != b"chunked":
                    raise Refused("a transfer-encoding other than chunked")
                coding = value
        if coding is not None and (length is not None or self._parser.get_http_version() == "1.0"):
            raise Refused("doubtful framing")
        return length, coding is not None

    def _ended_by_the_peer(self) -> bool:
        """Whether the end of the bytes is the upstream's word. Over TLS it takes the closing alert to be that, and
        asyncio, unlike uvloop, reports an end without it all the same."""
        tls: ssl.SSLObject | None = self._transport.get_extra_info("ssl_object")
        if tls is None:
            return True
        try:
            return tls.read(1) == b""
        except ssl.SSLError:
            return False

    def _feed(self, data: bytes) -> Failure | None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            why = error.__context__ if isinstance(error.__context__, Refused) else error
            return self._bad(str(why))
        return None

    def _bad(self, why: str) -> BadAnswer:
        return BadAnswer(f"{self.peer}: {why}", phase="head" if self._headers is not None else "body")

    def _finish(self, answer: Answer, *, clean: bool) -> None:
        """The answer is whole. The connection goes back only if both sides are at a boundary: ours too, since an
        answer may come before all of the request was read."""
        self._answer = None
        self.used = True
        if clean and self._keep and self.alive and self._transport.get_write_buffer_size() == 0:
            self.resume()
            self._owner.give(self)
        else:
            self._transport.abort()
        answer.finish()

    def _fail(self, answer: Answer, failure: Failure) -> None:
        self.abort()
        answer.fail(failure)

    def _broken(self, exc: Exception | None) -> Failure:
        why = f"{self.peer}: {exc or 'closed by the upstream'}"
        if self._headers is not None:
            return ConnectionBroken(why, stale=self.used and self._barren == 0)
        return Truncated(why)
