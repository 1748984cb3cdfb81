"""What an upstream was asked, read by hand from the body in its own protocol."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple


class Answered(NamedTuple):
    """A call of the history, and what it came to."""

    name: str
    arguments: Any
    result: str


def answered(protocol: str, body: Mapping[str, Any]) -> list[Answered]:
    """In the order of the calls. Fails where a result has no call, or a call no result."""
    calls, results = _READERS[protocol](body)
    assert len(calls) == len(results), (calls, results)
    if protocol == "ollama":  # its results name tools, and stand in the order of the calls
        assert [name for name, _ in results] == [name for _, name, _ in calls]
        return [Answered(name, given, text) for (_, name, given), (_, text) in zip(calls, results, strict=True)]
    by_id = dict(results)
    assert len(by_id) == len(results)
    return [Answered(name, given, by_id[id]) for id, name, given in calls]


_Found = tuple[list[tuple[str, str, Any]], list[tuple[str, str]]]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _anthropic(body: Mapping[str, Any]) -> _Found:
    blocks = [
        block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]
    ]
    calls = [(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
    results = [(b["tool_use_id"], _text(b["content"])) for b in blocks if b["type"] == "tool_result"]
    return calls, results


def _chat(body: Mapping[str, Any]) -> _Found:
    messages = body["messages"]
    made = [call for message in messages for call in message.get("tool_calls") or ()]
    calls = [(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in made]
    return calls, [(m["tool_call_id"], _text(m["content"])) for m in messages if m["role"] == "tool"]


def _responses(body: Mapping[str, Any]) -> _Found:
    items = body["input"]
    made = [item for item in items if item.get("type") == "function_call"]
    calls = [(item["call_id"], item["name"], json.loads(item["arguments"])) for item in made]
    results = [item for item in items if item.get("type") == "function_call_output"]
    return calls, [(item["call_id"], _text(item["output"])) for item in results]


def _gemini(body: Mapping[str, Any]) -> _Found:
    parts = [part for content in body["contents"] for part in content["parts"]]
    made = [part["functionCall"] for part in parts if "functionCall" in part]
    heard = [part["functionResponse"] for part in parts if "functionResponse" in part]
    assert [one["name"] for one in made] == [one["name"] for one in heard]
    results = [(one["id"], next(iter(one["response"].values()))) for one in heard]
    return [(one["id"], one["name"], one["args"]) for one in made], results


def _ollama(body: Mapping[str, Any]) -> _Found:
    messages = body["messages"]
    made = [call["function"] for message in messages for call in message.get("tool_calls") or ()]
    results = [(m.get("tool_name", ""), m["content"]) for m in messages if m["role"] == "tool"]
    return [("", one["name"], one["arguments"]) for one in made], results


_READERS = {
    "anthropic": _anthropic,
    "openai_chat": _chat,
    "openai_responses": _responses,
    "gemini": _gemini,
    "ollama": _ollama,
}


def limits(protocol: str, body: Mapping[str, Any]) -> tuple[Any, Any]:
    """How many tokens may be answered, and the stop sequences."""
    match protocol:
        case "anthropic":
            return body.get("max_tokens"), body.get("stop_sequences")
        case "openai_chat":
            return body.get("max_completion_tokens", body.get("max_tokens")), body.get("stop")
        case "openai_responses":
            return body.get("max_output_tokens"), None
        case "gemini":
            config = body.get("generationConfig", {})
            return config.get("maxOutputTokens"), config.get("stopSequences")
        case _:
            return body.get("options", {}).get("num_predict"), body.get("options", {}).get("stop")


def thinks(protocol: str, body: Mapping[str, Any]) -> bool:
    match protocol:
        case "anthropic":
            return body.get("thinking", {}).get("type") in ("enabled", "adaptive")
        case "openai_chat":
            return body.get("reasoning_effort") not in (None, "none")
        case "openai_responses":
            return bool((body.get("reasoning") or {}).get("effort"))
        case "gemini":
            return body.get("generationConfig", {}).get("thinkingConfig", {}).get("includeThoughts") is True
        case _:
            return body.get("think") not in (None, False)
