"""The answer: pushing, pausing, reading, closing."""

import asyncio
import hashlib
import time

import pytest

from gateway.upstream import Answer, Failure, Truncated
from gateway.upstream.answer import EARLY_LIMIT

from .scene import Collect, Handler, both_loops, read_request, replies, scene

BIG = 48 * 1024 * 1024
HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


class Flood:
    """Sends a large body as fast as it is taken, and counts."""

    def __init__(self) -> None:
        self.sent = 0
        self.digest = hashlib.sha256()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % BIG)
        while self.sent < BIG:
            block = self.sent.to_bytes(8, "big") * 8192
            writer.write(block)
            self.digest.update(block)
            self.sent += len(block)
            await writer.drain()
        await read_request(reader)
        writer.write(HELLO)

    async def stuck(self) -> int:
        """Wait until nothing more is taken; how much was."""
        async with asyncio.timeout(5):
            while True:
                before = self.sent
                await asyncio.sleep(0.1)
                if self.sent == before > 0:
                    return before


class Slow(Collect):
    """Pauses the upstream at every chunk."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer
        self.digest = hashlib.sha256()
        self.taken = 0
        self.largest = 0

    def data(self, chunk: bytes) -> None:
        self.digest.update(chunk)
        self.taken += len(chunk)
        self.largest = max(self.largest, len(chunk))
        self.answer.pause()
        self.answer.pause()


@both_loops
async def test_a_slow_reader_holds_the_upstream_back() -> None:
    flood = Flood()
    async with scene(flood) as it:
        answer = await it.open()
        sink = Slow(answer)
        answer.start(sink)
        assert await flood.stuck() < BIG
        taken = sink.taken
        assert taken <= EARLY_LIMIT + 2 * 256 * 1024
        await asyncio.sleep(0.05)
        assert sink.taken == taken
        while not sink.over.done():
            answer.resume()
            answer.resume()
            await asyncio.sleep(0)
        assert sink.taken == BIG
        assert sink.digest.digest() == flood.digest.digest()
        assert sink.largest <= EARLY_LIMIT + 2 * 256 * 1024
        assert it.upstream.connections == 1  # kept, and reading again:
        assert await (await it.open()).read(8) == b"hello"
        assert it.upstream.reuses == 1


@both_loops
async def test_what_nobody_started_is_bounded_too() -> None:
    flood = Flood()
    async with scene(flood) as it:
        answer = await it.open()
        assert await flood.stuck() < BIG
        sink = Slow(answer)
        answer.start(sink)
        assert EARLY_LIMIT < sink.taken <= EARLY_LIMIT + 256 * 1024
        answer.close()


async def test_a_header_is_the_first_of_its_name() -> None:
    said = HELLO.replace(b"\r\n\r\n", b"\r\nX-One: a\r\nx-one: b\r\nx-two:\r\n\r\n", 1)
    async with scene(replies(said, close=False)) as it:
        answer = await it.open()
        assert [answer.header(name) for name in (b"x-one", b"x-two", b"x-three")] == [b"a", b"", b""]
        answer.close()


@both_loops
async def test_body_before_start_is_one_block_and_then_the_end_at_once() -> None:
    async with scene(replies(HELLO, close=False)) as it:
        answer = await it.open()
        async with asyncio.timeout(2):
            while not answer.complete:
                await asyncio.sleep(0.005)
        sink = Collect()
        answer.start(sink)
        assert (sink.chunks, sink.endings) == ([b"hello"], [None])


@both_loops
async def test_failure_before_start_comes_after_the_bytes() -> None:
    async with scene(replies(HELLO[:-1])) as it:
        answer = await it.open()
        async with asyncio.timeout(2):
            while it.upstream.connections:
                await asyncio.sleep(0.005)
        sink = Collect()
        answer.start(sink)
        (ending,) = sink.endings
        assert sink.body == b"hell"
        assert isinstance(ending, Truncated)
        answer.close()


def dripping(gone: asyncio.Event) -> Handler:
    """A stream without end; sets the event when the client's side is gone."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while not reader.at_eof():
                writer.write(b"5\r\nhello\r\n")
                await writer.drain()
                await asyncio.sleep(0.005)
        finally:
            gone.set()

    return handle


