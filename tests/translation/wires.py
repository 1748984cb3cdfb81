"""Answers as six kinds of upstreams send them, by hand from the vendors' documents: a text, thinking, calls, an end.

Anthropic: docs.anthropic.com/en/docs/build-with-claude/streaming; chat and Responses:
platform.openai.com/docs/api-reference; Gemini: ai.google.dev/api/generate-content; Ollama: docs.ollama.com/api/chat;
Converse: docs.aws.amazon.com/bedrock (API_runtime_ConverseStream), its event stream framed as
server-sent events as the platform does it. The models' thinking stands first, as all of them write it.
"""

import json
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

NEW_LINE = "\n"


class Called(Struct, frozen=True):
    """`arguments` is the text that the model wrote; where a protocol has objects only, it must be one's JSON."""

    id: str
    name: str
    arguments: str = "{}"


class Said(Struct, frozen=True):
    """`stop`: the upstream's own word."""

    stop: str
    text: str = "hi"
    thinking: str = ""
    calls: tuple[Called, ...] = ()
    sequence: str | None = None


def wire(upstream: str, said: Said, stream: bool) -> bytes:
    """All of an answer's bytes."""
    return _WIRES[upstream](said, stream)


def _sse(events: Sequence[Any], *, named: bool = False, new_line: str = NEW_LINE) -> bytes:
    written: list[str] = []
    for each in events:
        if named:
            written.append(f"event: {each['type']}{new_line}")
        written.append(f"data: {json.dumps(each, ensure_ascii=False)}{new_line}{new_line}")
    return "".join(written).encode()


def _halves(text: str) -> list[str]:
    middle = len(text) // 2
    return [half for half in (text[:middle], text[middle:]) if half]


