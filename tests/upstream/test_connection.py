"""One connection: every way an answer can be written, cut and spoilt."""

import asyncio

import pytest

from gateway.upstream import Answer, BadAnswer, ConnectionBroken, Failure, Truncated

from .scene import Collect, Handler, both_loops, read_request, replies, reset, scene

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"

# ruff: noqa: E501 - a table
# name: (bytes, status, headers, content_length, body, kept)
WHOLE: dict[str, tuple[bytes, int, list[tuple[bytes, bytes]] | None, int | None, bytes, bool]] = {
    "length": (
        OK + b"Content-Type: a/b\r\nContent-Length: 5\r\n\r\nhello",
        200,
        [(b"content-type", b"a/b"), (b"content-length", b"5")],
        5,
        b"hello",
        True,
    ),
    "empty": (OK + b"content-length: 0\r\n\r\n", 200, None, 0, b"", True),
    "chunked": (CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", 200, None, None, b"hello", True),
    "extensions": (CHUNKED + b'2;a="b;c"\r\nhe\r\n03;x\r\nllo\r\n0;end\r\n\r\n', 200, None, None, b"hello", True),
    "trailers": (
        CHUNKED + b"5\r\nhello\r\n0\r\nx-sum: 1\r\nx-b: 2\r\n\r\n",
        200,
        [(b"transfer-encoding", b"chunked")],
        None,
        b"hello",
        True,
    ),
    "chunked in capitals": (OK + b"Transfer-Encoding: CHUNKED\r\n\r\n1\r\na\r\n0\r\n\r\n", 200, None, None, b"a", True),
    "until close": (OK + b"x: y\r\n\r\nhello", 200, [(b"x", b"y")], None, b"hello", False),
    "until close, empty": (OK + b"\r\n", 200, [], None, b"", False),
    "says close": (OK + b"connection: close\r\ncontent-length: 5\r\n\r\nhello", 200, None, 5, b"hello", False),
    "1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", 200, None, 5, b"hello", False),
    "1.0 kept": (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\na", 200, None, 1, b"a", True),
    "1.0 until close": (b"HTTP/1.0 200 OK\r\n\r\nhello", 200, [], None, b"hello", False),
    "100": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"content-length: 1\r\n\r\na", 200, None, 1, b"a", True),
    "103, 102": (
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + OK + b"a: b\r\ncontent-length: 1\r\n\r\na",
        200,
        [(b"a", b"b"), (b"content-length", b"1")],
        1,
        b"a",
        True,
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, [], 0, b"", True),
    "304": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", 304, None, 0, b"", True),
    "redirect": (
        b"HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\ncontent-length: 0\r\n\r\n",
        302,
        [(b"location", b"http://10.0.0.1/"), (b"content-length", b"0")],
        0,
        b"",
        True,
    ),
    "error": (b"HTTP/1.1 529 \r\ncontent-length: 2\r\n\r\n{}", 529, None, 2, b"{}", True),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", 200, None, 0, b"", True),
    "repeated headers": (
        OK + b"Set-Cookie: a\r\nSet-Cookie: b\r\nX:\r\nBytes: \xff\xfe\r\ncontent-length: 0\r\n\r\n",
        200,
        [(b"set-cookie", b"a"), (b"set-cookie", b"b"), (b"x", b""), (b"bytes", b"\xff\xfe"), (b"content-length", b"0")],
        0,
        b"",
        True,
    ),
    "upgrade offered": (
        OK + b"upgrade: h2c\r\nconnection: upgrade\r\ncontent-length: 1\r\n\r\na", 200, None, 1, b"a", True
    ),
    "surplus answer": (OK + b"content-length: 1\r\n\r\na" + OK + b"content-length: 1\r\n\r\nb", 200, None, 1, b"a", False),
    "surplus chunks": (CHUNKED + b"1\r\na\r\n0\r\n\r\n5\r\nhello\r\n", 200, None, None, b"a", False),
    "surplus garbage": (OK + b"content-length: 1\r\n\r\na\0\xff", 200, None, 1, b"a", False),
    "surplus after close": (OK + b"connection: close\r\ncontent-length: 1\r\n\r\naX", 200, None, 1, b"a", False),
    "60 KiB of head": (OK + b"x: " + b"y" * 60_000 + b"\r\ncontent-length: 1\r\n\r\na", 200, None, 1, b"a", True),
    "60 KiB of head, 1 MiB of body": (
        OK + b"x: " + b"y" * 60_000 + b"\r\ncontent-length: 1048576\r\n\r\n" + b"z" * 1048576,
        200,
        None,
        1048576,
        b"z" * 1048576,
        True,
    ),
}  # fmt: skip


