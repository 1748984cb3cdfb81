"""httpx over the same pool and policy."""

import asyncio
import gzip

import httpx
import pytest

from gateway.core.domain import Proxy
from gateway.upstream import Egress, Transport

from .scene import Scene, both_loops, read_request, replies, reset, scene


def client(it: Scene, **options: object) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=Transport(it.upstream, pool_key="probe"), **options)  # type: ignore[arg-type]


@both_loops
async def test_request_and_answer() -> None:
    seen: list[tuple[bytes, bytes]] = []
    packed = gzip.compress(b'{"ok":true}')

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append(await read_request(reader))
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: %d\r\n\r\n"
                % len(packed)
                + packed
            )

    async with scene(handle) as it, client(it) as http:
        for _ in range(2):
            answer = await http.post(it.url + "/token?a=b c#part", json={"grant_type": "x"}, headers={"x-y": "z"})
            assert answer.status_code == 200
            assert answer.json() == {"ok": True}
            assert answer.headers.get_list("x-a") == ["1", "2"]
        head, body = seen[0]
        assert head.startswith(b"POST /token?a=b%20c HTTP/1.1\r\nhost: 127.0.0.1:")
        assert b"x-y: z\r\n" in head
        assert head.count(b"content-length") == head.count(b"host") == head.count(b"accept-encoding") == 1
        assert body == b'{"grant_type":"x"}'
        assert (it.upstream.dials, it.upstream.reuses) == (1, 1)
    assert len(seen) == 2


@both_loops
async def test_redirects_are_answers() -> None:
    raw = b"HTTP/1.1 307 T\r\nlocation: http://10.0.0.1/\r\ncontent-length: 0\r\n\r\n"
    async with scene(replies(raw)) as it, client(it) as http:
        assert (await http.post(it.url)).status_code == 307


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"", httpx.ReadError),
        (b"nonsense", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", httpx.RemoteProtocolError),
    ],
)
@both_loops
async def test_failures(raw: bytes, kind: type[Exception]) -> None:
    async with scene(replies(raw)) as it, client(it) as http:
        with pytest.raises(kind):
            await http.post(it.url)


@both_loops
async def test_failures_to_connect() -> None:
    async with scene(replies(b"")) as it, client(it) as http:
        for url in ("http://127.0.0.1:1", "https://10.0.0.1", "http://8.8.8.8"):
            with pytest.raises(httpx.ConnectError):
                await http.get(url)
        with pytest.raises(httpx.UnsupportedProtocol):
            await http.get("http://user:secret@127.0.0.1")
        with pytest.raises(httpx.UnsupportedProtocol):
            await http.head(it.url)


@both_loops
async def test_a_proxy_at_fault() -> None:
    async with scene(replies(b"")) as it:
        transport = Transport(it.upstream, pool_key="acct_1", proxy=Proxy("prx_1", "http", "127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport) as http:
            with pytest.raises(httpx.ProxyError):
                await http.get("https://upstream.example")


@both_loops
async def test_a_slow_connect() -> None:
    async def resolver(host: str, port: int) -> list[str]:
        await asyncio.sleep(5)
        return []

    async with scene(replies(b""), egress=Egress(resolver=resolver)) as it, client(it) as http:
        with pytest.raises(httpx.ConnectTimeout):
            await http.get("https://slow.example", timeout=httpx.Timeout(5, connect=0.1))


@both_loops
async def test_a_slow_answer() -> None:
    for raw in (
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello",
    ):
        async with scene(replies(raw, close=False)) as it, client(it) as http:
            with pytest.raises(httpx.ReadTimeout):
                await http.get(it.url, timeout=0.1)


@both_loops
async def test_no_timeouts_given() -> None:
    raw = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
    async with scene(replies(raw)) as it, client(it, timeout=None) as http:
        assert (await http.get(it.url)).content == b"hello"


@both_loops
async def test_streams_are_held_back_and_cut() -> None:
    sent = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while True:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n")
            sent = 0
            while sent < 50_000_000:
                writer.write(bytes(50_000))
                sent += 50_000
                await writer.drain()

    async with scene(handle) as it, client(it) as http:
        async with http.stream("GET", it.url) as answer:
            chunks = answer.aiter_raw()
            held = len(await anext(chunks))
            await asyncio.sleep(0.2)
            assert sent < 50_000_000
            async for chunk in chunks:
                held += len(chunk)
            assert held == 50_000_000
        async with http.stream("GET", it.url) as answer:
            assert it.upstream.running == 1
        assert it.upstream.running == 0


@both_loops
async def test_a_reset_in_the_body() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello")
        await writer.drain()
        await asyncio.sleep(0.02)
        reset(writer)

    async with scene(handle) as it, client(it) as http, http.stream("GET", it.url) as answer:
        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in answer.aiter_raw():
                pass
