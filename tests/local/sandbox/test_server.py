import asyncio

import pytest

from gateway.local.sandbox.server import Reply, Request, listening

GET = b"GET /%b HTTP/1.1\r\nhost: x\r\n\r\n"


async def exchange(handler, sent: bytes) -> bytes:
    """Send bytes, read until the server closes the connection."""
    async with listening(handler) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(sent)
        try:
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


def echo(request: Request, reply: Reply) -> None:
    reply.send(200, "", f"{request.method} {request.path} {len(request.body)}".encode())


async def test_one_connection_serves_many_and_answers_in_order() -> None:
    sent = GET % b"a" + b"POST /b%3Ac?x=1 HTTP/1.1\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc"
    answer = await exchange(echo, sent)
    assert answer.index(b"GET /a 0") < answer.index(b"POST /b:c 3")
    assert answer.count(b"HTTP/1.1 200 OK") == 2


async def test_a_slow_answer_holds_back_the_next_one() -> None:
    def handler(request: Request, reply: Reply):
        async def late() -> None:
            await asyncio.sleep(0.02)
            echo(request, reply)

        return late if request.path == "/slow" else echo(request, reply)

    sent = GET % b"slow" + b"GET /fast HTTP/1.1\r\nconnection: close\r\n\r\n"
    answer = await exchange(handler, sent)
    assert answer.index(b"/slow") < answer.index(b"/fast")


async def test_chunks() -> None:
    def handler(_: Request, reply: Reply):
        async def parts() -> None:
            reply.start(200, "")
            await reply.chunk(b"ab")
            await reply.chunk(b"c" * 20)
            reply.end()

        return parts

    answer = await exchange(handler, b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert answer.endswith(b"2\r\nab\r\n14\r\n" + b"c" * 20 + b"\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"HEAD / HTTP/1.1\r\nconnection: close\r\n\r\n", b"200"),
        (b"GET / HTTP/1.0\r\n\r\n", b"200"),
        (b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", b"100"),
    ],
)
async def test_odd_requests(sent: bytes, status: bytes) -> None:
    answer = await exchange(echo, sent)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.endswith(b"\r\n\r\n") == (status == b"400" or sent.startswith(b"HEAD"))


async def test_a_client_that_does_not_read_is_waited_for() -> None:
    written = 0

    def handler(_: Request, reply: Reply):
        async def endless() -> None:
            nonlocal written
            reply.start(200, "")
            while True:
                await reply.chunk(b"x" * 65536)
                written += 65536

        return endless

    async with listening(handler) as (host, port):
        reader, writer = await asyncio.open_connection(host, port, limit=1024)
        writer.write(GET % b"")
        await asyncio.sleep(0.1)
        held = written
        await asyncio.sleep(0.1)
        assert 0 < written == held
        for _ in range(200):
            await reader.readexactly(65536)
        assert written > held
        writer.close()


async def test_a_client_that_leaves_cancels_what_is_left() -> None:
    ended = asyncio.Event()

    def handler(_: Request, reply: Reply):
        async def stalled() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        return stalled

    async with listening(handler) as (host, port):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(GET % b"")
        await asyncio.sleep(0.02)
        writer.close()
        await asyncio.wait_for(ended.wait(), 1)


async def test_leaving_the_block_ends_what_is_running() -> None:
    ended = asyncio.Event()

    def handler(_: Request, reply: Reply):
        async def stalled() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        return stalled

    async with listening(handler) as (host, port):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(GET % b"")
        await asyncio.sleep(0.02)
    assert ended.is_set()
    writer.close()


async def test_a_fault_of_a_handler_is_500_and_is_said() -> None:
    said = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["exception"]))

    def handler(_: Request, reply: Reply) -> None:
        raise KeyError("x")

    try:
        assert (await exchange(handler, GET % b"")).startswith(b"HTTP/1.1 500")
    finally:
        asyncio.get_running_loop().set_exception_handler(None)
    assert [type(error) for error in said] == [KeyError]
