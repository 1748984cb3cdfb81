"""Requests that answers are written for, and the ways through reader and writer."""

import json
from typing import Any

from gateway.translation.events import Event
from gateway.translation.openai_chat import SPEECH
from gateway.translation.prompt import Prompt, Text, Turn
from gateway.translation.speech import Asking

REQUEST = "req_0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"


def asking(**members: Any) -> Asking:
    """The client wants a stream's usage, unless it says otherwise."""
    prompt = Prompt("gpt-5", (Turn("user", (Text("hi"),)),), **{"include_usage": True, **members})
    return Asking("gpt-5", REQUEST, 1_790_000_000, prompt)


def written(events: list[Event], **members: Any) -> bytes:
    """The stream."""
    writer = SPEECH.writer(asking(**members))
    return b"".join(map(writer.write, events))


def whole(events: list[Event], **members: Any) -> dict[str, Any]:
    return json.loads(SPEECH.whole(asking(**members), events))


def read(data: bytes | list[bytes], stream: bool = True) -> list[Event]:
    reader = SPEECH.reader(stream)
    pieces = [data] if isinstance(data, bytes) else data
    events = [event for piece in pieces for event in reader.feed(piece)]
    return [*events, *reader.close()]


def sse(*chunks: Any, end: bytes = b"data: [DONE]\n\n") -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks) + end


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def chunks(data: bytes) -> list[Any]:
    """The JSON of a stream's events, less the end."""
    lines = [line[6:] for line in data.split(b"\n") if line.startswith(b"data: ") and line != b"data: [DONE]"]
    return [json.loads(line) for line in lines]
