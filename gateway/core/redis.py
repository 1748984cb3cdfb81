"""Redis by URL: the redis-py client for jobs, admin and pub/sub, and how the hot connection is made.

`redis://`, `rediss://`, `unix:///path?db=0`, `redis+sentinel://[user:password@]host:port[,host:port…]/service[/db]`.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import parse_qs, unquote

from msgspec import Struct
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.core.scripts import encode

_TIMEOUT = 2.0
_ASKING = 0.4
"""For one sentinel: the next one is asked instead."""


class Address(Struct, frozen=True):
    """Where a server is. `hosts` has several entries for Sentinel, `path` is a unix socket."""

    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    username: str = ""
    password: str = ""
    database: int = 0
    service: str = ""


def parse(url: str) -> Address:
    """Raises ValueError."""
    # Not urlsplit: some versions of it refuse a list of hosts of which one is in brackets.
    scheme, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    credentials, _, network = authority.rpartition("@")
    sentinel = scheme == "redis+sentinel"
    port = 26379 if sentinel else 6379
    hosts = tuple(_host(entry, port) for entry in network.split(",") if entry)
    steps = [step for step in path.split("/") if step]
    asked = parse_qs(query).get("db", [""])[0]
    username, _, password = credentials.partition(":")
    inside = [] if scheme == "unix" else steps[1:2] if sentinel else steps[:1]
    return Address(
        scheme=scheme,
        hosts=hosts or (("127.0.0.1", port),),
        path=slash + path if scheme == "unix" else "",
        username=unquote(username),
        password=unquote(password),
        database=int(asked or "".join(inside) or 0),
        service=steps[0] if sentinel and steps else "mymaster",
    )


def _host(entry: str, port: int) -> tuple[str, int]:
    if entry.count("[") != entry.count("]"):
        raise ValueError("a bracket is not closed")
    if entry.endswith("]") or ":" not in entry:
        return entry.strip("[]"), port
    head, _, tail = entry.rpartition(":")
    if not 0 < int(tail) < 65536:
        raise ValueError("not a port")
    return head.strip("[]"), int(tail)


def _sentinel(address: Address) -> Sentinel:
    return Sentinel(
        list(address.hosts),
        sentinel_kwargs={
            "password": address.password or None,
            "socket_timeout": _ASKING,
            "socket_connect_timeout": _ASKING,
            "retry": Retry(NoBackoff(), 0),
        },
        username=address.username or None,
        password=address.password or None,
        socket_timeout=_TIMEOUT,
    )


@asynccontextmanager
async def client(url: str) -> AsyncGenerator[Redis]:
    """A redis-py client; answers are bytes decoded to text."""
    address = parse(url)
    options: dict[str, Any] = {
        "socket_timeout": _TIMEOUT,
        "socket_connect_timeout": _TIMEOUT,
        "decode_responses": True,
        "retry": Retry(NoBackoff(), 1),  # a connection that has died meanwhile; more would only make the caller wait
        "protocol": 2,
        "db": address.database,
        "username": address.username or None,
        "password": address.password or None,
    }
    watcher = _sentinel(address) if address.scheme == "redis+sentinel" else None
    if watcher:
        made = watcher.master_for(
            address.service, decode_responses=True, db=address.database, retry=Retry(NoBackoff(), 1)
        )
    elif address.scheme == "unix":
        made = Redis(unix_socket_path=address.path, **options)
    else:
        host, port = address.hosts[0]
        made = Redis(host=host, port=port, ssl=address.scheme == "rediss", **options)
    try:
        yield made
    finally:
        await made.aclose()
        await _close(watcher)


async def _close(watcher: Sentinel | None) -> None:
    for one in watcher.sentinels if watcher else ():
        await one.aclose()


async def _master(address: Address) -> tuple[str, int]:
    """Raises OSError when no sentinel knows the master."""
    watcher = _sentinel(address)
    try:
        found = cast(tuple[str, int], await watcher.discover_master(address.service))
    except RedisError as error:
        raise OSError(f"no master is known: {type(error).__name__}") from None
    finally:
        await _close(watcher)
    return found


def connector(url: str) -> tuple[Callable[[Callable[[], asyncio.Protocol]], Any], Sequence[bytes]]:
    """How to open the hot connection, and the commands that greet the server (AUTH, SELECT)."""
    address = parse(url)
    greeting: list[bytes] = []
    if address.password:
        greeting.append(encode(("AUTH", *([address.username] if address.username else []), address.password)))
    if address.database:
        greeting.append(encode(("SELECT", address.database)))

    async def connect(factory: Callable[[], asyncio.Protocol]) -> Any:
        loop = asyncio.get_running_loop()
        if address.scheme == "unix":
            return await loop.create_unix_connection(factory, address.path)
        host, port = address.hosts[0]
        if address.scheme == "redis+sentinel":
            host, port = await _master(address)
        context = ssl.create_default_context() if address.scheme == "rediss" else None
        return await loop.create_connection(factory, host, port, ssl=context)

    return connect, greeting