@both_loops
async def test_close_cuts_the_upstream_at_once() -> None:
    gone = asyncio.Event()
    async with scene(dripping(gone)) as it:
        answer = await it.open()
        sink = Collect()
        answer.start(sink)
        await asyncio.sleep(0.03)
        answer.close()
        got = len(sink.chunks)
        assert got
        begun = time.monotonic()
        await asyncio.wait_for(gone.wait(), 2)
        assert time.monotonic() - begun < 0.5
        assert (len(sink.chunks), sink.endings) == (got, [])
        assert (it.upstream.connections, it.upstream.running) == (0, 0)
        for _ in range(2):
            answer.close()
            answer.pause()
            answer.resume()
        with pytest.raises(RuntimeError, match="closed"):
            answer.start(Collect())


@pytest.mark.parametrize("early", [True, False])
@both_loops
async def test_a_sink_may_close_from_within(early: bool) -> None:
    gone = asyncio.Event()
    async with scene(dripping(gone)) as it:
        answer = await it.open()
        if early:
            await asyncio.sleep(0.05)

        class Once(Collect):
            def data(self, chunk: bytes) -> None:
                super().data(chunk)
                answer.close()

        sink = Once()
        answer.start(sink)
        await asyncio.wait_for(gone.wait(), 2)
        assert (len(sink.chunks), sink.endings) == (1, [])


@both_loops
async def test_a_sink_may_close_at_the_last_byte() -> None:
    async with scene(replies(HELLO, HELLO)) as it:
        answer = await it.open()

        class Once(Collect):
            def data(self, chunk: bytes) -> None:
                super().data(chunk)
                answer.close()

        sink = Once()
        answer.start(sink)
        await asyncio.sleep(0.05)
        assert (sink.chunks, sink.endings) == ([b"hello"], [])
        assert it.upstream.running == 0


@pytest.mark.parametrize(
    ("limit", "expected", "kept"), [(5, b"hello", False), (6, b"hello", True), (2, b"he", False), (0, b"", False)]
)
@both_loops
async def test_read(limit: int, expected: bytes, kept: bool) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HELLO[:-3])
        await asyncio.sleep(0.02)
        writer.write(HELLO[-3:])
        await reader.read()

    async with scene(handle) as it:
        answer = await it.open()
        assert await answer.read(limit) == expected
        await asyncio.sleep(0)
        assert it.upstream.running == 0
        if kept:
            assert (answer.complete, it.upstream.connections) == (True, 1)


@both_loops
async def test_read_raises_what_cut_it() -> None:
    async with scene(replies(HELLO[:-1])) as it:
        with pytest.raises(Truncated):
            await (await it.open()).read(100)


@both_loops
async def test_read_cancelled_cuts_the_upstream() -> None:
    async with scene(replies(HELLO[:-1], close=False)) as it:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await (await it.open()).read(100)
        await asyncio.sleep(0.01)
        assert (it.upstream.connections, it.upstream.running) == (0, 0)


@both_loops
async def test_a_paused_answer_still_hears_its_end() -> None:
    """The last bytes and the end may be in one read: the sink that pauses on the bytes gets the end all the same."""
    async with scene(replies(HELLO, HELLO, close=False)) as it:
        answer = await it.open()
        sink = Slow(answer)
        assert await sink.outcome(answer) is None
        assert await (await it.open()).read(100) == b"hello"
        assert it.upstream.reuses == 1


@both_loops
async def test_failures_reach_a_paused_answer_when_it_resumes() -> None:
    async with scene(replies(HELLO[:-1])) as it:
        answer = await it.open()
        sink = Slow(answer)
        answer.start(sink)
        while not sink.taken:
            await asyncio.sleep(0.005)
        answer.resume()
        await sink.over
        (ending,) = sink.endings
        assert isinstance(ending, Failure)
        assert sink.taken == 4
