"""Redis by URL: every form of address, both kinds of client, and a real Sentinel that knows where the master is."""

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from redis.exceptions import RedisError

from gateway.core.redis import Address, client, connector, parse
from gateway.core.scripts import RENEW, scripts
from gateway.local.redis import find_builds

URLS = [
    ("redis://h", Address("redis", (("h", 6379),))),
    ("redis://h:1234/5", Address("redis", (("h", 1234),), database=5)),
    ("redis://h/?db=7", Address("redis", (("h", 6379),), database=7)),
    ("redis://:p%40ss%2F@h", Address("redis", (("h", 6379),), password="p@ss/")),
    ("redis://me:pw@h:1", Address("redis", (("h", 1),), username="me", password="pw")),
    ("rediss://[::1]:6380/1", Address("rediss", (("::1", 6380),), database=1)),
    ("redis://[::1]", Address("redis", (("::1", 6379),))),
    ("redis://", Address("redis", (("127.0.0.1", 6379),))),
    ("unix:///run/r.sock?db=3", Address("unix", (("127.0.0.1", 6379),), path="/run/r.sock", database=3)),
    ("unix://me:pw@/run/r.sock", Address("unix", (("127.0.0.1", 6379),), "/run/r.sock", "me", "pw")),
    (
        "redis+sentinel://:pw@a:1,b,[::1]:2/main/4",
        Address("redis+sentinel", (("a", 1), ("b", 26379), ("::1", 2)), password="pw", database=4, service="main"),
    ),
    ("redis+sentinel://a", Address("redis+sentinel", (("a", 26379),), service="mymaster")),
]


@pytest.mark.parametrize(("url", "address"), URLS)
def test_addresses(url: str, address: Address) -> None:
    found = parse(url)
    service = found.service if address.service == "" else address.service
    assert found == msgspec.structs.replace(address, service=service)


@pytest.mark.parametrize("url", ["redis://h:port", "redis://h:0", "redis://h:65536", "redis://h/x", "redis://h?db=x"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError):
        parse(url)


async def test_both_clients_see_the_same_database(clean_redis: str) -> None:
    url = clean_redis.replace("db=0", "db=3") if "db=0" in clean_redis else clean_redis
    async with client(url) as redis, scripts(*connector(url)) as hot:
        await redis.set("name", "é")
        assert await hot.command(b"GET", "name") == "é".encode()
        assert await redis.get("name") == "é"
    async with client(clean_redis) as other:
        assert (await other.get("name") is None) is (url != clean_redis)


async def test_a_server_that_is_not_there() -> None:
    async with client("redis://127.0.0.1:1") as redis:
        with pytest.raises(RedisError):
            await redis.ping()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def started(program: list[str | Path], port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([str(word) for word in program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process
        except OSError:
            time.sleep(0.02)
    process.kill()
    process.wait()
    raise RuntimeError("it does not listen")


@pytest.fixture(scope="module")
def sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A master and one sentinel that watches it."""
    build = next(find_builds(), None)
    if build is None:
        pytest.skip("no Redis program is here: POOLGATE_TEST_REDIS_URL names a server only")
    home = tmp_path_factory.mktemp("sentinel")
    master, watcher = free_port(), free_port()
    config = home / "sentinel.conf"
    config.write_text(f"port {watcher}\nbind 127.0.0.1\ndir {home}\nsentinel monitor main 127.0.0.1 {master} 1\n")
    running: list[subprocess.Popen[bytes]] = []
    try:
        options = ["--bind", "127.0.0.1", "--save", "", "--dir", str(home)]
        running.append(started([build.programs, "--port", str(master), *options], master))
        running.append(started([build.programs, config, "--sentinel"], watcher))
        yield f"redis+sentinel://127.0.0.1:1,127.0.0.1:{watcher}/main"
    finally:
        for process in running:
            process.kill()
            process.wait()


async def test_by_sentinel(sentinel: str) -> None:
    async with client(sentinel) as redis, scripts(*connector(sentinel)) as hot:
        await redis.set("name", "value")
        assert await hot.command(b"GET", "name") == b"value"
        assert await hot.run(RENEW, "{pg:00}:", (60_000,)) == 0


async def test_a_sentinel_that_knows_no_such_master(sentinel: str) -> None:
    """It is waited for: the process goes on without Redis, as its policies say."""
    connect, greeting = connector(sentinel.replace("/main", "/other"))
    async with scripts(connect, greeting) as hot:
        await asyncio.sleep(0.1)
        assert not hot.connected
    with pytest.raises(OSError, match="no master is known"):
        await connect(asyncio.Protocol)


async def test_no_sentinel_at_all() -> None:
    async with scripts(*connector("redis+sentinel://127.0.0.1:1/main")) as hot:
        assert not hot.connected
