"""The form of Ollama's streams: https://docs.ollama.com/api/streaming, /chat, /generate and /errors."""

import json
from datetime import datetime
from typing import Any

FIGURES = (
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
)


def check(data: bytes, action: str = "chat") -> list[str]:
    """The violations of a stream, whole or broken off by an error."""
    faults: list[str] = []
    if not data.endswith(b"\n"):
        faults.append("the last line has no end")
    ended = ""
    for number, line in enumerate(data.split(b"\n")[:-1]):
        if ended:
            faults.append(f"line {number} follows {ended}")
        try:
            said = json.loads(line)
        except ValueError:
            faults.append(f"line {number} is no JSON")
            continue
        if "error" in said:
            if set(said) != {"error"} or not isinstance(said["error"], str):
                faults.append(f"line {number}: an error is one text")
            ended = "an error"
            continue
        faults += [f"line {number}: {fault}" for fault in _object(said, action)]
        ended = "the end" if said.get("done") else ""
    if not ended:
        faults.append("there is no end")
    return faults


def error_faults(body: dict[str, Any]) -> list[str]:
    """Of the body of an error."""
    return (
        [] if set(body) == {"error"} and isinstance(body["error"], str) and body["error"] else [f"the error is {body}"]
    )


def _object(said: dict[str, Any], action: str) -> list[str]:
    faults = []
    if not isinstance(said.get("model"), str):
        faults.append("model")
    if datetime.fromisoformat(said["created_at"]).tzinfo is None:
        faults.append("created_at has no zone")
    if not isinstance(said.get("done"), bool):
        faults.append("done")
    message = dict(said.get("message") or {}) if action == "chat" else said
    if action == "chat" and (message.get("role") != "assistant" or "response" in said):
        faults.append("a message of chat is the assistant's")
    if action != "chat" and "message" in said:
        faults.append("generate has no message")
    text = message.get("content" if action == "chat" else "response")
    if not isinstance(text, str):
        faults.append("content is no text")
    if "thinking" in message and not (isinstance(message["thinking"], str) and message["thinking"]):
        faults.append("thinking is no text")
    for call in message.get("tool_calls", ()):
        function = call["function"]
        if not (isinstance(function["name"], str) and isinstance(function["arguments"], dict)):
            faults.append("a call has a name and an object")
    if said["done"]:
        faults += _last(said)
    elif not (text or message.get("thinking") or message.get("tool_calls") or said.get("logprobs")):
        faults.append("an object says nothing")
    elif set(said) & {"done_reason", *FIGURES}:
        faults.append("figures before the end")
    return faults


def _last(said: dict[str, Any]) -> list[str]:
    faults = [] if said.get("done_reason") in ("stop", "length", "load", "unload") else ["done_reason"]
    if said.get("done_reason") in ("stop", "length"):
        faults += [name for name in FIGURES if type(said.get(name)) is not int or said[name] < 0]
    return faults
