"""The vendors' own types of a request as judges of what was sent upstream: nothing that they do not know, nothing that
they would refuse."""

from collections.abc import Iterator, Mapping
from typing import Any

import ollama
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from google.genai import types
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params
from pydantic import TypeAdapter

_TYPED = {
    ("anthropic", False): TypeAdapter(MessageCreateParamsNonStreaming),
    ("anthropic", True): TypeAdapter(MessageCreateParamsStreaming),
    ("openai_chat", False): TypeAdapter(completion_create_params.CompletionCreateParamsNonStreaming),
    ("openai_chat", True): TypeAdapter(completion_create_params.CompletionCreateParamsStreaming),
    ("openai_responses", False): TypeAdapter(response_create_params.ResponseCreateParamsNonStreaming),
    ("openai_responses", True): TypeAdapter(response_create_params.ResponseCreateParamsStreaming),
}
_GOOGLES = {
    "contents": list[types.Content],
    "systemInstruction": types.Content,
    "generationConfig": types.GenerationConfig,
    "tools": list[types.Tool],
    "toolConfig": types.ToolConfig,
    "safetySettings": list[types.SafetySetting],
    "serviceTier": str,
}


def faults(protocol: str, body: Mapping[str, Any]) -> list[str]:
    """What the vendor's types do not know, by path. Raises ValidationError for what they refuse."""
    if protocol == "gemini":
        unknown = [name for name in body if name not in _GOOGLES]
        for name, value in body.items():
            if name in _GOOGLES:
                TypeAdapter(_GOOGLES[name]).validate_python(value)
        return unknown
    if protocol == "ollama":
        taken = ollama._types.ChatRequest.model_validate(body).model_dump(exclude_none=True)
        # The type of a tool's schema has few of JSON schema's words.
        return [path for path in _lost(body, taken, "") if ".function.parameters." not in path]
    taken = _TYPED[protocol, body.get("stream") is True].validate_python(_filled(protocol, body))
    return [path for path in _lost(body, taken, "") if protocol != "anthropic" or path not in _OLDER]


#: Members of the version that is asked for when they are there; the SDK's types are of a later one.
_OLDER = (".temperature", ".top_p", ".top_k")


def _filled(protocol: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Assistants' messages without the members of stored ones are what OpenAI's own client sends (Codex:
    codex-rs/protocol/src/models.rs), and what its SDK's types do not have."""
    if protocol != "openai_responses":
        return body
    items = []
    for item in body["input"]:
        if item.get("type") == "message" and item.get("role") == "assistant":
            content = [part | {"annotations": part.get("annotations", [])} for part in item["content"]]
            item = {"id": "msg_1", "status": "completed"} | item | {"content": content}
        items.append(item)
    return {**body, "input": items}


def _lost(given: Any, taken: Any, path: str) -> Iterator[str]:
    """Types that are dictionaries leave out what they do not know; their lists are read when they are iterated."""
    if isinstance(given, Mapping):
        kept = taken if isinstance(taken, Mapping) else dict(taken)
        for name, value in given.items():
            if name in kept:
                yield from _lost(value, kept[name], f"{path}.{name}")
            elif value is not None:
                yield f"{path}.{name}"
    elif isinstance(given, list):
        for at, (one, other) in enumerate(zip(given, list(taken), strict=True)):
            yield from _lost(one, other, f"{path}[{at}]")
