"""Anthropic Messages: https://docs.anthropic.com/en/api/messages, its streams and its errors."""

from typing import Any

import msgspec
from msgspec import Struct, field

from gateway.protocols import foreign, requests
from gateway.protocols.codec import Codec, Endpoint, Peek, Problem, Reader, Sampled, Share, Usage
from gateway.protocols.problems import names
from gateway.protocols.reading import (
    Absurd,
    StreamReader,
    Unmeasured,
    WholeReader,
    count,
    decode,
    length,
    mapping,
    sequence,
    written,
)
from gateway.protocols.spans import members

ENDPOINTS = (
    Endpoint("anthropic", "generate", "/v1/messages"),
    Endpoint("anthropic", "count", "/v1/messages/count_tokens"),
)

STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status of each `error.type`: https://docs.anthropic.com/en/api/errors"""

_FIGURES = frozenset(
    {
        "input_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation",
        "output_tokens",
        "output_tokens_details",
        "server_tool_use",
        "iterations",
    }
)
_SUMMED = tuple(name for name in Usage.__struct_fields__ if name != "server_tool_calls")
#: What Bedrock counted beside Claude: its name → ours, the two cache writes in one.
_METRICS = {
    "inputTokenCount": ("input_tokens",),
    "outputTokenCount": ("output_tokens",),
    "cacheReadInputTokenCount": ("cache_read_tokens",),
    "cacheWriteInputTokenCount": ("cache_write_5m_tokens", "cache_write_1h_tokens"),
}


class _Event(Struct):
    type: Any = None
    delta: Any = None
    message: Any = None
    usage: Any = None
    error: Any = None
    metrics: Any = field(default=None, name="amazon-bedrock-invocationMetrics")


class _Message(Struct):
    type: Any = None
    usage: Any = None
    error: Any = None


class _Content(Struct):
    content: Any = None


_event = msgspec.json.Decoder(_Event)
_message = msgspec.json.Decoder(_Message)
_content = msgspec.json.Decoder(_Content)


def usage(figures: dict[str, Any]) -> Usage:
    """What a `usage` object says is billed. Raises Absurd.

    Its own figures leave out compaction and the advisor, and sum up (some, in older words, only begin) the rest: where
    `iterations` are given, they are the bill (platform.claude.com/docs/en/build-with-claude/compaction and
    …/agents-and-tools/tool-use/advisor-tool). A try that another model took over before it had said anything is free
    (…/build-with-claude/refusals-and-fallback).
    """
    plain = classes(figures)
    if not (iterations := sequence(figures.get("iterations"))):
        return plain
    tries = [_share(each) for each in iterations]
    taken_over = [*(fallback for _, fallback in tries[1:]), False]
    shares = tuple(
        share for (share, _), taken in zip(tries, taken_over, strict=True) if share.usage.output_tokens or not taken
    )
    sums = {name: sum(getattr(share.usage, name) for share in shares) for name in _SUMMED}
    if not shares or sums["output_tokens"] < plain.output_tokens:
        return plain  # those that a stream began with are behind what it says later
    sums["reasoning_tokens"] = max(sums["reasoning_tokens"], plain.reasoning_tokens)
    return Sampled(**sums, server_tool_calls=plain.server_tool_calls, shares=shares)


def _share(iteration: Any) -> tuple[Share, bool]:
    """And whether it is a fallback's."""
    if not isinstance(iteration, dict):
        raise Absurd
    figures = mapping(iteration)
    model = figures.get("model")
    share = Share(classes(figures), model if isinstance(model, str) else None)
    return share, figures.get("type") == "fallback_message"


def classes(figures: dict[str, Any]) -> Usage:
    """The classes by name. Cache writes that the split does not name count as 5m. Raises Absurd."""
    split, calls = mapping(figures.get("cache_creation")), mapping(figures.get("server_tool_use"))
    hour = count(split.get("ephemeral_1h_input_tokens"))
    total = count(figures.get("cache_creation_input_tokens"))
    return Usage(
        input_tokens=count(figures.get("input_tokens")),
        cache_read_tokens=count(figures.get("cache_read_input_tokens")),
        cache_write_5m_tokens=max(count(split.get("ephemeral_5m_input_tokens")), total - hour),
        cache_write_1h_tokens=hour,
        output_tokens=count(figures.get("output_tokens")),
        reasoning_tokens=count(mapping(figures.get("output_tokens_details")).get("thinking_tokens")),
        server_tool_calls=sum(count(made) for name, made in calls.items() if name.endswith("_requests"))
        if calls
        else 0,
    )


def _status(error: Any) -> int:
    return STATUS.get(str(mapping(error).get("type")), 500)


