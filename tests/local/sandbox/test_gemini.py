import json
from typing import Any

import httpx2
import pytest
from google.genai import errors, types

from tests.local.sandbox.conftest import gemini_client

SCHEMA = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
TOOL = types.Tool(
    function_declarations=[types.FunctionDeclaration(name="weather", parameters_json_schema={
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})]
)  # fmt: skip
PLAIN = types.GenerateContentConfig(tools=[TOOL])


def assert_billed(sandbox, response) -> None:
    (row,) = sandbox.bill().rows
    usage = response.usage_metadata
    cached, thoughts = usage.cached_content_token_count or 0, usage.thoughts_token_count or 0
    assert (row.id, row.outcome, row.credential) == (response.response_id, "complete", "9abc")
    assert (row.input_tokens, row.cache_read_tokens) == (usage.prompt_token_count - cached, cached)
    assert (row.output_tokens, row.reasoning_tokens) == (usage.candidates_token_count + thoughts, thoughts)
    sandbox.bill().clear()


def parts_of(chunks):
    return [p for c in chunks for p in ((c.candidates[0].content.parts if c.candidates[0].content else None) or [])]


@pytest.mark.parametrize(
    ("model", "finish"),
    [
        ("gemini-2.5-pro", "STOP"),
        ("sandbox-think", "STOP"),
        ("sandbox-tool", "STOP"),
        ("sandbox-tool-think", "STOP"),
        ("sandbox-refuse", "SAFETY"),
        ("sandbox-length", "MAX_TOKENS"),
        ("sandbox-cached-7", "STOP"),
    ],
)
async def test_stream_and_whole_say_the_same(sandbox, google, model, finish) -> None:
    whole = await google.aio.models.generate_content(model=model, contents="say hello", config=PLAIN)
    assert_billed(sandbox, whole)
    stream = await google.aio.models.generate_content_stream(model=model, contents="say hello", config=PLAIN)
    chunks = [chunk async for chunk in stream]
    assert_billed(sandbox, chunks[-1])
    assert whole.candidates[0].finish_reason == chunks[-1].candidates[0].finish_reason == finish

    def said(parts, thought):
        return "".join(p.text or "" for p in parts if bool(p.thought) is thought)

    one, other = parts_of([whole]), parts_of(chunks)
    assert said(one, True) == said(other, True)
    assert said(one, False) == said(other, False)
    calls = [p.function_call.args for p in one if p.function_call]
    assert calls == [p.function_call.args for p in other if p.function_call]
    assert calls == ([{"city": "sandbox"}] if "tool" in model else [])
    assert whole.usage_metadata.total_token_count == chunks[-1].usage_metadata.total_token_count


async def test_a_tool_loop_ends_with_its_result(sandbox, google) -> None:
    contents = [
        types.Content(role="user", parts=[types.Part(text="hello")]),
        types.Content(role="model", parts=[types.Part(function_call=types.FunctionCall(name="weather", args={}))]),
        types.Content(role="user", parts=[types.Part.from_function_response(name="weather", response={"t": 21})]),
    ]
    answer = await google.aio.models.generate_content(model="sandbox-tool", contents=contents, config=PLAIN)
    assert '{"t":21}' in answer.text


async def test_the_router_of_gemini_cli_gets_valid_json(sandbox, google) -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"reasoning": {"type": "STRING"}, "model_choice": {"type": "STRING", "enum": ["flash", "pro"]}},
        "required": ["reasoning", "model_choice"],
    }
    config = types.GenerateContentConfig(response_mime_type="application/json", response_json_schema=schema)
    answer = await google.aio.models.generate_content(model="gemini-3.5-flash-lite", contents="hi", config=config)
    assert json.loads(answer.text) == {"reasoning": "hi", "model_choice": "flash"}


async def test_a_forced_function_is_called(sandbox, google) -> None:
    calling = types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
    config = types.GenerateContentConfig(tools=[TOOL], tool_config=types.ToolConfig(function_calling_config=calling))
    answer = await google.aio.models.generate_content(model="gemini-2.5-pro", contents="hi", config=config)
    assert answer.function_calls[0].name == "weather"


async def test_counting_and_embedding(sandbox, google) -> None:
    counted = await google.aio.models.count_tokens(model="gemini-2.5-pro", contents="say hello")
    answer = await google.aio.models.generate_content(model="gemini-2.5-pro", contents="say hello")
    assert counted.total_tokens == answer.usage_metadata.prompt_token_count
    vectors = await google.aio.models.embed_content(model="gemini-embedding-001", contents=["one", "two"])
    assert [len(e.values) for e in vectors.embeddings] == [768, 768]
    assert [row.operation for row in sandbox.bill().rows] == ["count", "generate", "embed"]


