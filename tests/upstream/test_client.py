"""Opening exchanges: what goes over the wire, early answers, cancelling, the end of the process."""

import asyncio
import hashlib

import pytest

from gateway.upstream import ConnectionBroken, DialFailed, Failure, Truncated, Upstream

from .scene import AUTHORITIES, Collect, both_loops, read_request, replies, reset, scene

HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
REFUSAL = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 8\r\n\r\ntoo long"


@both_loops
async def test_the_bytes_of_a_request() -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append(await read_request(reader))
            writer.write(HELLO)

    async with scene(handle) as it:
        headers = [(b"x-api-key", b"sk"), (b"connection", b"close"), (b"content-length", b"99")]
        await (await it.open("/v1/messages?beta=true", body=b'{"a":1}', headers=headers)).read(9)
        await (await it.open("", method="GET", body=b"")).read(9)
        host = it.url.removeprefix("http://").encode()
        assert seen == [
            (
                b"POST /v1/messages?beta=true HTTP/1.1\r\nhost: " + host + b"\r\nx-api-key: sk\r\n"
                b"accept-encoding: identity\r\ncontent-length: 7\r\n\r\n",
                b'{"a":1}',
            ),
            (b"GET / HTTP/1.1\r\nhost: " + host + b"\r\naccept-encoding: identity\r\n\r\n", b""),
        ]
        assert it.upstream.dials == 1


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 20_000_000])
@both_loops
async def test_bodies_arrive_whole(size: int) -> None:
    body = b"x" * size

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        _, got = await read_request(reader)
        digest = hashlib.sha256(got).hexdigest().encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 64\r\n\r\n" + digest)
        await reader.read()

    async with scene(handle) as it:
        assert await (await it.open(body=body)).read(65) == hashlib.sha256(body).hexdigest().encode()
        assert it.upstream.connections == 1


@pytest.mark.parametrize("then", ["stays", "closes", "half-closes"])
@both_loops
async def test_an_answer_before_the_body_was_read(then: str) -> None:
    """The answer counts, whatever becomes of the rest of the request; the connection is not used again."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(REFUSAL)
        await writer.drain()
        if then == "half-closes":
            writer.write_eof()
        if then != "closes":
            await asyncio.sleep(0.2)
        writer.close()  # with bytes unread: a reset

    async with scene(handle) as it:
        answer = await it.open(body=b"x" * 30_000_000)
        assert answer.status == 413
        assert await answer.read(100) == b"too long"
        await asyncio.sleep(0.01)
        assert (it.upstream.connections, it.upstream.running) == (0, 0)


@both_loops
async def test_an_early_answer_while_the_body_is_read_to_its_end() -> None:
    read: list[int] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        read.append(len(await reader.readexactly(20_000_000)))
        writer.write(b"0\r\n\r\n")
        await reader.read()

    async with scene(handle) as it:
        sink = Collect()
        assert await sink.outcome(await it.open(body=b"x" * 20_000_000)) is None
        assert (sink.body, read) == (b"abc", [20_000_000])
        assert it.upstream.connections == 1


@both_loops
async def test_a_reset_while_the_body_is_written() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reset(writer)

    async with scene(handle) as it:
        with pytest.raises(ConnectionBroken) as caught:
            await it.open(body=b"x" * 30_000_000)
        assert (caught.value.stale, caught.value.sent) == (False, True)


@both_loops
async def test_cancelling_an_open_cuts_it() -> None:
    gone = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await reader.read()
        gone.set()

    async with scene(handle) as it:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await it.open()
        await asyncio.wait_for(gone.wait(), 2)
        assert (it.upstream.connections, it.upstream.running) == (0, 0)


@both_loops
async def test_cancelling_a_dial_leaves_nothing() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with scene(handle) as it:
        for turns in range(12):
            opening = asyncio.ensure_future(it.open())
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            with pytest.raises((asyncio.CancelledError, Failure)):
                await opening
        await asyncio.sleep(0.05)
        assert (it.upstream.connections, it.upstream.running) == (0, 0)


@both_loops
async def test_leaving_the_client_ends_what_runs() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await read_request(reader)
        if b"/begun" in head:
            writer.write(HELLO[:-1])
        await reader.read()

    async with scene(handle) as it:
        async with Upstream(it.upstream._pool._egress, ssl=AUTHORITIES) as upstream:
            it.upstream, outer = upstream, it.upstream
            waiting = asyncio.ensure_future(it.open("/waiting"))
            sink = Collect()
            answer = await it.open("/begun")
            answer.start(sink)
            while not sink.chunks:
                await asyncio.sleep(0.005)
            idle = upstream.connections
            assert idle == 2
        (ending,) = sink.endings
        assert isinstance(ending, Truncated)
        with pytest.raises(ConnectionBroken):
            await waiting
        assert (upstream.connections, upstream.running) == (0, 0)
        it.upstream = outer


@both_loops
async def test_many_at_once() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            _, body = await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for part in (body, body):
                writer.write(b"%x\r\n%b\r\n" % (len(part), part))
                await asyncio.sleep(0)
            writer.write(b"0\r\n\r\n")

    async def one(it: object, number: int) -> None:
        body = b"%d" % number
        answer = await it.open(body=body)  # type: ignore[attr-defined]
        assert await answer.read(100) == body * 2

    async with scene(handle) as it:
        for _ in range(5):
            await asyncio.gather(*(one(it, number) for number in range(50)))
        assert it.upstream.dials <= 50
        assert it.upstream.dials + it.upstream.reuses == 250


@both_loops
async def test_origins_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.upstream.client._ORIGINS_KEPT", 3)
    async with scene(replies(HELLO)) as it:
        for number in range(10):
            it.url = f"http://203.0.113.{number}"
            with pytest.raises(DialFailed):
                await it.open()
            assert len(it.upstream._origins) <= 3
