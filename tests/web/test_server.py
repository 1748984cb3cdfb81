"""Going down: streams end, or are ended with their protocol's word; nobody new is let in."""

import asyncio
import json
import signal
import socket
import time

import pytest

from tests.support.installation import Gateway, Site
from tests.support.wire import wire

SLOW = "sandbox-tokens-200-gap-20"


def request(key: str, model: str) -> bytes:
    words = [{"role": "user", "content": "Hello"}]
    asked = {"model": model, "max_tokens": 999, "stream": True, "messages": words}
    body = json.dumps(asked).encode()
    return (
        f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )


async def leave(gateway: Gateway) -> None:
    gateway.server.handle_exit(signal.SIGTERM, None)


@pytest.mark.parametrize(("model", "ends"), [("sandbox-tokens-20-gap-20", "message_stop"), (SLOW, "draining")])
async def test_a_stream_when_the_gateway_goes_down(site: Site, key: str, model: str, ends: str) -> None:
    gateway = await site.start_gateway(POOLGATE_DRAIN_TIMEOUT="1", POOLGATE_DRAIN_GRACE="0")
    async with wire(gateway.url) as client, wire(gateway.url) as kept:
        assert (await kept.ask("GET /health HTTP/1.1\r\nhost: x")).status == 200
        await client.send(request(key, model))
        running = asyncio.ensure_future(client.answer())
        async with asyncio.timeout(3):
            while not gateway.gate.exchanges:
                await asyncio.sleep(0.01)
        await leave(gateway)
        async with asyncio.timeout(3):
            while not gateway.gate.draining:
                await asyncio.sleep(0.01)
        # A kept connection is told, and closed; a new one is not taken.
        await kept.send(request(key, "sandbox-echo"))
        told = await kept.answer()
        assert (told.status, told.header("connection"), told.header("retry-after")) == (503, "close", "1")
        assert told.json["error"]["code"] == "draining"  # type: ignore[index]
        with pytest.raises(OSError, match="onnect"):
            async with wire(gateway.url):
                pass
        got = await running
        last = got.body.rstrip().rsplit(b"\n\n", 1)[-1]
        assert ends.encode() in last
        assert (b"event: error" in last) == (ends == "draining")
    site.gateways.remove(gateway)
    row = await site.row(got.header("x-request-id") or "")
    assert row.ending == ("complete" if ends == "message_stop" else row.ending)
    assert row.output_tokens > 0


async def test_the_grace(site: Site, key: str) -> None:
    """Between the signal and the listener's end requests are served, and `/readyz` says no."""
    gateway = await site.start_gateway(POOLGATE_DRAIN_GRACE="1")
    await leave(gateway)
    async with wire(gateway.url) as client:
        assert (await client.ask("GET /readyz HTTP/1.1\r\nhost: x")).status == 503
        await client.send(request(key, "sandbox-echo"))
        assert (await client.answer()).status == 200
    site.gateways.remove(gateway)


async def test_connections_that_nobody_has_accepted_yet_are_answered(site: Site, key: str) -> None:
    """What stands in the queue of a listening socket would be reset with it."""
    gateway = await site.start_gateway()
    host, port = gateway.url.removeprefix("http://").split(":")
    tick, clients = gateway.server.on_tick, list[socket.socket]()

    async def last_tick(counter: int) -> bool:
        if leaves := await tick(counter):
            for _ in range(20):
                clients.append(socket.create_connection((host, int(port)), 5))
                clients[-1].sendall(request(key, "sandbox-echo"))
        return leaves

    gateway.server.on_tick = last_tick  # type: ignore[method-assign]
    await leave(gateway)
    while not clients:
        await asyncio.sleep(0.01)
    answers = await asyncio.gather(*(asyncio.to_thread(one.recv, 100) for one in clients))
    assert {answer[:12] for answer in answers} <= {b"HTTP/1.1 200", b"HTTP/1.1 503"}
    for one in clients:
        one.close()
    site.gateways.remove(gateway)


@pytest.mark.parametrize("first", [0, 30])
async def test_a_request_that_is_on_its_way_is_answered(site: Site, key: str, first: int) -> None:
    """A connection that has not said anything, or not all, when the gateway goes down."""
    gateway = await site.start_gateway()
    asked = request(key, "sandbox-echo")
    async with wire(gateway.url) as client:
        await client.send(asked[:first])
        while not gateway.server.server_state.connections:
            await asyncio.sleep(0.01)
        await leave(gateway)
        while not gateway.gate.draining:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        await client.send(asked[first:])
        got = await client.answer()
        assert (got.status, got.json["error"]["code"]) == (503, "draining")  # type: ignore[index]
    site.gateways.remove(gateway)


async def test_silence_holds_the_gateway_for_a_second_at_most(site: Site) -> None:
    gateway = await site.start_gateway(POOLGATE_DRAIN_TIMEOUT="20")
    async with wire(gateway.url) as client:
        while not gateway.server.server_state.connections:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        await leave(gateway)
        assert await client.reader.read() == b""
        assert 1 < time.monotonic() - began < 3
    site.gateways.remove(gateway)