async def test_models(sandbox, google) -> None:
    assert "models/sandbox-echo" in [m.name async for m in await google.aio.models.list()]
    assert (await google.aio.models.get(model="gemini-x")).name == "models/gemini-x"


@pytest.mark.parametrize(
    ("model", "code", "status"),
    [
        ("sandbox-error-400", 400, "INVALID_ARGUMENT"),
        ("sandbox-error-401", 401, "UNAUTHENTICATED"),
        ("sandbox-error-403", 403, "PERMISSION_DENIED"),
        ("sandbox-error-404", 404, "NOT_FOUND"),
        ("sandbox-error-429-retry-after-34", 429, "RESOURCE_EXHAUSTED"),
        ("sandbox-error-500", 500, "INTERNAL"),
        ("sandbox-error-503", 503, "UNAVAILABLE"),
    ],
)
async def test_errors_are_the_sdks_own(sandbox, google, model, code, status) -> None:
    with pytest.raises(errors.ClientError if code < 500 else errors.ServerError) as caught:
        await google.aio.models.generate_content(model=model, contents="hi")
    assert (caught.value.code, caught.value.status) == (code, status)
    if "retry" in model:
        details: Any = caught.value.details
        assert details["error"]["details"][0]["retryDelay"] == "34s"


async def test_an_invalid_key(sandbox, google) -> None:
    with pytest.raises(errors.ClientError) as caught:
        await google.aio.models.generate_content(model="sandbox-error-400-key", contents="hi")
    details: Any = caught.value.details
    assert details["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    async with gemini_client(sandbox.url, "revoked-key") as revoked:
        with pytest.raises(errors.ClientError) as caught:
            await revoked.aio.models.generate_content(model="gemini-2.5-pro", contents="hi")
    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("model", ["sandbox-first-error-503", "sandbox-late-error-503"])
async def test_errors_inside_a_stream(sandbox, google, model) -> None:
    seen = []
    with pytest.raises(errors.ServerError):
        stream = await google.aio.models.generate_content_stream(model=model, contents="hi")
        async for chunk in stream:
            seen.append(chunk)  # noqa: PERF401 - a comprehension would lose what came before the error
    assert len(seen) == (5 if "late" in model else 0)


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize("separator", [":", "/", "%3A"])
async def test_without_sse_a_stream_is_a_json_array(sandbox, version, separator) -> None:
    url = f"{sandbox.url}/{version}/models/sandbox-echo{separator}streamGenerateContent?key=AIza-xyz1"
    body = {"contents": [{"parts": [{"text": "one two"}]}]}
    async with httpx2.AsyncClient() as client:
        answer = await client.post(url, json=body)
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    rows = answer.json()
    assert "".join(r["candidates"][0]["content"]["parts"][0]["text"] for r in rows) == "one two"
    assert rows[-1]["candidates"][0]["finishReason"] == "STOP"
    (row,) = sandbox.bill().rows
    assert (row.credential, row.model) == ("xyz1", "sandbox-echo")
    assert sandbox.requests()[0].target.endswith("?key=…xyz1")


@pytest.mark.parametrize(("model", "rows"), [("sandbox-first-error-503", 1), ("sandbox-late-error-503", 6)])
async def test_an_error_closes_the_array(sandbox, model, rows) -> None:
    url = f"{sandbox.url}/v1beta/models/{model}:streamGenerateContent?key=AIza-xyz1"
    async with httpx2.AsyncClient() as client:
        found = (await client.post(url, json={"contents": [{"parts": [{"text": "hi"}]}]})).json()
    assert (len(found), found[-1]["error"]["code"]) == (rows, 503)


@pytest.mark.parametrize("model", ["sandbox-think-2-tokens-9", "sandbox-tool"])
async def test_several_answers_are_all_billed(sandbox, google, model) -> None:
    one = await google.aio.models.generate_content(model=model, contents="say hello", config=PLAIN)
    sandbox.bill().clear()
    config = types.GenerateContentConfig(tools=PLAIN.tools, candidate_count=3)
    whole = await google.aio.models.generate_content(model=model, contents="say hello", config=config)
    assert [candidate.index for candidate in whole.candidates] == [0, 1, 2]
    assert whole.usage_metadata.candidates_token_count == 3 * one.usage_metadata.candidates_token_count
    assert_billed(sandbox, whole)
    stream = await google.aio.models.generate_content_stream(model=model, contents="say hello", config=config)
    chunks = [chunk async for chunk in stream]
    assert len(chunks[-1].candidates) == 3
    assert chunks[-1].usage_metadata == whole.usage_metadata
    assert_billed(sandbox, chunks[-1])