def _anthropic(said: Said, stream: bool) -> bytes:
    blocks: list[tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]] = []
    if said.thinking:
        deltas = [{"type": "thinking_delta", "thinking": half} for half in _halves(said.thinking)]
        sealed = {"type": "signature_delta", "signature": "c2ln"}
        empty = {"type": "thinking", "thinking": "", "signature": ""}
        blocks.append((empty, empty | {"thinking": said.thinking, "signature": "c2ln"}, [*deltas, sealed]))
    if said.text:
        deltas = [{"type": "text_delta", "text": half} for half in _halves(said.text)]
        blocks.append(({"type": "text", "text": ""}, {"type": "text", "text": said.text}, deltas))
    for call in said.calls:
        begun = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": half} for half in _halves(call.arguments)]
        whole = begun if stream else begun | {"input": json.loads(call.arguments or "{}")}
        blocks.append((begun, whole, deltas))
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "up", "content": []}
    ended = {"stop_reason": said.stop, "stop_sequence": said.sequence}
    if not stream:
        content = [whole for _, whole, _ in blocks]
        usage = {"input_tokens": 7, "output_tokens": 3}
        return json.dumps(message | ended | {"content": content, "usage": usage}, ensure_ascii=False).encode()
    usage = {"input_tokens": 7, "output_tokens": 1}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message | {"usage": usage}}, {"type": "ping"}]
    for index, (begun, _, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": ended, "usage": {"output_tokens": 3}})
    return _sse([*events, {"type": "message_stop"}], named=True)


def _chat(said: Said, stream: bool) -> bytes:
    """Parallel calls interleave: all begin, then their arguments come in turns."""
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    if not stream:
        calls = [_function(call) | {"id": call.id, "type": "function"} for call in said.calls]
        message: dict[str, Any] = {"role": "assistant", "content": said.text or None}
        message |= {"reasoning_content": said.thinking} if said.thinking else {}
        message |= {"tool_calls": calls} if calls else {}
        choice = {"index": 0, "message": message, "finish_reason": said.stop}
        found = {"id": "c", "object": "chat.completion", "created": 1, "model": "up", "choices": [choice]}
        return json.dumps(found | {"usage": usage}, ensure_ascii=False).encode()
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": half} for half in _halves(said.thinking)]
    deltas += [{"content": half} for half in _halves(said.text)]
    for index, call in enumerate(said.calls):
        begun = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        deltas.append({"tool_calls": [begun]})
    for half in (0, 1):
        for index, call in enumerate(said.calls):
            if half < len(pieces := _halves(call.arguments)):
                deltas.append({"tool_calls": [{"index": index, "function": {"arguments": pieces[half]}}]})
    chunks = [_chunk([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
    chunks.append(_chunk([{"index": 0, "delta": {}, "finish_reason": said.stop}]))
    chunks.append(_chunk([]) | {"usage": usage})
    return _sse(chunks) + b"data: [DONE]\n\n"


def _function(call: Called) -> dict[str, Any]:
    return {"function": {"name": call.name, "arguments": call.arguments}}


def _chunk(choices: list[Any]) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": choices}


def _responses(said: Said, stream: bool) -> bytes:
    """`stop` is the status, or why the response is incomplete."""
    items: list[dict[str, Any]] = []
    if said.thinking:
        items.append({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": said.thinking}]})
    if said.text:
        part = {"type": "output_text", "text": said.text, "annotations": []}
        items.append({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]})
    for call in said.calls:
        about = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
        items.append({"type": "function_call", "id": f"fc_{call.id}", "status": "completed", **about})
    whole = said.stop == "completed"
    usage = {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 10,
    }
    found = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "up",
        "status": "completed" if whole else "incomplete",
        "incomplete_details": None if whole else {"reason": said.stop},
        "error": None,
        "output": items,
        "usage": usage,
    }
    if not stream:
        return json.dumps(found, ensure_ascii=False).encode()
    begun = found | {"status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
    for index, item in enumerate(items):
        events += _of_item(item, {"item_id": item["id"], "output_index": index})
    events.append({"type": f"response.{found['status']}", "response": found})
    return _sse([each | {"sequence_number": number} for number, each in enumerate(events)], named=True)


def _of_item(item: dict[str, Any], place: dict[str, Any]) -> list[dict[str, Any]]:
    added = {"type": "response.output_item.added", "output_index": place["output_index"]}
    done = {"type": "response.output_item.done", "output_index": place["output_index"], "item": item}
    match item["type"]:
        case "message":
            text, begun = item["content"][0]["text"], item | {"content": [], "status": "in_progress"}
            kind, place = "response.output_text", place | {"content_index": 0}
        case "reasoning":
            text, begun = item["summary"][0]["text"], item | {"summary": []}
            kind, place = "response.reasoning_summary_text", place | {"summary_index": 0}
        case _:
            text, begun = item["arguments"], item | {"arguments": "", "status": "in_progress"}
            kind = "response.function_call_arguments"
    deltas = [{"type": f"{kind}.delta", **place, "delta": half} for half in _halves(text)]
    said = {"arguments": text} if kind.endswith("arguments") else {"text": text}
    return [added | {"item": begun}, *deltas, {"type": f"{kind}.done", **place, **said}, done]


def _gemini(said: Said, stream: bool) -> bytes:
    """Calls have no ids. An object of a stream has a part; the last has the end and the figures."""
    parts: list[dict[str, Any]] = [{"text": half, "thought": True} for half in _halves(said.thinking)]
    parts += [{"text": half} for half in _halves(said.text)]
    parts += [{"functionCall": {"name": call.name, "args": json.loads(call.arguments)}} for call in said.calls]
    usage = {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}
    own = {"modelVersion": "up", "responseId": "r"}
    last = {"usageMetadata": usage, **own}
    if not stream:
        candidate = {"content": {"role": "model", "parts": parts}, "finishReason": said.stop, "index": 0}
        return json.dumps({"candidates": [candidate], **last}, ensure_ascii=False).encode()
    pieces = [{"content": {"role": "model", "parts": [part]}, "index": 0} for part in parts]
    objects = [{"candidates": [piece], **own} for piece in pieces]
    end = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": said.stop, "index": 0}
    return _sse([*objects, {"candidates": [end], **last}], new_line="\r\n")


def _ollama(said: Said, stream: bool) -> bytes:
    calls = [{"function": {"name": call.name, "arguments": json.loads(call.arguments)}} for call in said.calls]
    figures = {"prompt_eval_count": 7, "eval_count": 3, "total_duration": 9, "load_duration": 1}
    end = {"done": True, "done_reason": said.stop, **figures}
    if not stream:
        message: dict[str, Any] = {"role": "assistant", "content": said.text}
        message |= {"thinking": said.thinking} if said.thinking else {}
        message |= {"tool_calls": calls} if calls else {}
        return json.dumps(_line(message) | end, ensure_ascii=False).encode()
    messages: list[dict[str, Any]] = [
        *({"role": "assistant", "content": "", "thinking": half} for half in _halves(said.thinking)),
        *({"role": "assistant", "content": half} for half in _halves(said.text)),
        *({"role": "assistant", "content": "", "tool_calls": [call]} for call in calls),
    ]
    lines = [_line(message) | {"done": False} for message in messages]
    lines.append(_line({"role": "assistant", "content": ""}) | end)
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def _line(message: dict[str, Any]) -> dict[str, Any]:
    return {"model": "up", "created_at": "2026-11-20T12:00:00Z", "message": message}


def _converse(said: Said, stream: bool) -> bytes:
    usage = {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}
    more = {} if said.sequence is None else {"additionalModelResponseFields": {"stop_sequence": said.sequence}}
    blocks: list[tuple[dict[str, Any] | None, list[dict[str, Any]], dict[str, Any]]] = []
    if said.thinking:
        thought = {"reasoningText": {"text": said.thinking, "signature": "c2ln"}}
        deltas = [*({"text": half} for half in _halves(said.thinking)), {"signature": "c2ln"}]
        blocks.append((None, [{"reasoningContent": delta} for delta in deltas], {"reasoningContent": thought}))
    if said.text:
        blocks.append((None, [{"text": half} for half in _halves(said.text)], {"text": said.text}))
    for call in said.calls:
        about = {"toolUseId": call.id, "name": call.name}
        deltas = [{"toolUse": {"input": half}} for half in _halves(call.arguments)]
        whole = {} if stream else {"input": json.loads(call.arguments or "{}")}
        blocks.append(({"toolUse": about}, deltas, {"toolUse": about | whole}))
    if not stream:
        output = {"message": {"role": "assistant", "content": [whole for *_, whole in blocks]}}
        found = {"output": output, "stopReason": said.stop, "usage": usage, "metrics": {"latencyMs": 9}}
        return json.dumps(found | more, ensure_ascii=False).encode()
    frames: list[tuple[str, dict[str, Any]]] = [("messageStart", {"role": "assistant"})]
    for index, (begun, deltas, _) in enumerate(blocks):
        place = {"contentBlockIndex": index}
        if begun is not None:
            frames.append(("contentBlockStart", {"start": begun, **place}))
        frames += [("contentBlockDelta", {"delta": delta, **place}) for delta in deltas]
        frames.append(("contentBlockStop", place))
    frames += [("messageStop", {"stopReason": said.stop, **more}), ("metadata", {"usage": usage})]
    return "".join(
        f"event: {kind}\ndata: {json.dumps(found, ensure_ascii=False)}\n\n" for kind, found in frames
    ).encode()


_WIRES = {
    "anthropic": _anthropic,
    "openai_chat": _chat,
    "openai_responses": _responses,
    "gemini": _gemini,
    "ollama": _ollama,
    "converse": _converse,
}
PLAIN = {
    "anthropic": "end_turn",
    "openai_chat": "stop",
    "openai_responses": "completed",
    "gemini": "STOP",
    "ollama": "stop",
    "converse": "end_turn",
}
"""How each ends an answer that is complete."""
CALLING = PLAIN | {"anthropic": "tool_use", "openai_chat": "tool_calls", "converse": "tool_use"}
"""And one that calls a tool."""
