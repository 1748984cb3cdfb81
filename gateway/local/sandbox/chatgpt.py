"""The Responses form of a ChatGPT plan, `/backend-api/codex/responses`: what it demands, refuses and leaves out.

As recorded in the issues of github.com/openai/codex and of programs that use it: it stores nothing, only streams, says
`{"detail": …}`, and its last event has an empty `output` (the items came in events of their own).
"""

import time
from typing import Any

import msgspec
from msgspec.structs import replace

from gateway.local.sandbox import openai_responses
from gateway.local.sandbox.answer import Answer, Ask, Invalid, Members, encode, member
from gateway.local.sandbox.dialect import Dialect, Events, Fault, Target
from gateway.local.sandbox.openai import problem
from gateway.local.sandbox.server import Request

_UNSUPPORTED = (
    "background", "conversation", "frequency_penalty", "max_completion_tokens", "max_output_tokens", "max_tool_calls",
    "metadata", "moderation", "presence_penalty", "previous_response_id", "prompt", "prompt_cache_options",
    "prompt_cache_retention", "safety_identifier", "stream_options", "temperature", "top_logprobs", "top_p",
    "truncation", "user",
)  # fmt: skip
_LIMIT_SECONDS = 3600
_HEADERS = (
    "x-codex-active-limit: codex\r\nx-codex-plan-type: plus\r\n"
    "x-codex-primary-used-percent: {used}\r\nx-codex-primary-window-minutes: 300\r\n"
    "x-codex-primary-reset-after-seconds: 3600\r\nx-codex-secondary-used-percent: 12\r\n"
    "x-codex-secondary-window-minutes: 10080\r\nx-codex-secondary-reset-after-seconds: 86400\r\n"
    "server: cloudflare\r\nset-cookie: __cf_bm=sandbox; path=/; domain=.chatgpt.com; HttpOnly; Secure\r\n"
)


def ask(target: Target, members: Members) -> Ask:
    for name in _UNSUPPORTED:
        if name in members:
            raise Invalid(f"Unsupported parameter: {name}")
    if member(members, "store", True) is not False:
        raise Invalid("Store must be set to false")
    if member(members, "stream", False) is not True:
        raise Invalid("Stream must be set to true")
    if member(members, "instructions") is None:
        raise Invalid("Instructions are required")
    items: Any = member(members, "input")
    if not isinstance(items, list):
        raise Invalid("Input must be a list")
    if b'"role":"system"' in encode(items):
        raise Invalid("System messages are not allowed")
    return openai_responses.ask(target, members)


def events(asked: Ask, answer: Answer) -> Events:
    """The items come when they are done; the last event has none."""
    for event, spoken in openai_responses.events(asked, answer):
        if event.startswith((b"event: response.completed", b"event: response.incomplete")):
            name, mark, data = event.partition(b"\ndata: ")
            last: dict[str, Any] = msgspec.json.decode(data)
            last["response"]["output"] = []
            yield name + mark + encode(last) + b"\n\n", spoken
        else:
            yield event, spoken


def fault_body(fault: Fault, request_id: str) -> bytes:
    if fault.status == 429:
        message = fault.message or "The usage limit has been reached"
        limit = {"type": "usage_limit_reached", "message": message, "plan_type": "plus"}
        ends = {"resets_at": int(time.time()) + _LIMIT_SECONDS, "resets_in_seconds": _LIMIT_SECONDS}
        return encode({"error": limit | ends})
    if fault.status == 401:
        message = fault.message or "Provided authentication token is expired. Please try signing in again."
        error = {"message": message, "type": None, "code": "token_expired", "param": None}
        return encode({"error": error, "status": 401})
    return encode({"detail": fault.message or problem(fault)["message"]})


def verify(request: Request) -> Fault | None:
    """Which workspace pays must be said."""
    return None if request.header("chatgpt-account-id") else Fault(401, "No workspace is selected.")


def event_fault(asked: Ask, answer: Answer, fault: Fault) -> bytes:
    if fault.status != 429:
        return openai_responses.event_fault(asked, answer, fault)
    said: dict[str, Any] = msgspec.json.decode(fault_body(fault, ""))
    return b"event: error\ndata: " + encode({"type": "error", **said}) + b"\n\n"


def headers(request_id: str, fault: Fault | None) -> str:
    used = 100 if fault is not None and fault.status == 429 else 30
    return f"x-oai-request-id: {request_id}\r\n" + _HEADERS.format(used=used)


CHATGPT: Dialect = replace(
    openai_responses.OPENAI_RESPONSES,
    name="chatgpt",
    ask=ask,
    events=events,
    fault=fault_body,
    event_fault=event_fault,
    headers=headers,
    verify=verify,
)
