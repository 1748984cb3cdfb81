"""Ollama's native API, as lines of JSON: https://github.com/ollama/ollama/blob/main/docs/api.md.

A request without messages or prompt only loads the model (or frees it, with `keep_alive` 0): it is answered in one
piece and costs nothing.
"""

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

_MESSAGES = {
    400: "invalid character 'x' looking for beginning of value",
    401: "unauthorized",
    403: "forbidden",
    404: "model 'sandbox' not found",
    429: "too many requests",
    503: "server busy, please try again.  maximum pending requests exceeded",
}
_REASONS = {
    "quota": "you've reached your hourly usage limit, please wait or upgrade to continue",
    "credit": "your subscription payment is past due. update your payment method: https://ollama.com/settings/billing",
    "key": "unauthorized",
    "model": "model 'sandbox' not found",
}
_FAULT = "an unknown error was encountered while running the model"


def ask(target: Target, members: Members) -> Ask:
    model = member(members, "model", "")
    if not isinstance(model, str) or not model:
        raise Invalid("model is required")
    if target.action == "generate":
        prompt = member(members, "prompt", "")
        messages = [{"role": "user", "content": prompt}] if prompt else []
    else:
        messages = objects(member(members, "messages"))
    if not messages:
        return Ask(model, False, "", Usage(), max_tokens=0, members=members, action=target.action)
    users = [t for m in messages if m.get("role") == "user" and (t := text_of(m.get("content")))]
    last, form = messages[-1], member(members, "format")
    limit = mapping(member(members, "options")).get("num_predict")
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
        action=target.action,
    )


def identify(answer: Answer) -> str:
    return ""


def _line(ask: Ask, answer: Answer, text: str, thinking: str = "", **more: Any) -> dict[str, Any]:
    at = datetime.fromtimestamp(answer.created, UTC).isoformat().replace("+00:00", "Z")
    line: dict[str, Any] = {"model": answer.model, "created_at": at}
    if ask.action == "generate":
        line["response"] = text
        return line | ({"thinking": thinking} if thinking else {}) | more
    message: dict[str, Any] = {"role": "assistant", "content": text}
    return line | {"message": message | ({"thinking": thinking} if thinking else {})} | more


def _ending(ask: Ask, answer: Answer) -> dict[str, Any]:
    if ask.max_tokens == 0:
        freed = member(ask.members, "keep_alive") in (0, "0")
        return {"done": True, "done_reason": "unload" if freed else "load"}
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
    line = _line(ask, answer, "".join(answer.text), "".join(answer.thinking), **_ending(ask, answer))
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
    yield encode(_line(ask, answer, "", **_ending(ask, answer))) + b"\n", answer.usage.output_tokens


def fault(fault: Fault, request_id: str) -> bytes:
    known = _REASONS.get(fault.reason) or _MESSAGES.get(fault.status)
    return encode({"error": fault.message or known or (_FAULT if fault.status >= 500 else _MESSAGES[400])})


def event_fault(ask: Ask, answer: Answer, fault_: Fault) -> bytes:
    return fault(fault_, "") + b"\n"


def headers(request_id: str, fault: Fault | None) -> str:
    return f"retry-after: {fault.retry_after}\r\n" if fault is not None and fault.retry_after is not None else ""


def vectors(target: Target, members: Members) -> Vectors:
    model = member(members, "model", "")
    if not isinstance(model, str) or not model:
        raise Invalid("model is required")
    given: Any = member(members, "input", member(members, "prompt", ""))
    size = member(members, "dimensions", 768)
    tokens = prompt_tokens(members, "input", "prompt")
    return Vectors(model, tuple(str(r) for r in rows(given)), tokens, size if isinstance(size, int) else 768)


def embedded(target: Target, asked: Vectors, embeddings: list[list[float]]) -> bytes:
    if target.action == "embeddings":
        return encode({"embedding": embeddings[0] if embeddings else []})
    durations = {"total_duration": 12000000, "load_duration": 1000000}
    return encode({"model": asked.model, "embeddings": embeddings, **durations, "prompt_eval_count": asked.tokens})


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
