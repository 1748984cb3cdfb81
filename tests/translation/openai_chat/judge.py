"""OpenAI's own SDK reads an answer from a socket: what it makes of it, in one form for streams and whole answers."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import openai

from gateway.protocols.codec import Usage
from gateway.protocols.openai_chat import usage
from tests.support.receiver import Receiver, receiving

HELLO: Any = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


class Read(NamedTuple):
    """`calls`: (kind, id, name, arguments as JSON or text)."""

    finish: str | None
    text: str
    thinking: str
    calls: list[tuple[Any, ...]]
    usage: Usage | None


class Judge:
    def __init__(self, receiver: Receiver, base: str) -> None:
        self.receiver = receiver
        self.base = base
        self.client = openai.AsyncOpenAI(base_url=base, api_key="sk-1", max_retries=0)

    def says(self, answer: bytes, kind: str) -> None:
        self.receiver.says(200, body=answer, content_type=kind)

    async def whole(self, answer: bytes) -> Read:
        self.says(answer, "application/json")
        completion = await self.client.chat.completions.create(**HELLO)
        choice = completion.choices[0]
        return _read([choice.message], choice.finish_reason, completion.usage)

    async def stream(self, answer: bytes) -> Read:
        """Of a stream as a provider sent it: its chunks, put together here."""
        self.says(answer, "text/event-stream")
        return _gathered([each async for each in await self.client.chat.completions.create(**HELLO, stream=True)])

    async def accumulated(self, answer: bytes) -> Read:
        """Of a stream that the SDK puts together itself."""
        self.says(answer, "text/event-stream")
        async with self.client.chat.completions.stream(**HELLO) as stream:
            await stream.until_done()  # the final completion cannot be had of an answer that was cut short
        final = stream.current_completion_snapshot
        choice = final.choices[0]
        return _read([choice.message], choice.finish_reason, final.usage)

    async def synchronously(self, answer: bytes) -> Read:
        """The SDK without asyncio."""
        self.says(answer, "text/event-stream")

        def ask() -> list[Any]:
            with openai.OpenAI(base_url=self.base, api_key="sk-1", max_retries=0) as client:
                return list(client.chat.completions.create(**HELLO, stream=True))

        return _gathered(await asyncio.to_thread(ask))


@asynccontextmanager
async def judging() -> AsyncGenerator[Judge]:
    async with receiving() as receiver:
        judge = Judge(receiver, f"http://{urlsplit(receiver.url).netloc}/v1")
        async with judge.client:
            yield judge


def _gathered(chunks: list[Any]) -> Read:
    choices = [choice for chunk in chunks for choice in chunk.choices or []]
    ends = [choice.finish_reason for choice in choices if choice.finish_reason]
    said = [chunk.usage or (chunk.model_extra or {}).get("x_groq", {}).get("usage") for chunk in chunks]
    return _read([choice.delta for choice in choices], ends[-1] if ends else None, ([None, *filter(None, said)])[-1])


def _read(messages: list[Any], finish: str | None, figures: Any) -> Read:
    text = thinking = ""
    calls: dict[Any, dict[str, Any]] = {}
    for message in messages:
        extra = message.model_extra or {}
        content = message.content
        parts = content if isinstance(content, list) else [{"text": content or ""}]
        text += "".join(part.get("text", "") for part in parts) + (message.refusal or "")
        thinking += extra.get("reasoning_content") or extra.get("reasoning") or ""
        thinking += "".join(said["text"] for part in parts for said in part.get("thinking", []))
        for position, call in enumerate(message.tool_calls or []):
            _gather(calls, position, call)
    found = [(call["type"], call["id"], call["name"], parsed(call["text"])) for call in calls.values()]
    if finish not in ("length", "content_filter"):
        finish = "tool_calls" if found else "stop"
    if figures is not None and not isinstance(figures, dict):
        figures = figures.to_dict()
    return Read(finish, text, thinking, found, None if figures is None else usage(figures))


def _gather(calls: dict[Any, dict[str, Any]], position: int, call: Any) -> None:
    index = getattr(call, "index", None)
    known = calls.setdefault(position if index is None else index, {"type": "", "id": "", "name": "", "text": ""})
    function, custom = getattr(call, "function", None), getattr(call, "custom", None)
    known["id"] = known["id"] or call.id
    if call.type == "custom":
        custom = custom if isinstance(custom, dict) else custom.to_dict()
        known["type"], known["name"] = "custom", known["name"] or custom["name"]
        known["text"] += custom["input"]
        return
    known["type"] = "function"
    known["name"] = known["name"] or function.name
    known["text"] += getattr(function, "arguments", None) or ""


def parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments
