"""A request to an account of another protocol: what the upstream gets, and what the client reads. Real sockets."""

import asyncio
import json
from typing import Any

import pytest

from gateway.relay import exchange as exchange_module
from gateway.relay.translate import endpoint_of, outgoing_headers, said_error
from tests.relay.world import Raw, World, code_of

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
ACCOUNTS = ["claude-console", "openai", "gemini", "ollama", "openai-responses"]


def sse(*events: dict[str, Any] | str) -> bytes:
    said = b"".join(b"data: %b\n\n" % (e if isinstance(e, str) else json.dumps(e)).encode() for e in events)
    return answered(b"text/event-stream", said)


def answered(kind: bytes, said: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\nopenai-version: 2020\r\ncontent-length: %d\r\n\r\n"
    return head % (kind, len(said)) + said


def chunk(text: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [{"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": None}]
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "u", "choices": choices, **more}


DONE: tuple[Any, ...] = (
    {**chunk(), "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {**chunk(), "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}},
    "[DONE]",
)


async def openai(world: World, raw: Raw, secret: str, **fields: Any) -> str:
    return await world.account("openai", secret=secret, base_url=raw.url, **fields)


def test_headers_are_those_of_the_upstreams_protocol() -> None:
    clients = [(b"user-agent", b"x/1"), (b"anthropic-beta", b"b"), (b"accept", b"*/*"), (b"traceparent", b"t")]
    kept = [(b"user-agent", b"x/1"), (b"traceparent", b"t"), (b"content-type", b"application/json")]
    events = (b"accept", b"text/event-stream")
    assert outgoing_headers(clients, "openai_chat", [], stream=True) == [*kept, events]
    assert outgoing_headers(clients, "ollama", [], stream=True) == [*kept, (b"accept", b"application/json")]
    version = (b"anthropic-version", b"2026-10-21")
    assert outgoing_headers(clients, "anthropic", [version], stream=True) == [*kept, events, version]
    assert (b"anthropic-version", b"2023-06-01") in outgoing_headers(clients, "anthropic", [], stream=False)


def test_endpoints_and_errors() -> None:
    assert endpoint_of("gemini", "countTokens").operation == "count"
    assert endpoint_of("ollama", "chat").path == "/api/chat"
    said = json.loads(
        said_error("anthropic", "gemini", 404, b'{"error":{"type":"not_found_error","message":"no"}}', "r")
    )
    assert (said["error"]["code"], said["error"]["message"]) == (404, "no")


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_upstream_is_asked(world: World, raw: Raw, stream: bool) -> None:
    await openai(world, raw, "sk-tr-0001", model_map={"claude-x": "gpt-4.1"})
    message = {"role": "assistant", "content": "Hi"}
    usage = DONE[1]["usage"]
    whole = {**chunk(), "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}
    one_piece = answered(b"application/json", json.dumps(whole).encode())
    raw.say("sk-tr-0001", sse(chunk("Hi"), *DONE) if stream else one_piece)
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "x-2020", "cookie": "a=b"}
    answer = await world.ask(await world.key(), "claude-x", stream=stream, headers=headers, top_k=5)
    (asked,) = raw.asked
    assert (asked.target, asked.credential) == ("/v1/chat/completions", "sk-tr-0001")
    sent = json.loads(asked.body)
    assert (sent["model"], sent["messages"]) == ("gpt-4.1", [{"role": "user", "content": "Hello"}])
    assert not {"anthropic-version", "anthropic-beta", "cookie"} & asked.header.keys()
    assert answer.status_code == 200
    assert answer.headers["x-poolgate-adjusted"] == "top_k"
    assert answer.headers["content-type"] == ("text/event-stream" if stream else "application/json")
    assert "openai-version" not in answer.headers
    assert answer.text.count("event: message_stop") == stream
    assert '"claude-x"' in answer.text
    row = await world.site.row(answer.headers["x-request-id"])
    assert (row.protocol, row.platform, row.model_used) == ("anthropic", "openai", "gpt-4.1")
    assert (row.input_tokens, row.output_tokens, row.usage_source, row.ending) == (7, 2, "provider", "complete")


