"""A provider that says exactly what it is told, cut as it is told: raw sockets, no framework.

An answer is asked for by the model's name, `answer-{number}`, in the body or in the path.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from msgspec import Struct

_MODEL = re.compile(rb"answer-(\d+)")
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class Told(Struct, frozen=True):
    """`pieces` are written one by one; `length` is told up front, or the body is chunked piece for piece."""

    status: int
    content_type: str
    pieces: Sequence[bytes]
    length: bool = False
    headers: Sequence[tuple[str, str]] = ()

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


class Seen(Struct, frozen=True):
    head: bytes
    body: bytes

    @property
    def target(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    @property
    def headers(self) -> list[tuple[str, str]]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]


class Upstream:
    def __init__(self) -> None:
        self.url = ""
        self.answers: list[Told] = []
        self.seen: list[Seen] = []

    def tell(self, told: Told) -> str:
        """The model that is answered so."""
        self.answers.append(told)
        return f"answer-{len(self.answers) - 1}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                self.seen.append(Seen(head, body))
                found = _MODEL.search(head.partition(b"\r\n")[0]) or _MODEL.search(body)
                assert found, head
                await self._answer(self.answers[int(found[1])], writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, told: Told, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {told.status} Told", f"content-type: {told.content_type}"]
        lines += [f"{name}: {value}" for name, value in told.headers]
        lines.append(f"content-length: {len(told.body)}" if told.length else "transfer-encoding: chunked")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        for piece in told.pieces:
            writer.write(piece if told.length else b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            if len(told.pieces) > 1:
                await asyncio.sleep(0)  # so that the next piece is a write of its own
        if not told.length:
            writer.write(b"0\r\n\r\n")


@asynccontextmanager
async def upstream() -> AsyncGenerator[Upstream]:
    made = Upstream()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, limit=1 << 24)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
