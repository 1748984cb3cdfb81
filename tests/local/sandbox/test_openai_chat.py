import base64
import json
import struct
from typing import Any

import openai
import pytest

HELLO: Any = [{"role": "user", "content": "say hello"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]


def assert_billed(sandbox, identity, usage) -> None:
    (row,) = sandbox.bill().rows
    cached = usage.prompt_tokens_details.cached_tokens
    assert (row.id, row.outcome, row.credential) == (identity, "complete", "5678")
    assert (row.input_tokens, row.cache_read_tokens) == (usage.prompt_tokens - cached, cached)
    assert row.output_tokens == usage.completion_tokens
    assert row.reasoning_tokens == usage.completion_tokens_details.reasoning_tokens
    sandbox.bill().clear()


@pytest.mark.parametrize(
    ("model", "finish"),
    [
        ("gpt-4o", "stop"),
        ("sandbox-tokens-500", "stop"),
        ("sandbox-think-tokens-30", "stop"),
        ("sandbox-tool", "tool_calls"),
        ("sandbox-refuse", "stop"),
        ("sandbox-cached-128", "stop"),
    ],
)
async def test_stream_and_whole_say_the_same(sandbox, gpt, model, finish) -> None:
    asked = {"model": model, "messages": HELLO, "tools": TOOLS}
    whole = await gpt.chat.completions.create(**asked)
    assert_billed(sandbox, whole.id, whole.usage)
    async with gpt.chat.completions.stream(stream_options={"include_usage": True}, **asked) as stream:
        async for _ in stream:
            pass
        streamed = await stream.get_final_completion()
    assert_billed(sandbox, streamed.id, streamed.usage)
    assert whole.usage == streamed.usage
    one, other = whole.choices[0], streamed.choices[0]
    assert one.finish_reason == other.finish_reason == finish
    assert (one.message.content or "", one.message.refusal) == (other.message.content or "", other.message.refusal)
    if finish == "tool_calls":
        assert one.message.tool_calls[0].function.name == "weather"
        assert json.loads(one.message.tool_calls[0].function.arguments) == {"city": "sandbox"}
        assert other.message.tool_calls[0].function.arguments == one.message.tool_calls[0].function.arguments


async def test_a_limit_ends_an_answer(sandbox, gpt) -> None:
    asked = {"model": "sandbox-tokens-50", "messages": HELLO, "max_completion_tokens": 7}
    whole = await gpt.chat.completions.create(**asked)
    assert (whole.choices[0].finish_reason, whole.usage.completion_tokens) == ("length", 7)
    chunks = [c async for c in await gpt.chat.completions.create(stream=True, **asked)]
    assert chunks[-1].choices[0].finish_reason == "length"
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == whole.choices[0].message.content


async def test_a_stream_has_usage_only_when_it_was_asked_for(sandbox, gpt) -> None:
    chunks = [c async for c in await gpt.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)]
    assert all(c.usage is None and c.choices for c in chunks)
    (row,) = sandbox.bill().rows
    assert row.output_tokens > 0
    options = {"include_usage": True}
    asked = await gpt.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True, stream_options=options)
    *_, last = [c async for c in asked]
    assert last.choices == [] and last.usage is not None


async def test_a_tool_loop_ends_with_its_result(sandbox, gpt) -> None:
    first = await gpt.chat.completions.create(model="sandbox-tool", messages=HELLO, tools=TOOLS)
    result = {"role": "tool", "tool_call_id": first.choices[0].message.tool_calls[0].id, "content": "21 degrees"}
    turns = [*HELLO, first.choices[0].message.to_dict(), result]
    last = await gpt.chat.completions.create(model="sandbox-tool", messages=turns, tools=TOOLS)
    assert "21 degrees" in last.choices[0].message.content


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
async def test_a_required_tool_is_called(sandbox, gpt, choice) -> None:
    answer = await gpt.chat.completions.create(model="gpt-4o", messages=HELLO, tools=TOOLS, tool_choice=choice)
    assert answer.choices[0].message.tool_calls[0].function.name == "weather"


async def test_structured_output(sandbox, gpt) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    answer = await gpt.chat.completions.create(model="gpt-4o", messages=HELLO, response_format=form)
    assert json.loads(answer.choices[0].message.content) == {"city": "say hello"}


async def test_long_prompts_are_cached(sandbox, gpt) -> None:
    long = [{"role": "user", "content": "word " * 2000}]
    answer = await gpt.chat.completions.create(model="gpt-4o", messages=long)
    assert (
        answer.usage.prompt_tokens_details.cached_tokens % 128 == 0 < answer.usage.prompt_tokens_details.cached_tokens
    )
    assert_billed(sandbox, answer.id, answer.usage)


