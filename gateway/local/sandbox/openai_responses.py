"""OpenAI's Responses API and its events: https://platform.openai.com/docs/api-reference/responses-streaming."""

from collections.abc import Iterator
from typing import Any

from gateway.local.sandbox.answer import (
    Answer,
    Ask,
    Call,
    Invalid,
    Members,
    Tool,
    encode,
    member,
    objects,
    prompt_tokens,
    text_of,
)
from gateway.local.sandbox.dialect import Dialect, Events, Fault, Target
from gateway.local.sandbox.openai import cached, fault, headers, problem
from gateway.local.sandbox.schema import mapping
from gateway.protocols.codec import Usage

_OUTPUTS = {"function_call_output", "custom_tool_call_output"}
_DEFAULTS: dict[str, Any] = {
    "background": False,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def ask(target: Target, members: Members) -> Ask:
    model = target.model or member(members, "model")
    if not isinstance(model, str) or not model:
        raise Invalid("Missing required parameter: 'model'.", "model")
    given: Any = member(members, "input")
    if not given and not member(members, "previous_response_id"):
        raise Invalid("Missing required parameter: 'input'.", "input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else objects(given)
    users = [t for i in items if i.get("role") == "user" and (t := text_of(i.get("content")))]
    last = items[-1] if items else {}
    choice: Any = member(members, "tool_choice")
    return Ask(
        model=model,
        stream=member(members, "stream", False) is True,
        text=users[-1] if users else "",
        usage=cached(prompt_tokens(members, "instructions", "input", "tools")),
        tools=tuple(_tools(_declared(members, items))),
        result=_result(last.get("output")) if last.get("type") in _OUTPUTS else None,
        forced="" if choice == "required" else _named(choice),
        schema=_schema(member(members, "text", {}).get("format") or {}),
        max_tokens=member(members, "max_output_tokens"),
        members=members,
    )


def _named(choice: Any) -> str | None:
    name = mapping(choice).get("name")
    return str(name) if name else None


def _result(output: Any) -> str:
    return text_of(output) or encode(output).decode()


def _declared(members: Members, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tools of the request, and those that items of the input add."""
    added = [tool for i in items if i.get("type") == "additional_tools" for tool in objects(i.get("tools"))]
    return [*objects(member(members, "tools")), *added]


def _tools(rows: list[dict[str, Any]], namespace: str = "") -> Iterator[Tool]:
    for row in rows:
        if row.get("type") == "namespace":
            yield from _tools(objects(row.get("tools")), str(row.get("name", "")))
        elif row.get("type") in {"function", "custom"}:
            yield Tool(str(row.get("name")), mapping(row.get("parameters")), str(row["type"]), namespace)


def _schema(form: dict[str, Any]) -> dict[str, Any] | None:
    if form.get("type") == "json_schema":
        return form.get("schema") or {}
    return {} if form.get("type") == "json_object" else None


def identify(answer: Answer) -> str:
    return f"resp_{answer.serial}"


def _usage(usage: Usage) -> dict[str, Any]:
    prompt = usage.input_tokens + usage.cache_read_tokens
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": prompt + usage.output_tokens,
    }


def _response(ask: Ask, answer: Answer, status: str, **more: Any) -> dict[str, Any]:
    asked = {
        name: ask.members[name] for name in _DEFAULTS if name in ask.members and bytes(ask.members[name]) != b"null"
    }
    return {
        "id": identify(answer),
        "object": "response",
        "created_at": answer.created,
        "completed_at": answer.created + 1 if status == "completed" else None,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": answer.model,
        "output": [],
        "usage": None,
        **_DEFAULTS,
        **asked,
        **_text_option(ask),
        **more,
    }


def _text_option(ask: Ask) -> dict[str, Any]:
    return {"text": {**_DEFAULTS["text"], **member(ask.members, "text", {})}}


def _reasoning(ask: Ask, answer: Answer) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": "".join(answer.thinking)}]
    item: dict[str, Any] = {"id": f"rs_{answer.serial}", "type": "reasoning", "summary": summary}
    if "reasoning.encrypted_content" in member(ask.members, "include", []):
        item["encrypted_content"] = f"gAAAAAB{answer.serial}"
    return item


def _part(answer: Answer, text: str) -> dict[str, Any]:
    if answer.stop == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _text_item(answer: Answer) -> dict[str, Any]:
    item: dict[str, Any] = {"id": f"msg_{answer.serial}", "type": "message", "role": "assistant"}
    status = "incomplete" if answer.stop == "length" else "completed"
    return item | {"status": status, "content": [_part(answer, "".join(answer.text))]}


def _call_item(answer: Answer, call: Call) -> dict[str, Any]:
    item = {"id": f"fc_{answer.serial}", "call_id": f"call_{answer.serial}", "name": call.tool.name}
    item |= {"namespace": call.tool.namespace} if call.tool.namespace else {}
    if call.tool.kind == "custom":
        return item | {"type": "custom_tool_call", "status": "completed", "input": "".join(call.pieces)}
    return item | {"type": "function_call", "status": "completed", "arguments": "".join(call.pieces)}


def _final(ask: Ask, answer: Answer) -> dict[str, Any]:
    output = [_reasoning(ask, answer)] if answer.thinking else []
    output += [_text_item(answer)] if answer.text else []
    output += [_call_item(answer, answer.call)] if answer.call else []
    if answer.stop == "length":
        more: dict[str, Any] = {"incomplete_details": {"reason": "max_output_tokens"}}
        return _response(ask, answer, "incomplete", output=output, usage=_usage(answer.usage), **more)
    return _response(ask, answer, "completed", output=output, usage=_usage(answer.usage))


def whole(ask: Ask, answer: Answer) -> bytes:
    return encode(_final(ask, answer))


def events(ask: Ask, answer: Answer) -> Events:
    for number, (event, spoken) in enumerate(_events(ask, answer)):
        event["sequence_number"] = number
        yield _framed(event), spoken


def _framed(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), encode(event))


def _events(ask: Ask, answer: Answer) -> Iterator[tuple[dict[str, Any], int]]:
    for kind in ("response.created", "response.in_progress"):
        yield {"type": kind, "response": _response(ask, answer, "in_progress")}, 0
    spoken = index = 0
    if answer.thinking:
        yield from _reasoning_events(ask, answer)
        spoken, index = len(answer.thinking), 1
    if answer.text:
        yield from _text_events(answer, index, spoken)
    if answer.call:
        yield from _call_events(answer, answer.call, index, spoken)
    final = _final(ask, answer)
    yield {"type": f"response.{final['status']}", "response": final}, answer.usage.output_tokens


def _reasoning_events(ask: Ask, answer: Answer) -> Iterator[tuple[dict[str, Any], int]]:
    item = _reasoning(ask, answer)
    at = {"item_id": item["id"], "output_index": 0, "summary_index": 0}
    text = item["summary"][0]
    yield {"type": "response.output_item.added", "output_index": 0, "item": item | {"summary": []}}, 0
    yield {"type": "response.reasoning_summary_part.added", **at, "part": text | {"text": ""}}, 0
    for spoken, piece in enumerate(answer.thinking, 1):
        yield {"type": "response.reasoning_summary_text.delta", **at, "delta": piece}, spoken
    total = len(answer.thinking)
    yield {"type": "response.reasoning_summary_text.done", **at, "text": text["text"]}, total
    yield {"type": "response.reasoning_summary_part.done", **at, "part": text}, total
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}, total


def _text_events(answer: Answer, index: int, before: int) -> Iterator[tuple[dict[str, Any], int]]:
    item = _text_item(answer)
    at: dict[str, Any] = {"item_id": item["id"], "output_index": index, "content_index": 0}
    refused = answer.stop == "refusal"
    kind = "response.refusal" if refused else "response.output_text"
    extra: dict[str, Any] = {} if refused else {"logprobs": []}
    start: dict[str, Any] = item | {"status": "in_progress", "content": []}
    yield {"type": "response.output_item.added", "output_index": index, "item": start}, before
    yield {"type": "response.content_part.added", **at, "part": _part(answer, "")}, before
    for spoken, piece in enumerate(answer.text, before + 1):
        yield {"type": f"{kind}.delta", **at, "delta": piece, **extra}, spoken
    total = before + len(answer.text)
    text = "".join(answer.text)
    yield {"type": f"{kind}.done", **at, **({"refusal": text} if refused else {"text": text, **extra})}, total
    yield {"type": "response.content_part.done", **at, "part": _part(answer, text)}, total
    yield {"type": "response.output_item.done", "output_index": index, "item": item}, total


def _call_events(answer: Answer, call: Call, index: int, before: int) -> Iterator[tuple[dict[str, Any], int]]:
    item = _call_item(answer, call)
    name = "input" if call.tool.kind == "custom" else "arguments"
    kind = "response.custom_tool_call_input" if name == "input" else "response.function_call_arguments"
    at: dict[str, Any] = {"item_id": item["id"], "output_index": index}
    start = item | {"status": "in_progress", name: ""}
    yield {"type": "response.output_item.added", "output_index": index, "item": start}, before
    for spoken, piece in enumerate(call.pieces, before + 2):
        yield {"type": f"{kind}.delta", **at, "delta": piece}, spoken
    total = answer.usage.output_tokens
    yield {"type": f"{kind}.done", **at, name: item[name], "name": item["name"]}, total
    yield {"type": "response.output_item.done", "output_index": index, "item": item}, total


def event_fault(ask: Ask, answer: Answer, fault: Fault) -> bytes:
    error = problem(fault)
    code = error["code"] or "server_error"
    first = {"type": "error", "sequence_number": 2, "error": error | {"code": code}}
    response = _response(ask, answer, "failed", error={"code": code, "message": error["message"]})
    return _framed(first) + _framed({"type": "response.failed", "sequence_number": 3, "response": response})


OPENAI_RESPONSES = Dialect("openai-responses", ask, identify, whole, events, fault, event_fault, headers)
