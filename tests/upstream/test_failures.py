"""Every way to fail, on a real socket: who is to blame, and whether the upstream may have acted on the request."""

import asyncio

import pytest

from gateway.upstream import BadAnswer, ConnectionBroken, DialFailed, Failure, TimedOut, Truncated

from .scene import Collect, Handler, both_loops, read_request, replies, scene

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    await reader.read()


async def failure_of(handler: Handler, url: str = "", **timeouts: float) -> Failure:
    async with scene(handler) as it:
        it.url = url or it.url
        with pytest.raises(Failure) as caught:
            answer = await it.open(**timeouts)
            raise await Collect().outcome(answer) or AssertionError("nothing failed")
        return caught.value


@pytest.mark.parametrize(
    ("handler", "kind", "phase"),
    [
        (replies(b""), ConnectionBroken, "head"),
        (replies(OK + b"hel"), Truncated, "body"),
        (replies(b"nonsense\r\n\r\n"), BadAnswer, "head"),
        (silence, TimedOut, "head"),
    ],
    ids=["broken", "truncated", "bad", "silent"],
)
@both_loops
async def test_what_was_sent_may_have_been_billed(handler: Handler, kind: type[Failure], phase: str) -> None:
    failure = await failure_of(handler, first_event=0.2)
    assert (type(failure), failure.phase, failure.sent) == (kind, phase, True)


@pytest.mark.parametrize(
    ("url", "reason"), [("http://127.0.0.1:1", "refused"), ("https://10.0.0.1", "egress"), ("http://a b", "request")]
)
@both_loops
async def test_without_a_connection_nothing_was_sent(url: str, reason: str) -> None:
    failure = await failure_of(silence, url)
    assert isinstance(failure, DialFailed)
    assert (failure.reason, failure.phase, failure.sent) == (reason, "connect", False)


@both_loops
async def test_only_a_kept_connection_is_stale() -> None:
    """The first break blames the upstream; that of a connection which has served before may be its idle limit."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK + b"hello")
        await read_request(reader)

    fresh = await failure_of(replies(b""))
    async with scene(once) as it:
        assert await Collect().outcome(await it.open()) is None
        with pytest.raises(ConnectionBroken) as caught:
            await it.open()
    assert isinstance(fresh, ConnectionBroken)
    assert (fresh.stale, caught.value.stale) == (False, True)
