"""Five vendors' clients, unchanged but for base URL and key, which say one conversation each in its own words."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anthropic
import httpx
import httpx2
import ollama
import openai
from google import genai
from google.genai import types
from msgspec import Struct

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
MOST = 900
"""Tokens, where a client must say how many."""


class Called(Struct):
    """A call of a tool in neutral words, and whatever its client wants to see again."""

    name: str
    arguments: Any
    id: str = ""
    raw: Any = None


class Said(Struct):
    """An answer in neutral words. `input` counts what was read from caches and written to them too."""

    text: str
    stop: str
    """As the client's protocol calls it."""
    input: int
    cached: int
    output: int
    call: Called | None = None
    thinking: str = ""


class Asked(Struct):
    """`tools`: the weather's. `called` and `result`: a first turn's call, and what it came to."""

    model: str
    text: str = "one two thrée"
    tools: bool = False
    called: Called | None = None
    result: str = ""
    think: bool = False


Ask = Callable[[Asked, bool], Awaitable[Said]]


class Client(Struct):
    """`ask` says it whole or as a stream. `ids` are those of the requests that were made."""

    name: str
    ask: Ask
    fault: type[Exception]
    ids: list[str]


async def by_anthropic(client: anthropic.AsyncAnthropic, asked: Asked, stream: bool) -> Said:
    messages: list[Any] = [{"role": "user", "content": asked.text}]
    if asked.called is not None:
        result = {"type": "tool_result", "tool_use_id": asked.called.id, "content": asked.result}
        messages += [{"role": "assistant", "content": asked.called.raw}, {"role": "user", "content": [result]}]
    more: dict[str, Any] = {"tools": [{"name": "weather", "input_schema": SCHEMA}]} if asked.tools else {}
    body: dict[str, Any] = {"model": asked.model, "max_tokens": MOST, "messages": messages, **more}
    if stream:
        async with client.messages.stream(**body) as events:
            answer: Any = await events.get_final_message()
    else:
        answer = await client.messages.create(**body)
    call = next((block for block in answer.content if block.type == "tool_use"), None)
    used = answer.usage
    cached = used.cache_read_input_tokens or 0
    return Said(
        "".join(block.text for block in answer.content if block.type == "text"),
        answer.stop_reason,
        used.input_tokens + cached + (used.cache_creation_input_tokens or 0),
        cached,
        used.output_tokens,
        call and Called(call.name, call.input, call.id, [block.to_dict() for block in answer.content]),
        "".join(block.thinking for block in answer.content if block.type == "thinking"),
    )


async def by_chat(client: openai.AsyncOpenAI, asked: Asked, stream: bool) -> Said:
    messages: list[Any] = [{"role": "user", "content": asked.text}]
    if asked.called is not None:
        result = {"role": "tool", "tool_call_id": asked.called.id, "content": asked.result}
        messages += [{"role": "assistant", "tool_calls": [asked.called.raw]}, result]
    tool = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
    body: dict[str, Any] = {"model": asked.model, "messages": messages, **({"tools": [tool]} if asked.tools else {})}
    if stream:
        chunks = [one async for one in await client.chat.completions.create(
            stream=True, stream_options={"include_usage": True}, **body
        )]  # fmt: skip
        return _joined(chunks)
    answer: Any = await client.chat.completions.create(**body)
    choice = answer.choices[0]
    call = next(iter(choice.message.tool_calls or ()), None)
    function = (call.id, call.function.name, call.function.arguments) if call else None
    thinking = getattr(choice.message, "reasoning_content", None) or ""
    return _chatted(choice.message.content or "", thinking, function, choice.finish_reason, answer.usage)


def _joined(chunks: list[Any]) -> Said:
    choices = [choice for chunk in chunks for choice in chunk.choices]
    calls = [call for choice in choices for call in choice.delta.tool_calls or ()]
    function = None
    if calls:
        function = (calls[0].id, calls[0].function.name, "".join(call.function.arguments or "" for call in calls))
    return _chatted(
        "".join(choice.delta.content or "" for choice in choices),
        "".join(getattr(choice.delta, "reasoning_content", None) or "" for choice in choices),
        function,
        next(choice.finish_reason for choice in choices if choice.finish_reason),
        chunks[-1].usage,
    )


def _chatted(text: str, thinking: str, call: tuple[str, str, str] | None, stop: str, used: Any) -> Said:
    called = None
    if call is not None:
        raw = {"id": call[0], "type": "function", "function": {"name": call[1], "arguments": call[2]}}
        called = Called(call[1], json.loads(call[2]), call[0], raw)
    cached = used.prompt_tokens_details.cached_tokens if used.prompt_tokens_details else 0
    return Said(text, stop, used.prompt_tokens, cached, used.completion_tokens, called, thinking)