def in_pieces(answer: bytes, size: int) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for start in range(0, len(answer), size):
            writer.write(answer[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)
        if b"\r\ncontent-length" in answer.lower() or b"chunked" in answer.lower() or b" 204 " in answer:
            await reader.read()
        writer.close()

    return handle


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("size", [1, 7, 10**9], ids=["bytes", "sevens", "whole"])
@both_loops
async def test_whole_answers(name: str, size: int) -> None:
    raw, status, headers, length, body, kept = WHOLE[name]
    size = max(size, len(raw) // 1000)
    async with scene(in_pieces(raw, size)) as it:
        answer = await it.open()
        sink = Collect()
        assert await sink.outcome(answer) is None
        assert (answer.status, answer.content_length, sink.body) == (status, length, body)
        if headers is not None:
            assert answer.headers == headers
        assert answer.complete
        answer.close()
        # Surplus in pieces arrives when the connection is idle already: seen there, dropped there.
        if not kept:
            async with asyncio.timeout(2):
                while it.upstream.connections:
                    await asyncio.sleep(0.005)
        else:
            assert it.upstream.connections == 1
        assert it.upstream.running == 0


# name: (bytes sent before the end, failure, phase, body before it)
SPOILT: dict[str, tuple[bytes, type[Failure], str, bytes]] = {
    "nothing": (b"", ConnectionBroken, "head", b""),
    "half a status line": (b"HTTP/1.1 20", ConnectionBroken, "head", b""),
    "half a head": (OK + b"content-le", ConnectionBroken, "head", b""),
    "only a 100": (b"HTTP/1.1 100 Continue\r\n\r\n", ConnectionBroken, "head", b""),
    "short of its length": (OK + b"content-length: 10\r\n\r\nhello", Truncated, "body", b"hello"),
    "length, no body": (OK + b"content-length: 10\r\n\r\n", Truncated, "body", b""),
    "no last chunk": (CHUNKED + b"5\r\nhello\r\n", Truncated, "body", b"hello"),
    "cut in a chunk": (CHUNKED + b"5\r\nhel", Truncated, "body", b"hel"),
    "cut in the last chunk": (CHUNKED + b"5\r\nhello\r\n0\r\n", Truncated, "body", b"hello"),
    "garbage": (b"\x16\x03\x01\x02\x00", BadAnswer, "head", b""),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", BadAnswer, "head", b""),
    "html": (b"<html>", BadAnswer, "head", b""),
    "version 3": (b"HTTP/3.0 200 OK\r\n\r\n", BadAnswer, "head", b""),
    "bare line feeds": (b"HTTP/1.1 200 OK\ncontent-length: 1\n\na", BadAnswer, "head", b""),
    "folded header": (OK + b"a: b\r\n c\r\ncontent-length: 0\r\n\r\n", BadAnswer, "head", b""),
    "space before the colon": (OK + b"content-length : 1\r\n\r\na", BadAnswer, "head", b""),
    "nul in a value": (OK + b"a: b\0\r\n\r\n", BadAnswer, "head", b""),
    "bare return in a value": (OK + b"a: b\rc: d\r\n\r\n", BadAnswer, "head", b""),
    "length and chunks": (OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", BadAnswer, "head", b""),
    "chunks and length": (OK + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n", BadAnswer, "head", b""),
    "two lengths": (OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab", BadAnswer, "head", b""),
    "a list of lengths": (OK + b"content-length: 1, 1\r\n\r\na", BadAnswer, "head", b""),
    "negative length": (OK + b"content-length: -1\r\n\r\na", BadAnswer, "head", b""),
    "huge length": (OK + b"content-length: 99999999999999999999999\r\n\r\na", BadAnswer, "head", b""),
    "gzip coding": (OK + b"transfer-encoding: gzip\r\n\r\nx", BadAnswer, "head", b""),
    "gzip, chunked": (OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", BadAnswer, "head", b""),
    "chunked, identity": (OK + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n", BadAnswer, "head", b""),
    "chunked twice": (
        OK + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", BadAnswer, "head", b"",
    ),
    "chunked in 1.0": (b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", BadAnswer, "head", b""),
    "101": (b"HTTP/1.1 101 S\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nxx", BadAnswer, "head", b""),
    "101 bare": (b"HTTP/1.1 101 S\r\n\r\n", BadAnswer, "head", b""),
    "status 099": (b"HTTP/1.1 099 X\r\ncontent-length: 0\r\n\r\n", BadAnswer, "head", b""),
    "status 999": (b"HTTP/1.1 999 X\r\ncontent-length: 0\r\n\r\n", BadAnswer, "head", b""),
    "bad chunk size": (CHUNKED + b"5\r\nhello\r\nzz\r\n", BadAnswer, "body", b"hello"),
    "huge chunk size": (CHUNKED + b"ffffffffffffffffff\r\n", BadAnswer, "body", b""),
    "chunk longer than its size": (CHUNKED + b"3\r\nhello\r\n", BadAnswer, "body", b"hel"),
    "length in a trailer": (CHUNKED + b"1\r\na\r\n0\r\ncontent-length: 5\r\n\r\n", BadAnswer, "body", b"a"),
    "1 MB header": (OK + b"x: " + b"y" * 1_000_000 + b"\r\n\r\n", BadAnswer, "head", b""),
    "70 KiB header": (OK + b"x: " + b"y" * 70_000 + b"\r\ncontent-length: 1\r\n\r\na", BadAnswer, "head", b""),
    "many headers": (OK + b"x: y\r\n" * 20_000 + b"\r\n", BadAnswer, "head", b""),
    "flood of 100s": (b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, BadAnswer, "head", b""),
    "flood of trailers": (CHUNKED + b"1\r\na\r\n0\r\n" + b"x: y\r\n" * 200_000, BadAnswer, "body", b"a"),
    "flood of extension": (CHUNKED + b"1;" + b"x" * 1_000_000, BadAnswer, "body", b""),
}  # fmt: skip


async def failure_of(it_open: asyncio.Future[Answer] | asyncio.Task[Answer], sink: Collect) -> Failure:
    try:
        answer = await it_open
    except Failure as failure:
        return failure
    failure = await sink.outcome(answer)
    assert failure is not None
    assert not answer.complete
    answer.close()
    return failure


@pytest.mark.parametrize("name", SPOILT)
@pytest.mark.parametrize("ending", ["eof", "reset", "bytes"])
@both_loops
async def test_spoilt_answers(name: str, ending: str) -> None:
    raw, kind, phase, body = SPOILT[name]

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        step = 1 + len(raw) // 1000 if ending == "bytes" else len(raw) or 1
        for start in range(0, len(raw), step):
            writer.write(raw[start : start + step])
            await writer.drain()
            await asyncio.sleep(0)
        await asyncio.sleep(0.005)
        reset(writer) if ending == "reset" else writer.close()

    async with scene(handle) as it:
        sink = Collect()
        failure = await failure_of(asyncio.ensure_future(it.open()), sink)
        assert type(failure) is kind
        assert failure.sent is True
        assert failure.phase == phase
        assert sink.body == body
        assert it.upstream.running == 0


@both_loops
async def test_a_reset_ends_an_answer_that_only_its_close_would_end() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK + b"\r\nhello")
        await writer.drain()
        await asyncio.sleep(0.05)
        reset(writer)

    async with scene(handle) as it:
        sink = Collect()
        failure = await sink.outcome(await it.open())
        assert isinstance(failure, Truncated)
        assert sink.body == b"hello"


@pytest.mark.parametrize("ending", ["eof", "reset", "half a head"])
@both_loops
async def test_stale_is_only_a_kept_connection_without_a_byte(ending: str) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK + b"content-length: 0\r\n\r\n")
        await read_request(reader)
        if ending == "reset":
            reset(writer)
        elif ending == "half a head":
            writer.write(b"HTTP/1.1 2")
        writer.close()

    async with scene(handle) as it:
        assert await (await it.open()).read(10) == b""
        with pytest.raises(ConnectionBroken) as caught:
            await it.open()
        assert it.upstream.reuses == 1
        assert caught.value.stale is (ending != "half a head")
        assert caught.value.sent is True


@both_loops
async def test_a_new_connection_that_breaks_is_not_stale() -> None:
    async with scene(replies(b"")) as it:
        with pytest.raises(ConnectionBroken) as caught:
            await it.open()
        assert caught.value.stale is False


@pytest.mark.parametrize("surplus", [b"x", b"\r\n", OK + b"content-length: 0\r\n\r\n"])
@both_loops
async def test_bytes_on_an_idle_connection_end_it(surplus: bytes) -> None:
    go = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(OK + b"content-length: 2\r\n\r\nok")
            await go.wait()
            writer.write(surplus)

    async with scene(handle) as it:
        assert await (await it.open()).read(10) == b"ok"
        assert it.upstream.connections == 1
        go.set()
        async with asyncio.timeout(2):
            while it.upstream.connections:
                await asyncio.sleep(0.005)
        go.clear()
        assert await (await it.open()).read(10) == b"ok"
        assert (it.upstream.dials, it.upstream.reuses) == (2, 0)


@both_loops
async def test_an_idle_connection_that_the_upstream_closes_is_forgotten() -> None:
    async with scene(replies(OK + b"content-length: 0\r\n\r\n")) as it:
        await (await it.open()).read(10)
        async with asyncio.timeout(2):
            while it.upstream.connections:
                await asyncio.sleep(0.005)
        await (await it.open()).read(10)
        assert it.upstream.dials == 2


@both_loops
async def test_one_push_per_read_however_it_was_chunked() -> None:
    body = b"".join(b"5\r\nhello\r\n" for _ in range(100))
    async with scene(replies(CHUNKED + body + b"0\r\n\r\n", close=False)) as it:
        sink = Collect()
        assert await sink.outcome(await it.open()) is None
        assert sink.body == b"hello" * 100
        assert len(sink.chunks) <= 3
