"""The form of Anthropic's streams: https://docs.anthropic.com/en/docs/build-with-claude/streaming (event types), with
the members that the vendor's schema of each object requires: https://docs.anthropic.com/en/api/messages (response)."""

import json
import re
from typing import Any

MESSAGE = {
    *("id", "type", "role", "content", "model", "stop_reason", "stop_sequence", "stop_details", "usage", "container"),
}
USAGE = {
    *("cache_creation", "cache_creation_input_tokens", "cache_read_input_tokens", "inference_geo", "input_tokens"),
    *("output_tokens", "output_tokens_details", "server_tool_use", "service_tier"),
}
DELTA_USAGE = {
    *("cache_creation_input_tokens", "cache_read_input_tokens", "input_tokens", "output_tokens"),
    *("output_tokens_details", "server_tool_use", "cache_creation"),
}
"""`cache_creation` is ours: the vendor's schema lets others in."""
DELTA = {"container", "stop_details", "stop_reason", "stop_sequence"}
BLOCKS = {
    "text": {"type", "text", "citations"},
    "thinking": {"type", "thinking", "signature"},
    "redacted_thinking": {"type", "data"},
    "tool_use": {"type", "id", "name", "input", "caller"},
}
DELTAS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("thinking", "signature"),
    "input_json_delta": ("tool_use", "partial_json"),
}
STOPS = {"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"}
ERRORS = {
    *("invalid_request_error", "authentication_error", "billing_error", "permission_error", "not_found_error"),
    *("request_too_large", "rate_limit_error", "timeout_error", "api_error", "overloaded_error"),
}
EVENT = re.compile(rb"event: ([a-z_]+)\ndata: ([^\n]*)")


def check(data: bytes) -> list[str]:
    """The violations of a stream, whole or broken off by an error."""
    if not data.endswith(b"\n\n"):
        return ["the last event has no blank line"]
    machine = _Machine()
    for block in data[:-2].split(b"\n\n"):
        found = EVENT.fullmatch(block)
        if found is None:
            machine.faults.append(f"no event: {block[:80]!r}")
            continue
        event = json.loads(found[2])
        if event.get("type") != found[1].decode():
            machine.faults.append(f"the event {found[1]!r} says that it is {event.get('type')}")
        machine.take(event)
    if machine.state != "over":
        machine.faults.append(f"the stream ends when it is {machine.state}")
    return machine.faults


def message_faults(message: dict[str, Any]) -> list[str]:
    """Of an answer in one piece."""
    machine = _Machine()
    machine.members("message", message, MESSAGE)
    machine.members("usage", message.get("usage", {}), USAGE)
    for block in message.get("content", []):
        machine.block(block, filled=True)
    machine.stop(message)
    return machine.faults


def error_faults(body: dict[str, Any]) -> list[str]:
    """Of the body of an error: https://docs.anthropic.com/en/api/errors"""
    machine = _Machine()
    machine.error(body)
    if body.get("type") != "error" or not body.get("request_id"):
        machine.faults.append(f"the error is {body}")
    return machine.faults


class _Machine:
    """new → idle → open → idle … → stopping → over."""

    def __init__(self) -> None:
        self.state = "new"
        self.faults: list[str] = []
        self.kind = ""
        self.index = -1
        self.arguments = ""
        self.signed = False

    def take(self, event: dict[str, Any]) -> None:
        kind = event.get("type", "")
        if self.state == "over":
            self.faults.append(f"{kind} follows the end")
        elif kind == "ping":
            self.members("ping", event, {"type"})
        elif kind == "error":
            self.error(event)
        elif kind in _STEPS:
            before, step = _STEPS[kind]
            if self.state != before:
                self.faults.append(f"{kind} when it is {self.state}")
            step(self, event)
        else:
            self.faults.append(f"there is no event {kind}")

    def start(self, event: dict[str, Any]) -> None:
        message = event["message"]
        self.members("message", message, MESSAGE)
        self.members("usage", message["usage"], USAGE)
        if message["content"] or message["stop_reason"] is not None:
            self.faults.append("a message begins with what it is to say")
        if not re.fullmatch(r"msg_\w+", message["id"]):
            self.faults.append(f"the message's id is {message['id']}")
        self.state = "idle"

    def open(self, event: dict[str, Any]) -> None:
        self.index += 1
        self.at(event)
        self.kind, self.arguments, self.signed = event["content_block"]["type"], "", False
        self.block(event["content_block"], filled=False)
        self.state = "open"

    def delta(self, event: dict[str, Any]) -> None:
        self.at(event)
        delta = event["delta"]
        kind, member = DELTAS.get(delta["type"], ("", ""))
        if kind != self.kind or set(delta) != {"type", member} or not isinstance(delta.get(member), str):
            self.faults.append(f"{delta} in a block of {self.kind}")
        if self.signed:
            self.faults.append("something follows the signature")
        self.signed = delta["type"] == "signature_delta"

    def close(self, event: dict[str, Any]) -> None:
        self.at(event)
        self.state = "idle"

    def end(self, event: dict[str, Any]) -> None:
        self.members("delta", event["delta"], DELTA)
        self.members("usage", event["usage"], DELTA_USAGE)
        self.stop(event["delta"])
        self.state = "stopping"

    def over(self, event: dict[str, Any]) -> None:
        self.members("message_stop", event, {"type"})
        self.state = "over"

    def error(self, event: dict[str, Any]) -> None:
        error = event.get("error", {})
        if error.get("type") not in ERRORS or not error.get("message"):
            self.faults.append(f"the error is {error}")
        self.state = "over"

    def at(self, event: dict[str, Any]) -> None:
        if event.get("index") != self.index:
            self.faults.append(f"{event['type']} of block {event.get('index')} in block {self.index}")

    def stop(self, delta: dict[str, Any]) -> None:
        if delta.get("stop_reason") not in STOPS:
            self.faults.append(f"the stop reason is {delta.get('stop_reason')}")
        if delta.get("stop_sequence") is not None and delta.get("stop_reason") != "stop_sequence":
            self.faults.append("a stop sequence was not the reason")
        if (delta.get("stop_details") is not None) != (delta.get("stop_reason") == "refusal"):
            self.faults.append("details are those of a refusal")

    def block(self, block: dict[str, Any], filled: bool) -> None:
        kind = block["type"]
        if kind not in BLOCKS:
            self.faults.append(f"there is no block of type {kind}")
            return
        self.members(kind, block, BLOCKS[kind])
        said = {"text": "text", "thinking": "thinking", "tool_use": "input"}.get(kind)
        if said and not filled and block[said]:
            self.faults.append(f"a block of {kind} begins with what it is to say")
        if kind == "tool_use" and not re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"]):
            self.faults.append(f"the id of a call is {block['id']}")
        if kind == "tool_use" and not isinstance(block["input"], dict):
            self.faults.append("input is no object")
        if kind == "redacted_thinking" and not block["data"]:
            self.faults.append("redacted thinking without data")
        if kind == "text" and filled and not block["text"]:
            self.faults.append("a text is empty")

    def members(self, what: str, found: dict[str, Any], names: set[str]) -> None:
        if set(found) != names:
            self.faults.append(f"{what} differs by {sorted(set(found) ^ names)}")


_STEPS = {
    "message_start": ("new", _Machine.start),
    "content_block_start": ("idle", _Machine.open),
    "content_block_delta": ("open", _Machine.delta),
    "content_block_stop": ("open", _Machine.close),
    "message_delta": ("idle", _Machine.end),
    "message_stop": ("stopping", _Machine.over),
}
