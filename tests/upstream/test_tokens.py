"""A renewal over a real socket."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.platforms.platform import NotRenewed, Outgoing, Renewal, Reply
from gateway.upstream import tokens

from .scene import both_loops, read_request, reset, scene


def asking(url: str, times: int = 1) -> Renewal:
    seen: list[Reply] = []
    for number in range(times):
        body = b"n=%d" % number
        seen.append((yield Outgoing("POST", url + "/token", [(b"content-type", b"text/plain")], body)))
    return {"seen": seen}


async def run(it: Any, renewal: Renewal) -> Mapping[str, Any]:
    return await tokens.run(it.upstream, "acct_1", renewal, None)


@both_loops
async def test_each_question_gets_its_reply() -> None:
    bodies: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await read_request(reader)
            assert head.startswith(b"POST /token HTTP/1.1\r\n")
            bodies.append(body)
            writer.write(b"HTTP/1.1 400 No\r\nX-One: %b\r\ncontent-length: 2\r\n\r\n{}" % body)

    async with scene(handle) as it:
        got = await run(it, asking(it.url, 2))
        assert bodies == [b"n=0", b"n=1"]
        assert [(one.status, one.headers["x-one"], one.body) for one in got["seen"]] == [
            (400, "n=0", b"{}"),
            (400, "n=1", b"{}"),
        ]


@both_loops
async def test_a_body_without_an_end_is_cut() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with scene(handle) as it:
        got = await run(it, asking(it.url))
        assert 65536 <= len(got["seen"][0].body) <= 2 * 65536


@both_loops
async def test_silence_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_TIMEOUTS", tokens.Timeouts(connect=0.3, total=0.3))

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await reader.read()

    async with scene(handle) as it:
        with pytest.raises(NotRenewed, match="total") as raised:
            await run(it, asking(it.url))
        assert not raised.value.revoked


@both_loops
async def test_what_is_out_of_reach_has_revoked_nothing() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        reset(writer)

    async with scene(handle) as it:
        for url in (it.url, "http://127.0.0.1:9", "http://192.0.2.1", "ftp://x"):
            with pytest.raises(NotRenewed) as raised:
                await run(it, asking(url))
            assert not raised.value.revoked
            assert "127.0.0.1" not in str(raised.value)


@both_loops
async def test_a_renewal_may_refuse_before_it_asks() -> None:
    def refusing() -> Renewal:
        raise NotRenewed("no key", revoked=True)
        yield

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("nobody was to be asked")

    async with scene(handle) as it:
        with pytest.raises(NotRenewed, match="no key"):
            await run(it, refusing())
