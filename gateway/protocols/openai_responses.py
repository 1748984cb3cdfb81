"""OpenAI Responses: https://platform.openai.com/docs/api-reference/responses and its streaming events."""

import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from gateway.protocols import foreign, reasoning, requests
from gateway.protocols.codec import Codec, Endpoint, InvalidBody, Peek, Problem, Reader, Usage
from gateway.protocols.openai_errors import error, failure_status
from gateway.protocols.reading import (
    StreamReader,
    WholeReader,
    count,
    decode,
    length,
    mapping,
    openai_usage,
    sequence,
    tool_calls,
    written,
)
from gateway.protocols.spans import members

ENDPOINTS = (Endpoint("openai_responses", "generate", "/v1/responses"),)

_WATCHED = requests.WATCHED | {"background"}
_ENDS = {"response.completed", "response.incomplete", "response.failed"}
#: Output items of tools that OpenAI runs itself; all others are the client's to run.
_TOOLS = {"code_interpreter_call", "file_search_call", "image_generation_call", "mcp_call", "web_search_call"}


class _Response(Struct):
    id: Any = None
    store: Any = None
    status: Any = None
    usage: Any = None
    error: Any = None


class _Output(Struct):
    output: Any = None


class _Event(Struct):
    type: Any = None
    delta: Any = None
    response: _Response | None = None
    item: Raw = Raw()
    """Only looked at when it is done."""
    error: Any = None
    code: Any = None


class _Item(Struct):
    type: Any = None


class _Items(Struct):
    output: list[_Item] = []


_early_id = re.compile(rb'[ \t\n\r]*\{[ \t\n\r]*"id"[ \t\n\r]*:[ \t\n\r]*"(resp_[\w-]{1,200})"')
_event = msgspec.json.Decoder(_Event)
_response = msgspec.json.Decoder(_Response)
_output = msgspec.json.Decoder(_Output)
_item = msgspec.json.Decoder(_Item)
_items = msgspec.json.Decoder(_Items)


def usage(figures: dict[str, Any]) -> Usage:
    """The classes of a `usage` object. Raises Absurd."""
    read, spent = mapping(figures.get("input_tokens_details")), mapping(figures.get("output_tokens_details"))
    return openai_usage(
        prompt=count(figures.get("input_tokens")),
        cached=count(read.get("cached_tokens")),
        written=count(read.get("cache_write_tokens")),
        output=count(figures.get("output_tokens")),
        reasoning=count(spent.get("reasoning_tokens")),
        total=count(figures.get("total_tokens")),
        audio=count(read.get("audio_tokens")) + count(spent.get("audio_tokens")),
        image=count(read.get("image_tokens")) + count(spent.get("image_tokens")),
        calls=tool_calls(figures) or 0,
    )


def _of_a_tool(item: _Item) -> bool:
    return isinstance(item.type, str) and item.type in _TOOLS


def _failure(about: Any) -> tuple[int, bytes]:
    """The status and the JSON text of a failure, in the form of an error answer."""
    return failure_status(about), b'{"error":' + written(about) + b"}"


class _Stream(StreamReader):
    """response.completed and response.incomplete are the end; response.failed and error are failures."""

    __slots__ = ()

    def _event(self, name: bytes, data: bytes) -> None:
        reasoning.collect(self.reasoning, data)
        event = decode(_event, data)
        if event is None:
            return
        kind = event.type if isinstance(event.type, str) else ""
        if kind.endswith(".delta"):
            if kind != "response.audio.delta":  # base64
                self.characters += length(event.delta)
        elif event.response is not None:
            self._of_response(kind, event.response)
        elif kind == "response.output_item.done":
            item = decode(_item, bytes(event.item))
            self.calls += item is not None and _of_a_tool(item)
        elif kind == "error":
            flat = b'{"error":' + data + b"}"
            about = event.error or {"code": event.code}
            self._fail(failure_status(about), data if event.error else flat)

    def _of_response(self, kind: str, response: _Response) -> None:
        if response.store is not False:
            self._identify(response.id)
        if kind not in _ENDS:
            return
        if response.usage is not None:
            self.usage_final = self._report(usage, response.usage)
        if kind == "response.failed":
            self._fail(*_failure(response.error))
        else:
            self.complete = True


