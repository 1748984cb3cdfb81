"""Requests that answers are written for."""

from typing import Any

from gateway.translation.events import Event
from gateway.translation.openai_responses import SPEECH
from gateway.translation.prompt import Prompt, Text, Tool, Turn
from gateway.translation.speech import Asking

REQUEST = "req_0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"


def asking(**members: Any) -> Asking:
    prompt = Prompt("gpt-5", (Turn("user", (Text("hi"),)),), **members)
    return Asking("gpt-5", REQUEST, 1_790_000_000, prompt)


CUSTOM = Tool("apply_patch", custom=True)


def written(events: list[Event], **members: Any) -> bytes:
    """The stream."""
    writer = SPEECH.writer(asking(**members))
    return b"".join(map(writer.write, events))


def read(data: bytes | list[bytes], stream: bool = True) -> list[Event]:
    reader = SPEECH.reader(stream)
    pieces = [data] if isinstance(data, bytes) else data
    events = [event for piece in pieces for event in reader.feed(piece)]
    return [*events, *reader.close()]
