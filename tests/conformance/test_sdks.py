"""The vendors' own SDKs, unchanged but for base URL and key: whole and streamed, tools, embeddings, counts, lists."""

from collections.abc import AsyncGenerator, Iterator
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio
from google import genai
from google.genai import types

from tests.support.installation import BASES, Site

PREFIXES = {"anthropic": ("", "/claude", "/openai"), "openai": ("", "/openai", "/claude"), "gemini": ("", "/gemini")}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def key(site: Site) -> str:
    for platform in BASES:
        await site.account(platform, models=["sandbox-echo", "sandbox-tool", "claude-sandbox"])
    return await site.key()


@pytest_asyncio.fixture(params=PREFIXES["anthropic"])
async def claude(site: Site, key: str, request: Any) -> AsyncGenerator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=site.url + request.param, api_key=key, max_retries=0) as client:
        yield client


@pytest_asyncio.fixture(params=PREFIXES["openai"])
async def gpt(site: Site, key: str, request: Any) -> AsyncGenerator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{site.url}{request.param}/v1", api_key=key, max_retries=0) as client:
        yield client


@pytest_asyncio.fixture
async def azure(site: Site, key: str) -> AsyncGenerator[openai.AsyncAzureOpenAI]:
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=site.url, api_key=key, api_version="2025-04-01-preview", max_retries=0
    ) as client:
        yield client


@pytest_asyncio.fixture(params=[(prefix, version) for prefix in PREFIXES["gemini"] for version in (None, "v1")])
async def gemini(site: Site, key: str, request: Any) -> AsyncGenerator[Any]:
    prefix, version = request.param
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=site.url + prefix, api_version=version))
    yield client.aio
    await client.aio.aclose()


WORDS: Any = [{"role": "user", "content": "Hello there"}]


async def test_anthropic(claude: anthropic.AsyncAnthropic) -> None:
    whole: Any = await claude.messages.create(model="sandbox-echo", max_tokens=99, messages=WORDS)
    assert (whole.content[0].type, whole.stop_reason) == ("text", "end_turn")
    async with claude.messages.stream(model="sandbox-echo", max_tokens=99, messages=WORDS) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        last = await stream.get_final_message()
    assert text == whole.content[0].text == "Hello there"
    assert last.usage.output_tokens == whole.usage.output_tokens
    counted = await claude.messages.count_tokens(model="sandbox-echo", messages=WORDS)
    assert counted.input_tokens > 0


async def test_anthropic_tools(claude: anthropic.AsyncAnthropic) -> None:
    tools: Any = [{"name": "weather", "description": "w", "input_schema": SCHEMA}]
    whole = await claude.messages.create(model="sandbox-tool", max_tokens=99, messages=WORDS, tools=tools)
    assert whole.stop_reason == "tool_use"
    call = next(block for block in whole.content if block.type == "tool_use")
    async with claude.messages.stream(model="sandbox-tool", max_tokens=99, messages=WORDS, tools=tools) as stream:
        last = await stream.get_final_message()
    assert [block.input for block in last.content if block.type == "tool_use"] == [call.input]
    result: Any = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]}
    talk: Any = [*WORDS, {"role": "assistant", "content": [block.model_dump() for block in whole.content]}, result]
    after = await claude.messages.create(model="sandbox-tool", max_tokens=99, messages=talk, tools=tools)
    assert after.content[0].type == "text"
    assert "sunny" in after.content[0].text


async def test_anthropic_lists(claude: anthropic.AsyncAnthropic) -> None:
    names = [model.id async for model in claude.models.list(limit=1)]
    assert names == ["claude-sandbox", "sandbox-echo", "sandbox-tool"]
    assert (await claude.models.retrieve("sandbox-echo")).display_name == "sandbox-echo"
    with pytest.raises(anthropic.NotFoundError):
        await claude.models.retrieve("nothing")


async def test_openai_chat(gpt: openai.AsyncOpenAI) -> None:
    whole = await gpt.chat.completions.create(model="sandbox-echo", messages=WORDS)
    assert whole.choices[0].message.content == "Hello there"
    stream = await gpt.chat.completions.create(model="sandbox-echo", messages=WORDS, stream=True)
    pieces = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in pieces) == "Hello there"
    assert all(chunk.choices and chunk.usage is None for chunk in pieces)  # usage was not asked for
    stream = await gpt.chat.completions.create(
        model="sandbox-echo", messages=WORDS, stream=True, stream_options={"include_usage": True}
    )
    assert [chunk async for chunk in stream][-1].usage == whole.usage


