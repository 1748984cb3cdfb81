"""HTTP as nobody should speak it, on raw sockets: a clean answer in a protocol's shape, and the gateway goes on."""

import asyncio
import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.web import connection
from tests.support.installation import Site
from tests.support.wire import Got, Wire, wire

CHAT = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "Hello"}]}
ASK = json.dumps(CHAT).encode()


@pytest.fixture(autouse=True)
def no_traceback(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


def head(key: str, path: str = "/v1/chat/completions", *more: str, method: str = "POST", version: str = "1.1") -> str:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "host: gateway", f"authorization: Bearer {key}", *more])


def code(got: Got) -> str:
    error: Any = got.json["error"]
    return error["code"]


async def works(client: Wire, key: str) -> None:
    """The same connection serves the next request."""
    got = await client.ask(head(key), ASK)
    assert (got.status, b"chat.completion" in got.body) == (200, True)


# ---------------------------------------------------------------- what is no request

POST = b"POST /v1/messages HTTP/1.1\r\nhost: a\r\n"
BAD_HEADS = {
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n",
    "no Host": b"POST /v1/messages HTTP/1.1\r\n\r\n",
    "empty Host": b"POST /v1/messages HTTP/1.1\r\nhost:\r\n\r\n",
    "two Hosts": POST + b"host: b\r\n\r\n",
    "two same Hosts": POST + b"Host: a\r\n\r\n",
    "Host with a path": b"POST /v1/messages HTTP/1.1\r\nhost: a/b\r\n\r\n",
    "Host with a user": b"POST /v1/messages HTTP/1.1\r\nhost: u@a\r\n\r\n",
    "Host with a space": b"POST /v1/messages HTTP/1.1\r\nhost: a b\r\n\r\n",
    "length and chunks": POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
    "chunks and length": POST + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n",
    "an empty coding and a length": POST + b"transfer-encoding:\r\ncontent-length: 5\r\n\r\n",
    "two lengths": POST + b"content-length: 5\r\ncontent-length: 6\r\n\r\n",
    "two lengths in one": POST + b"content-length: 5, 6\r\n\r\n",
    "negative length": POST + b"content-length: -1\r\n\r\n",
    "signed length": POST + b"content-length: +5\r\n\r\n",
    "huge length": POST + b"content-length: 99999999999999999999\r\n\r\n",
    "unknown coding": POST + b"transfer-encoding: xchunked\r\n\r\n",
    "compressed in chunks": POST + b"transfer-encoding: gzip, chunked\r\n\r\n",
    "chunks in HTTP/1.0": b"POST /v1/messages HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
    "chunked not last": POST + b"transfer-encoding: chunked, gzip\r\n\r\n",
    "space before colon": POST + b"content-length : 5\r\n\r\n",
    "folded header": POST + b"x-a: b\r\n c\r\n\r\n",
    "NUL in a header": POST + b"x-a: b\x00c\r\n\r\n",
    "NUL in the path": b"POST /v1/\x00messages HTTP/1.1\r\nhost: a\r\n\r\n",
    "space in the path": b"POST /v1/ messages HTTP/1.1\r\nhost: a\r\n\r\n",
    "not ASCII in the path": b"POST /v1/m\xc3\xa9ssages HTTP/1.1\r\nhost: a\r\n\r\n",
    "fragment in the path": b"POST /v1/messages#x HTTP/1.1\r\nhost: a\r\n\r\n",
    "absolute form": b"GET http://gateway/v1/models HTTP/1.1\r\nhost: gateway\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nhost: gateway\r\n\r\n",
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2 by number": b"GET / HTTP/2.0\r\nhost: a\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_HEADS)
async def test_what_is_no_request(site: Site, name: str) -> None:
    async with wire(site.url) as client:
        await client.send(BAD_HEADS[name])
        got = await client.answer()
        assert (got.status, code(got), got.header("connection")) == (400, "invalid_request", "close")
        assert (got.header("x-request-id") or "").startswith("req_")
        assert await client.closed()