async def test_an_answer_in_one_piece_that_is_none_is_a_502(world: World, raw: Raw) -> None:
    await openai(world, raw, "sk-tr-0002")
    raw.say("sk-tr-0002", b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n<html/>")
    answer = await world.ask(await world.key(), "claude-x")
    assert (answer.status_code, code_of(answer)) == (502, "upstream_error")
    assert answer.json()["type"] == "error"


async def test_an_upstream_without_stream_options_is_asked_again_without(world: World, raw: Raw) -> None:
    await openai(world, raw, "sk-tr-0003")
    no = json.dumps({"error": {"message": "Unknown parameter: stream_options", "type": "invalid_request_error"}})
    refusal = f"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len(no)}\r\n\r\n{no}"
    raw.say("sk-tr-0003", refusal.encode(), sse(chunk("Hi"), DONE[0], "[DONE]"))
    answer = await world.ask(await world.key(), "claude-x", stream=True)
    assert answer.status_code == 200
    assert [b"stream_options" in asked.body for asked in raw.asked] == [True, False]
    assert (await world.site.row(answer.headers["x-request-id"])).usage_source == "estimated"


@pytest.mark.parametrize("stream", [False, True])
async def test_the_upstreams_error_in_the_clients_words(world: World, stream: bool) -> None:
    await world.account("openai")
    answer = await world.ask(await world.key(), "sandbox-error-400", stream=stream)
    assert answer.status_code == 400
    said = answer.json()
    assert (said["type"], said["error"]["type"]) == ("error", "invalid_request_error")
    assert said["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/json"


async def test_what_cannot_cross_is_a_400_with_the_field(world: World) -> None:
    await world.account("claude-console")
    answer = await world.ask(await world.key(), "sandbox-echo", CHAT, logprobs=True)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "logprobs")
    answer = await world.ask(await world.key(), "sandbox-echo", CHAT, messages=7)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "messages")


async def test_native_before_translated_and_translated_when_it_fails(world: World) -> None:
    native = await world.account("claude-console", priority=90, secret="sk-tr-nat0")
    other = await world.account("openai", priority=1, secret="sk-tr-oth0")
    key = await world.key(debug=True)
    assert (await world.ask(key)).headers["x-poolgate-account"] == native
    from gateway.local.sandbox.script import Rule

    world.site.sandbox.rules([Rule("error-500", credential="sk-tr-nat0")])
    answer = await world.ask(key)
    assert (answer.status_code, answer.headers["x-poolgate-account"]) == (200, other)
    assert answer.json()["type"] == "message"


@pytest.mark.parametrize("platform", ACCOUNTS)
async def test_a_stream_that_breaks_ends_with_the_clients_error(world: World, platform: str) -> None:
    await world.account(platform)
    key = await world.key()
    for script in ("cut-6", "late-error-529"):
        for path, error, end in ((MESSAGES, '"type":"error"', "message_stop"), (CHAT, '"error"', "[DONE]")):
            answer = await world.ask(key, f"sandbox-tokens-40-{script}", path, stream=True)
            assert error in answer.text.replace(": ", ":"), (script, path)
            assert end not in answer.text
            row = await world.site.row(answer.headers["x-request-id"])
            assert row.ending == "upstream_error", (script, path)


async def test_an_error_in_the_first_event_moves_the_request(world: World) -> None:
    await world.account("openai", priority=1, secret="sk-tr-fst0")
    second = await world.account("openai", priority=2, secret="sk-tr-fst1")
    from gateway.local.sandbox.script import Rule

    world.site.sandbox.rules([Rule("first-error-529", credential="sk-tr-fst0")])
    answer = await world.ask(await world.key(debug=True), stream=True)
    assert (answer.status_code, answer.headers["x-poolgate-account"]) == (200, second)


