"""Real PostgreSQL and Redis for the tests: one server of each a session, a fresh database where it is asked for.

`POOLGATE_TEST_DATABASE_URL` and `POOLGATE_TEST_REDIS_URL` use servers that are there already. The database's user must
be allowed to create databases; the Redis server is emptied, so never name one that matters.
"""

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from gateway.local.postgres import postgres
from gateway.local.redis import redis

T = TypeVar("T")


@contextmanager
def home_directory() -> Generator[Path]:
    """A folder for servers that their account can reach; pytest's own temporary folders are closed to it.

    Short, because a socket's path must be.
    """
    home = Path(tempfile.mkdtemp(prefix="pg-test-"))
    home.chmod(0o711)
    try:
        yield home
    finally:
        shutil.rmtree(home)


@contextmanager
def postgres_server(home: Path) -> Generator[str]:
    """The URL of its maintenance database, `postgresql+asyncpg://…`."""
    given = os.environ.get("POOLGATE_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with postgres(home, durable=False) as server:
        yield server.url


@contextmanager
def redis_server(home: Path) -> Generator[str]:
    given = os.environ.get("POOLGATE_TEST_REDIS_URL")
    if given:
        yield given
        return
    with redis(home, durable=False) as server:
        yield server.url


class Databases:
    """Makes and drops databases on one server. Its methods are synchronous, so that a fixture of any scope may use it,
    whatever loop the test runs on."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._template: str | None = None

    def named(self, name: str) -> str:
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def fetch(self, statement: str) -> list[Any]:
        """Run one statement on the maintenance database; the first column of what it returns."""
        return run(self._fetch(statement))

    @contextmanager
    def empty(self) -> Generator[str]:
        """The URL of a database with nothing in it, dropped afterwards."""
        with self._created("") as url:
            yield url

    @contextmanager
    def template(self) -> Generator[None]:
        """Migrate one database, which clone() then copies: a copy takes a tenth of a second, migrations more."""
        from gateway.core.migrate import upgrade

        with self._created("") as url:
            run(upgrade(url))
            self._template = urlsplit(url).path[1:]
            yield

    @contextmanager
    def clone(self) -> Generator[str]:
        """The URL of a migrated database, dropped afterwards."""
        if self._template is None:
            raise RuntimeError("clone() is used inside template()")
        with self._created(f"TEMPLATE {self._template} STRATEGY FILE_COPY") as url:
            yield url

    @contextmanager
    def _created(self, options: str) -> Generator[str]:
        name = f"test_{secrets.token_hex(6)}"
        self.fetch(f"CREATE DATABASE {name} {options}")
        try:
            yield self.named(name)
        finally:
            self.fetch(f"DROP DATABASE {name} WITH (FORCE)")

    async def _fetch(self, statement: str) -> list[Any]:
        connection = await asyncpg.connect(self.url.replace("+asyncpg", "", 1))
        try:
            return [row[0] for row in await connection.fetch(statement)]
        finally:
            await connection.close()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a loop and a thread of its own, so that it works from inside a running loop too."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()
