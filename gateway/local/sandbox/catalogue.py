"""The sandbox's model lists: a few names to choose from. Any other name is served too."""

from typing import Any

from gateway.local.sandbox.answer import encode
from gateway.local.sandbox.dialect import Target

_BY_PROTOCOL = {
    "anthropic": ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"),
    "openai-chat": ("gpt-6.1-sol", "gpt-4o", "gpt-4o-mini", "text-embedding-3-small"),
    "gemini": ("gemini-3.5-flash-lite", "gemini-2.5-pro", "gemini-embedding-2"),
    "ollama": ("gemma3:12b", "llama3.2:latest"),
}
_SCRIPTED = ("sandbox-echo", "sandbox-tokens-500", "sandbox-tool", "sandbox-think", "sandbox-error-529")
_CREATED = 1767225600
_CREATED_AT = "2026-01-01T00:00:00Z"


def listing(protocol: str, target: Target) -> bytes:
    """The list of a protocol, or one model of it."""
    make = {"anthropic": _anthropic, "gemini": _gemini, "ollama": _ollama}.get(protocol, _openai)
    if target.operation == "model":
        return encode(make(target.model.removeprefix("models/")))
    names = (*_BY_PROTOCOL[protocol], *_SCRIPTED)
    rows = [make(name) for name in names]
    if protocol == "anthropic":
        return encode({"data": rows, "first_id": names[0], "last_id": names[-1], "has_more": False})
    return encode({"object": "list", "data": rows} if protocol == "openai-chat" else {"models": rows})


def _anthropic(name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"type": "model", "id": name, "display_name": name, "created_at": _CREATED_AT}
    return row | {"lifecycle": "active", "max_input_tokens": 200000, "max_tokens": 64000}


def _openai(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "sandbox"}


def _gemini(name: str) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "inputTokenLimit": 1048576,
        "outputTokenLimit": 65536,
        "supportedGenerationMethods": ["generateContent", "countTokens", "embedContent"],
    }


def _ollama(name: str) -> dict[str, Any]:
    details = {"format": "gguf", "family": "sandbox", "parameter_size": "1B", "quantization_level": "Q4_0"}
    return {
        "name": name,
        "model": name,
        "modified_at": _CREATED_AT,
        "size": 1,
        "digest": "5a2db0c5" * 8,
        "details": details,
    }
