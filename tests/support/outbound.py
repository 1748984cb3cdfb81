"""A real forward proxy: HTTP CONNECT (over TCP or TLS) or SOCKS 5, with or without credentials.

    async with outbound("socks5h", names={"upstream.example": 4433}) as proxy:
        … Proxy("prx_1", "socks5h", "127.0.0.1", proxy.port)

`names` is its resolver: host → port on 127.0.0.1. `asked` are the targets in order, `heard` every byte of its clients.
"""

import asyncio
import base64
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from typing import Literal

Kind = Literal["http", "https", "socks5h"]


class Outbound:
    def __init__(self, kind: Kind, names: Mapping[str, int], credentials: tuple[str, str] | None) -> None:
        self.port = 0
        self.asked: list[tuple[str, int]] = []
        self.heard = bytearray()
        self._kind = kind
        self._names = names
        self._credentials = credentials
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """No task of the server's own: one that is cancelled before it began would leave the connection open."""
        self._writers.add(writer)
        self._tasks.add(asyncio.ensure_future(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await (self._socks if self._kind == "socks5h" else self._connect)(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError, RuntimeError):
            pass
        finally:
            _shut(writer)

    def cut(self, *, gently: bool = False) -> None:
        """Every connection of now ends; gently: with the closing alert of the proxy's own TLS, where it has one."""
        for writer in self._writers:
            if gently:
                writer.close()
            else:
                _shut(writer)

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in self._writers:
            _shut(writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heard += head
        lines = head.decode().split("\r\n")
        method, target, version = lines[0].split(" ")
        assert (method, version) == ("CONNECT", "HTTP/1.1")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        assert headers.pop("host") == target.lower()
        said = headers.pop("proxy-authorization", None)
        assert headers == {}, "nothing else is the proxy's business"
        if self._credentials is not None:
            wanted = base64.b64encode(":".join(self._credentials).encode()).decode().lower()
            if said != f"basic {wanted}":
                writer.write(b'HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n')
                await writer.drain()
                return
        host, _, port = target.rpartition(":")
        far = await self._dialled(host.strip("[]"), int(port))
        if far is None:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n")
        await pass_on(reader, writer, *far, self.heard)

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        assert version == 5
        if self._credentials is None:
            assert 0 in methods
            writer.write(b"\x05\x00")
        elif 2 not in methods:
            writer.write(b"\x05\xff")
            await writer.drain()
            return
        else:
            writer.write(b"\x05\x02")
            said: list[str] = []
            assert await reader.readexactly(1) == b"\x01"
            for _ in range(2):
                (length,) = await reader.readexactly(1)
                said.append((await reader.readexactly(length)).decode())
            if tuple(said) != self._credentials:
                writer.write(b"\x01\x01")
                await writer.drain()
                return
            writer.write(b"\x01\x00")
        assert await reader.readexactly(3) == b"\x05\x01\x00"
        (kind,) = await reader.readexactly(1)
        if kind == 3:
            (length,) = await reader.readexactly(1)
            host = (await reader.readexactly(length)).decode()
        else:
            host = str(ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        far = await self._dialled(host, int.from_bytes(await reader.readexactly(2), "big"))
        writer.write(b"\x05%c\x00\x01\x00\x00\x00\x00\x00\x00" % (4 if far is None else 0))
        await writer.drain()
        if far is not None:
            await pass_on(reader, writer, *far, self.heard)

    async def _dialled(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        self.asked.append((host, port))
        try:
            ip_address(host)
        except ValueError:
            port, host = self._names.get(host, 0), "127.0.0.1"
        try:
            far = await asyncio.open_connection(host, port)
        except OSError:
            return None
        self._writers.add(far[1])
        return far


async def pass_on(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far: asyncio.StreamReader,
    to_far: asyncio.StreamWriter,
    heard: bytearray,
) -> None:
    """Both directions, until both have ended or one is cut. `heard`: where the client's bytes are kept too."""

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter, kept: bytearray | None) -> None:
        while chunk := await source.read(65536):
            if kept is not None:
                kept += chunk
            sink.write(chunk)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
        else:
            sink.close()

    directions = [asyncio.ensure_future(copy(reader, to_far, heard)), asyncio.ensure_future(copy(far, writer, None))]
    try:
        done, _ = await asyncio.wait(directions, return_when=asyncio.FIRST_EXCEPTION)
        for one in done:
            one.exception()
    finally:
        for one in directions:
            one.cancel()
        await asyncio.gather(*directions, return_exceptions=True)
        _shut(to_far)


def _shut(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(AttributeError):  # asyncio's TLS in Python 3.11.2, when the peer has gone already
        writer.transport.abort()


@asynccontextmanager
async def outbound(
    kind: Kind,
    *,
    names: Mapping[str, int] | None = None,
    credentials: tuple[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
) -> AsyncGenerator[Outbound]:
    """`tls`: the proxy's own, for `https`."""
    proxy = Outbound(kind, names or {}, credentials)
    server = await asyncio.start_server(proxy.accept, host, 0, ssl=tls)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
