"""Redis by URL: the redis-py client for jobs, admin and pub/sub, and how the hot connection is made.

`redis://`, `rediss://`, `unix:///path?db=0`, `redis+sentinel://[user:password@]host:port[,host:port…]/service[/db]`.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct
from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel

from gateway.core.scripts import encode


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
    parts = urlsplit(url)
    network = parts.netloc.rpartition("@")[2]
    port = 26379 if parts.scheme == "redis+sentinel" else 6379
    hosts = tuple(_host(entry, port) for entry in network.split(",") if entry)
    steps = [step for step in parts.path.split("/") if step]
    asked = parse_qs(parts.query).get("db", [""])[0]
    username, _, password = parts.netloc.rpartition("@")[0].partition(":")
    sentinel = parts.scheme == "redis+sentinel"
    inside = [] if parts.scheme == "unix" else steps[1:2] if sentinel else steps[:1]
    return Address(
        scheme=parts.scheme,
        hosts=hosts or (("127.0.0.1", port),),
        path=parts.path if parts.scheme == "unix" else "",
        username=unquote(username),
        password=unquote(password),
        database=int(asked or "".join(inside) or 0),
        service=steps[0] if sentinel and steps else "mymaster",
    )


def _host(entry: str, port: int) -> tuple[str, int]:
    head, separator, tail = entry.rpartition(":")
    return (head.strip("[]"), int(tail)) if separator and tail.isdigit() else (entry.strip("[]"), port)


def _sentinel(address: Address) -> Sentinel:
    return Sentinel(
        list(address.hosts),
        sentinel_kwargs={"password": address.password or None},
        username=address.username or None,
        password=address.password or None,
        socket_timeout=2,
    )


@asynccontextmanager
async def client(url: str, *, timeout: float = 2) -> AsyncGenerator[Redis]:
    """A redis-py client; answers are bytes decoded to text. Timeouts in seconds."""
    address = parse(url)
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "decode_responses": True,
        "protocol": 2,
        "db": address.database,
        "username": address.username or None,
        "password": address.password or None,
    }
    if address.scheme == "redis+sentinel":
        made = _sentinel(address).master_for(address.service, decode_responses=True, db=address.database)
    elif address.scheme == "unix":
        made = Redis(unix_socket_path=address.path, **options)
    else:
        host, port = address.hosts[0]
        made = Redis(host=host, port=port, ssl=address.scheme == "rediss", **options)
    try:
        yield made
    finally:
        await made.aclose()


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
            host, port = await _sentinel(address).discover_master(address.service)
        context = ssl.create_default_context() if address.scheme == "rediss" else None
        return await loop.create_connection(factory, host, port, ssl=context)

    return connect, greeting