@pytest.mark.parametrize(
    ("line", "allow", "shape"),
    [
        ("FOO /v1/messages", "POST", "anthropic"),
        ("FOO /v1/messages?beta=true", "POST", "anthropic"),
        ("post /v1/messages", "POST", "anthropic"),
        ("POSTS /v1beta/models/x:generateContent", "POST", "gemini"),
        ("FOO /v1/models", "GET, HEAD", "openai"),
        ("BREW /api/tags", "GET, HEAD", "ollama"),
    ],
)
async def test_a_method_that_nobody_knows(site: Site, key: str, line: str, allow: str, shape: str) -> None:
    async with wire(site.url) as client:
        await client.send(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
        assert (await client.answer()).status == 200
        await client.send(f"{line} HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n\r\n".encode())
        got = await client.answer()
        assert (got.status, got.header("allow"), got.header("connection")) == (405, allow, "close")
        error = got.json["error"]
        told = {
            "anthropic": got.json.get("type") == "error",
            "gemini": "status" in error and shape != "ollama",
            "ollama": isinstance(error, str),
        }
        assert [name for name, found in told.items() if found] == ([] if shape == "openai" else [shape])
        assert await client.closed()


@pytest.mark.parametrize("sent", [b"FOO /nothing HTTP/1.1\r\n\r\n", b"FOO", b"FOO /v1/messages", b"\x16\x03\x01\x02"])
async def test_a_method_that_nobody_knows_where_nothing_is(site: Site, sent: bytes) -> None:
    async with wire(site.url) as client:
        await client.send(sent)
        got = await client.answer()
        assert (got.status, code(got)) == (400, "invalid_request")
        assert await client.closed()


async def test_refusals_speak_the_protocol_of_the_path(site: Site) -> None:
    async with wire(site.url) as client:
        await client.send(POST + b"host: b\r\n\r\n")
        got = await client.answer()
    assert got.json["type"] == "error"
    assert got.json["request_id"] == got.header("request-id") == got.header("x-request-id")


@pytest.mark.parametrize("lines", [1, 200])
async def test_a_head_of_a_megabyte(site: Site, lines: int) -> None:
    value = "x" * (1_000_000 // lines)
    more = "".join(f"x-{at}: {value}\r\n" for at in range(lines))
    async with wire(site.url) as client:
        sent = asyncio.ensure_future(client.send(f"POST /v1/messages HTTP/1.1\r\nhost: a\r\n{more}\r\n".encode()))
        got = await client.answer()
        assert (got.status, code(got)) == (431, "headers_too_large")
        await asyncio.gather(sent, return_exceptions=True)


async def test_a_whole_head_just_over_the_bound(site: Site, key: str) -> None:
    async with wire(site.url) as client:
        got = await client.ask(head(key, "/v1/chat/completions", "x-a: " + "x" * connection.MAX_HEAD), ASK)
    assert got.status == 431
    async with wire(site.url) as client:
        got = await client.ask(head(key, "/v1/chat/completions", "x-a: " + "x" * (connection.MAX_HEAD - 500)), ASK)
    assert got.status == 200


async def test_a_large_head_behind_a_large_body_is_counted_alone(site: Site, key: str) -> None:
    body = json.dumps({**CHAT, "pad": "x" * 200_000}).encode()
    async with wire(site.url) as client:
        first = f"{head(key)}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        second = f"{head(key)}\r\ncontent-length: {len(ASK)}\r\n\r\n".encode()
        await client.send(first + second[:50])
        assert (await client.answer()).status == 200
        await client.send(second[50:] + ASK)
        assert (await client.answer()).status == 200


# ---------------------------------------------------------------- slow, and never


async def test_a_head_that_does_not_come(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.5)
    async with wire(site.url) as client, wire(site.url) as silent, wire(site.url) as blank:
        await client.send(POST + b"")
        await blank.send(b"\r\n")
        for _ in range(12):
            await asyncio.sleep(0.1)
            if client.reader.at_eof() or client.reader._buffer:  # type: ignore[attr-defined]
                break
            await client.send(b"x-a: b\r\n")
        got = await client.answer()
        assert (got.status, code(got), got.json["type"]) == (408, "request_timeout", "error")
        assert await client.closed()
        assert await silent.closed()
        assert await blank.closed()


async def test_a_body_that_stalls(site: Site, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BODY_SECONDS", 0.5)
    async with wire(site.url) as client:
        await client.send(f"{head(key)}\r\ncontent-length: 100\r\n\r\n{{".encode())
        got = await client.answer()
        assert (got.status, code(got), got.header("connection")) == (408, "request_timeout", "close")
        assert await client.closed()


async def test_a_body_that_moves_may_take_its_time(site: Site, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BODY_SECONDS", 1.2)
    async with wire(site.url) as client:
        await client.send(f"{head(key)}\r\ncontent-length: {len(ASK)}\r\n\r\n".encode())
        for at in range(0, len(ASK), 20):
            await client.send(ASK[at : at + 20])
            await asyncio.sleep(0.5)
        assert (await client.answer()).status == 200


async def test_a_dropped_body_that_stalls(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is out, the body never ends: the connection does."""
    monkeypatch.setattr(connection, "BODY_SECONDS", 0.5)
    async with wire(site.url) as client:
        await client.send(POST + b"content-length: 100\r\n\r\n{")
        assert (await client.answer()).status == 401
        assert await client.closed()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_reader_that_does_not_read(site: Site, key: str, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    """The upstream is held back, memory stays bounded, and in the end the connection is closed."""
    monkeypatch.setattr(connection, "SLOW_SECONDS", 0.8)
    before = len(site.gate.exchanges)
    host, _, port = site.url.removeprefix("http://").partition(":")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((host, int(port)))
    sock.setblocking(False)
    tokens = 100_000 if stream else 3_000_000
    body = json.dumps({**CHAT, "model": f"sandbox-tokens-{tokens}", "stream": stream}).encode()
    try:
        sock.send(f"{head(key)}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        largest, started = 0, False
        async with asyncio.timeout(15):
            while not started or len(site.gate.exchanges) > before or _buffered(site):
                started = started or _buffered(site) > 0
                largest = max(largest, _buffered(site))
                await asyncio.sleep(0.02)
    finally:
        sock.close()
    if stream:
        assert largest < 2 << 20
    await site.settled()
    async with wire(site.url) as client:
        await works(client, key)


def _buffered(site: Site) -> int:
    connections: Any = site.gateways[0].server.server_state.connections
    return sum(one.transport.get_write_buffer_size() for one in connections if one.transport)


# ---------------------------------------------------------------- bodies

JUNK = {
    "empty": b"",
    "no JSON": b"model=sandbox-echo",
    "half": ASK[:-1],
    "two": ASK + ASK,
    "array": b"[1]",
    "not UTF-8": b'{"model":"sandbox-echo","messages":"\xff"}',
    "byte order mark": b"\xef\xbb\xbf" + ASK,
    "NaN": b'{"model":"sandbox-echo","x":NaN}',
    "deep": b'{"model":"sandbox-echo","x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "model twice": b'{"model":"sandbox-echo","model":"other"}',
    "model twice, escaped": b'{"model":"sandbox-echo","m\\u006fdel":"other"}',
    "stream twice": b'{"model":"sandbox-echo","stream":true,"str\\u0065am":false}',
    "model no text": b'{"model":7}',
    "no model": b'{"messages":[]}',
    "model null": b'{"model":null}',
    "stream no flag": b'{"model":"sandbox-echo","stream":"yes"}',
}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/responses"])
async def test_junk_for_a_body(site: Site, key: str, path: str) -> None:
    async with wire(site.url) as client:
        for name, body in JUNK.items():
            got = await client.ask(head(key, path), body)
            assert (got.status, code(got)) == (400, "invalid_request"), name
            if "model" in name:
                assert path == "/v1/messages" or got.json["error"]["param"] == "model", name  # type: ignore[index]
        await works(client, key)


async def test_a_body_too_large_by_its_own_words(site: Site, key: str) -> None:
    limit = site.settings.body_limit
    async with wire(site.url) as client:
        await client.send(f"{head(key)}\r\ncontent-length: {limit + 1}\r\n\r\n".encode())
        got = await client.answer()
        assert (got.status, code(got), got.header("connection")) == (413, "request_too_large", "close")
        assert await client.closed()


@pytest.mark.parametrize("size", [3 << 20, 20 << 20])
@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_too_large_that_is_being_sent(site: Site, key: str, chunked: bool, size: int) -> None:
    """The answer reaches a client that goes on sending."""
    framing = "transfer-encoding: chunked" if chunked else f"content-length: {size}"
    async with wire(site.url) as client:
        await client.send(f"{head(key, '/v1/messages')}\r\n{framing}\r\n\r\n".encode())
        for _ in range(size >> 16):
            block = b"x" * 65536
            await client.send(b"10000\r\n" + block + b"\r\n" if chunked else block)
        got = await client.answer()
        assert (got.status, code(got)) == (413, "request_too_large")
        assert got.json["error"]["type"] == "request_too_large"  # type: ignore[index]
    assert site.gate.body_bytes == 0


async def test_a_body_of_just_the_limit(site: Site, key: str) -> None:
    pad = site.settings.body_limit - len(ASK) - len(',"pad":""')
    body = ASK[:-1] + b',"pad":"' + b"x" * pad + b'"}'
    assert len(body) == site.settings.body_limit
    async with wire(site.url) as client:
        assert (await client.ask(head(key), body)).status == 200
    assert site.gate.body_bytes == 0


async def test_bodies_together_beyond_the_memory(site: Site, key: str) -> None:
    size = 1 << 20
    opening = f"{head(key)}\r\ncontent-length: {size}\r\n\r\n".encode() + b"{" + b" " * (size - 65536)
    async with wire(site.url) as a, wire(site.url) as b, wire(site.url) as c, wire(site.url) as d:
        for client in (a, b, c, d):
            await client.send(opening)
        async with asyncio.timeout(5):
            got = await d.answer() if (await _answered(a, b, c, d)) is d else None
        first = got or await (await _answered(a, b, c, d)).answer()
        assert (first.status, code(first), first.header("retry-after")) == (503, "overloaded", "1")
        assert site.gate.body_bytes <= site.settings.body_memory
    async with asyncio.timeout(5):
        while site.gate.body_bytes:
            await asyncio.sleep(0.01)
    async with wire(site.url) as client:
        await works(client, key)


async def _answered(*clients: Wire) -> Wire:
    async with asyncio.timeout(5):
        while True:
            for client in clients:
                if client.reader._buffer:  # type: ignore[attr-defined]
                    return client
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("bad", ["zz\r\n", "-1\r\n", "5;ext\r\nabcdeXX", "ffffffffffffffffff\r\n", "5 \r\n"])
async def test_a_bad_chunk(site: Site, key: str, bad: str) -> None:
    async with wire(site.url) as client:
        await client.send(f"{head(key)}\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n".encode())
        await asyncio.sleep(0.02)
        await client.send(bad.encode())
        got = await client.answer()
        assert (got.status, code(got), got.header("connection")) == (400, "invalid_request", "close")
        assert await client.closed()
    assert site.gate.body_bytes == 0


async def test_chunks_of_one_byte_and_trailers(site: Site, key: str) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in ASK)
    async with wire(site.url) as client:
        await client.send(f"{head(key)}\r\ntransfer-encoding: chunked\r\n\r\n".encode() + chunks)
        await client.send(b"0\r\nx-trailer: y\r\n\r\n")
        assert (await client.answer()).status == 200
        await works(client, key)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "gzip, identity"])
async def test_a_compressed_body(site: Site, key: str, coding: str) -> None:
    async with wire(site.url) as client:
        got = await client.ask(head(key, "/v1/messages", f"content-encoding: {coding}"), b"\x1f\x8b")
        assert (got.status, code(got)) == (415, "unsupported_encoding")


async def test_identity_is_no_coding(site: Site, key: str) -> None:
    async with wire(site.url) as client:
        got = await client.ask(head(key, "/v1/chat/completions", "content-encoding: identity"), ASK)
        assert got.status == 200


# ---------------------------------------------------------------- keys before bodies


async def test_the_key_is_checked_before_the_body(site: Site) -> None:
    async with wire(site.url) as client:
        await client.send(f"{head('sk-nobody')}\r\ncontent-length: 100\r\n\r\n".encode())
        got = await client.answer()
        assert (got.status, code(got)) == (401, "key_invalid")
        await client.send(b"x" * 100)  # the rest is dropped, and the connection goes on
        got = await client.ask(head("sk-nobody"), ASK)
        assert got.status == 401


async def test_expect_continue(site: Site, key: str) -> None:
    more = ("/v1/chat/completions", "expect: 100-continue", f"content-length: {len(ASK)}")
    async with wire(site.url) as client:
        await client.send(f"{head(key, *more)}\r\n\r\n".encode())
        assert (await client.answer()).status == 100
        await client.send(ASK)
        assert (await client.answer()).status == 200
        await works(client, key)
    async with wire(site.url) as client:
        await client.send(f"{head('sk-nobody', *more)}\r\n\r\n".encode())
        got = await client.answer()
        # Nothing tells a body that comes now from a next request: the connection ends.
        assert (got.status, got.header("connection")) == (401, "close")
        assert await client.closed()
    async with wire(site.url) as client:
        more = ("/v1/chat/completions", "expect: 100-continue", f"content-length: {site.settings.body_limit + 1}")
        await client.send(f"{head(key, *more)}\r\n\r\n".encode())
        assert (await client.answer()).status == 413


# ---------------------------------------------------------------- one connection, many requests


async def test_pipelining(site: Site, key: str) -> None:
    one = f"{head(key)}\r\ncontent-length: {len(ASK)}\r\n\r\n".encode() + ASK
    bad = b"GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n"
    async with wire(site.url) as client:
        await client.send(one + bad + one + one)
        assert [(await client.answer()).status for _ in range(4)] == [200, 404, 200, 200]
        await works(client, key)


async def test_pipelined_behind_a_stream(site: Site, key: str) -> None:
    """What waits in the pipeline does not disturb the answer that runs, however slowly that one is read."""
    slow = json.dumps({**CHAT, "model": "sandbox-tokens-30000", "stream": True}).encode()
    first = f"{head(key)}\r\ncontent-length: {len(slow)}\r\n\r\n".encode() + slow
    second = f"{head(key)}\r\ncontent-length: {len(ASK)}\r\n\r\n".encode() + ASK
    async with wire(site.url, limit=4096) as client:
        await client.send(first + second)
        await asyncio.sleep(0.3)  # the answer fills every buffer on its way
        got = await client.answer()
        assert got.body.endswith(b"data: [DONE]\n\n")
        assert (await client.answer()).status == 200


async def test_a_client_that_leaves_with_requests_in_the_pipeline(site: Site, key: str) -> None:
    slow = json.dumps({**CHAT, "model": "sandbox-tokens-500-gap-10", "stream": True}).encode()
    first = f"{head(key)}\r\ncontent-length: {len(slow)}\r\n\r\n".encode() + slow
    second = f"{head(key)}\r\ncontent-length: {len(ASK)}\r\n\r\n".encode() + ASK
    async with wire(site.url) as client:
        await client.send(first + second)
        request = (await client.answer(head_only=True)).header("x-request-id") or ""
    row = await site.row(request)
    assert row.ending == "client_abort_cut"
    await site.settled()


async def test_junk_behind_a_stream_does_not_cut_it(site: Site, key: str) -> None:
    slow = json.dumps({**CHAT, "model": "sandbox-tokens-20-gap-10", "stream": True}).encode()
    async with wire(site.url) as client:
        await client.send(
            f"{head(key)}\r\ncontent-length: {len(slow)}\r\n\r\n".encode() + slow + b"\x00\x01 junk\r\n\r\n"
        )
        got = await client.answer()
        assert got.body.endswith(b"data: [DONE]\n\n")
        assert await client.closed()


async def test_an_upgrade_that_is_not_taken_up(site: Site, key: str) -> None:
    """As Java's client offers HTTP/2 on every first request."""
    offer = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAEAAEAAAAIAAAABAAMAAABk")
    start = head(key, "/v1/chat/completions", *offer)
    one = f"{start}\r\ncontent-length: {len(ASK)}\r\n\r\n".encode() + ASK
    chunked = f"{start}\r\ntransfer-encoding: chunked\r\n\r\n{len(ASK):x}\r\n".encode() + ASK + b"\r\n0\r\n\r\n"
    empty = f"{start}\r\ncontent-length: 0\r\n\r\n".encode()
    async with wire(site.url) as client:
        await client.send(one + chunked + empty + one)
        assert [(await client.answer()).status for _ in range(4)] == [200, 200, 400, 200]
        await client.send(one[:-5])
        await asyncio.sleep(0.02)
        await client.send(one[-5:])
        assert (await client.answer()).status == 200
        await works(client, key)


async def test_a_body_behind_an_offer_is_no_request(site: Site, key: str) -> None:
    smuggled = b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n"
    async with wire(site.url) as client:
        got = await client.ask(head(key, "/v1/messages", "connection: upgrade", "upgrade: websocket"), smuggled)
        assert (got.status, code(got)) == (400, "invalid_request")
        await works(client, key)


async def test_byte_by_byte(site: Site, key: str) -> None:
    async with wire(site.url) as client:
        for _ in range(2):
            data = f"{head(key)}\r\ncontent-length: {len(ASK)}\r\n\r\n".encode() + ASK
            for at in range(len(data)):
                await client.send(data[at : at + 1])
                await asyncio.sleep(0)
            assert (await client.answer()).status == 200
