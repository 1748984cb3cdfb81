"""The client's side of the wire: uvicorn's HTTP protocol with our bounds, and the write side that the relay pushes into.

Added to uvicorn: a bound on the head and on the time it takes, one valid Host, refusals as JSON, and `SocketDownstream`,
which writes head and first bytes in one system call and tells when the client leaves or reads too slowly.
Rules: spec "Streams and bounds".
"""

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.relay.call import Header

MAX_HEAD = 64 * 1024
HEAD_SECONDS = 10.0
BODY_SECONDS = 30.0
SLOW_SECONDS = 120.0
DISCARD_BYTES = 1 << 20
EXTENSION = "poolgate.downstream"
_HOST = re.compile(rb"[A-Za-z0-9._~-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?")
_STATUS = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
log = structlog.get_logger()


def status_line(status: int) -> bytes:
    return _STATUS.get(status) or b"HTTP/1.1 %d \r\n" % status


def _nothing() -> None:
    return


class SocketDownstream:
    """The write side of one request (gateway.relay.downstream.Downstream), on uvicorn's connection."""

    __slots__ = ("_chunked", "_connection", "_cycle", "body_overdue", "on_gone", "on_writable")

    def __init__(self, connection: "ClientConnection", cycle: RequestResponseCycle) -> None:
        self._connection = connection
        self._cycle = cycle
        self._chunked = False
        self.body_overdue = False
        """The request's body made no progress for too long."""
        self.on_gone: Callable[[], None] = _nothing
        self.on_writable: Callable[[], None] = _nothing

    @property
    def gone(self) -> bool:
        return self._cycle.disconnected

    @property
    def paused(self) -> bool:
        return self._connection.flow.write_paused

    @property
    def body_complete(self) -> bool:
        return not self._cycle.more_body

    def begin(self, status: int, headers: list[Header], body: bytes) -> None:
        cycle = self._cycle
        if cycle.disconnected:
            return
        out = self._head(status, headers)
        if not any(name == b"content-length" for name, _ in headers):
            if cycle.scope["http_version"] == "1.0":
                cycle.keep_alive = False
            else:
                self._chunked = True
                out.append(b"transfer-encoding: chunked\r\n")
        if not cycle.keep_alive:
            out.append(b"connection: close\r\n")
        out.append(b"\r\n")
        if body:
            out += (b"%x\r\n" % len(body), body, b"\r\n") if self._chunked else (body,)
        cycle.transport.write(b"".join(out))

    def respond(self, status: int, headers: list[Header], body: bytes) -> None:
        cycle = self._cycle
        if not cycle.disconnected:
            out = self._head(status, [pair for pair in headers if pair[0] != b"content-length"])
            if not cycle.keep_alive:
                out.append(b"connection: close\r\n")
            out.append(b"content-length: %d\r\n\r\n" % len(body))
            if cycle.scope["method"] != "HEAD":
                out.append(body)
            cycle.transport.write(b"".join(out))
        self._finish()

    def _head(self, status: int, headers: list[Header]) -> list[bytes]:
        self._cycle.response_started = True
        self._cycle.waiting_for_100_continue = False
        out = [status_line(status)]
        for name, value in headers:
            out += (name, b": ", value, b"\r\n")
        return out

    def write(self, chunk: bytes) -> None:
        cycle = self._cycle
        if cycle.disconnected or not chunk:
            return
        cycle.transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._chunked else chunk)

    def end(self) -> None:
        cycle = self._cycle
        if self._chunked and not cycle.disconnected:
            cycle.transport.write(b"0\r\n\r\n")
        self._finish()

    def _finish(self) -> None:
        cycle = self._cycle
        if cycle.response_complete:
            return
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()

    def close_after(self) -> None:
        """No further request on this connection."""
        self._cycle.keep_alive = False

    def abort(self) -> None:
        self._cycle.response_complete = True
        self._cycle.transport.abort()