async def by_responses(client: openai.AsyncOpenAI, asked: Asked, stream: bool) -> Said:
    items: list[Any] = [{"role": "user", "content": asked.text}]
    if asked.called is not None:
        items += [
            *asked.called.raw,
            {"type": "function_call_output", "call_id": asked.called.id, "output": asked.result},
        ]
    tool = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}
    body: dict[str, Any] = {"model": asked.model, "input": items, **({"tools": [tool]} if asked.tools else {})}
    if stream:
        answer: Any = None
        async for event in await client.responses.create(stream=True, **body):
            if event.type == "error":
                raise openai.APIError(event.message, httpx2.Request("POST", "/"), body=None)
            if event.type in ("response.completed", "response.incomplete", "response.failed"):
                answer = event.response
        if answer is None or answer.error is not None:
            raise openai.APIError(str(answer and answer.error), httpx2.Request("POST", "/"), body=None)
    else:
        answer = await client.responses.create(**body)
    call = next((item for item in answer.output if item.type == "function_call"), None)
    thoughts = [part for item in answer.output if item.type == "reasoning" for part in (item.content or item.summary)]
    reason = answer.incomplete_details.reason if answer.incomplete_details else ""
    return Said(
        answer.output_text,
        reason or answer.status,
        answer.usage.input_tokens,
        answer.usage.input_tokens_details.cached_tokens,
        answer.usage.output_tokens,
        call
        and Called(
            call.name, json.loads(call.arguments), call.call_id, [item.to_dict(mode="json") for item in answer.output]
        ),
        "".join(part.text for part in thoughts),
    )


async def by_google(client: genai.Client, asked: Asked, stream: bool) -> Said:
    talk: list[Any] = [types.Content(role="user", parts=[types.Part(text=asked.text)])]
    if asked.called is not None:
        answered = types.FunctionResponse(
            id=asked.called.id or None, name=asked.called.name, response={"result": asked.result}
        )
        talk += [asked.called.raw, types.Content(role="user", parts=[types.Part(function_response=answered)])]
    weather = types.FunctionDeclaration(name="weather", parameters_json_schema=SCHEMA)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[weather])] if asked.tools else None,
        thinking_config=types.ThinkingConfig(include_thoughts=True) if asked.think else None,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    if stream:
        asking = await client.aio.models.generate_content_stream(model=asked.model, contents=talk, config=config)
        answers = [one async for one in asking]
    else:
        answers = [await client.aio.models.generate_content(model=asked.model, contents=talk, config=config)]
    found = [candidate for one in answers for candidate in one.candidates or []]
    parts = [part for one in found if one.content for part in one.content.parts or []]
    call = next((part.function_call for part in parts if part.function_call), None)
    used: Any = answers[-1].usage_metadata
    return Said(
        "".join(part.text for part in parts if part.text and not part.thought),
        str(found[-1].finish_reason.value if found[-1].finish_reason else ""),
        used.prompt_token_count,
        used.cached_content_token_count or 0,
        (used.candidates_token_count or 0) + (used.thoughts_token_count or 0),
        call and Called(call.name or "", call.args, call.id or "", types.Content(role="model", parts=parts)),
        "".join(part.text for part in parts if part.text and part.thought),
    )


async def by_ollama(client: ollama.AsyncClient, asked: Asked, stream: bool) -> Said:
    messages: list[Any] = [{"role": "user", "content": asked.text}]
    if asked.called is not None:
        messages += [asked.called.raw, {"role": "tool", "tool_name": asked.called.name, "content": asked.result}]
    tool = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
    body: dict[str, Any] = {"messages": messages, **({"tools": [tool]} if asked.tools else {})}
    if asked.think:
        body["think"] = True
    if stream:
        answers = [one async for one in await client.chat(asked.model, stream=True, **body)]
    else:
        answers = [await client.chat(asked.model, **body)]
    call = next((call for one in answers for call in one.message.tool_calls or []), None)
    last = answers[-1]
    return Said(
        "".join(one.message.content or "" for one in answers),
        last.done_reason or "",
        last.prompt_eval_count or 0,
        0,
        last.eval_count or 0,
        call
        and Called(
            call.function.name,
            call.function.arguments,
            "",
            {"role": "assistant", "content": "", "tool_calls": [call.model_dump()]},
        ),
        "".join(one.message.thinking or "" for one in answers),
    )


NAMES = ("anthropic", "chat", "responses", "google", "ollama")


@asynccontextmanager
async def client_of(name: str, url: str, key: str) -> AsyncGenerator[Client]:
    ids: list[str] = []

    async def note(response: Any) -> None:
        ids.append(response.headers["x-request-id"])

    hooks: Any = {"response": [note]}
    async with AsyncExitStack() as stack:
        if name == "ollama":
            header = {"authorization": f"Bearer {key}"}
            mine = await stack.enter_async_context(
                ollama.AsyncClient(url, headers=header, event_hooks=hooks, trust_env=False)
            )
            yield Client(name, lambda asked, stream: by_ollama(mine, asked, stream), ollama.ResponseError, ids)
        elif name == "google":
            plain = await stack.enter_async_context(httpx.AsyncClient(event_hooks=hooks))
            google = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url, httpx_async_client=plain))
            yield Client(name, lambda asked, stream: by_google(google, asked, stream), genai.errors.APIError, ids)
            google.close()
        else:
            http = await stack.enter_async_context(httpx2.AsyncClient(event_hooks=hooks, base_url=url))
            if name == "anthropic":
                claude = anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0, http_client=http)
                yield Client(name, lambda asked, stream: by_anthropic(claude, asked, stream), anthropic.APIError, ids)
                return
            gpt = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, http_client=http)
            by = by_chat if name == "chat" else by_responses
            yield Client(name, lambda asked, stream: by(gpt, asked, stream), openai.APIError, ids)
