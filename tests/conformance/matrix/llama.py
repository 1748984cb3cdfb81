"""Ollama's client: what it sends for a conversation, and what it reads."""

from typing import Any

import ollama

from tests.conformance.matrix.said import PNG, WEATHER, Called, Figures, Said, Talk
from tests.conformance.matrix.wires import Transport, Wire

FAULT = ollama.ResponseError


class Client:
    def __init__(self, url: str, key: str, wires: list[Wire]) -> None:
        header = {"authorization": f"Bearer {key}"}
        self._sdk = ollama.AsyncClient(url, headers=header, transport=Transport(wires), trust_env=False, timeout=30)

    async def ask(self, talk: Talk, stream: bool) -> Said:
        body = asked(talk)
        if stream:
            return read([answer async for answer in await self._sdk.chat(stream=True, **body)])
        return read([await self._sdk.chat(**body)])

    async def close(self) -> None:
        await self._sdk.close()


def asked(talk: Talk) -> dict[str, Any]:
    body: dict[str, Any] = {"model": talk.model, "messages": _messages(talk)}
    if talk.tools:
        about = {"description": "The weather.", "parameters": WEATHER}
        body["tools"] = [{"type": "function", "function": {"name": name, **about}} for name in talk.tools]
    options = {"num_predict": talk.max_tokens, "stop": list(talk.stop) or None}
    if given := {name: value for name, value in options.items() if value is not None}:
        body["options"] = given
    if talk.think:
        body["think"] = True
    if talk.schema is not None:
        body["format"] = talk.schema
    return body


def _messages(talk: Talk) -> list[Any]:
    asking: dict[str, Any] = {"role": "user", "content": talk.text}
    if talk.image:
        asking["images"] = [PNG]
    messages: list[Any] = [asking]
    if talk.system:
        messages.insert(0, {"role": "system", "content": talk.system})
    if talk.past is not None:
        messages.append(talk.past.raw)
        messages += [
            {"role": "tool", "tool_name": call["function"]["name"], "content": result}
            for call, result in zip(talk.past.raw["tool_calls"], talk.results, strict=True)
        ]
    return messages


def read(answers: list[Any]) -> Said:
    text = "".join(answer.message.content or "" for answer in answers)
    thinking = "".join(answer.message.thinking or "" for answer in answers)
    calls = [call for answer in answers for call in answer.message.tool_calls or []]
    last = answers[-1]
    assert last.done, "there is no end"
    stop = "length" if last.done_reason == "length" else "tool_use" if calls else "end"
    raw = {"role": "assistant", "content": text, "tool_calls": [call.model_dump() for call in calls]}
    return Said(
        text,
        thinking,
        tuple(Called(call.function.name, dict(call.function.arguments)) for call in calls),
        stop,
        None,
        Figures(last.prompt_eval_count or 0, output=last.eval_count or 0),
        raw | ({"thinking": thinking} if thinking else {}),
    )