class ClientConnection(HttpToolsProtocol):
    """One connection of a client. `limits` are swept once a second by the server: see `overdue`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self._head_bytes = 0
        self._in_head = True
        self._discarded = 0
        self._moved = self.loop.time()
        self._stuck_at: tuple[float, int] | None = None
        self.downstream: SocketDownstream | None = None

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._in_head:
            if not self._head_bytes:
                self._moved = self.loop.time()
            self._head_bytes += len(data)
        else:
            self._moved = self.loop.time()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return
        except httptools.HttpParserCallbackError as error:
            self._refuse_callback(error)
        except httptools.HttpParserError:
            self.refuse(400, "invalid_request", "The HTTP request is not valid.")
        if self._in_head and self._head_bytes > MAX_HEAD:
            self.refuse(431, "headers_too_large", "The request's headers are too large.")

    def _refuse_callback(self, error: Exception) -> None:
        cause = error.__context__
        if isinstance(cause, _BadHead):
            self.refuse(cause.status, cause.code, cause.message)
        else:
            log.error("the HTTP parser's callback failed", reason=type(cause).__name__)
            self.refuse(400, "invalid_request", "The HTTP request is not valid.")

    def on_headers_complete(self) -> None:
        headers = self.headers
        if sum(len(name) + len(value) for name, value in headers) + len(self.url) > MAX_HEAD:
            raise _BadHead(431, "headers_too_large", "The request's headers are too large.")
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) > 1 or (not hosts and self.parser.get_http_version() != "1.0"):
            raise _BadHead(400, "invalid_request", "The request needs exactly one Host header.")
        if hosts and not _HOST.fullmatch(hosts[0]):
            raise _BadHead(400, "invalid_request", "The Host header is not valid.")
        if not self.url.startswith(b"/"):
            raise _BadHead(400, "invalid_request", "The request's target is not a path.")
        self._in_head = False
        self._head_bytes = 0
        self._discarded = 0
        super().on_headers_complete()
        # The task that uvicorn has just made runs later, and finds the write side in its scope.
        self.downstream = SocketDownstream(self, self.cycle)
        cast(dict[str, Any], self.scope)["extensions"] = {EXTENSION: self.downstream}

    def _should_upgrade(self) -> bool:
        return False

    def on_body(self, body: bytes) -> None:
        if self.cycle.response_complete:
            # Answered before the whole body came: the rest is read and dropped, so that the answer is not lost to a
            # reset, but not for ever.
            self._discarded += len(body)
            if self._discarded > DISCARD_BYTES:
                self.transport.close()
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        super().on_message_complete()

    def refuse(self, status: int, code: str, message: str) -> None:
        """Answers what never became a request, and closes."""
        if self.transport.is_closing():
            return
        busy = self.cycle is not None and not self.cycle.response_complete
        if not busy:
            body = b'{"error":{"message":"%b","type":"invalid_request_error","param":null,"code":"%b"}}' % (
                message.encode(),
                code.encode(),
            )
            self.transport.write(
                status_line(status)
                + b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
                % (len(body), body)
            )
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        running = self.cycle is not None and not self.cycle.response_complete
        waiting = list(self.pipeline)
        super().connection_lost(exc)
        for cycle, _ in waiting:
            cycle.disconnected = True
        if running and self.downstream is not None:
            self.downstream.on_gone()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.downstream is not None:
            self.downstream.on_writable()

    def overdue(self, now: float) -> None:
        """Once a second: heads and bodies that do not come, readers that do not read."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        idle = cycle is None or cycle.response_complete
        if self._in_head and self._head_bytes and idle:
            if now - self._moved > HEAD_SECONDS:
                self.refuse(408, "request_timeout", "The request's headers did not come in time.")
        elif cycle is None and now - self._moved > HEAD_SECONDS:
            self.transport.close()
        elif not idle and cycle.more_body and not self.flow.read_paused and now - self._moved > BODY_SECONDS:
            self._body_overdue(cycle)
        if self.flow.write_paused:
            self._stuck(now)
        else:
            self._stuck_at = None

    def _body_overdue(self, cycle: RequestResponseCycle) -> None:
        if not cycle.response_started:
            cycle.keep_alive = False
            if self.downstream is not None:
                self.downstream.body_overdue = True
            cycle.message_event.set()
        self._moved = self.loop.time()

    def _stuck(self, now: float) -> None:
        left = self.transport.get_write_buffer_size()
        if self._stuck_at is None or left < self._stuck_at[1]:
            self._stuck_at = (now, left)
        elif now - self._stuck_at[0] > SLOW_SECONDS:
            self.transport.abort()


class _BadHead(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
