"""A receiver of webhooks on a real socket: answers as it was told to, and remembers what it was sent."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Received:
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """`answers` are used up one by one, the last again and again: (status, body, further headers), or seconds for
    which nothing is said before the connection is closed."""

    url: str = ""
    answers: list[tuple[int, bytes, Mapping[str, str]] | float] = field(default_factory=lambda: [(200, b"ok", {})])
    received: list[Received] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def says(self, *statuses: int, body: bytes = b"", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers = [(status, body, named) for status in statuses]

    async def heard(self, count: int, seconds: float = 10) -> list[Received]:
        """At least so many requests."""
        async with asyncio.timeout(seconds):
            while len(self.received) < count:
                self.came.clear()
                await self.came.wait()
        return self.received

    def types(self) -> Iterator[str]:
        return (one.json["type"] for one in self.received)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:]) if name}
        body = await reader.readexactly(int(headers["content-length"]))
        loop = asyncio.get_running_loop()
        self.received.append(Received(head[0].split()[1], headers, body, loop.time()))
        self.came.set()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, tuple):
            status, said, further = answer
            lines = [f"HTTP/1.1 {status} X", f"content-length: {len(said)}", "connection: close"]
            lines += [f"{name}: {value}" for name, value in further.items()]
            writer.write("\r\n".join([*lines, "", ""]).encode() + said)
            await writer.drain()
        else:
            await asyncio.sleep(answer)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, RuntimeError, asyncio.CancelledError):
            await self._serve(reader, writer)
        writer.close()


@asynccontextmanager
async def receiving() -> AsyncGenerator[Receiver]:
    made = Receiver()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook/token-of-the-receiver?key=value-of-it"
    try:
        yield made
    finally:
        server.close()
