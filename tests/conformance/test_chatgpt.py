"""An account of a ChatGPT plan: streams pass unchanged, answers in one piece are put together, by OpenAI's own SDK and
by Codex."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio

from gateway.local.sandbox import Rule
from tests.conformance.agents import turn
from tests.relay.world import Raw, World, raw_upstream
from tests.support.installation import Site

TOKENS = {"access_token": "at-chatgpt-0001", "refresh_token": "rt-chatgpt-0001", "expires_at": 4102444800}
#: Nothing may be asked for at the vendor's own address.
OPTIONS = {"account_id": "ws-1", "token_url": "http://127.0.0.1:1/oauth/token"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}]


@pytest_asyncio.fixture(loop_scope="session")
async def world(site: Site) -> AsyncGenerator[World]:
    site.sandbox.rules([])
    site.sandbox.bill().clear()
    site.sandbox.sandbox.seen.clear()
    yield await World.make(site)
    site.sandbox.rules([])


async def plan(world: World, **more: Any) -> str:
    fields = {"base_url": world.site.sandbox.url + "/backend-api/codex", "credentials": TOKENS, "options": OPTIONS}
    return await world.account("openai-responses", **{**fields, **more})


@pytest_asyncio.fixture(loop_scope="session")
async def gpt(world: World) -> AsyncGenerator[openai.AsyncOpenAI]:
    await plan(world)
    async with openai.AsyncOpenAI(
        base_url=world.site.url + "/v1", api_key=await world.key(), max_retries=0, timeout=20
    ) as client:
        yield client


async def test_a_stream_passes_byte_for_byte(world: World) -> None:
    await plan(world)
    asked = {"model": "sandbox-tokens-30-think-5", "input": [{"role": "user", "content": "hi"}], "stream": True}
    headers = {"authorization": f"Bearer {await world.key()}"}
    answer = await world.site.http.post("/v1/responses", headers=headers, json=asked)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    assert not any(name.startswith("x-codex") for name in answer.headers)
    events = [json.loads(block.partition("\ndata: ")[2]) for block in answer.text.split("\n\n") if block]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == "response.completed" and events[-1]["response"]["output"] == []
    seen = world.site.sandbox.requests()[-1]
    sent = dict(seen.headers)
    assert seen.target == "/backend-api/codex/responses"
    assert sent["chatgpt-account-id"] == "ws-1" and sent["openai-beta"] == "responses=experimental"
    assert sent["user-agent"].startswith("python-httpx") and "originator" not in sent


async def test_the_sdk_s_stream(gpt: openai.AsyncOpenAI) -> None:
    said, final = "", None
    async for event in await gpt.responses.create(model="sandbox-echo", input="one two", stream=True, temperature=0.3):
        said += event.delta if event.type == "response.output_text.delta" else ""
        final = event.response if event.type == "response.completed" else final
    assert said == "one two" and final is not None and final.usage is not None and not final.store


@pytest.mark.parametrize(
    ("model", "status", "kinds"),
    [
        ("sandbox-echo", "completed", ["message"]),
        ("sandbox-think-4", "completed", ["reasoning", "message"]),
        ("sandbox-tool", "completed", ["function_call"]),
        ("sandbox-length", "incomplete", ["message"]),
    ],
)
async def test_the_sdk_s_answer_in_one_piece(
    world: World, gpt: openai.AsyncOpenAI, model: str, status: str, kinds: list[str]
) -> None:
    raw = await gpt.responses.with_raw_response.create(
        model=model, input="say hello", instructions="Be kind.", tools=TOOLS, max_output_tokens=500, top_p=0.5,
        metadata={"a": "b"}, user="me",
    )  # fmt: skip
    response = raw.parse()
    assert (response.status, [item.type for item in response.output]) == (status, kinds)
    assert raw.headers["content-type"] == "application/json"
    assert raw.headers["content-length"] == str(len(raw.content))
    (billed,) = world.site.sandbox.bill().rows
    assert response.usage is not None and (billed.id, billed.output_tokens) == (
        response.id, response.usage.output_tokens,
    )  # fmt: skip
    row = await world.site.row(raw.headers["x-request-id"])
    assert (row.status, row.ending, row.usage_source, row.stream) == (200, "complete", "provider", False)
    assert row.output_tokens == billed.output_tokens


async def test_messages_of_the_system_are_the_developer_s(gpt: openai.AsyncOpenAI) -> None:
    said: Any = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello"}]
    assert (await gpt.responses.create(model="sandbox-echo", input=said)).output_text == "hello"


async def test_what_would_change_the_meaning_is_refused_by_the_backend_itself(gpt: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await gpt.responses.create(model="sandbox-echo", input="x", conversation="conv_1")
    assert raised.value.body == {"detail": "Unsupported parameter: conversation"}


async def test_a_native_account_is_asked_first(world: World) -> None:
    await plan(world, priority=1)
    native = await world.account("openai", priority=50)
    for stream, first in ((False, True), (True, False)):
        asked = {"model": "sandbox-echo", "input": "x", "stream": stream}
        answer = await world.site.http.post("/v1/responses", headers={"x-api-key": await world.key()}, json=asked)
        row = await world.site.row(answer.headers["x-request-id"])
        assert (row.account_id == native) == first


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("script", ["error-429", "first-error-429", "error-401", "first-error-503"])
async def test_a_plan_that_is_used_up_gives_way(world: World, script: str, stream: bool) -> None:
    """Said by a status, or by the first event of a 200."""
    out = await plan(world, credentials={**TOKENS, "access_token": "at-used-up"}, priority=1)
    other = await plan(world, priority=2)
    world.site.sandbox.rules([Rule(match="*", credential="at-used-up", script=script)])
    asked = {"model": "gpt-x", "input": "hello", "stream": stream}
    answer = await world.site.http.post("/v1/responses", headers={"x-api-key": await world.key()}, json=asked)
    assert answer.status_code == 200, answer.text
    row = await world.site.row(answer.headers["x-request-id"])
    assert row.attempts[0]["account_id"] == out
    assert row.account_id == other
    if "429" in script:
        (cooldown,) = (await world.state(out))["cooldowns"]
        assert (cooldown["scope"], cooldown["reason"]) == ("family:gpt-x", "rate_limited")


@pytest.mark.parametrize("ends", [4102444800, 1])
async def test_tokens_that_ended_are_renewed(world: World, ends: float) -> None:
    """Before they are used, when their end is known; else when they are refused. Once, and the account goes on."""
    site = world.site
    token_url = site.sandbox.url + "/oauth/token"
    held = {"access_token": "at-over", "refresh_token": f"rt-{world.tenant_id}", "expires_at": ends}
    out = await plan(world, credentials=held, options={**OPTIONS, "token_url": token_url})
    site.sandbox.rules([Rule(match="*", credential="at-over", script="error-401")])
    key = await world.key()
    for stream in (False, True):
        asked = {"model": "gpt-x", "input": "hello", "stream": stream}
        answer = await site.http.post("/v1/responses", headers={"x-api-key": key}, json=asked)
        assert answer.status_code == 200, answer.text
        assert (await site.row(answer.headers["x-request-id"])).account_id == out
    assert [seen.target for seen in site.sandbox.requests() if seen.target == "/oauth/token"] == ["/oauth/token"]
    assert (await world.state(out))["usable"]


async def test_an_error_late_in_the_stream_is_no_answer(world: World, gpt: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        await gpt.responses.create(model="sandbox-tokens-40-late-error-429", input="hello")
    assert raised.value.status_code in {429, 503}
    row = await world.site.row(raised.value.response.headers["x-request-id"])
    assert row.output_tokens == 0 and row.ending != "complete"


@pytest.mark.parametrize("script", ["sandbox-tokens-40-cut-20", "sandbox-tokens-40-cut-2"])
async def test_a_stream_that_is_cut_is_no_half_answer(world: World, gpt: openai.AsyncOpenAI, script: str) -> None:
    with pytest.raises(openai.InternalServerError) as raised:
        await gpt.responses.create(model=script, input="hello")
    assert raised.value.status_code == 502
    assert len(world.site.sandbox.bill().rows) == 1, "it may have been billed: it is not sent again"


@pytest_asyncio.fixture(loop_scope="session")
async def upstream() -> AsyncGenerator[Raw]:
    async with raw_upstream() as made:
        yield made


@pytest.mark.parametrize(
    ("events", "status"),
    [
        (b'data: {"type":"response.created","response":{"id":"r"}}\n\n', 502),
        (b"", 502),
        (b'data: {"type":"error","code":"invalid_prompt","message":"No."}\n\n', 400),
        (b'data: {"type":"response.failed","response":{"error":{"code":"invalid_prompt","message":"No."}}}\n\n', 400),
        (b'data: {"type":"response.completed","response":{"id": "r" , "output":[1], "status":"completed"}}\n\n', 200),
    ],
)
async def test_how_a_stream_may_end(world: World, upstream: Raw, events: bytes, status: int) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(events)
    upstream.say(TOKENS["access_token"], head + events)
    await plan(world, base_url=upstream.url)
    asked = {"model": "m", "input": "x"}
    said: httpx.Response = await world.site.http.post(
        "/v1/responses", headers={"x-api-key": await world.key()}, json=asked
    )
    assert said.status_code == status, said.text
    assert said.headers["content-type"] == "application/json"
    if status == 200:
        assert said.content == b'{"id": "r" , "output":[1], "status":"completed"}'
    if status == 400:
        assert said.json()["error"]["message"] == "No."


@pytest.mark.slow
async def test_codex(site: Site, tmp_path: Path) -> None:
    world = World(site, await site.tenant())
    await plan(world)
    done = await turn(site, "codex", "sandbox-tool", "use a tool", tmp_path)
    assert "The tool answered" in done.said and len(done.rows) >= 2
    assert {(row.platform, row.ending) for row in done.rows} == {("openai-responses", "complete")}
