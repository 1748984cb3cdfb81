"""The client's side of the wire: uvicorn's HTTP protocol with our bounds.

Added to uvicorn: a bound on the head and on the time it takes, one valid Host, refusals in the client's protocol, and a
lingering close that does not take the answer with it. Answers are written by gateway.web.downstream. Rules: spec
"Streams and bounds".
"""

import asyncio
import re
from typing import Any, cast

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.core.errors import GatewayError, InvalidRequest, Refused
from gateway.core.ledger import new_request
from gateway.routing.paths import NoRoute, match, protocol_near
from gateway.web.downstream import EXTENSION, SocketDownstream, status_line
from gateway.web.errors import method_not_allowed, rendered

MAX_HEAD = 64 * 1024
HEAD_SECONDS = 10.0
BODY_SECONDS = 30.0
SLOW_SECONDS = 120.0
LINGER_SECONDS = 10.0
DISCARD_BYTES = 1 << 20
_HOST = re.compile(rb"[A-Za-z0-9._~-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?")
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (/[\x21\x22\x24-\x7e]*) HTTP/1\.[01]\r?\n")
_TARGET = re.compile(rb"/[\x21\x22\x24-\x7e]*")
log = structlog.get_logger()


class ClientConnection(HttpToolsProtocol):
    """One connection of a client. Its bounds are swept once a second by the server: see `overdue`.

    `downstream` is the write side of the request that is being served, or was served last; requests that are
    pipelined behind it wait without one.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self._head_bytes = 0
        self._in_head = False
        self._in_body = False
        self._offered = False
        """The request offers an upgrade: what follows its head is its body all the same."""
        self._resuming = False
        self._discarded = 0
        self._moved = self.loop.time()
        """When a head began, or a body moved on."""
        self._deaf = False
        """What still comes is dropped unread."""
        self._lingers_since: float | None = None
        self._stuck_at: tuple[float, int] | None = None
        self.url = b""
        self.downstream: SocketDownstream | None = None

    @property
    def awaited(self) -> bool:
        """A request of it is on its way: its first, or one whose head or body has begun."""
        return not self._deaf and (self.downstream is None or self._in_head or self._in_body)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._in_head:
            self._head_bytes += len(data)
        between = not (self._in_head or self._in_body)
        try:
            self._feed(data)
        except httptools.HttpParserInvalidMethodError:
            self._stop_reading(self._unknown_method(data if between else b""))
        except httptools.HttpParserCallbackError as error:
            self._stop_reading(_cause(error))
        except httptools.HttpParserError:
            self._stop_reading(InvalidRequest("The HTTP request is not valid."))
        if self._in_head and self._head_bytes > MAX_HEAD:
            self._stop_reading(_head_too_large())

    def _feed(self, data: bytes) -> None:
        while data:
            assert self.parser is not None  # until the connection is lost
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as offer:
                # Not taken up: the connection goes on as it was.
                data = data[offer.args[0] :]
                if self._offered:
                    self._resume()

    def _resume(self) -> None:
        """A parser that stands before the body of the request: the one that saw the offer takes the body for what
        comes after the upgrade, and a body could then pass for a request."""
        kept = self.url, self.headers
        framing = b"".join(name + b": " + value + b"\r\n" for name, value in self.headers if name in _FRAMING)
        self._offered, self._resuming = False, True
        self.headers = []
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n")
        self._resuming = False
        self.url, self.headers = kept

    def _unknown_method(self, data: bytes) -> GatewayError:
        """The parser knows every registered method, and stops at the first byte of another one: the rest of its line
        says whether the path is there, and whose protocol it is."""
        line = _LINE.match(data)
        if line is not None:
            self.url, self.headers = line[2], []
            try:
                match(line[1].decode("ascii"), line[2].partition(b"?")[0])
            except NoRoute as error:
                if error.allow:
                    return method_not_allowed(error.allow)
        return InvalidRequest("The HTTP request is not valid.")

    def on_message_begin(self) -> None:
        if self._resuming:
            return
        self._unset_keepalive_if_required()
        self._in_head = True
        self._head_bytes = 0
        self._moved = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._deaf or self._resuming:
            return
        self._check_head()
        self._in_head = False
        self._in_body = True
        self._discarded = 0
        super().on_headers_complete()

    def _check_head(self) -> None:
        size, hosts, framing = len(self.url), list[bytes](), dict[bytes, bytes]()
        for name, value in self.headers:
            size += len(name) + len(value)
            if name == b"host":
                hosts.append(value)
            elif name in _FRAMING:
                framing.setdefault(name, value)
        if size > MAX_HEAD:
            raise _head_too_large()
        assert self.parser is not None  # it is the caller
        version = self.parser.get_http_version()
        if version not in {"1.0", "1.1"}:
            raise InvalidRequest("This version of HTTP is not spoken here.")
        if len(hosts) > 1 or (not hosts and version == "1.1"):
            raise InvalidRequest("The request needs exactly one Host header.")
        if hosts and not _HOST.fullmatch(hosts[0]):
            raise InvalidRequest("The Host header is not valid.")
        if not _TARGET.fullmatch(self.url):
            raise InvalidRequest("The request's target is not a path.")
        coding = framing.get(b"transfer-encoding")
        if coding is not None and (coding.lower() != b"chunked" or version == "1.0"):
            raise InvalidRequest("The body may be chunked, and not be coded otherwise.")
        self._offered = bool(framing) and self.parser.should_upgrade()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._moved = self.loop.time()
        self.downstream = SocketDownstream(self, cycle)
        cast(dict[str, Any], cycle.scope)["extensions"] = {EXTENSION: self.downstream}
        super()._start_asgi_task(cycle, app)

    def _should_upgrade(self) -> bool:
        return False

    def on_body(self, body: bytes) -> None:
        if self._deaf:
            return
        self._moved = self.loop.time()
        if not self.cycle.response_complete:
            super().on_body(body)
            return
        # Answered before the whole body came: the rest is dropped, so that the connection can go on; within reason.
        self._discarded += len(body)
        if self._discarded > DISCARD_BYTES:
            self.linger()

    def on_message_complete(self) -> None:
        if self._deaf or self._offered:
            return
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._moved = self.loop.time()
        if not self._deaf:
            super().on_response_complete()

    def _stop_reading(self, error: GatewayError) -> None:
        """What comes is no HTTP, too much, or too slow. An answer that runs goes on; then the connection ends."""
        if self._deaf:
            return
        self._deaf = True
        self.pipeline.clear()
        if self.downstream is not None and not self.downstream.complete:
            self.downstream.stop_body(error)
        elif self._in_body:
            self.transport.close()  # its request has been answered
        else:
            self._refuse(error)

    def _refuse(self, error: GatewayError) -> None:
        """Answers what never became a request, and closes."""
        if self.transport.is_closing():
            return
        path, _, query = self.url.partition(b"?")
        protocol = protocol_near(path, dict(reversed(self.headers or [])), query)
        status, headers, body = rendered(error, protocol, new_request()[0], None)
        lines = [name + b": " + value + b"\r\n" for name, value in headers]
        ending = b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(b"".join((status_line(status), *lines, ending, body)))
        self.linger()

    def linger(self) -> None:
        """Closes our side. What the client still sends is dropped for a while: a reset could take the answer away
        before the client has read it."""
        self._deaf = True
        if self.transport.is_closing() or self._lingers_since is not None:
            return
        self._lingers_since = self.loop.time()
        self.flow.resume_reading()
        self.transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deaf = True
        self.pipeline.clear()
        super().connection_lost(exc)
        if self.downstream is not None and not self.downstream.complete:
            self.downstream.lost()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.downstream is not None:
            self.downstream.on_writable()

    def overdue(self, now: float) -> None:
        """Once a second: heads and bodies that do not come, readers that do not read."""
        if self._stuck(now) or (self._lingers_since is not None and now - self._lingers_since > LINGER_SECONDS):
            self.transport.abort()
        if self._deaf or self.transport.is_closing():
            return
        waited = now - self._moved
        running = self.downstream is not None and not self.downstream.complete
        if self._in_body:
            if waited > BODY_SECONDS and not self.flow.read_paused:
                self._stop_reading(_late("The request's body did not come in time."))
        elif waited > HEAD_SECONDS and not running:
            if self._in_head:
                self._stop_reading(_late("The request's headers did not come in time."))
            elif self.downstream is None:
                self.transport.close()

    def _stuck(self, now: float) -> bool:
        left = self.transport.get_write_buffer_size()
        if not left or self._stuck_at is None or left < self._stuck_at[1]:
            self._stuck_at = (now, left) if left else None
        return self._stuck_at is not None and now - self._stuck_at[0] > SLOW_SECONDS


def _cause(error: httptools.HttpParserCallbackError) -> GatewayError:
    cause = error.__context__
    if isinstance(cause, GatewayError):
        return cause
    log.error("the HTTP parser's callback failed", reason=type(cause).__name__)
    return InvalidRequest("The HTTP request is not valid.")


def _head_too_large() -> Refused:
    return Refused("The request's headers are too large.", status=431, code="headers_too_large")


def _late(message: str) -> Refused:
    return Refused(message, status=408, code="request_timeout")
