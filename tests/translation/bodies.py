"""Requests as the five kinds of clients write them, by hand from the vendors' documents; and what of them is found in
what is built for an upstream."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gateway.protocols import CODECS
from gateway.protocols.codec import Endpoint
from gateway.translation import SPEECHES, UPSTREAMS
from gateway.translation.prompt import Prompt
from gateway.translation.speech import Built, Limits

SCHEMA: Mapping[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
NAMES = ("f", "g")
ENDPOINTS: Mapping[str, Endpoint] = {
    name: next(one for one in codec.endpoints if one.operation == "generate") for name, codec in CODECS.items()
}


def read(client: str, body: Mapping[str, Any]) -> Prompt:
    return SPEECHES[client].parse(json.dumps(body).encode(), ENDPOINTS[client])


def built(upstream: str, prompt: Prompt, model: str = "m", most: int | None = None) -> Built:
    return UPSTREAMS[upstream].build(prompt, Limits(model, most))


def sent(upstream: str, prompt: Prompt, model: str = "m") -> Any:
    return json.loads(built(upstream, prompt, model).body)


SAMPLING = {
    "anthropic": {"temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "max_tokens": "max_tokens"},
    "openai_chat": {
        **{name: name for name in ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")},
        "max_tokens": "max_tokens",
    },
    "openai_responses": {
        **{name: name for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty")},
        "max_tokens": "max_output_tokens",
    },
    "gemini": {
        "temperature": "temperature",
        "top_p": "topP",
        "top_k": "topK",
        "seed": "seed",
        "presence_penalty": "presencePenalty",
        "frequency_penalty": "frequencyPenalty",
        "max_tokens": "maxOutputTokens",
    },
    "ollama": {
        **{name: name for name in ("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty")},
        "max_tokens": "num_predict",
    },
}
"""What each calls what a Prompt calls so."""


def plain(client: str, **sampling: Any) -> dict[str, Any]:
    """A greeting, with these members by their names in a Prompt."""
    theirs = {SAMPLING[client][name]: value for name, value in sampling.items()}
    said = [{"role": "user", "content": "hi"}]
    match client:
        case "openai_responses":
            return {"model": "m", "input": "hi", **theirs}
        case "gemini":
            return {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": theirs}
        case "ollama":
            return {"model": "m", "messages": said, "options": theirs}
        case _:
            return {"model": "m", "messages": said, **theirs}


def spoken(
    client: str,
    ids: Sequence[str] = ("c1", "c2"),
    *,
    arguments: Sequence[str] = ('{"a": 1}', "{}"),
    answered: Sequence[int] = (1, 0),
    after: str = "and?",
) -> dict[str, Any]:
    """A conversation: two calls at once, their results in this order, and what the user says then."""
    return _SPOKEN[client](ids, arguments, answered, after)


def _of_anthropic(ids: Sequence[str], arguments: Sequence[str], answered: Sequence[int], after: str) -> dict[str, Any]:
    calls = [
        {"type": "tool_use", "id": each, "name": name, "input": json.loads(text or "{}")}
        for each, name, text in zip(ids, NAMES, arguments, strict=True)
    ]
    results = [{"type": "tool_result", "tool_use_id": ids[at], "content": f"r{at}"} for at in answered]
    heard = [*results, {"type": "text", "text": after}]
    return {
        "model": "m",
        "max_tokens": 99,
        "system": "be",
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "text", "text": "ok"}, *calls]},
            {"role": "user", "content": heard},
        ],
        "tools": [{"name": name, "input_schema": SCHEMA} for name in NAMES],
    }


def _of_chat(ids: Sequence[str], arguments: Sequence[str], answered: Sequence[int], after: str) -> dict[str, Any]:
    calls = [
        {"id": each, "type": "function", "function": {"name": name, "arguments": text}}
        for each, name, text in zip(ids, NAMES, arguments, strict=True)
    ]
    return {
        "model": "m",
        "messages": [
            {"role": "developer", "content": "be"},
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "ok", "tool_calls": calls},
            *({"role": "tool", "tool_call_id": ids[at], "content": f"r{at}"} for at in answered),
            {"role": "user", "content": after},
        ],
        "tools": [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in NAMES],
    }


def _of_responses(ids: Sequence[str], arguments: Sequence[str], answered: Sequence[int], after: str) -> dict[str, Any]:
    calls = [
        {"type": "function_call", "call_id": each, "name": name, "arguments": text}
        for each, name, text in zip(ids, NAMES, arguments, strict=True)
    ]
    return {
        "model": "m",
        "instructions": "be",
        "input": [
            {"role": "user", "content": "go"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]},
            *calls,
            *({"type": "function_call_output", "call_id": ids[at], "output": f"r{at}"} for at in answered),
            {"role": "user", "content": after},
        ],
        "tools": [{"type": "function", "name": name, "parameters": SCHEMA} for name in NAMES],
    }


def _of_gemini(ids: Sequence[str], arguments: Sequence[str], answered: Sequence[int], after: str) -> dict[str, Any]:
    """Without ids: most of its clients send none."""
    calls = [
        {"functionCall": {"name": name, "args": json.loads(text or "{}")}}
        for name, text in zip(NAMES, arguments, strict=True)
    ]
    results = [{"functionResponse": {"name": NAMES[at], "response": {"output": f"r{at}"}}} for at in answered]
    return {
        "systemInstruction": {"parts": [{"text": "be"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "go"}]},
            {"role": "model", "parts": [{"text": "ok"}, *calls]},
            {"role": "user", "parts": [*results, {"text": after}]},
        ],
        "tools": [{"functionDeclarations": [{"name": name, "parametersJsonSchema": SCHEMA} for name in NAMES]}],
    }


def _of_ollama(ids: Sequence[str], arguments: Sequence[str], answered: Sequence[int], after: str) -> dict[str, Any]:
    calls = [
        {"function": {"name": name, "arguments": json.loads(text or "{}")}}
        for name, text in zip(NAMES, arguments, strict=True)
    ]
    return {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be"},
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "ok", "tool_calls": calls},
            *({"role": "tool", "tool_name": NAMES[at], "content": f"r{at}"} for at in answered),
            {"role": "user", "content": after},
        ],
        "tools": [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in NAMES],
    }


_SPOKEN = {
    "anthropic": _of_anthropic,
    "openai_chat": _of_chat,
    "openai_responses": _of_responses,
    "gemini": _of_gemini,
    "ollama": _of_ollama,
}


class Round(NamedTuple):
    """`calls`: (id, name, arguments); `results`: (id, text), in the order in which the upstream is given them; `roles`:
    who speaks, message by message; `last`: what the last message says beside results."""

    calls: list[tuple[Any, str, Any]]
    results: list[tuple[Any, str]]
    roles: str
    last: str


def rounds(upstream: str, body: Any) -> Round:
    """What is built for an upstream, as its vendor's document reads it."""
    return _ROUNDS[upstream](body)


