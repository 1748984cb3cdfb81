"""A scripted server on a real socket, an upstream client beside it, on both event loops."""

import asyncio
import functools
import inspect
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
import uvloop

from gateway.core.domain import Proxy, Timeouts
from gateway.platforms.platform import Outgoing
from gateway.upstream import Answer, Egress, Failure, Upstream, tls_context

TICK = 0.05
"""Seconds of the deadlines' timer in these tests."""
LOCAL = ("127.0.0.0/8",)
AUTHORITIES = tls_context()
LOOPS = [
    pytest.param(asyncio.new_event_loop, id="asyncio"),
    pytest.param(uvloop.new_event_loop, id="uvloop"),
]


def both_loops(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test to its end on each event loop, with every error that a callback swallowed made loud."""
    signature = inspect.signature(test)

    @pytest.mark.parametrize("loop_factory", LOOPS)
    @functools.wraps(test)
    def run(loop_factory: Callable[[], asyncio.AbstractEventLoop], **arguments: object) -> None:
        reported: list[dict[str, object]] = []

        async def body() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
            await asyncio.wait_for(test(**arguments), 15)

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(body())
        assert not reported

    loop_factory = inspect.Parameter("loop_factory", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), loop_factory])  # type: ignore[attr-defined]
    return run


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """One request: its head, its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return head, await reader.readexactly(length)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def replies(*answers: bytes, close: bool = True) -> Handler:
    """Answer each request of a connection with the next of these bytes; then close, or stay."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await read_request(reader)
            writer.write(answer)
            await writer.drain()
        if not close:
            await reader.read()
        writer.close()

    return handle


class Collect:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.endings: list[Failure | None] = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def data(self, chunk: bytes) -> None:
        assert chunk
        assert not self.endings
        self.chunks.append(chunk)

    def end(self) -> None:
        self.endings.append(None)
        self.over.set_result(None)

    def fail(self, failure: Failure) -> None:
        self.endings.append(failure)
        self.over.set_result(None)

    async def outcome(self, answer: Answer) -> Failure | None:
        """Start, wait for the end, and make sure that there is only one."""
        answer.start(self)
        await self.over
        await asyncio.sleep(0)
        (ending,) = self.endings
        return ending


@dataclass
class Scene:
    upstream: Upstream
    url: str
    accepted: list[asyncio.StreamWriter] = field(default_factory=list)
    proxy: Proxy | None = None

    async def open(
        self,
        path: str = "/v1/messages",
        *,
        body: bytes = b"{}",
        headers: list[tuple[bytes, bytes]] | None = None,
        stream: bool = True,
        account: str = "acct_1",
        method: str = "POST",
        **timeouts: float,
    ) -> Answer:
        outgoing = Outgoing(method, self.url + path, headers or [], body)
        return await self.upstream.open(
            outgoing, pool_key=account, timeouts=Timeouts(**timeouts), stream=stream, proxy=self.proxy
        )


@asynccontextmanager
async def scene(
    handler: Handler, *, tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None, egress: Egress | None = None
) -> AsyncGenerator[Scene]:
    """`tls`: the server's context and the client's; the URL then says `localhost`, and resolves to 127.0.0.1."""
    tasks: set[asyncio.Task[None]] = set()
    accepted: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        accepted.append(writer)
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        except RuntimeError:  # how uvloop says that the connection is gone
            assert writer.transport.is_closing()
        finally:
            writer.close()

    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("gateway.upstream.deadlines.TICK", TICK)
    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls[0] if tls else None)
    port = server.sockets[0].getsockname()[1]

    async def resolver(host: str, _: int) -> list[str]:
        return ["127.0.0.1"]

    base = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    try:
        async with Upstream(egress or Egress(LOCAL, resolver=resolver), ssl=tls[1] if tls else AUTHORITIES) as upstream:
            yield Scene(upstream, base, accepted)
        assert upstream.connections == 0
        assert upstream.running == 0
        assert (upstream._pool._idle, upstream._pool._idle_count) == ({}, 0)
    finally:
        monkeypatch.undo()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in accepted:
            with suppress(AttributeError):  # asyncio's TLS in Python 3.11.2, when the peer has gone already
                writer.transport.abort()
        await asyncio.sleep(0)
