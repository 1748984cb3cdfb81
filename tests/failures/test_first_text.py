"""Nothing waits in translation: the first text is at the client as soon as the upstream has written it, also where it
is looked through for calls."""

import asyncio
import json
import time
from statistics import median
from typing import Any

import pytest

from tests.relay.conftest import raw, site, world
from tests.relay.world import Raw, World

__all__ = ["raw", "site", "world"]

WITHIN = 0.05
"""Seconds after the upstream has written it."""
TOOLS = [{"name": "look", "input_schema": {"type": "object", "properties": {}}}]


def chunk(text: str) -> bytes:
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": None}]
    data = json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "u", "choices": choices})
    line = b"data: %b\n\n" % data.encode()
    return b"%x\r\n%b\r\n" % (len(line), line)


@pytest.mark.parametrize("prefix", ["", "/compat_mode"])
async def test_the_first_text_is_there_at_once(world: World, raw: Raw, prefix: str) -> None:
    await world.account("openai", secret="sk-first-01", base_url=raw.url)
    key = await world.key()
    written: list[float] = []

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        await asyncio.sleep(0.05)
        written.append(time.perf_counter())
        writer.write(chunk("Hello there, this may be <b>bold</b> or a <"))
        await asyncio.sleep(0.4)
        raise ConnectionResetError

    raw.say("sk-first-01", slow)
    asked: dict[str, Any] = {"model": "m", "max_tokens": 9, "stream": True, "tools": TOOLS,
                             "messages": [{"role": "user", "content": "Hello"}]}  # fmt: skip
    delays: list[float] = []
    for _ in range(5):
        path = prefix + "/v1/messages"
        async with world.site.http.stream("POST", path, headers={"x-api-key": key}, json=asked) as answer:
            async for text in answer.aiter_text():
                if "Hello there" in text:
                    delays.append(time.perf_counter() - written[-1])
                    # All of it but what could begin a call.
                    assert "<b>bold</b> or a " in text
    assert len(delays) == 5
    assert median(delays) < WITHIN, delays
