"""The write side: how answers are framed and how the connection ends after them, on raw sockets."""

import json

import pytest

from gateway.web.downstream import status_line
from tests.support.installation import Site
from tests.support.wire import wire
from tests.web.test_connection import ASK, CHAT, head


@pytest.mark.parametrize(
    ("status", "line"),
    [(200, b"HTTP/1.1 200 OK\r\n"), (429, b"HTTP/1.1 429 Too Many Requests\r\n"), (529, b"HTTP/1.1 529 \r\n")],
)
def test_the_status_line(status: int, line: bytes) -> None:
    assert status_line(status) == line


@pytest.mark.parametrize("stream", [True, False])
async def test_the_framing_of_an_answer(site: Site, key: str, stream: bool) -> None:
    asked = json.dumps({**CHAT, "model": "sandbox-tokens-20", "stream": stream}).encode()
    async with wire(site.url) as client:
        for _ in range(2):
            got = await client.ask(head(key), asked)
            assert (got.status, got.header("transfer-encoding")) == (200, "chunked" if stream else None)
            assert got.header("connection") is None
            if not stream:
                assert got.header("content-length") == str(len(got.body))


async def test_a_refusal_reaches_a_client_that_goes_on_sending(site: Site) -> None:
    size = 8 << 20
    async with wire(site.url) as client:
        await client.send(f"{head('sk-nobody')}\r\ncontent-length: {size}\r\n\r\n".encode())
        for _ in range(size >> 16):
            await client.send(b"x" * 65536)
        assert (await client.answer()).status == 401


async def test_http_1_0(site: Site, key: str) -> None:
    async with wire(site.url) as client:
        got = await client.ask(head(key, version="1.0"), ASK)
        assert (got.status, got.header("connection")) == (200, "close")
        assert await client.closed()
    stream = json.dumps({**CHAT, "stream": True}).encode()
    for more in ((), ("connection: keep-alive",)):
        async with wire(site.url) as client:
            got = await client.ask(head(key, "/v1/chat/completions", *more, version="1.0"), stream)
            assert (got.status, got.header("transfer-encoding"), got.header("connection")) == (200, None, "close")
            assert got.body.endswith(b"data: [DONE]\n\n")
    async with wire(site.url) as client:
        await client.send(b"GET /v1/models HTTP/1.0\r\n\r\n")  # no Host: 1.0 need not have one
        assert (await client.answer()).status == 401


async def test_connection_close(site: Site, key: str) -> None:
    async with wire(site.url) as client:
        got = await client.ask(head(key, "/v1/chat/completions", "connection: close"), ASK)
        assert (got.status, got.header("connection")) == (200, "close")
        assert await client.closed()