async def test_silence_is_broken_by_pings(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "PING_SECONDS", 0.2)
    await world.account("openai", models=["gpt-*"])
    await world.account("claude-console", models=["claude-*"])
    key = await world.key()
    answer = await world.ask(key, "gpt-sandbox-tokens-5-stall-after-3-1", stream=True)
    assert 3 <= answer.text.count("event: ping") <= 5
    assert answer.text.count("event: message_stop") == 1
    answer = await world.ask(key, "claude-sandbox-tokens-5-stall-after-3-1", CHAT, stream=True)
    assert 3 <= answer.text.count("\n: ") + answer.text.startswith(": ") <= 5
    answer = await world.ask(key, "claude-sandbox-tokens-5-stall-after-3-1", stream=True)
    assert "event: ping" not in answer.text.partition("content_block_delta")[2], "never on the verbatim path"


async def test_a_client_that_leaves_a_translated_stream(world: World) -> None:
    account = await world.account("openai")
    key = await world.key()
    asked = {"model": "sandbox-tokens-500-gap-20", "max_tokens": 999, "stream": True,
             "messages": [{"role": "user", "content": "Hello"}]}  # fmt: skip
    async with world.site.http.stream("POST", MESSAGES, headers={"x-api-key": key}, json=asked) as answer:
        request_id = answer.headers["x-request-id"]
        async for _ in answer.aiter_bytes():
            break
    row = await world.site.row(request_id)
    assert (row.ending, row.usage_source) == ("client_abort_cut", "estimated")
    async with asyncio.timeout(5):
        while await world.slots(account):
            await asyncio.sleep(0.02)


async def test_a_previous_response_is_not_known_on_translated_accounts(world: World) -> None:
    await world.account("claude-console")
    key = await world.key()
    asked = {"model": "sandbox-echo", "input": "Hello"}
    first = await world.site.http.post(RESPONSES, headers={"x-api-key": key}, json=asked)
    assert first.json()["object"] == "response"
    again = {**asked, "previous_response_id": first.json()["id"]}
    answer = await world.site.http.post(RESPONSES, headers={"x-api-key": key}, json=again)
    assert (answer.status_code, code_of(answer)) == (400, "previous_response_not_found")


async def test_a_session_stays_with_its_translated_account(world: World) -> None:
    for at in range(4):
        await world.account("openai", secret=f"sk-tr-ses{at}")
    key = await world.key(debug=True)
    headers = {"x-session-id": "s1"}
    seen = {(await world.ask(key, headers=headers)).headers["x-poolgate-account"] for _ in range(6)}
    assert len(seen) == 1


async def test_chat_messages_at_geminis_own_path(world: World) -> None:
    await world.account("gemini")
    asked = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "Hello"}]}
    answer = await world.site.http.post("/gemini/v1/chat", headers={"x-api-key": await world.key()}, json=asked)
    assert answer.status_code == 200, answer.text
    assert "Hello" in answer.json()["candidates"][0]["content"]["parts"][0]["text"]


async def test_tools_as_text(world: World, raw: Raw) -> None:
    """The path asks for it; the upstream sees no tool, the client a call."""
    account = await openai(world, raw, "sk-tr-0004")
    call = '<pg:call name="look"><pg:arg name="at">x &amp; y</pg:arg></pg:call>'
    raw.say("sk-tr-0004", sse(chunk("I look. "), *(chunk(letter) for letter in call), *DONE))
    tools = [{"name": "look", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}]
    answer = await world.ask(
        await world.key(), "claude-x", "/compat_mode" + MESSAGES, stream=True, max_tokens=9, tools=tools
    )
    assert "tools" not in json.loads(raw.asked[-1].body)
    assert b"<pg:call" in raw.asked[-1].body
    assert "I look. " in answer.text
    assert '"stop_reason":"tool_use"' in answer.text.replace(": ", ":")
    pieces = [json.loads(line[6:])["delta"].get("partial_json", "") for line in answer.text.splitlines()
              if "input_json_delta" in line]  # fmt: skip
    assert json.loads("".join(pieces)) == {"at": "x & y"}
    assert account
    raw.say("sk-tr-0004", sse(chunk("plain"), *DONE))
    answer = await world.ask(await world.key(), "gpt-4.1", "/compat_mode" + CHAT, stream=True)
    assert "pg:call" not in raw.asked[-1].body.decode(), "without tools the body passes as it is"
