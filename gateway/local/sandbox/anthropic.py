"""Anthropic's Messages API: https://platform.claude.com/docs/en/api/messages (shapes as of version 2026-10-21)."""

from collections.abc import Iterator
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
    text_of,
)
from gateway.local.sandbox.dialect import Dialect, Events, Fault, Target
from gateway.local.sandbox.schema import mapping
from gateway.protocols.codec import Usage

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_MESSAGES = {
    400: "messages: at least one message is required",
    401: "invalid x-api-key",
    403: "Your API key does not have permission to use the specified resource.",
    404: "Not found",
    413: "Request exceeds the maximum size",
    429: "This request would exceed your organization's rate limit of 50 requests per minute.",
    500: "Internal server error",
    529: "Overloaded",
}
_REASONS = {
    "credit": "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade.",
    "quota": "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade.",
    "key": "invalid x-api-key",
    "disabled": "This organization has been disabled.",
    "model": "model: the requested model is not available to your organization",
    "window": "This request would exceed your account's rate limit. Please try again later.",
}
_STOPS = {"end": "end_turn", "length": "max_tokens", "tool": "tool_use", "refusal": "refusal"}
_PROMPT = ("system", "messages", "tools")
_CACHED_FROM = 1024


def usage_of(members: Members, names: tuple[str, ...] = _PROMPT, mark: bytes = b'"cache_control"') -> Usage:
    """A prompt of 1,024 tokens or more that marks a cache: half was cached, an eighth is written, the rest is new."""
    total = prompt_tokens(members, *names)
    marks = b"".join(bytes(members[name]) for name in names if name in members)
    if total < _CACHED_FROM or mark not in marks:
        return Usage(input_tokens=total)
    read, wrote = total // 2, total // 8
    long = b'"1h"' in marks
    return Usage(
        input_tokens=total - read - wrote,
        cache_read_tokens=read,
        cache_write_5m_tokens=0 if long else wrote,
        cache_write_1h_tokens=wrote if long else 0,
    )


def ask(target: Target, members: Members) -> Ask:
    model = target.model or member(members, "model", "")
    if not isinstance(model, str) or not model:
        raise Invalid("model: Field required", "model")
    messages = [m for m in objects(member(members, "messages")) if m.get("role") != "system"]
    if not messages:
        raise Invalid("messages: Field required", "messages")
    limit = member(members, "max_tokens")
    if not isinstance(limit, int) or limit < 1:
        raise Invalid("max_tokens: Field required", "max_tokens")
    results = [b for b in objects(messages[-1].get("content")) if b.get("type") == "tool_result"]
    users = [t for m in messages if m.get("role") == "user" and (t := text_of(m.get("content"), "text"))]
    choice: Any = member(members, "tool_choice", {})
    form: Any = member(members, "output_config", {}).get("format") or member(members, "output_format", {})
    return Ask(
        model=model,
        stream=member(members, "stream", False) is True,
        text=users[-1] if users else "",
        usage=usage_of(members),
        tools=tuple(
            Tool(str(t.get("name")), mapping(t["input_schema"]))
            for t in objects(member(members, "tools"))
            if "input_schema" in t
        ),
        result=text_of(results[-1].get("content")) if results else None,
        forced=str(choice.get("name", "")) if choice.get("type") in {"any", "tool"} else None,
        schema=form.get("schema", {}) if form.get("type") == "json_schema" else None,
        max_tokens=limit,
        members=members,
    )


def identify(answer: Answer) -> str:
    return f"msg_01{answer.serial}"


def _usage(answer: Answer, output: int, thinking: int) -> dict[str, Any]:
    usage = answer.usage
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        },
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": thinking},
        "server_tool_use": None,
        "service_tier": "standard",
        "inference_geo": "not_available",
    }


def signature(answer: Answer) -> str:
    return f"EuYBCkQYAiJA{answer.serial}SGFuZGxlZCBpbiB0aGUgc2FuZGJveA=="


def _blocks(answer: Answer) -> Iterator[tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]]:
    """Each content block: whole, as it starts, and its deltas."""
    if answer.thinking:
        block = {"type": "thinking", "thinking": "".join(answer.thinking), "signature": signature(answer)}
        deltas = [{"type": "thinking_delta", "thinking": t} for t in answer.thinking]
        deltas.append({"type": "signature_delta", "signature": signature(answer)})
        yield block, {"type": "thinking", "thinking": "", "signature": ""}, deltas
    if answer.text:
        text = {"type": "text", "text": "".join(answer.text), "citations": None}
        yield text, text | {"text": ""}, [{"type": "text_delta", "text": t} for t in answer.text]
    if call := answer.call:
        tool: dict[str, Any] = {"type": "tool_use", "id": f"toolu_01{answer.serial}", "name": call.tool.name}
        tool |= {"input": {}, "caller": {"type": "direct"}}
        deltas = [{"type": "input_json_delta", "partial_json": p} for p in ("", *call.pieces)]
        yield tool | {"input": call.arguments}, tool, deltas


