"""A wire that can be cut: stands between poolgate and PostgreSQL or Redis, and slows, hangs or refuses connections."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit


class Proxy:
    def __init__(self, path: str) -> None:
        self.path = path
        self.delay = 0.0
        """Seconds that each answer takes longer."""
        self.down = False
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Every connection ends now, and new ones end at once."""
        self.down = True
        for writer in list(self._writers):
            writer.transport.abort()

    def mend(self) -> None:
        self.down, self.delay = False, 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.down:
            writer.transport.abort()
            return
        there, back = await asyncio.open_unix_connection(self.path)
        self._writers |= {writer, back}
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(reader, back, slow=False))
                tasks.create_task(self._pump(there, writer, slow=True))
        finally:
            for one in (writer, back):
                self._writers.discard(one)
                one.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slow: bool) -> None:
        try:
            while data := await reader.read(65536):
                if slow and self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
        except OSError:
            pass
        finally:
            for one in list(self._writers):
                if one is writer:
                    one.transport.abort()


@asynccontextmanager
async def proxied(url: str) -> AsyncGenerator[tuple[Proxy, str]]:
    """A proxy before the server of this URL (on a Unix socket), and the URL that goes through it."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        proxy, through = Proxy(parts.path), "redis://127.0.0.1:{}/0"
    else:
        folder = parse_qs(parts.query)["host"][0]
        proxy = Proxy(f"{folder}/.s.PGSQL.5432")
        through = f"postgresql+asyncpg://{parts.username or 'postgres'}@127.0.0.1:{{}}{parts.path}"
    tasks: set[asyncio.Task[None]] = set()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy, through.format(proxy.port)
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
