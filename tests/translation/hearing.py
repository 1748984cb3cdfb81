"""The way of an answer from an upstream's bytes to a client's, and what a client finds in them."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from gateway.translation import SPEECHES, UPSTREAMS
from gateway.translation.events import Event
from gateway.translation.prompt import Prompt, Reasoning, Text, Tool, Turn
from gateway.translation.speech import Asking

TOOLS = (Tool("f"), Tool("g"))
PROMPT = Prompt(
    "m",
    (Turn("user", (Text("hi"),)),),
    stream=True,
    include_usage=True,
    tools=TOOLS,
    reasoning=Reasoning(True, shown=True),
)
ASKING = Asking("m", "req_01a1fbe9af53720da0f878a9fa293a4a", 1_790_000_000, PROMPT)


def heard(upstream: str, data: bytes | Iterable[bytes], stream: bool) -> list[Event]:
    reader = UPSTREAMS[upstream].reader(stream)
    pieces = [data] if isinstance(data, bytes) else data
    events = [event for piece in pieces for event in reader.feed(piece)]
    return [*events, *reader.close()]


def told(client: str, events: list[Event], stream: bool, asking: Asking = ASKING) -> bytes:
    """The client's bytes."""
    if not stream:
        return SPEECHES[client].whole(asking, events)
    writer = SPEECHES[client].writer(asking)
    return b"".join(map(writer.write, events))


class Found(NamedTuple):
    """`calls`: (id, name, JSON text of the arguments); `input` and `output`: tokens."""

    stop: str | None
    text: str
    thinking: str
    calls: list[tuple[str | None, str, str]]
    input: int
    output: int


def found(client: str, data: bytes, stream: bool) -> Found:
    """Read as a plain program would, by the vendor's words alone."""
    return _FINDERS[client](_objects(client, data) if stream else [json.loads(data)], stream)


def _objects(client: str, data: bytes) -> list[Any]:
    lines = data.split(b"\n")
    if client != "ollama":
        lines = [line[6:] for line in lines if line.startswith(b"data: ") and line != b"data: [DONE]"]
    return [json.loads(line) for line in lines if line]


def _anthropic(objects: list[Any], stream: bool) -> Found:
    if not stream:
        (message,) = objects
        blocks = message["content"]
        usage, stop = message["usage"], message["stop_reason"]
        calls = [(each["id"], each["name"], json.dumps(each["input"])) for each in blocks if each["type"] == "tool_use"]
        return Found(
            stop, _of(blocks, "text"), _of(blocks, "thinking"), calls, usage["input_tokens"], usage["output_tokens"]
        )
    starts = {each["index"]: each["content_block"] for each in objects if each["type"] == "content_block_start"}
    deltas = [(each["index"], each["delta"]) for each in objects if each["type"] == "content_block_delta"]
    last = next(each for each in objects if each["type"] == "message_delta")
    calls = [
        (start["id"], start["name"], _said([delta for at, delta in deltas if at == index], "partial_json") or "{}")
        for index, start in starts.items()
        if start["type"] == "tool_use"
    ]
    every = [delta for _, delta in deltas]
    usage = last["usage"]
    return Found(
        last["delta"]["stop_reason"],
        _said(every, "text"),
        _said(every, "thinking"),
        calls,
        usage["input_tokens"],
        usage["output_tokens"],
    )


def _said(members: list[dict[str, Any]], name: str) -> str:
    return "".join(each.get(name) or "" for each in members)


def _of(blocks: list[dict[str, Any]], kind: str) -> str:
    return "".join(each[kind] for each in blocks if each["type"] == kind)


def _chat(objects: list[Any], stream: bool) -> Found:
    member = "delta" if stream else "message"
    choices = [choice for each in objects for choice in each["choices"]]
    pieces = [choice[member] for choice in choices]
    calls: dict[int, list[Any]] = {}
    for piece in pieces:
        for at, call in enumerate(piece.get("tool_calls") or ()):
            known = calls.setdefault(call.get("index", at), [call.get("id"), call["function"].get("name"), ""])
            known[2] += call["function"].get("arguments") or ""
    stop = next((choice["finish_reason"] for choice in choices if choice["finish_reason"]), None)
    usage = next(each["usage"] for each in reversed(objects) if each.get("usage"))
    thinking = _said(pieces, "reasoning_content")
    every = [(call_id, name, arguments) for call_id, name, arguments in calls.values()]
    return Found(stop, _said(pieces, "content"), thinking, every, usage["prompt_tokens"], usage["completion_tokens"])


def _responses(objects: list[Any], stream: bool) -> Found:
    response = objects[-1]["response"] if stream else objects[0]
    items = response["output"]
    text = "".join(part["text"] for item in items if item["type"] == "message" for part in item["content"])
    thinking = "".join(part["text"] for item in items if item["type"] == "reasoning" for part in item["summary"])
    calls = [(item["call_id"], item["name"], item["arguments"]) for item in items if item["type"] == "function_call"]
    stop = (response["incomplete_details"] or {}).get("reason") or response["status"]
    if stream:
        assert _said([each for each in objects if each["type"] == "response.output_text.delta"], "delta") == text
    usage = response["usage"]
    return Found(stop, text, thinking, calls, usage["input_tokens"], usage["output_tokens"])


def _gemini(objects: list[Any], stream: bool) -> Found:
    candidates = [candidate for each in objects for candidate in each.get("candidates", ())]
    parts = [part for candidate in candidates for part in candidate["content"]["parts"]]
    thoughts = [part for part in parts if part.get("thought")]
    texts = [part for part in parts if not part.get("thought")]
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    stop = next((each["finishReason"] for each in candidates if "finishReason" in each), None)
    usage = objects[-1]["usageMetadata"]
    return Found(
        stop,
        _said(texts, "text"),
        _said(thoughts, "text"),
        [(call.get("id"), call["name"], json.dumps(call["args"])) for call in calls],
        usage["promptTokenCount"],
        usage["candidatesTokenCount"],
    )


def _ollama(objects: list[Any], stream: bool) -> Found:
    messages = [each["message"] for each in objects]
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    return Found(
        objects[-1]["done_reason"],
        _said(messages, "content"),
        _said(messages, "thinking"),
        [(call.get("id"), call["function"]["name"], json.dumps(call["function"]["arguments"])) for call in calls],
        objects[-1]["prompt_eval_count"],
        objects[-1]["eval_count"],
    )


_FINDERS: Mapping[str, Any] = {
    "anthropic": _anthropic,
    "openai_chat": _chat,
    "openai_responses": _responses,
    "gemini": _gemini,
    "ollama": _ollama,
}
