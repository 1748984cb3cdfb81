"""Ollama's native API, as lines of JSON: https://github.com/ollama/ollama/blob/main/docs/api.md."""

from datetime import UTC, datetime
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
from gateway.local.sandbox.schema import mapping
from gateway.protocols.codec import Usage


def ask(target: Target, members: Members) -> Ask:
    model = member(members, "model", "")
    if not isinstance(model, str) or not model:
        raise Invalid("model is required")
    if target.action == "generate":
        messages = [{"role": "user", "content": member(members, "prompt", "")}]
    else:
        messages = objects(member(members, "messages")) or [{"role": "user", "content": ""}]
    users = [t for m in messages if m.get("role") == "user" and (t := text_of(m.get("content")))]
    last, form = messages[-1], member(members, "format")
    limit = member(members, "options", {}).get("num_predict")
    return Ask(
        model=model,
        stream=member(members, "stream", True) is not False,
        text=users[-1] if users else "",
        usage=Usage(input_tokens=prompt_tokens(members, "messages", "prompt", "system", "tools")),
        tools=tuple(
            Tool(str(f.get("name")), mapping(f.get("parameters")))
            for t in objects(member(members, "tools"))
            if (f := mapping(t.get("function")))
        ),
        result=text_of(last.get("content")) if last.get("role") == "tool" else None,
        schema={} if form == "json" else mapping(form) or None,
        max_tokens=limit if isinstance(limit, int) and limit > 0 else None,
        members=members,
    )


def identify(answer: Answer) -> str:
    return ""


def _line(ask: Ask, answer: Answer, text: str, thinking: str = "", **more: Any) -> dict[str, Any]:
    at = datetime.fromtimestamp(answer.created, UTC).isoformat().replace("+00:00", "Z")
    line: dict[str, Any] = {"model": answer.model, "created_at": at}
    if "prompt" in ask.members:
        line["response"] = text
        return line | ({"thinking": thinking} if thinking else {}) | more
    message: dict[str, Any] = {"role": "assistant", "content": text}
    return line | {"message": message | ({"thinking": thinking} if thinking else {})} | more


def _ending(answer: Answer) -> dict[str, Any]:
    usage = answer.usage
    return {
        "done": True,
        "done_reason": "length" if answer.stop == "length" else "stop",
        "total_duration": 12000000,
        "load_duration": 1000000,
        "prompt_eval_count": usage.input_tokens + usage.cache_read_tokens,
        "prompt_eval_duration": 1000000,
        "eval_count": usage.output_tokens,
        "eval_duration": 10000000,
    }


def _calls(answer: Answer) -> list[dict[str, Any]]:
    call = answer.call
    return [{"function": {"name": call.tool.name, "arguments": call.arguments}}] if call else []


def whole(ask: Ask, answer: Answer) -> bytes:
    line = _line(ask, answer, "".join(answer.text), "".join(answer.thinking), **_ending(answer))
    if (calls := _calls(answer)) and "message" in line:
        line["message"]["tool_calls"] = calls
    return encode(line)


def events(ask: Ask, answer: Answer) -> Events:
    spoken = 0
    for thought in answer.thinking:
        spoken += 1
        yield encode(_line(ask, answer, "", thought, done=False)) + b"\n", spoken
    for text in answer.text:
        spoken += 1
        yield encode(_line(ask, answer, text, done=False)) + b"\n", spoken
    if calls := _calls(answer):
        line = _line(ask, answer, "", done=False)
        line.setdefault("message", {})["tool_calls"] = calls
        yield encode(line) + b"\n", answer.usage.output_tokens
    yield encode(_line(ask, answer, "", **_ending(answer))) + b"\n", answer.usage.output_tokens


def fault(fault: Fault, request_id: str) -> bytes:
    return encode({"error": fault.message or f"sandbox: status {fault.status}"})


def event_fault(ask: Ask, answer: Answer, fault_: Fault) -> bytes:
    return fault(fault_, "") + b"\n"


def headers(request_id: str, fault: Fault | None) -> str:
    return ""


def vectors(target: Target, members: Members) -> Vectors:
    given: Any = member(members, "input", member(members, "prompt", ""))
    tokens = prompt_tokens(members, "input", "prompt")
    return Vectors(str(member(members, "model", "")), tuple(str(r) for r in rows(given)), tokens, 768)


def embedded(target: Target, asked: Vectors, embeddings: list[list[float]]) -> bytes:
    if target.action == "embeddings":
        return encode({"embedding": embeddings[0]})
    return encode({"model": asked.model, "embeddings": embeddings, "prompt_eval_count": asked.tokens})


OLLAMA = Dialect(
    "ollama",
    ask,
    identify,
    whole,
    events,
    fault,
    event_fault,
    headers,
    stream_type="application/x-ndjson",
    json_type="application/json; charset=utf-8",
    free=True,
    vectors=vectors,
    embedded=embedded,
)
