"""Anthropic's SDK: what it sends for a conversation, and what it reads."""

from collections.abc import Sequence
from typing import Any

import anthropic
import httpx2

from tests.conformance.matrix.said import PNG, WEATHER, Called, Figures, Said, Talk
from tests.conformance.matrix.wires import Transport2, Wire
from tests.protocols.test_recorded import anthropic as counted
from tests.translation.anthropic.sdk import plain

FAULT = anthropic.APIError
_STOPS = {
    "end_turn": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "pause",
}


class Client:
    def __init__(self, url: str, key: str, wires: list[Wire]) -> None:
        http = httpx2.AsyncClient(transport=Transport2(wires), base_url=url, timeout=30)
        self._sdk = anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0, http_client=http)

    async def ask(self, talk: Talk, stream: bool) -> Said:
        body = asked(talk)
        if not stream:
            return read(await self._sdk.messages.create(**body))
        async with self._sdk.messages.stream(**body) as events:
            return read(await events.get_final_message())

    async def close(self) -> None:
        await self._sdk.close()


def asked(talk: Talk) -> dict[str, Any]:
    body: dict[str, Any] = {"model": talk.model, "max_tokens": talk.max_tokens or 900, "messages": _messages(talk)}
    if talk.system:
        body["system"] = talk.system
    if talk.tools:
        body["tools"] = [{"name": name, "description": "The weather.", "input_schema": WEATHER} for name in talk.tools]
    if talk.stop:
        body["stop_sequences"] = list(talk.stop)
    if talk.think:
        body |= {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4000}
    if talk.schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": talk.schema}}
    return body


def _messages(talk: Talk) -> list[Any]:
    content: list[Any] = [{"type": "text", "text": talk.text}]
    if talk.image:
        content.append({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}})
    messages: list[Any] = [{"role": "user", "content": content}]
    if talk.past is not None:
        called = [block["id"] for block in talk.past.raw if block["type"] == "tool_use"]
        results = [
            {"type": "tool_result", "tool_use_id": id, "content": result}
            for id, result in zip(called, talk.results, strict=True)
        ]
        messages += [{"role": "assistant", "content": talk.past.raw}, {"role": "user", "content": results}]
    return messages


def read(message: Any) -> Said:
    blocks: Sequence[dict[str, Any]] = plain(message)["content"]
    usage = counted([{"type": "message", "usage": message.usage.to_dict(warnings=False)}])
    assert usage is not None
    stop = message.stop_reason
    return Said(
        "".join(block["text"] for block in blocks if block["type"] == "text"),
        "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        tuple(Called(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"),
        _STOPS.get(stop, stop),
        message.stop_sequence,
        Figures(
            usage.input_tokens,
            usage.cache_read_tokens,
            usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
            usage.output_tokens,
            usage.reasoning_tokens,
        ),
        message.to_dict(warnings=False)["content"],
    )
