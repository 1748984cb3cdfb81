"""The load client counts every answer and every error, and agrees with the upstream about delays."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from tests.bench.load import Client, Run, parser, percentile, prompt, request
from tests.bench.upstream import ANTHROPIC, Clock, Server

EMPTY = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"


def test_percentiles_are_microseconds() -> None:
    assert percentile([], 0.5) == 0
    assert percentile([3000, 1000, 2000], 0.5) == 2
    assert percentile([3000, 1000, 2000], 1.0) == 3


@pytest.fixture(scope="module")
async def upstream() -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    clock = Clock(loop)
    async with await loop.create_server(lambda: Server(loop, clock), "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def options(port: int, *more: str) -> argparse.Namespace:
    return parser().parse_args(["--port", str(port), "--seconds", "0.2", *more])


async def run(given: argparse.Namespace) -> dict[str, object]:
    body = prompt(given.model, given.stream, given.events, given.gap)
    return await Run(request(given.path, given.port, given.header, body), given).go()


async def test_a_closed_loop(upstream: int) -> None:
    found = await run(options(upstream, "--connections", "4"))
    assert found["errors"] == 0
    assert found["requests"] == found["asked"]
    assert int(str(found["requests"])) > 50
    assert found["body_bytes"] == int(str(found["requests"])) * (len(ANTHROPIC.whole.partition(b"\r\n\r\n")[2]))


async def test_a_fixed_rate(upstream: int) -> None:
    found = await run(options(upstream, "--connections", "4", "--rate", "100"))
    assert (found["requests"], found["errors"]) == (20, 0)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
async def test_streams_and_their_stamps(upstream: int, path: str) -> None:
    found = await run(
        options(upstream, "--connections", "3", "--stream", "--events", "10", "--gap", "25", "--path", path)
    )
    stamped = 8 if path == "/v1/messages" else 9
    assert (found["requests"], found["errors"], found["chunks"]) == (3, 0, 3 * stamped)
    assert 0 < float(str(found["delay_p50"])) < 1_000_000
    assert 20_000 < float(str(found["gap_max"])) < 1_000_000


async def test_held_streams_are_cut_without_an_error(upstream: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = await run(options(upstream, "--connections", "5", "--stream", "--hold", "--gap", "60000"))
    assert (found["opened"], found["asked"], found["requests"], found["errors"]) == (5, 5, 0, 0)
    assert capsys.readouterr().out == '{"open": 5}\n'


async def test_a_stamp_may_be_cut(upstream: int) -> None:
    for cut in range(1, 40):
        lone = Run(b"", options(upstream, "--stream"))
        client = Client(lone)
        data = b"some text before it w0000000000000001 and after"
        client._read_stamps(data[:cut], 1000)
        client._read_stamps(data[cut:], 1000)
        assert lone.figures.delays == [999]


class Refusing(asyncio.Protocol):
    """Refuses every second request, and hangs up on the others."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._asked = 0

    def data_received(self, data: bytes) -> None:
        self._asked += 1
        if self._asked == 1:
            self._transport.write(EMPTY)
        else:
            self._transport.close()


async def test_errors_are_counted() -> None:
    async with await asyncio.get_running_loop().create_server(Refusing, "127.0.0.1", 0) as server:
        found = await run(options(server.sockets[0].getsockname()[1], "--connections", "3"))
    assert (found["asked"], found["requests"], found["errors"]) == (6, 0, 6)
    assert found["error_statuses"] == {429: 3, 0: 3}


async def test_nobody_listens() -> None:
    found = await run(options(9, "--connections", "2", "--seconds", "0.05"))
    assert (found["asked"], found["errors"]) == (0, 2)