async def test_openai_tools(gpt: openai.AsyncOpenAI) -> None:
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    whole = await gpt.chat.completions.create(model="sandbox-tool", messages=WORDS, tools=tools)
    calls: Any = whole.choices[0].message.tool_calls
    async with gpt.chat.completions.stream(model="sandbox-tool", messages=WORDS, tools=tools) as stream:
        last: Any = await stream.get_final_completion()
    found = last.choices[0].message.tool_calls
    assert [one.function.arguments for one in found] == [one.function.arguments for one in calls]


async def test_openai_responses(gpt: openai.AsyncOpenAI) -> None:
    whole = await gpt.responses.create(model="sandbox-echo", input="Hello there")
    assert whole.output_text == "Hello there"
    async with gpt.responses.stream(model="sandbox-echo", input="Hello there") as stream:
        last = await stream.get_final_response()
    assert (last.output_text, last.usage) == (whole.output_text, whole.usage)
    tool: Any = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}
    called = await gpt.responses.create(model="sandbox-tool", input="x", tools=[tool])
    assert [item.name for item in called.output if item.type == "function_call"] == ["weather"]


async def test_openai_embeddings(gpt: openai.AsyncOpenAI) -> None:
    made = await gpt.embeddings.create(model="sandbox-echo", input=["a", "b"])
    assert len(made.data) == 2
    plain = await gpt.embeddings.create(model="sandbox-echo", input=["a"], encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(made.data[0].embedding, abs=1e-6)


async def test_openai_lists(gpt: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in gpt.models.list()] == ["claude-sandbox", "sandbox-echo", "sandbox-tool"]
    assert (await gpt.models.retrieve("sandbox-echo")).object == "model"
    with pytest.raises(openai.NotFoundError):
        await gpt.models.retrieve("nothing")


async def test_azure(azure: openai.AsyncAzureOpenAI, site: Site) -> None:
    whole = await azure.chat.completions.create(model="sandbox-echo", messages=WORDS)
    assert whole.choices[0].message.content == "Hello there"
    stream = await azure.chat.completions.create(model="sandbox-echo", messages=WORDS, stream=True)
    assert "".join([one.choices[0].delta.content or "" async for one in stream if one.choices]) == "Hello there"
    assert (await azure.embeddings.create(model="sandbox-echo", input="a")).data
    assert (await azure.responses.create(model="sandbox-echo", input="Hello there")).output_text == "Hello there"
    assert not [one.target for one in site.sandbox.requests()[-4:] if "api-version" in one.target]


async def test_gemini(gemini: Any) -> None:
    whole = await gemini.models.generate_content(model="sandbox-echo", contents="Hello there")
    assert whole.text == "Hello there"
    stream = await gemini.models.generate_content_stream(model="sandbox-echo", contents="Hello there")
    pieces = [piece async for piece in stream]
    assert "".join(piece.text or "" for piece in pieces) == "Hello there"
    assert pieces[-1].usage_metadata.total_token_count == whole.usage_metadata.total_token_count
    assert (await gemini.models.count_tokens(model="sandbox-echo", contents="Hello there")).total_tokens > 0
    made = await gemini.models.embed_content(model="sandbox-echo", contents=["a", "b"])
    assert len(made.embeddings) == 2


async def test_gemini_tools(gemini: Any) -> None:
    declared = types.FunctionDeclaration(name="weather", parameters_json_schema=SCHEMA)
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[declared])])
    whole = await gemini.models.generate_content(model="sandbox-tool", contents="x", config=config)
    assert [call.name for call in whole.function_calls] == ["weather"]


async def test_gemini_lists(gemini: Any) -> None:
    names = [model.name async for model in await gemini.models.list(config={"page_size": 2})]
    assert names == ["models/claude-sandbox", "models/sandbox-echo", "models/sandbox-tool"]
    assert (await gemini.models.get(model="sandbox-echo")).name == "models/sandbox-echo"


@pytest.fixture
def threads(site: Site, key: str) -> Iterator[Any]:
    yield site.url, key


async def test_the_synchronous_clients(threads: tuple[str, str]) -> None:
    import asyncio

    url, key = threads

    def work() -> list[str | None]:
        with (
            anthropic.Anthropic(base_url=url, api_key=key) as one,
            openai.OpenAI(base_url=url + "/v1", api_key=key) as two,
        ):
            said: Any = one.messages.create(model="sandbox-echo", max_tokens=9, messages=WORDS)
            chat = two.chat.completions.create(model="sandbox-echo", messages=WORDS)
            return [said.content[0].text, chat.choices[0].message.content]

    assert await asyncio.to_thread(work) == ["Hello there", "Hello there"]
