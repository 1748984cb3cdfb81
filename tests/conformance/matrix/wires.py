"""What an SDK is sent, kept beside what it reads: all bytes of an answer, for the grammars and the vendors' types."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import httpx2
import ollama
from anthropic.types import Message, RawMessageStreamEvent
from google.genai import types
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.translation import (
    grammar_anthropic,
    grammar_gemini,
    grammar_ollama,
    grammar_openai_chat,
    grammar_openai_responses,
)


class Wire:
    """One answer as it came."""

    def __init__(self, status: int, headers: Mapping[str, str], stream: bool) -> None:
        self.status = status
        self.headers = headers
        self.stream = stream
        self.pieces: list[bytes] = []

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


class _Kept(httpx.AsyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, stream: Any, wire: Wire) -> None:
        self._stream = stream
        self._wire = wire

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._wire.pieces.append(piece)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


class Transport(httpx.AsyncHTTPTransport):
    """`wires`: all answers that came this way."""

    def __init__(self, wires: list[Wire]) -> None:
        super().__init__(verify=False)  # nothing here is encrypted, and certificates take long to load
        self._wires = wires

    async def handle_async_request(self, request: Any) -> Any:
        return _kept(await super().handle_async_request(request), self._wires)


class Transport2(httpx2.AsyncHTTPTransport):
    """As `Transport`, for those whose client is built on it."""

    def __init__(self, wires: list[Wire]) -> None:
        super().__init__(verify=False)
        self._wires = wires

    async def handle_async_request(self, request: Any) -> Any:
        return _kept(await super().handle_async_request(request), self._wires)


def _kept(response: Any, wires: list[Wire]) -> Any:
    kind = response.headers.get("content-type", "")
    wire = Wire(response.status_code, response.headers, kind.startswith(("text/event-stream", "application/x-ndjson")))
    wires.append(wire)
    response.stream = _Kept(response.stream, wire)
    return response


_EVENTS = {
    "anthropic": TypeAdapter(RawMessageStreamEvent),
    "openai_chat": TypeAdapter(ChatCompletionChunk),
    "openai_responses": TypeAdapter(ResponseStreamEvent),
    "gemini": TypeAdapter(types.GenerateContentResponse),
    "ollama": TypeAdapter(ollama.ChatResponse),
}
_WHOLE = {
    "anthropic": TypeAdapter(Message),
    "openai_chat": TypeAdapter(ChatCompletion),
    "openai_responses": TypeAdapter(Response),
    "gemini": TypeAdapter(types.GenerateContentResponse),
    "ollama": TypeAdapter(ollama.ChatResponse),
}
_STREAMS = {
    "anthropic": grammar_anthropic.check,
    "openai_chat": grammar_openai_chat.check,
    "openai_responses": grammar_openai_responses.check,
    "gemini": grammar_gemini.check,
    "ollama": grammar_ollama.check,
}
ONES = {
    "anthropic": lambda body: grammar_anthropic.message_faults(json.loads(body)),
    "openai_chat": grammar_openai_chat.check_one,
    "openai_responses": grammar_openai_responses.check_one,
    "gemini": grammar_gemini.check_one,
    "ollama": lambda body: grammar_ollama.check(body + b"\n"),
}
ERRORS = {
    "anthropic": grammar_anthropic.error_faults,
    "openai_chat": grammar_openai_chat.error_faults,
    "openai_responses": grammar_openai_chat.error_faults,
    "gemini": grammar_gemini.error_faults,
    "ollama": grammar_ollama.error_faults,
}


def faults(protocol: str, wire: Wire) -> list[str]:
    """Where an answer of the gateway's own is not what the protocol's grammar and its vendor's types say."""
    if wire.status >= 400:
        return ERRORS[protocol](json.loads(wire.body))
    if not wire.stream:
        _WHOLE[protocol].validate_json(wire.body)
        return ONES[protocol](wire.body)
    for event in _objects(wire.body):
        # The SDK's type of a chunk does not know free-form calls, which the API has.
        if "error" not in event and event.get("type") not in ("ping", "error") and not _free(event):
            _EVENTS[protocol].validate_python(_listed(event))
    return _STREAMS[protocol](wire.body)


def _listed(event: dict[str, Any]) -> dict[str, Any]:
    """The codes of a failed response are no closed list: the vendor's own service gives some that its SDK does not
    know (`server_is_overloaded`), and the gateway gives its own."""
    if event.get("type") != "response.failed":
        return event
    response = event["response"]
    assert isinstance(response["error"]["code"], str)
    return event | {"response": response | {"error": response["error"] | {"code": "server_error"}}}


def _free(event: dict[str, Any]) -> bool:
    calls = [call for choice in event.get("choices", ()) for call in choice["delta"].get("tool_calls", ())]
    return any(call.get("type") == "custom" for call in calls)


def _objects(body: bytes) -> list[dict[str, Any]]:
    """Of a stream's events or lines."""
    lines = (line.removeprefix(b"data: ") for line in body.split(b"\n") if line.startswith((b"data: ", b"{")))
    return [json.loads(line) for line in lines if line != b"[DONE]"]