def _characters(block: Any) -> int:
    """Of a content block or of a delta: text, thinking, pieces of tool input."""
    found = mapping(block)
    size = length(found.get("text")) + length(found.get("thinking")) + length(found.get("partial_json"))
    if found.get("input"):
        size += len(written(found["input"]))
    return size


class _Stream(StreamReader):
    """message_start opens the figures, message_delta carries cumulative ones, message_stop is the end."""

    __slots__ = ("_figures", "_told")

    def __init__(self) -> None:
        super().__init__()
        self._figures: dict[str, Any] = {}
        self._told = False
        """A message_delta has brought figures: at the latest the message's stop makes them the last ones."""

    def _event(self, name: bytes, data: bytes) -> None:
        event = decode(_event, data)
        if event is None:
            return
        if event.type == "content_block_delta":
            self.characters += _characters(event.delta)
        elif event.type == "message_start":
            self._figures, self._told = {}, False
            self._merge(mapping(event.message).get("usage"))
        elif event.type == "message_delta":
            believed = self._merge(event.usage)
            self._told = self._told or believed
            self.usage_final = believed and mapping(event.delta).get("stop_reason") is not None
        elif event.type == "message_stop":
            self.complete = True
            # Some who speak this protocol give the figures and the stop reason in two deltas.
            self.usage_final = (self.usage_final or self._told) and not self.doubt
            if event.metrics is not None:
                self._check(mapping(event.metrics))
        elif event.type == "error" or name == b"error":
            self._fail(_status(event.error), data)

    def _merge(self, figures: Any) -> bool:
        """Later figures replace earlier ones, except by null, as in Anthropic's SDK."""
        if figures is None:
            return False
        if isinstance(figures, dict):
            given = mapping(figures)
            self._figures |= {name: given[name] for name in _FIGURES & given.keys() if given[name] is not None}
            figures = self._figures
        return self._report(usage, figures)

    def _check(self, metrics: dict[str, Any]) -> None:
        """Bedrock's own count must be that of the events; it stands in for them where they gave none."""
        if self.usage is None or not self.usage_final:
            figures = {
                "input_tokens": metrics.get("inputTokenCount"),
                "output_tokens": metrics.get("outputTokenCount"),
                "cache_read_input_tokens": metrics.get("cacheReadInputTokenCount"),
                "cache_creation_input_tokens": metrics.get("cacheWriteInputTokenCount"),
            }
            self.usage_final = figures["output_tokens"] is not None and self._report(usage, figures)
        elif not (_same(metrics, self.usage) or _same(metrics, classes(self._figures))):
            self.doubt, self.usage_final = "disputed_usage", False


def _same(metrics: dict[str, Any], found: Usage) -> bool:
    """Whether they agree in all that the metrics name."""
    return all(
        metrics[theirs] == sum(getattr(found, name) for name in ours)
        for theirs, ours in _METRICS.items()
        if metrics.get(theirs) is not None
    )


class _Whole(WholeReader):
    __slots__ = ()

    def _answer(self, data: bytes) -> None:
        message = decode(_message, data)
        if message is None:
            self.characters = len(data)
            return
        if message.type == "error":
            self._fail(_status(message.error), data)
            return
        self.complete = True
        self.usage_final = message.usage is not None and self._report(usage, message.usage)
        if not self.usage_final and (body := decode(_content, data)) is not None:
            self.characters = sum(_characters(block) for block in sequence(body.content))


def peek(endpoint: Endpoint, body: bytes) -> Peek:
    """Raises InvalidBody."""
    return requests.peek(members(body, requests.WATCHED), "max_tokens")


def rename(endpoint: Endpoint, body: bytes, peeked: Peek, model: str) -> bytes:
    """The body with this model's name."""
    return requests.rename(body, peeked, model)


def reader(endpoint: Endpoint, stream: bool) -> Reader:
    """A Reader for one answer."""
    if endpoint.operation == "count":
        return Unmeasured(_status)
    return _Stream() if stream else _Whole()


def error(problem: Problem) -> bytes:
    """The body of an error answer."""
    about = {"type": names(problem).anthropic, "message": problem.message, "code": problem.code}
    return msgspec.json.encode({"type": "error", "error": about, "request_id": problem.request_id})


def stream_error(problem: Problem) -> bytes:
    """The event that ends a broken stream."""
    return b"event: error\ndata: " + error(problem) + b"\n\n"


CODEC = Codec(
    name="anthropic",
    endpoints=ENDPOINTS,
    peek=peek,
    without_foreign=foreign.unsigned_thinking,
    rename=rename,
    reader=reader,
    error=error,
    stream_error=stream_error,
    limit_headers="anthropic",
    request_id_header=b"request-id",
)
