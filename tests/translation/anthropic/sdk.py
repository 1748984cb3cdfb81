"""What Anthropic's own SDK makes of an answer's bytes."""

from collections.abc import Sequence
from typing import Any

import httpx2
from anthropic import Anthropic
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import BaseModel, TypeAdapter

from gateway.protocols.codec import Endpoint
from gateway.translation.anthropic import SPEECH
from gateway.translation.events import Event
from gateway.translation.prompt import Prompt, Text, Turn
from gateway.translation.speech import Asking

GENERATE = Endpoint("anthropic", "generate", "/v1/messages")
COUNT = Endpoint("anthropic", "count", "/v1/messages/count_tokens")
PROMPT = Prompt("claude-sonnet-4-5", (Turn("user", (Text("hi"),)),))
ASKING = Asking("claude-sonnet-4-5", "req_0123456789abcdef", 1_700_000_000, PROMPT)

_events: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_message = TypeAdapter(Message)


def _client(data: bytes, kind: str) -> Anthropic:
    answer = httpx2.Response(200, headers={"content-type": kind, "request-id": "req_1"}, content=data)
    transport = httpx2.MockTransport(lambda _: answer)  # the bytes are what is tested; the SDK does all the reading
    return Anthropic(api_key="k", base_url="http://x", max_retries=0, http_client=httpx2.Client(transport=transport))


def streamed(data: bytes) -> Message:
    """Accumulated by the SDK."""
    messages: Any = [{"role": "user", "content": "hi"}]
    client = _client(data, "text/event-stream")
    with client, client.messages.stream(model="m", max_tokens=9, messages=messages) as stream:
        return stream.get_final_message()


def validated(data: bytes) -> None:
    """Raises where an event is not what the SDK's types say, which its own reading forgives."""
    for block in data.split(b"\n\n"):
        text = block.partition(b"data: ")[2]
        if text and not block.startswith((b"event: ping", b"event: error")):
            _events.validate_json(text)


def whole(data: bytes) -> Message:
    messages: Any = [{"role": "user", "content": "hi"}]
    with _client(data, "application/json") as client:
        return client.messages.create(model="m", max_tokens=9, messages=messages)


def plain(found: Any) -> Any:
    """Without what the SDK adds where it parses texts as they stream."""
    if isinstance(found, BaseModel):
        return plain(found.model_dump(warnings=False))
    if isinstance(found, list):
        return [plain(each) for each in found]
    if isinstance(found, dict):
        return {name: plain(value) for name, value in found.items() if name != "parsed_output"}
    return found


def validated_whole(data: bytes) -> None:
    """As `validated`."""
    _message.validate_json(data)


def read(parts: Sequence[bytes], stream: bool = True) -> list[Event]:
    reader = SPEECH.reader(stream)
    events = [event for part in parts for event in reader.feed(part)]
    return [*events, *reader.close()]


def write(events: Sequence[Event], asking: Asking = ASKING) -> bytes:
    writer = SPEECH.writer(asking)
    return b"".join(map(writer.write, events))
