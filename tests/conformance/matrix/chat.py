"""OpenAI's SDK for chat completions: what it sends for a conversation, and what it reads."""

from typing import Any

import httpx2
import openai

from tests.conformance.matrix.said import PNG, WEATHER, Called, Said, Talk, figures, parsed
from tests.conformance.matrix.wires import Transport2, Wire
from tests.protocols.test_recorded import chat as counted

FAULT = openai.APIError
_STOPS = {
    "stop": "end",
    "length": "length",
    "model_length": "length",
    "content_filter": "refusal",
    "tool_calls": "tool_use",
}


class Client:
    """`strict`: a stream is put together by the SDK itself, which is particular about it. Other servers than OpenAI's
    are not read like that."""

    def __init__(self, url: str, key: str, wires: list[Wire], strict: bool = True) -> None:
        http = httpx2.AsyncClient(transport=Transport2(wires), base_url=url, timeout=30)
        self._sdk = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, http_client=http)
        self._strict = strict

    async def ask(self, talk: Talk, stream: bool) -> Said:
        body = asked(talk)
        chats = self._sdk.chat.completions
        if not stream:
            completion = await chats.create(**body)
            first = completion.choices[:1]
            return self._read([choice.message for choice in first], first, [completion])
        options: Any = {"include_usage": True}
        if not self._strict:
            chunks = [chunk async for chunk in await chats.create(stream=True, stream_options=options, **body)]
            choices = [choice for chunk in chunks for choice in chunk.choices or [] if choice.index == 0]
            return self._read([choice.delta for choice in choices], choices, chunks)
        thoughts: list[str] = []
        form = body.pop("response_format", openai.NOT_GIVEN)
        async with chats.stream(stream_options=options, response_format=form, **body) as events:
            async for event in events:
                if event.type == "chunk":
                    extra = [choice.delta.model_extra or {} for choice in event.chunk.choices]
                    thoughts += [each.get("reasoning_content", "") for each in extra]
            final = events.current_completion_snapshot
        said = self._read([final.choices[0].message], final.choices, [final])
        return said._replace(thinking="".join(thoughts))

    def _read(self, *answer: Any) -> Said:
        """Calls are to be run, whatever other servers' finish reasons say."""
        said, refused = read(*answer)
        if not self._strict and said.stop not in ("length", "refusal"):
            return said._replace(stop="tool_use" if said.calls else "refusal" if refused else "end")
        return said

    async def close(self) -> None:
        await self._sdk.close()


def asked(talk: Talk) -> dict[str, Any]:
    body: dict[str, Any] = {"model": talk.model, "messages": _messages(talk)}
    if talk.tools:
        about = {"description": "The weather.", "parameters": WEATHER, "strict": True}
        body["tools"] = [{"type": "function", "function": {"name": name, **about}} for name in talk.tools]
    if talk.max_tokens is not None:
        body["max_completion_tokens"] = talk.max_tokens
    if talk.stop:
        body["stop"] = list(talk.stop)
    if talk.think:
        body["reasoning_effort"] = "low"
    if talk.schema is not None:
        about = {"name": "answer", "schema": talk.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": about}
    return body


def _messages(talk: Talk) -> list[Any]:
    content: Any = talk.text
    if talk.image:
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        content = [{"type": "text", "text": talk.text}, picture]
    messages: list[Any] = [{"role": "user", "content": content}]
    if talk.system:
        messages.insert(0, {"role": "system", "content": talk.system})
    if talk.past is not None:
        messages.append(talk.past.raw)
        messages += [
            {"role": "tool", "tool_call_id": call["id"], "content": result}
            for call, result in zip(talk.past.raw["tool_calls"], talk.results, strict=True)
        ]
    return messages


def read(messages: list[Any], choices: list[Any], answers: list[Any]) -> tuple[Said, bool]:
    """What is said, and whether there was a refusal, from the messages or the deltas of one choice. Other servers than
    OpenAI's say `reasoning`, or give their content in parts (Mistral)."""
    text = thinking = ""
    calls: dict[Any, dict[str, Any]] = {}
    refused = False
    for message in messages:
        extra = message.model_extra or {}
        parts = message.content if isinstance(message.content, list) else [{"text": message.content or ""}]
        text += "".join(part.get("text", "") for part in parts) + (message.refusal or "")
        thinking += extra.get("reasoning_content") or extra.get("reasoning") or ""
        thinking += "".join(said["text"] for part in parts for said in part.get("thinking", []))
        refused = refused or bool(message.refusal)
        for position, call in enumerate(message.tool_calls or []):
            _gather(calls, position, call)
    end = next((choice.finish_reason for choice in reversed(choices) if choice.finish_reason), "stop")
    usage = counted([answer.to_dict(warnings=False) for answer in answers])
    found = tuple(
        Called(
            call["name"], call["text"] if call["type"] == "custom" else parsed(call["text"]), call["type"] == "custom"
        )
        for call in calls.values()
    )
    said = Said(text, thinking, found, _STOPS.get(end, end), None, figures(usage), _again(text, thinking, calls))
    return said, refused


def _again(text: str, thinking: str, calls: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    """The message, as clients that keep the thinking send it back."""
    given = [
        {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["text"]}}
        for call in calls.values()
    ]
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    return message | ({"tool_calls": given} if given else {}) | ({"reasoning_content": thinking} if thinking else {})


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
    known["type"] = known["type"] or "function"
    known["name"] = known["name"] or function.name or ""
    known["text"] += getattr(function, "arguments", None) or ""
