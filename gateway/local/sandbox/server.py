"""HTTP/1.1 for the sandbox: a lean asyncio.Protocol on httptools, so that it costs far less than what it measures.

Knows nothing of AI: a `Handler` gets a whole `Request` and a `Reply`. It answers at once, or returns a coroutine
function that goes on writing; that one is a task of the server, cancelled when the client leaves.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

import httptools

Headers = list[tuple[str, str]]
_PHRASES = {s.value: s.phrase for s in HTTPStatus} | {529: "Overloaded"}
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: close sends RST."""


class Request:
    """One request, its body complete. Header names are lower case."""

    __slots__ = ("body", "headers", "keep_alive", "method", "path", "query", "target")

    def __init__(self, method: str, target: str, headers: Headers, body: bytes, keep_alive: bool) -> None:
        self.method = method
        self.target = target
        path, _, query = target.partition("?")
        self.path = unquote(path) if "%" in path else path
        self.query = dict(parse_qsl(query)) if query else {}
        self.headers = headers
        self.body = body
        self.keep_alive = keep_alive

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


class Reply:
    """How a handler answers one request."""

    def __init__(self, connection: "Connection", request: Request) -> None:
        self._connection = connection
        self._head = request.method == "HEAD"
        self._keep_alive = request.keep_alive
        self.status = 0
        """What was sent; 0 before that."""

    def send(self, status: int, headers: str, body: bytes, *, close: bool = False) -> None:
        """A whole answer. `headers` are ready lines, each with its CRLF."""
        self._keep_alive = self._keep_alive and not close
        start = self._begin(status, headers, f"content-length: {len(body)}\r\n")
        self._connection.write(start if self._head else start + body)

    def start(self, status: int, headers: str, length: int | None = None) -> None:
        """Begin an answer that comes in parts: chunked, unless its length is told."""
        framing = "transfer-encoding: chunked\r\n" if length is None else f"content-length: {length}\r\n"
        self._connection.write(self._begin(status, headers, framing))

    async def chunk(self, data: bytes) -> None:
        """One chunk, once the client has taken enough of what was written before."""
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def raw(self, data: bytes) -> None:
        connection = self._connection
        connection.write(data)
        if connection.full:
            await connection.drained()
        else:
            await asyncio.sleep(0)

    def end(self) -> None:
        """The end of a chunked answer."""
        self._connection.write(b"0\r\n\r\n")

    async def reset(self) -> None:
        """Break the connection off, after what was written has left this process."""
        await self._connection.reset()

    def _begin(self, status: int, headers: str, framing: str) -> bytes:
        self.status = status
        keep = "keep-alive" if self._keep_alive else "close"
        phrase = _PHRASES.get(status, "Unknown")
        return f"HTTP/1.1 {status} {phrase}\r\n{headers}{framing}connection: {keep}\r\n\r\n".encode("latin-1")

    @property
    def keep_alive(self) -> bool:
        return self._keep_alive


Rest = Callable[[], Coroutine[Any, Any, None]]
"""What is left to do for a request, as a function, so that nothing is left un-awaited when it never starts."""
Handler = Callable[[Request, Reply], Rest | None]


class Connection(asyncio.Protocol):
    """One client connection: requests are answered one after the other, in order."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._room: asyncio.Event | None = None
        self.full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.connections.discard(self)
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            self.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.close()

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers: Headers = []
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        if any(name == "expect" for name, _ in self._headers):
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        method = self._parser.get_method().decode("latin-1")
        target = self._target.decode("latin-1")
        self._waiting.append(Request(method, target, self._headers, body, self._parser.should_keep_alive()))
        if self._task is None:
            self._serve()

    def _serve(self) -> None:
        while self._waiting and self._task is None and self._transport is not None:
            request = self._waiting.popleft()
            reply = Reply(self, request)
            try:
                rest = self._server.handler(request, reply)
            except Exception as error:
                self._broken(error)
                return
            if rest is None:
                self._done(reply)
            else:
                self._task = self._server.start(self._finish(rest, reply))

    async def _finish(self, rest: Rest, reply: Reply) -> None:
        try:
            await rest()
        except Exception as error:
            self._broken(error)
            return
        finally:
            self._task = None
        self._done(reply)
        self._serve()

    def _broken(self, error: Exception) -> None:
        """A fault of the sandbox itself: said loudly, and the connection ends."""
        asyncio.get_running_loop().call_exception_handler({"message": "the sandbox failed", "exception": error})
        self.write(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.close()

    def _done(self, reply: Reply) -> None:
        if not reply.keep_alive:
            self.close()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def reset(self) -> None:
        transport = self._transport
        if transport is None:
            return
        transport.set_write_buffer_limits(high=0)
        if transport.get_write_buffer_size():
            await self.drained()
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()

    def pause_writing(self) -> None:
        self.full = True
        self._room = asyncio.Event()

    def resume_writing(self) -> None:
        self.full = False
        if self._room is not None:
            self._room.set()

    async def drained(self) -> None:
        if self.full and self._room is not None:
            await self._room.wait()


class Server:
    """The connections of one listener, and the tasks that write to them: owned here, ended with the listener."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Break off every connection and wait for its task, so that each has its row in the bill."""
        tasks = list(self._tasks)
        for connection in list(self.connections):
            connection.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # The loop tells a connection that it is lost one turn later.
        await asyncio.sleep(0)


@asynccontextmanager
async def listening(
    handler: Handler, *, host: str = "127.0.0.1", port: int = 0, sock: socket.socket | None = None
) -> AsyncGenerator[tuple[str, int]]:
    """Serve until the block is left; gives the address that is listened on. Open connections are then broken off."""
    server = Server(handler)
    place: dict[str, Any] = {"sock": sock} if sock is not None else {"host": host, "port": port}
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Connection(server), backlog=2048, **place)
    try:
        yield listener.sockets[0].getsockname()[:2]
    finally:
        listener.close()
        await server.close()
