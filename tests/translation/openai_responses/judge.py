"""OpenAI's own SDK reads an answer from a socket: what it makes of it, in one form for streams and whole answers."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import openai

from tests.support.receiver import Receiver, receiving


class Read(NamedTuple):
    """`calls`: (kind, id, namespace, name, arguments as JSON or text)."""

    status: str | None
    reason: str | None
    text: str
    calls: list[tuple[Any, ...]]
    thinking: list[tuple[str, str | None]]
    usage: tuple[int, ...] | None


class Judge:
    def __init__(self, receiver: Receiver, client: openai.AsyncOpenAI) -> None:
        self._receiver = receiver
        self._client = client

    async def whole(self, answer: bytes) -> Read:
        self._receiver.says(200, body=answer, content_type="application/json")
        response = await self._client.responses.create(model="m", input="hi")
        return _read(response, response.output)

    async def stream(self, answer: bytes) -> Read:
        """Of a stream as a provider sent it: its raw events."""
        self._receiver.says(200, body=answer, content_type="text/event-stream")
        items: dict[int, Any] = {}
        last: Any = None
        async for event in await self._client.responses.create(model="m", input="hi", stream=True):
            if event.type == "response.output_item.done":
                items[event.output_index] = event.item
            elif event.type in ("response.completed", "response.incomplete", "response.failed"):
                last = event.response
        return _read(last, [items[index] for index in sorted(items)])

    async def accumulated(self, answer: bytes) -> Read:
        """Of a stream that the SDK puts together itself, strictly."""
        self._receiver.says(200, body=answer, content_type="text/event-stream")
        last: Any = None
        async with self._client.responses.stream(model="m", input="hi") as stream:
            async for event in stream:
                last = event
        return _read(last.response, last.response.output)


@asynccontextmanager
async def judging() -> AsyncGenerator[Judge]:
    async with receiving() as receiver:
        base = f"http://{urlsplit(receiver.url).netloc}/v1"
        async with openai.AsyncOpenAI(base_url=base, api_key="sk-1", max_retries=0) as client:
            yield Judge(receiver, client)


def _read(response: Any, items: list[Any]) -> Read:
    text, calls, thinking = "", [], []
    for item in items:
        if item.type == "message":
            text += "".join(getattr(part, "text", None) or getattr(part, "refusal", "") for part in item.content)
        elif item.type == "reasoning":
            said = [part.text for part in item.content or [] if part.text] or [part.text for part in item.summary]
            thought = ("\n\n".join(each for each in said if each), item.encrypted_content or None)
            thinking += [thought] if any(thought) else []
        elif item.type in ("function_call", "custom_tool_call"):
            said = _parsed(item.arguments) if item.type == "function_call" else item.input
            calls.append((item.type, item.call_id, item.namespace or None, item.name, said))
    details = response.incomplete_details
    return Read(response.status, details and details.reason, text, calls, thinking, _usage(response.usage))


def _parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def _usage(usage: Any) -> tuple[int, ...] | None:
    """input, read from caches, written to caches, output, reasoning, total"""
    if usage is None:
        return None
    asked, spent = usage.input_tokens_details, usage.output_tokens_details
    reasoning = (spent and spent.reasoning_tokens) or 0
    output = usage.output_tokens
    if usage.total_tokens == usage.input_tokens + output + reasoning:  # xAI counts it apart
        output += reasoning
    cached = (asked and asked.cached_tokens) or 0
    written = getattr(asked, "cache_write_tokens", None) or 0
    return usage.input_tokens, cached, written, output, reasoning, usage.total_tokens