def _at_anthropic(body: Any) -> Round:
    blocks = [block for message in body["messages"] for block in message["content"]]
    calls = [(each["id"], each["name"], each["input"]) for each in blocks if each["type"] == "tool_use"]
    results = [(each["tool_use_id"], each["content"][0]["text"]) for each in blocks if each["type"] == "tool_result"]
    last = "".join(each["text"] for each in body["messages"][-1]["content"] if each["type"] == "text")
    return Round(calls, results, "".join(each["role"][0] for each in body["messages"]), last)


def _at_chat(body: Any) -> Round:
    messages = body["messages"]
    calls = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for message in messages
        for call in message.get("tool_calls", ())
    ]
    results = [(each["tool_call_id"], each["content"]) for each in messages if each["role"] == "tool"]
    return Round(calls, results, "".join(each["role"][0] for each in messages), messages[-1]["content"])


def _at_responses(body: Any) -> Round:
    items = body["input"]
    calls = [
        (each["call_id"], each["name"], json.loads(each["arguments"]))
        for each in items
        if each["type"] == "function_call"
    ]
    results = [(each["call_id"], each["output"]) for each in items if each["type"] == "function_call_output"]
    letters = {"function_call": "c", "function_call_output": "t"}
    roles = "".join(letters.get(each["type"]) or each["role"][0] for each in items)
    return Round(calls, results, roles, items[-1]["content"][0]["text"])


def _at_gemini(body: Any) -> Round:
    """Pairs are known by name and order."""
    parts = [part for content in body["contents"] for part in content["parts"]]
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    results = [part["functionResponse"] for part in parts if "functionResponse" in part]
    last = "".join(part.get("text", "") for part in body["contents"][-1]["parts"])
    return Round(
        [(each["name"], each["name"], each["args"]) for each in calls],
        [(each["name"], "".join(each["response"].values())) for each in results],
        "".join(each["role"][0] for each in body["contents"]),
        last,
    )


def _at_ollama(body: Any) -> Round:
    messages = body["messages"]
    calls = [call["function"] for message in messages for call in message.get("tool_calls", ())]
    results = [(each["tool_name"], each["content"]) for each in messages if each["role"] == "tool"]
    return Round(
        [(each["name"], each["name"], each["arguments"]) for each in calls],
        results,
        "".join(each["role"][0] for each in messages),
        messages[-1]["content"],
    )


def _at_converse(body: Any) -> Round:
    blocks = [block for message in body["messages"] for block in message["content"]]
    calls = [block["toolUse"] for block in blocks if "toolUse" in block]
    results = [block["toolResult"] for block in blocks if "toolResult" in block]
    last = "".join(block.get("text", "") for block in body["messages"][-1]["content"])
    return Round(
        [(each["toolUseId"], each["name"], each["input"]) for each in calls],
        [(each["toolUseId"], each["content"][0]["text"]) for each in results],
        "".join(each["role"][0] for each in body["messages"]),
        last,
    )


_ROUNDS = {
    "anthropic": _at_anthropic,
    "openai_chat": _at_chat,
    "openai_responses": _at_responses,
    "gemini": _at_gemini,
    "ollama": _at_ollama,
    "converse": _at_converse,
}
