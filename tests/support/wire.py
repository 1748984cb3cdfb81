"""A client on a raw socket: sends bytes as they are, reads answers as they come."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
from msgspec import Struct


class Got(Struct, frozen=True):
    """An answer. `headers` have lower-case names, in order, doubles and all."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    chunks: int = 0

    def header(self, name: str) -> str | None:
        """The one value of this name. Fails on a double."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, (name, values)
        return values[0] if values else None

    @property
    def json(self) -> dict[str, object]:
        return msgspec.json.decode(self.body, type=dict[str, object])


class Wire:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def ask(self, head: str, body: bytes = b"") -> Got:
        """`head` without its blank line; a length is added to a body."""
        length = f"\r\ncontent-length: {len(body)}" if body else ""
        await self.send(f"{head}{length}\r\n\r\n".encode("latin-1") + body)
        return await self.answer()

    async def answer(self, *, head_only: bool = False, pause: float = 0) -> Got:
        """The next answer; `pause` is a slow client's, after each read of a little."""
        async with asyncio.timeout(60):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lines = head.split("\r\n")
            status = int(lines[0].split(" ")[1])
            pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:-2])]
            told = dict(pairs)
            if head_only or status in {100, 204, 304}:
                return Got(status, pairs, b"")
            if told.get("transfer-encoding") == "chunked":
                return await self._chunked(status, pairs, pause)
            if "content-length" in told:
                return Got(status, pairs, await self._exactly(int(told["content-length"]), pause))
            return Got(status, pairs, await self.reader.read())

    async def _exactly(self, size: int, pause: float) -> bytes:
        if not pause:
            return await self.reader.readexactly(size)
        parts: list[bytes] = []
        while size:
            parts.append(await self.reader.read(min(size, 4096)))
            size -= len(parts[-1])
            await asyncio.sleep(pause)
        return b"".join(parts)

    async def _chunked(self, status: int, pairs: list[tuple[str, str]], pause: float) -> Got:
        parts: list[bytes] = []
        while True:
            size = int((await self.reader.readuntil(b"\r\n")).strip(), 16)
            part = await self._exactly(size, pause)
            assert await self.reader.readexactly(2) == b"\r\n"
            if not size:
                return Got(status, pairs, b"".join(parts), len(parts))
            parts.append(part)

    async def closed(self, seconds: float = 5) -> bool:
        """Whether the other side closes without another byte."""
        async with asyncio.timeout(seconds):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True


@asynccontextmanager
async def wire(url: str, *, limit: int = 1 << 20) -> AsyncGenerator[Wire]:
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=limit)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
