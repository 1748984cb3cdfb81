from typing import Any

import anthropic
import pytest

from gateway.local.sandbox import Rule, Running

HELLO = [{"role": "user", "content": "say hello"}]
TOOLS = [
    {
        "name": "weather",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]


def only(sandbox: Running):
    (row,) = sandbox.bill().rows
    return row


def assert_billed(sandbox: Running, message) -> None:
    row, usage = only(sandbox), message.usage
    assert (row.id, row.outcome, row.status, row.credential) == (message.id, "complete", 200, "1234")
    assert (row.input_tokens, row.output_tokens) == (usage.input_tokens, usage.output_tokens)
    assert row.cache_read_tokens == usage.cache_read_input_tokens
    assert row.cache_write_5m_tokens + row.cache_write_1h_tokens == usage.cache_creation_input_tokens


async def test_a_message(sandbox, claude) -> None:
    message = await claude.messages.create(model="claude-opus-5-5", max_tokens=100, messages=HELLO)
    assert message.content[0].text.startswith("Hello")
    assert (message.stop_reason, message.model) == ("end_turn", "claude-opus-5-5")
    assert_billed(sandbox, message)


@pytest.mark.parametrize(
    ("model", "stop", "kinds"),
    [
        ("sandbox-echo", "end_turn", ["text"]),
        ("sandbox-tokens-50-think-9", "end_turn", ["thinking", "text"]),
        ("sandbox-tool", "tool_use", ["tool_use"]),
        ("sandbox-tool-think", "tool_use", ["thinking", "tool_use"]),
        ("sandbox-refuse", "refusal", ["text"]),
        ("sandbox-length", "max_tokens", ["text"]),
        ("sandbox-cached-70-wrote-30-wrote-1h-5", "end_turn", ["text"]),
    ],
)
async def test_stream_and_whole_say_the_same(sandbox, claude, model, stop, kinds) -> None:
    asked = {"model": model, "max_tokens": 1000, "messages": HELLO, "tools": TOOLS}
    whole = await claude.messages.create(**asked)
    assert_billed(sandbox, whole)
    sandbox.bill().clear()
    async with claude.messages.stream(**asked) as stream:
        events = [event.type async for event in stream]
        streamed = await stream.get_final_message()
    assert events[0] == "message_start" and events[-1] == "message_stop"
    assert_billed(sandbox, streamed)
    assert (whole.stop_reason, [b.type for b in whole.content]) == (stop, kinds)
    assert (streamed.stop_reason, [b.type for b in streamed.content]) == (stop, kinds)

    def plain(message):
        return message.model_dump(include={"usage": {"input_tokens", "output_tokens"}, "stop_details": ...})

    assert plain(whole) == plain(streamed)
    for one, other in zip(whole.content, streamed.content, strict=True):
        same = {"text", "thinking", "input", "name"}
        assert one.model_dump(include=same) == other.model_dump(include=same)


async def test_a_tool_loop_ends_with_its_result(sandbox, claude) -> None:
    asked = {"model": "sandbox-tool", "max_tokens": 100, "tools": TOOLS}
    first = await claude.messages.create(messages=HELLO, **asked)
    call = first.content[0]
    assert (call.name, call.input, call.caller.type) == ("weather", {"city": "sandbox"}, "direct")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "21 degrees"}]}
    turns = [*HELLO, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    last = await claude.messages.create(messages=turns, **asked)
    assert "21 degrees" in last.content[0].text


async def test_what_claude_code_sends_is_understood(sandbox, claude) -> None:
    turns = [
        {"role": "user", "content": [{"type": "text", "text": 'MOCK_TOOL Bash {"command": "ls"}'}]},
        {"role": "system", "content": "a reminder"},
    ]
    extra = {"context_management": {"edits": []}, "output_config": {"effort": "high"}}
    message = await claude.messages.create(
        model="claude-opus-5-5", max_tokens=9, messages=turns, tools=TOOLS, extra_body=extra
    )
    assert (message.content[0].name, message.content[0].input) == ("Bash", {"command": "ls"})


async def test_structured_output(sandbox, claude) -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    form = {"format": {"type": "json_schema", "schema": schema}}
    message = await claude.messages.create(
        model="claude-opus-5-5", max_tokens=99, messages=HELLO, extra_body={"output_config": form}
    )
    assert message.content[0].text == '{"title": "say hello"}'


@pytest.mark.parametrize(("ttl", "field"), [("5m", "ephemeral_5m_input_tokens"), ("1h", "ephemeral_1h_input_tokens")])
async def test_marked_long_prompts_use_the_cache(sandbox, claude, ttl, field) -> None:
    system = [{"type": "text", "text": "word " * 2000, "cache_control": {"type": "ephemeral", "ttl": ttl}}]
    message = await claude.messages.create(model="claude-opus-5-5", max_tokens=99, messages=HELLO, system=system)
    assert message.usage.cache_read_input_tokens > 0
    assert getattr(message.usage.cache_creation, field) == message.usage.cache_creation_input_tokens > 0
    assert_billed(sandbox, message)


async def test_counting_costs_nothing_and_agrees_with_usage(sandbox, claude) -> None:
    counted = await claude.messages.count_tokens(model="claude-opus-5-5", messages=HELLO)
    assert (only(sandbox).operation, only(sandbox).input_tokens) == ("count", 0)
    message = await claude.messages.create(model="claude-opus-5-5", max_tokens=9, messages=HELLO)
    assert message.usage.input_tokens == counted.input_tokens


async def test_models(sandbox, claude) -> None:
    page = await claude.models.list(limit=5)
    names = [model.id for model in page.data]
    assert "sandbox-echo" in names
    assert (await claude.models.retrieve("claude-x")).id == "claude-x"


@pytest.mark.parametrize(
    ("model", "kind", "error_type"),
    [
        ("sandbox-error-400", anthropic.BadRequestError, "invalid_request_error"),
        ("sandbox-error-400-credit", anthropic.BadRequestError, "invalid_request_error"),
        ("sandbox-error-401", anthropic.AuthenticationError, "authentication_error"),
        ("sandbox-error-403", anthropic.PermissionDeniedError, "permission_error"),
        ("sandbox-error-404", anthropic.NotFoundError, "not_found_error"),
        ("sandbox-error-413", anthropic.RequestTooLargeError, "request_too_large"),
        ("sandbox-error-429-retry-after-7", anthropic.RateLimitError, "rate_limit_error"),
        ("sandbox-error-500", anthropic.InternalServerError, "api_error"),
        ("sandbox-error-529", anthropic.OverloadedError, "overloaded_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_are_the_sdks_own(sandbox, claude, model, kind, error_type, stream) -> None:
    with pytest.raises(kind) as caught:
        await claude.messages.create(model=model, max_tokens=9, messages=HELLO, stream=stream)
    assert caught.value.body["error"]["type"] == error_type
    assert caught.value.body["request_id"] == caught.value.request_id == only(sandbox).request_id
    assert (only(sandbox).outcome, only(sandbox).input_tokens) == ("error", 0)
    assert caught.value.response.headers.get("retry-after") == ("7" if "retry" in model else None)


async def test_a_used_up_window_is_said_in_headers(sandbox, claude) -> None:
    with pytest.raises(anthropic.RateLimitError) as caught:
        await claude.messages.create(model="sandbox-error-429-window", max_tokens=9, messages=HELLO)
    assert caught.value.response.headers["anthropic-ratelimit-unified-status"] == "rejected"


@pytest.mark.parametrize("model", ["sandbox-first-error-529", "sandbox-late-error-529"])
async def test_errors_inside_a_stream(sandbox, claude, model) -> None:
    seen = []
    with pytest.raises(anthropic.APIStatusError) as caught:
        async for event in await claude.messages.create(model=model, max_tokens=99, messages=HELLO, stream=True):
            seen.append(event.type)  # noqa: PERF401 - a comprehension would lose what came before the error
    body: Any = caught.value.body
    assert body["error"]["type"] == "overloaded_error"
    assert ("message_start" in seen) == ("late" in model)
    assert "message_stop" not in seen
    assert (only(sandbox).outcome, only(sandbox).output_tokens) == ("error", 0)


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({"max_tokens": 9, "messages": HELLO}, "model"),
        ({"model": "m", "messages": HELLO}, "max_tokens"),
        ({"model": "m", "max_tokens": 9}, "messages"),
    ],
)
async def test_incomplete_requests_are_refused(sandbox, claude, body, missing) -> None:
    with pytest.raises(anthropic.BadRequestError, match=missing):
        await claude.post("/v1/messages", body=body, cast_to=object)


async def test_a_rule_fails_the_first_two_of_one_credential(sandbox, claude) -> None:
    sandbox.rules([Rule("error-529", credential="*1234", times=2)])
    for _ in range(2):
        with pytest.raises(anthropic.OverloadedError):
            await claude.messages.create(model="claude-opus-5-5", max_tokens=9, messages=HELLO)
    await claude.messages.create(model="claude-opus-5-5", max_tokens=9, messages=HELLO)
    assert [row.outcome for row in sandbox.bill().rows] == ["error", "error", "complete"]
