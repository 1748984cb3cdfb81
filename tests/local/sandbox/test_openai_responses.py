import json

import openai
import pytest

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}]


def assert_billed(sandbox, response) -> None:
    (row,) = sandbox.bill().rows
    usage = response.usage
    cached = usage.input_tokens_details.cached_tokens
    assert (row.id, row.outcome) == (response.id, "complete")
    assert (row.input_tokens, row.cache_read_tokens) == (usage.input_tokens - cached, cached)
    assert (row.output_tokens, row.reasoning_tokens) == (
        usage.output_tokens,
        usage.output_tokens_details.reasoning_tokens,
    )
    sandbox.bill().clear()


@pytest.mark.parametrize(
    ("model", "status", "kinds"),
    [
        ("gpt-6.1-sol", "completed", ["message"]),
        ("sandbox-think", "completed", ["reasoning", "message"]),
        ("sandbox-tool", "completed", ["function_call"]),
        ("sandbox-tool-think", "completed", ["reasoning", "function_call"]),
        ("sandbox-refuse", "completed", ["message"]),
        ("sandbox-length", "incomplete", ["message"]),
        ("sandbox-cached-128", "completed", ["message"]),
    ],
)
async def test_stream_and_whole_say_the_same(sandbox, gpt, model, status, kinds) -> None:
    whole = await gpt.responses.create(model=model, input="say hello", tools=TOOLS)
    assert_billed(sandbox, whole)
    final = None
    async with gpt.responses.stream(model=model, input="say hello", tools=TOOLS) as stream:
        numbers = []
        async for event in stream:
            numbers.append(event.sequence_number)
            if event.type in {"response.completed", "response.incomplete"}:
                final = event.response
    assert numbers == sorted(numbers) and numbers[0] == 0
    assert final is not None
    assert_billed(sandbox, final)
    assert (whole.status, [item.type for item in whole.output]) == (status, kinds)
    assert (final.status, [item.type for item in final.output]) == (status, kinds)
    assert (whole.output_text, whole.usage) == (final.output_text, final.usage)


async def test_every_delta_adds_up_to_its_item(sandbox, gpt) -> None:
    text, arguments, done = "", "", {}
    async for event in await gpt.responses.create(model="sandbox-echo", input="one two  three", stream=True):
        text += event.delta if event.type == "response.output_text.delta" else ""
    assert text == "one two  three"
    async for event in await gpt.responses.create(model="sandbox-tool", input="x", tools=TOOLS, stream=True):
        arguments += event.delta if event.type == "response.function_call_arguments.delta" else ""
        done = json.loads(event.arguments) if event.type == "response.function_call_arguments.done" else done
    assert json.loads(arguments) == done == {"city": "sandbox"}


async def test_a_tool_loop_ends_with_its_result(sandbox, gpt) -> None:
    first = await gpt.responses.create(model="sandbox-tool", input="hello", tools=TOOLS)
    call = first.output[0]
    turns = [
        {"role": "user", "content": "hello"},
        {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
        {"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"},
    ]
    last = await gpt.responses.create(model="sandbox-tool", input=turns, tools=TOOLS)
    assert "21 degrees" in last.output_text


async def test_what_codex_sends_is_understood(sandbox, gpt) -> None:
    items = [
        {
            "type": "additional_tools",
            "role": "developer",
            "tools": [{"type": "namespace", "name": "n", "tools": TOOLS}],
        },
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "rules"}]},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": 'MOCK_TOOL weather {"cmd": "ls"} ; go'}],
        },
    ]
    tools = [{"type": "web_search"}]
    body = {"model": "gpt-6.1-sol", "input": items, "tools": tools, "store": False, "stream": True}
    body |= {"include": ["reasoning.encrypted_content"], "text": {"verbosity": "low"}, "client_metadata": {"a": "b"}}
    async with gpt.responses.with_streaming_response.create(
        **{k: v for k, v in body.items() if k != "client_metadata"}
    ) as raw:
        lines = [line async for line in raw.iter_lines() if line.startswith("data: ")]
    final = json.loads(lines[-1][6:])
    assert final["type"] == "response.completed"
    call = final["response"]["output"][0]
    assert (call["name"], call["namespace"], call["arguments"]) == ("weather", "n", '{"cmd": "ls"}')
    assert final["response"]["usage"]["output_tokens_details"] == {"reasoning_tokens": 0}
    assert final["response"]["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    strict = {"completed_at", "presence_penalty", "top_logprobs", "max_tool_calls", "background", "safety_identifier"}
    assert strict <= set(final["response"])


async def test_structured_output(sandbox, gpt) -> None:
    form = {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}
    answer = await gpt.responses.create(model="gpt-4o", input="say hello", text=form)
    assert json.loads(answer.output_text) == {"city": "say hello"}


@pytest.mark.parametrize("model", ["sandbox-first-error-429", "sandbox-late-error-429"])
async def test_errors_inside_a_stream(sandbox, gpt, model) -> None:
    seen = []
    with pytest.raises(openai.APIError):
        async for event in await gpt.responses.create(model=model, input="hello", stream=True):
            seen.append(event.type)  # noqa: PERF401 - a comprehension would lose what came before the error
    assert ("response.created" in seen) == ("late" in model)
    assert "response.completed" not in seen
    assert sandbox.bill().rows[0].outcome == "error"


async def test_errors_are_the_sdks_own(sandbox, gpt) -> None:
    with pytest.raises(openai.RateLimitError):
        await gpt.responses.create(model="sandbox-error-429", input="hello")
    with pytest.raises(openai.BadRequestError) as caught:
        await gpt.post("/responses", body={"model": "m"}, cast_to=object)
    assert caught.value.param == "input"


async def test_a_base_url_without_a_version(sandbox, gpt) -> None:
    answer = await gpt.with_options(base_url=f"{sandbox.url}/somewhere/api").responses.create(model="m", input="x")
    assert answer.output_text
