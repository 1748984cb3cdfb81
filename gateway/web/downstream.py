"""The write side of a request on uvicorn's connection: head and first bytes in one system call, and word of a client
that leaves or reads too slowly."""

from http import HTTPStatus
from typing import Protocol

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.core.errors import GatewayError
from gateway.relay.downstream import Notice
from gateway.routing.call import Header

EXTENSION = "poolgate.downstream"
"""By which the application finds it in its scope."""
_STATUS = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}


class Connection(Protocol):
    """What is used of the connection."""

    flow: FlowControl

    def linger(self) -> None: ...


def status_line(status: int) -> bytes:
    return _STATUS.get(status) or b"HTTP/1.1 %d \r\n" % status


def _nothing() -> None: ...


class SocketDownstream:
    """The write side of one request (gateway.relay.downstream.Downstream), on uvicorn's connection."""

    __slots__ = ("_chunked", "_connection", "_cycle", "body_fault", "extra", "on_gone", "on_writable")

    def __init__(self, connection: Connection, cycle: RequestResponseCycle) -> None:
        self._connection = connection
        self._cycle = cycle
        self._chunked = False
        self.extra: list[Header] = []
        """Headers of every answer to this request, whoever makes it."""
        self.body_fault: GatewayError | None = None
        """Why the rest of the request's body will never be read."""
        self.on_gone: Notice = _nothing
        self.on_writable: Notice = _nothing

    @property
    def gone(self) -> bool:
        return self._cycle.disconnected

    @property
    def paused(self) -> bool:
        return self._connection.flow.write_paused

    @property
    def complete(self) -> bool:
        return self._cycle.response_complete

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
        if cycle.waiting_for_100_continue:
            # Whether the body comes now is the client's choice: nobody could tell it from a next request.
            cycle.keep_alive = False
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
        for name, value in (*headers, *self.extra) if self.extra else headers:
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
            if cycle.more_body:
                self._connection.linger()
            else:
                cycle.transport.close()
        cycle.on_response()

    def stop_body(self, error: GatewayError) -> None:
        """Nothing more of this connection is read: what is answered already goes on, and is the last."""
        cycle = self._cycle
        cycle.keep_alive = False
        if cycle.more_body:
            self.body_fault = error
            cycle.message_event.set()

    def lost(self) -> None:
        self._cycle.disconnected = True
        self._cycle.message_event.set()
        self.on_gone()

    def close_after(self) -> None:
        """No further request on this connection."""
        self._cycle.keep_alive = False

    def abort(self) -> None:
        self._cycle.response_complete = True
        self._cycle.transport.abort()