def _message(answer: Answer) -> dict[str, Any]:
    return {
        "model": answer.model,
        "id": identify(answer),
        "type": "message",
        "role": "assistant",
        "content": [],
        "container": None,
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": _usage(answer, 1, 0),
    }


def _ending(answer: Answer) -> dict[str, Any]:
    refused = answer.stop == "refusal"
    details = {"type": "refusal", "category": None, "explanation": "The sandbox was told to refuse."}
    return {
        "stop_reason": _STOPS[answer.stop],
        "stop_sequence": None,
        "stop_details": details if refused else None,
    }


def whole(ask: Ask, answer: Answer) -> bytes:
    usage = _usage(answer, answer.usage.output_tokens, answer.usage.reasoning_tokens)
    content = [block for block, _, _ in _blocks(answer)]
    return encode(_message(answer) | {"content": content, "usage": usage} | _ending(answer))


def plain_events(answer: Answer) -> Iterator[tuple[dict[str, Any], int]]:
    """The events of a stream before they are framed, with the output tokens up to each."""
    yield {"type": "message_start", "message": _message(answer)}, 0
    spoken = 0
    for index, (_, start, deltas) in enumerate(_blocks(answer)):
        yield {"type": "content_block_start", "index": index, "content_block": start}, spoken
        if index == 0:
            yield {"type": "ping"}, spoken
        for delta in deltas:
            spoken += delta["type"] != "signature_delta"
            yield {"type": "content_block_delta", "index": index, "delta": delta}, spoken
        yield {"type": "content_block_stop", "index": index}, spoken
    total = answer.usage.output_tokens
    usage = _usage(answer, total, answer.usage.reasoning_tokens)
    final = {k: usage[k] for k in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")}
    final |= {k: usage[k] for k in ("output_tokens", "output_tokens_details", "server_tool_use")}
    yield {"type": "message_delta", "delta": {**_ending(answer), "container": None}, "usage": final}, total
    yield {"type": "message_stop"}, total


def events(ask: Ask, answer: Answer) -> Events:
    for event, spoken in plain_events(answer):
        yield b"event: %b\ndata: %b\n\n" % (event["type"].encode(), encode(event)), spoken


def _error(fault: Fault) -> dict[str, Any]:
    message = fault.message or _REASONS.get(fault.reason) or _MESSAGES.get(fault.status, "Internal server error")
    return {"type": _TYPES.get(fault.status, "api_error"), "message": message}


def fault(fault: Fault, request_id: str) -> bytes:
    return encode({"type": "error", "error": _error(fault), "request_id": request_id})


def event_fault(ask: Ask, answer: Answer, fault: Fault) -> bytes:
    error = {"type": "error", "error": _error(fault) | {"details": None}, "request_id": f"req_sandbox{answer.serial}"}
    return b"event: error\ndata: %b\n\n" % encode(error)


def count(target: Target, members: Members) -> bytes:
    if not objects(member(members, "messages")):
        raise Invalid("messages: Field required", "messages")
    return encode({"input_tokens": prompt_tokens(members, *_PROMPT)})


_LIMITS = "".join(
    f"anthropic-ratelimit-{what}-limit: {limit}\r\nanthropic-ratelimit-{what}-remaining: {limit - 1}\r\n"
    f"anthropic-ratelimit-{what}-reset: 2030-01-01T00:00:00Z\r\n"
    for what, limit in (("requests", 4000), ("tokens", 2000000), ("input-tokens", 1600000), ("output-tokens", 400000))
)
_EDGE = (
    "anthropic-organization-id: 5a6b1c6e-0000-4000-8000-5a2db0c5a2db\r\n"
    "strict-transport-security: max-age=31536000; includeSubDomains; preload\r\nvia: 1.1 google\r\n"
    "server: cloudflare\r\ncf-cache-status: DYNAMIC\r\ncf-ray: 8f0000005a2db0c5-FRA\r\nx-robots-tag: none\r\n"
    "set-cookie: _cfuvid=sandbox; path=/; domain=.anthropic.com; HttpOnly; Secure; SameSite=None\r\n"
)


def headers(request_id: str, fault: Fault | None) -> str:
    lines = f"request-id: {request_id}\r\n{_EDGE}"
    if fault is None:
        return lines + _LIMITS
    if fault.retry_after is not None:
        lines += f"retry-after: {fault.retry_after}\r\n"
    if fault.reason == "window":
        lines += (
            "anthropic-ratelimit-unified-status: rejected\r\nanthropic-ratelimit-unified-5h-status: rejected\r\n"
            "anthropic-ratelimit-unified-representative-claim: five_hour\r\n"
            "anthropic-ratelimit-unified-reset: 1893456000\r\nanthropic-ratelimit-unified-5h-reset: 1893456000\r\n"
        )
    return (
        lines + f"x-should-retry: {'true' if fault.status in {408, 409, 429} or fault.status >= 500 else 'false'}\r\n"
    )


ANTHROPIC = Dialect("anthropic", ask, identify, whole, events, fault, event_fault, headers, count=count)
