"""OpenAI's SDK for Responses: what it sends for a conversation, and what it reads."""

from typing import Any

import httpx2
import openai

from gateway.translation.openai_responses.marks import flat
from tests.conformance.matrix.said import PNG, WEATHER, Called, Said, Talk, figures, parsed
from tests.conformance.matrix.wires import Transport2, Wire
from tests.protocols.test_recorded import responses as counted

FAULT = openai.APIError
_STOPS = {"max_output_tokens": "length", "content_filter": "refusal"}


class Client:
    """`strict` as for chat."""

    def __init__(self, url: str, key: str, wires: list[Wire], strict: bool = True) -> None:
        http = httpx2.AsyncClient(transport=Transport2(wires), base_url=url, timeout=30)
        self._sdk = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, http_client=http)
        self._strict = strict

    async def ask(self, talk: Talk, stream: bool) -> Said:
        body = asked(talk)
        if not stream:
            response = await self._sdk.responses.create(**body)
            return read(response, response.output)
        last: Any = None
        items: dict[int, Any] = {}
        if self._strict:
            form = body.pop("text", openai.NOT_GIVEN)
            async with self._sdk.responses.stream(text=form, **body) as events:
                async for event in events:
                    last = event
            _not_failed(last)
            return read(last.response, last.response.output)
        async for event in await self._sdk.responses.create(stream=True, **body):
            if event.type == "response.output_item.done":
                items[event.output_index] = event.item
            elif event.type in ("response.completed", "response.incomplete", "response.failed", "error"):
                last = last or event
        _not_failed(last)
        return read(last.response, [items[index] for index in sorted(items)])

    async def close(self) -> None:
        await self._sdk.close()


def _not_failed(last: Any) -> None:
    """The SDK leaves it to the program to look at how a response ended."""
    if last is None or last.type not in ("response.completed", "response.incomplete"):
        about = getattr(getattr(last, "response", last), "error", None) or last
        raise openai.APIError(
            getattr(about, "message", None) or f"no end: {last}", httpx2.Request("POST", "/"), body=None
        )


def asked(talk: Talk) -> dict[str, Any]:
    body: dict[str, Any] = {"model": talk.model, "input": _items(talk), "store": False}
    if talk.system:
        body["instructions"] = talk.system
    if talk.tools:
        about = {"description": "The weather.", "parameters": WEATHER, "strict": True}
        body["tools"] = [{"type": "function", "name": name, **about} for name in talk.tools]
    if talk.max_tokens is not None:
        body["max_output_tokens"] = talk.max_tokens
    if talk.think:
        body |= {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    if talk.schema is not None:
        body["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": talk.schema, "strict": True}}
    return body


def _items(talk: Talk) -> list[Any]:
    content: list[Any] = [{"type": "input_text", "text": talk.text}]
    if talk.image:
        content.append({"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG}"})
    items: list[Any] = [{"role": "user", "content": content}]
    if talk.past is not None:
        called = [item["call_id"] for item in talk.past.raw if item["type"] == "function_call"]
        items += talk.past.raw
        items += [
            {"type": "function_call_output", "call_id": id, "output": result}
            for id, result in zip(called, talk.results, strict=True)
        ]
    return items


def read(response: Any, items: list[Any]) -> Said:
    text, calls, thoughts, refused = "", [], [], False
    for item in items:
        if item.type == "message":
            text += "".join(getattr(part, "text", None) or getattr(part, "refusal", "") for part in item.content)
            refused = refused or any(part.type == "refusal" for part in item.content)
        elif item.type == "reasoning":
            said = [part.text for part in item.content or [] if part.text] or [part.text for part in item.summary]
            thoughts.append("\n\n".join(each for each in said if each))
        elif item.type == "function_call":
            calls.append(Called(flat(item.namespace or None, item.name), parsed(item.arguments)))
        elif item.type == "custom_tool_call":
            calls.append(Called(flat(getattr(item, "namespace", None) or None, item.name), item.input, True))
    reason = response.incomplete_details and response.incomplete_details.reason
    stop = _STOPS.get(reason) or ("tool_use" if calls else "refusal" if refused else "end")
    usage = (
        None if response.usage is None else counted([{"usage": response.usage.to_dict(warnings=False), "output": []}])
    )
    raw = [item.to_dict(mode="json", warnings=False) for item in items]
    return Said(text, "".join(thoughts), tuple(calls), stop, None, figures(usage), raw)
