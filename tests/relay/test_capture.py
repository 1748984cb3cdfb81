"""Prompts and answers are kept where a tenant wants it, without secrets, and nowhere else; nothing waits for it."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, select, text
from structlog.testing import capture_logs

from gateway.core import models as m
from gateway.core.services import captures, tenants
from gateway.core.services.captures import Content
from gateway.core.services.reach import Reach
from gateway.relay import capture as module
from gateway.relay.redaction import REDACTED, TAIL
from tests.relay.world import CHAT, MESSAGES, Raw, World, answer, anthropic_error
from tests.support.installation import Site
from tests.support.processes import until

EVENTS = b"".join(
    b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())
    for event in (
        {"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 3, "output_tokens": 1}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    )
)
SECRET = "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"


async def capture(world: World, **values: Any) -> None:
    await turn(world, {"enabled": True, **values})


async def turn(world: World, value: Any) -> None:
    async with world.site.sessions.begin() as session:
        tenant = await tenants.find(session, Reach(everything=True), world.tenant_id, lock=True)
        await tenants.change(session, tenant, {"capture": value})
    await world.site.reload()


async def stored(site: Site, world: World | None = None) -> list[m.Capture]:
    found = select(m.Capture)
    if world is not None:
        found = found.where(m.Capture.tenant_id == world.tenant_id)
    async with site.sessions() as session:
        return list((await session.execute(found)).scalars())


async def kept(site: Site, said: httpx.Response, seconds: float = 8) -> tuple[m.Capture, Content]:
    end = time.monotonic() + seconds
    while True:
        async with site.sessions() as session:
            found = await session.get(m.Capture, said.headers["x-request-id"])
        if found is not None:
            return found, captures.opened(found, site.gate.sealer)
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def quiet(site: Site) -> None:
    await until(lambda: site.gate.captures._idle.is_set() and not site.gate.exchanges)


async def test_nothing_is_kept_unless_it_is_turned_on(site: Site, world: World):
    await world.account()
    key = await world.key()
    for value in (None, {}, {"enabled": False}, {"enabled": False, "redact": ["x"]}):
        await turn(world, value)
        for stream in (False, True):
            assert (await world.ask(key, stream=stream)).status_code == 200
    await quiet(site)
    assert await stored(site, world) == []
    assert (site.gate.snapshot.captures, site.gate.captures._redactor._process) == ({}, None)


async def test_of_one_tenant_and_no_other(site: Site, world: World):
    other = await World.make(site)
    for one in (world, other):
        await one.account()
    await capture(world)
    first, second = await world.new_key(), await other.new_key()
    said = await world.ask(first[1])
    await other.ask(second[1])
    found, content = await kept(site, said)
    await quiet(site)
    assert await stored(site, other) == []
    assert (found.tenant_id, found.key_id, len(await stored(site, world))) == (world.tenant_id, first[0], 1)
    assert found.expires_at - found.received_at == timedelta(days=7)
    assert json.loads(content.request.text)["messages"] == [{"role": "user", "content": "Hello"}]
    assert content.answer is not None
    assert json.loads(content.answer.text) == said.json()
    assert (content.request.truncated, content.answer.truncated) == (False, False)
    assert (content.request.bytes, content.answer.bytes) == (
        int(said.request.headers["content-length"]),
        len(said.content),
    )
    await turn(world, None)
    assert (await world.ask(first[1])).status_code == 200
    await quiet(site)
    assert len(await stored(site, world)) == 1


@pytest.mark.parametrize("path", [MESSAGES, CHAT])
@pytest.mark.parametrize("stream", [False, True])
async def test_no_secret_is_kept(site: Site, world: World, path: str, stream: bool):
    """The sandbox repeats what it is told, in pieces when it streams. What the client gets is untouched."""
    await world.account("claude-console")
    await world.account("openai")
    await capture(world, redact=[r"\bcustomer-\d{3}\b"], retention_days=30)
    key = await world.key()
    words = f"Say\ncustomer-123 and {SECRET} end"
    said = await world.ask(key, "sandbox-echo", path, stream=stream, messages=[{"role": "user", "content": words}])
    found, content = await kept(site, said)
    assert content.answer is not None
    for side in (content.request.text, content.answer.text):
        assert SECRET not in side and "customer-123" not in side and SECRET[20:] not in side
        assert REDACTED in side
    assert found.expires_at - found.received_at == timedelta(days=30)
    assert SECRET.encode() not in found.content and b"Say" not in found.content
    if not stream:
        assert SECRET in said.text


async def test_what_is_too_long_is_truncated(site: Site, world: World):
    await world.account()
    await capture(world, max_bytes=1024)
    key = await world.key()
    said = await world.ask(key, "sandbox-tokens-2000", max_tokens=3000, system="s" * 50 + " word" * 2000)
    _, content = await kept(site, said)
    assert content.answer is not None
    for side in (content.request, content.answer):
        assert side.truncated and side.bytes > 1024 and 500 < len(side.text) <= 1024 - TAIL


async def test_the_answer_of_the_last_attempt(site: Site, world: World, raw: Raw):
    wrong = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"not this one"}}\n\n'
    raw.say("one", answer(200, wrong, content_type="text/event-stream"))
    raw.say("two", answer(200, EVENTS, content_type="text/event-stream"))
    await world.account(secret="one", base_url=raw.url, priority=1)
    await world.account(secret="two", base_url=raw.url, priority=2)
    await capture(world)
    said = await world.ask(await world.key(), stream=True)
    assert (said.content, len(raw.asked)) == (EVENTS, 2)
    _, content = await kept(site, said)
    assert content.answer is not None and content.answer.text == EVENTS.decode()


async def test_without_an_upstream_there_is_no_answer(site: Site, world: World):
    await world.account(base_url="http://127.0.0.1:9")
    await capture(world)
    said = await world.ask(await world.key())
    assert said.status_code >= 500
    _, content = await kept(site, said)
    assert content.answer is None and "Hello" in content.request.text


async def test_a_capture_does_not_open_elsewhere(site: Site, world: World):
    await world.account()
    await capture(world)
    key = await world.key()
    (first, _), (second, _) = await kept(site, await world.ask(key)), await kept(site, await world.ask(key))
    first.content = second.content
    with pytest.raises(captures.Conflict):
        captures.opened(first, site.gate.sealer)


async def test_patterns_without_end_cost_captures_and_no_request(site: Site, world: World):
    other = await World.make(site)
    for one in (world, other):
        await one.account()
        await capture(one, redact=[r"(l+)+$"] if one is world else [])
    key, theirs = await world.key(), await other.key()
    before = site.gate.captures.dropped
    began = time.monotonic()
    with capture_logs() as logs:
        said = await world.ask(key, messages=[{"role": "user", "content": "l" * 60 + "!"}])
        assert said.status_code == 200 and time.monotonic() - began < 1
        await quiet(site)
    assert site.gate.captures.dropped == before + 1
    assert (await world.ask(key)).status_code == 200  # the tenant rests
    await kept(site, await other.ask(theirs))
    assert await stored(site, world) == []
    assert site.gate.captures.dropped == before + 2
    assert "l" * 10 not in str(logs)


async def test_memory_is_bounded(site: Site, world: World, monkeypatch: pytest.MonkeyPatch):
    await world.account()
    await capture(world)
    key = await world.key()
    monkeypatch.setattr(module, "MEMORY", 4 * 65536)
    before = site.gate.captures.dropped
    told = await asyncio.gather(*(world.ask(key, "sandbox-stall-300ms") for _ in range(6)))
    assert {one.status_code for one in told} == {200}
    await quiet(site)
    assert (len(await stored(site, world)), site.gate.captures.dropped - before) == (2, 4)
    await kept(site, await world.ask(key))
    await until(lambda: site.gate.captures._held == 0)


@asynccontextmanager
async def table_is_away(site: Site) -> AsyncGenerator[None]:
    async with site.sessions.begin() as session:
        await session.execute(text("ALTER TABLE captures RENAME TO captures_away"))
    try:
        yield
    finally:
        async with site.sessions.begin() as session:
            await session.execute(text("ALTER TABLE captures_away RENAME TO captures"))


async def test_what_cannot_be_written_is_dropped_and_counted(site: Site, world: World):
    await world.account()
    await capture(world)
    key = await world.key()
    before = site.gate.captures.dropped
    with capture_logs() as logs:
        async with table_is_away(site):
            said = await world.ask(key)
            assert said.status_code == 200
            await quiet(site)
        site.gate.captures._complained_at = float("-inf")
    assert site.gate.captures.dropped == before + 1
    assert "Hello" not in str(logs)
    await site.row(said.headers["x-request-id"])
    await kept(site, await world.ask(key))


async def test_what_waits_is_written_when_the_gateway_goes_down(site: Site, world: World):
    await world.account()
    await capture(world)
    key = await world.key()
    second = await site.start_gateway()
    await site.reload()
    said = [await world.ask(key, url=second.url) for _ in range(5)]
    second.server.should_exit = True
    for one in said:
        await kept(site, one)
    site.gateways.remove(second)


async def test_a_client_that_leaves(site: Site, world: World):
    await world.account()
    await capture(world)
    key = await world.key()
    body = {"model": "sandbox-tokens-50-gap-20", "max_tokens": 50, "stream": True, "messages": []}
    body["messages"] = [{"role": "user", "content": "Hello"}]
    async with site.http.stream("POST", MESSAGES, headers={"x-api-key": key}, json=body) as said:
        async for _ in said.aiter_raw():
            break
    _, content = await kept(site, said)
    assert content.answer is not None and content.answer.bytes > 0


@pytest.fixture(autouse=True)
async def nothing_kept(site: Site) -> None:
    async with site.sessions.begin() as session:
        await session.execute(delete(m.Capture))


async def test_an_error_that_passes_through(site: Site, world: World, raw: Raw):
    raw.say("one", answer(400, anthropic_error("invalid_request_error", "too many legs")))
    await world.account(secret="one", base_url=raw.url)
    await capture(world)
    said = await world.ask(await world.key())
    assert said.status_code == 400
    _, content = await kept(site, said)
    assert content.answer is not None
    assert "too many legs" in content.answer.text
