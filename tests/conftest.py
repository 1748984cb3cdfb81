"""Fixtures that every test may use: real servers, fresh data.

    postgres_url     session   the server's maintenance database
    redis_server     session   the server, with whatever is in it
    empty_database   function  a database without tables
    database_url     module    a migrated database, the module's own
    new_database     module    the factory behind it: call it for one more
    redis_url        module    Redis, emptied when the module begins
    clean_redis      function  the same, emptied before each test that asks for it

They are all synchronous, so they serve async and plain tests and fixtures of any scope.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
import uvloop
from hypothesis import settings

from tests.support.servers import Databases, home_directory, postgres_server, redis_server

# How long one example takes says more of the machine's other work than of the code: what must be quick has a test that
# measures it.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], Any]]:
    """The loop that runs in production."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def servers_home() -> Iterator[Path]:
    with home_directory() as home:
        yield home


@pytest.fixture(scope="session")
def postgres_url(servers_home: Path) -> Iterator[str]:
    with postgres_server(servers_home) as url:
        yield url


@pytest.fixture(scope="session")
def databases(postgres_url: str) -> Databases:
    return Databases(postgres_url)


@pytest.fixture
def empty_database(databases: Databases) -> Iterator[str]:
    with databases.empty() as url:
        yield url


@pytest.fixture(scope="session")
def migrated(databases: Databases) -> Iterator[Databases]:
    with databases.template():
        yield databases


@pytest.fixture(scope="module")
def new_database(migrated: Databases) -> Iterator[Callable[[], str]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(migrated.clone())


@pytest.fixture(scope="module")
def database_url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture(scope="session", name="redis_server")
def _redis_server(servers_home: Path) -> Iterator[str]:
    with redis_server(servers_home) as url:
        yield url


@pytest.fixture(scope="module")
def redis_url(redis_server: str) -> str:
    return _emptied(redis_server)


@pytest.fixture
def clean_redis(redis_server: str) -> str:
    return _emptied(redis_server)


def _emptied(url: str) -> str:
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url
