"""OpenAI's Chat Completions and Embeddings: https://platform.openai.com/docs/api-reference/chat."""

from base64 import b64encode
from collections.abc import Iterator
from struct import pack
from typing import Any

from gateway.local.sandbox.answer import (
    Answer,
    Ask,
    Invalid,
    Members,
    Tool,
    encode,
    member,
    objects,
    prompt_tokens,
    rows,
    text_of,
)
from gateway.local.sandbox.dialect import Dialect, Events, Fault, Target, Vectors
from gateway.local.sandbox.openai import cached, fault, headers, problem
from gateway.local.sandbox.schema import mapping
from gateway.protocols.codec import Usage

_STOPS = {"end": "stop", "length": "length", "tool": "tool_calls", "refusal": "stop"}


def ask(target: Target, members: Members) -> Ask:
    model = target.model or member(members, "model")
    if not isinstance(model, str) or not model:
        raise Invalid("you must provide a model parameter")
    messages = objects(member(members, "messages"))
    if not messages:
        raise Invalid("Missing required parameter: 'messages'.", "messages")
    users = [t for m in messages if m.get("role") == "user" and (t := text_of(m.get("content")))]
    last = messages[-1]
    choice: Any = member(members, "tool_choice")
    return Ask(
        model=model,
        stream=member(members, "stream", False) is True,
        text=users[-1] if users else "",
        usage=cached(prompt_tokens(members, "messages", "tools")),
        tools=tuple(
            Tool(str(f.get("name")), mapping(f.get("parameters")))
            for t in objects(member(members, "tools"))
            if (f := mapping(t.get("function")))
        ),
        result=text_of(last.get("content")) if last.get("role") in {"tool", "function"} else None,
        forced=_forced(choice),
        schema=_schema(member(members, "response_format", {})),
        max_tokens=member(members, "max_completion_tokens", member(members, "max_tokens")),
        answers=_answers(member(members, "n", 1)),
        members=members,
    )


def _forced(choice: Any) -> str | None:
    if choice == "required":
        return ""
    function = mapping(mapping(choice).get("function"))
    return str(function.get("name", "")) if function else None


def _answers(number: Any) -> int:
    if type(number) is not int or not 1 <= number <= 128:
        raise Invalid(f"Invalid 'n': expected a value from 1 to 128, but got {number} instead.", "n")
    return number


def _schema(form: Any) -> dict[str, Any] | None:
    if form.get("type") == "json_schema":
        return form.get("json_schema", {}).get("schema") or {}
    return {} if form.get("type") == "json_object" else None


def identify(answer: Answer) -> str:
    return f"chatcmpl-{answer.serial}"


def _usage(usage: Usage) -> dict[str, Any]:
    prompt = usage.input_tokens + usage.cache_read_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output_tokens,
        "total_tokens": prompt + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def whole(ask: Ask, answer: Answer) -> bytes:
    refused = answer.stop == "refusal"
    text = "".join(answer.text)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if refused or answer.call else text,
        "refusal": text if refused else None,
        "annotations": [],
    }
    if call := answer.call:
        function = {"name": call.tool.name, "arguments": "".join(call.pieces)}
        message["tool_calls"] = [{"id": f"call_{answer.serial}", "type": "function", "function": function}]
    choice = {"message": message, "logprobs": None, "finish_reason": _STOPS[answer.stop]}
    choices = [{"index": index, **choice} for index in range(ask.answers)]
    return encode(_frame(answer, "chat.completion") | {"choices": choices, "usage": _usage(answer.usage)})


def _frame(answer: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": identify(answer),
        "object": kind,
        "created": answer.created,
        "model": answer.model,
        "service_tier": "default",
        "system_fingerprint": "fp_5a2db0c500",
    }


def events(ask: Ask, answer: Answer) -> Events:
    options: Any = member(ask.members, "stream_options", {})
    with_usage = options.get("include_usage") is True
    frame = _frame(answer, "chat.completion.chunk")

    def chunk(index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        body = frame | {"choices": [choice]} | ({"usage": None} if with_usage else {})
        return b"data: %b\n\n" % encode(body)

    spoken = 0
    for index in range(ask.answers):
        spoken += len(answer.thinking)
        yield chunk(index, {"role": "assistant", "content": None if answer.call else "", "refusal": None}), spoken
        for delta in _deltas(answer):
            spoken += 1
            yield chunk(index, delta), spoken
        yield chunk(index, {}, _STOPS[answer.stop]), spoken
    if with_usage:
        yield b"data: %b\n\n" % encode(frame | {"choices": [], "usage": _usage(answer.usage)}), spoken
    yield b"data: [DONE]\n\n", spoken


def _deltas(answer: Answer) -> Iterator[dict[str, Any]]:
    """Of one answer, a token each."""
    member_name = "refusal" if answer.stop == "refusal" else "content"
    for text in answer.text:
        yield {member_name: text}
    if call := answer.call:
        function = {"name": call.tool.name, "arguments": ""}
        yield {"tool_calls": [{"index": 0, "id": f"call_{answer.serial}", "type": "function", "function": function}]}
        for piece in call.pieces:
            yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def event_fault(ask: Ask, answer: Answer, fault: Fault) -> bytes:
    return b"data: %b\n\n" % encode({"error": problem(fault)})


def vectors(target: Target, members: Members) -> Vectors:
    model = target.model or member(members, "model")
    given: Any = member(members, "input")
    if not isinstance(model, str) or not model:
        raise Invalid("you must provide a model parameter")
    if not given:
        raise Invalid("'$.input' is invalid. Please check the API reference.")
    texts = [given] if isinstance(rows(given)[0], int) else rows(given)
    base64 = member(members, "encoding_format", "float") == "base64"
    size = int(member(members, "dimensions", 1536))
    return Vectors(model, tuple(str(t) for t in texts), prompt_tokens(members, "input"), size, base64)


def embedded(target: Target, asked: Vectors, embeddings: list[list[float]]) -> bytes:
    data = [
        {
            "object": "embedding",
            "index": i,
            "embedding": b64encode(pack(f"<{len(row)}f", *row)).decode() if asked.base64 else row,
        }
        for i, row in enumerate(embeddings)
    ]
    usage = {"prompt_tokens": asked.tokens, "total_tokens": asked.tokens}
    return encode({"object": "list", "data": data, "model": asked.model, "usage": usage})


OPENAI_CHAT = Dialect(
    "openai-chat", ask, identify, whole, events, fault, event_fault, headers, vectors=vectors, embedded=embedded
)