class _Whole(WholeReader):
    """The id stands in the first bytes: a client may have read the answer before its end is seen here."""

    __slots__ = ()

    def feed(self, data: bytes) -> None:
        if not self.begun and (found := _early_id.match(data)):
            self._identify(found[1].decode())
        super().feed(data)

    def _answer(self, data: bytes) -> None:
        reasoning.collect(self.reasoning, data)
        response = decode(_response, data)
        if response is None:
            self.characters = len(data)
            return
        self.complete = response.error is None and response.status != "failed"
        if not self.complete:
            self._fail(*_failure(response.error))
        if response.store is False:
            self._forget_id()
        else:
            self._identify(response.id)
        items = decode(_items, data)
        self.calls = 0 if items is None else sum(map(_of_a_tool, items.output))
        self.usage_final = response.usage is not None and self._report(usage, response.usage)
        if not self.usage_final and (body := decode(_output, data)) is not None:
            self.characters = sum(_characters(item) for item in sequence(body.output))


def _characters(item: Any) -> int:
    """Of an output item: its texts, summaries, arguments."""
    found = mapping(item)
    parts = sequence(found.get("content")) + sequence(found.get("summary"))
    size = sum(length(mapping(part).get("text")) + length(mapping(part).get("refusal")) for part in parts)
    return size + length(found.get("arguments")) + length(found.get("input")) + length(found.get("code"))


def peek(endpoint: Endpoint, body: bytes) -> Peek:
    """Raises InvalidBody."""
    found = members(body, _WATCHED)
    # It is answered at once, `queued` and without figures: what it costs would be in nobody's ledger.
    if "background" in found.raw and requests.value(found.raw, "background") is True:
        raise InvalidBody("a background response could be neither fetched nor metered here", "background")
    peeked = requests.peek(found, "max_output_tokens")
    piece = reasoning.last(body)
    if piece is None and "previous_response_id" not in found.raw:
        return peeked
    previous = requests.text(found.raw, "previous_response_id")
    return msgspec.structs.replace(peeked, previous_response_id=previous, reasoning=piece)


def rename(endpoint: Endpoint, body: bytes, peeked: Peek, model: str) -> bytes:
    """The body with this model's name."""
    return requests.rename(body, peeked, model)


def reader(endpoint: Endpoint, stream: bool) -> Reader:
    """A Reader for one answer."""
    return _Stream() if stream else _Whole()


def stream_error(problem: Problem) -> bytes:
    """The event that ends a broken stream: `response.failed` with a response object of our own."""
    response: dict[str, Any] = {
        "id": "resp_" + problem.request_id.removeprefix("req_"),
        "object": "response",
        "created_at": _created_at(problem.request_id),
        "status": "failed",
        "background": False,
        "error": {"code": problem.code, "message": problem.message},
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": "",
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
    }
    event = {"type": "response.failed", "sequence_number": 0, "response": response}
    return b"event: response.failed\ndata: " + msgspec.json.encode(event) + b"\n\n"


def _created_at(request_id: str) -> int:
    """Seconds since the epoch out of the UUIDv7 in the id, 0 when it holds none."""
    stamp = request_id.removeprefix("req_").replace("-", "")[:12]
    try:
        return int(stamp, 16) // 1000
    except ValueError:
        return 0


CODEC = Codec(
    name="openai_responses",
    endpoints=ENDPOINTS,
    peek=peek,
    rename=rename,
    reader=reader,
    error=error,
    stream_error=stream_error,
    limit_headers="openai",
    without_reasoning=reasoning.without,
    without_foreign=foreign.own_reasoning,
)