async def test_embeddings_in_both_encodings(sandbox, gpt) -> None:
    texts = ["one", "two"]
    decoded = await gpt.embeddings.create(model="text-embedding-3-small", input=texts)
    plain = await gpt.embeddings.create(model="text-embedding-3-small", input=texts, encoding_format="float")
    raw = await gpt.embeddings.create(model="text-embedding-3-small", input="one", encoding_format="base64")
    assert len(decoded.data[0].embedding) == 1536
    assert decoded.data[0].embedding == pytest.approx(plain.data[0].embedding)
    assert decoded.data[0].embedding != decoded.data[1].embedding
    values = struct.unpack("<1536f", base64.b64decode(raw.data[0].embedding))
    assert list(values) == pytest.approx(plain.data[0].embedding)
    assert [row.input_tokens for row in sandbox.bill().rows] == [decoded.usage.prompt_tokens] * 2 + [1]


@pytest.mark.parametrize("given", ["text", ["text"], [1, 2, 3], [[1, 2], [3]]])
async def test_embedding_inputs_of_every_form(sandbox, gpt, given) -> None:
    answer = await gpt.embeddings.create(model="e", input=given, dimensions=8)
    assert [len(row.embedding) for row in answer.data] == [8] * (2 if given == [[1, 2], [3]] else 1)


async def test_models(sandbox, gpt) -> None:
    assert "sandbox-echo" in [m.id async for m in gpt.models.list()]
    assert (await gpt.models.retrieve("gpt-x")).id == "gpt-x"


@pytest.mark.parametrize(
    ("model", "kind", "code"),
    [
        ("sandbox-error-400", openai.BadRequestError, None),
        ("sandbox-error-401", openai.AuthenticationError, "invalid_api_key"),
        ("sandbox-error-403", openai.PermissionDeniedError, "unsupported_country_region_territory"),
        ("sandbox-error-404", openai.NotFoundError, "model_not_found"),
        ("sandbox-error-429", openai.RateLimitError, "rate_limit_exceeded"),
        ("sandbox-error-429-quota", openai.RateLimitError, "insufficient_quota"),
        ("sandbox-error-500", openai.InternalServerError, None),
        ("sandbox-error-503", openai.InternalServerError, None),
    ],
)
async def test_errors_are_the_sdks_own(sandbox, gpt, model, kind, code) -> None:
    with pytest.raises(kind) as caught:
        await gpt.chat.completions.create(model=model, messages=HELLO)
    assert caught.value.code == code
    assert caught.value.request_id == sandbox.bill().rows[0].request_id
    with pytest.raises(kind):
        await gpt.embeddings.create(model=model, input="x")


@pytest.mark.parametrize("model", ["sandbox-first-error-429", "sandbox-late-error-429"])
async def test_errors_inside_a_stream(sandbox, gpt, model) -> None:
    seen = []
    with pytest.raises(openai.APIError) as caught:
        async for chunk in await gpt.chat.completions.create(model=model, messages=HELLO, stream=True):
            seen.append(chunk)  # noqa: PERF401 - a comprehension would lose what came before the error
    assert caught.value.code == "rate_limit_exceeded"
    assert len(seen) == (5 if "late" in model else 0)


async def test_azures_form_of_the_path(sandbox) -> None:
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=sandbox.url, api_key="azure-abcd", api_version="2025-04-01-preview", max_retries=0
    ) as azure:
        answer = await azure.chat.completions.create(model="gpt-4o", messages=HELLO)
        await azure.embeddings.create(model="text-embedding-3-small", input="x")
    assert answer.choices[0].message.content
    assert [row.credential for row in sandbox.bill().rows] == ["abcd"] * 2
    assert sandbox.bill().rows[0].path == "/openai/deployments/gpt-4o/chat/completions"


async def test_several_answers_are_all_billed(sandbox, gpt) -> None:
    asked = {"model": "sandbox-think-2-tokens-9", "messages": HELLO, "n": 3}
    whole = await gpt.chat.completions.create(**asked)
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in whole.choices}) == 1
    assert (whole.usage.completion_tokens, whole.usage.completion_tokens_details.reasoning_tokens) == (27, 6)
    assert_billed(sandbox, whole.id, whole.usage)
    async with gpt.chat.completions.stream(stream_options={"include_usage": True}, **asked) as stream:
        async for _ in stream:
            pass
        streamed = await stream.get_final_completion()
    assert [one.message.content for one in streamed.choices] == [one.message.content for one in whole.choices]
    assert_billed(sandbox, streamed.id, streamed.usage)


@pytest.mark.parametrize("number", [0, -1, 129, "2"])
async def test_a_number_of_answers_that_cannot_be(gpt, number: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await gpt.chat.completions.create(model="gpt-4o", messages=HELLO, n=number)
    assert caught.value.param == "n"
