"""OpenAI chat completions and embeddings: https://platform.openai.com/docs/api-reference/chat

Also what asks for the usage of a stream whose client did not, and takes the extra chunk out again.
"""

from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols import requests
from gateway.protocols.codec import Codec, Endpoint, InvalidBody, Peek, Problem, Reader, Span, Usage
from gateway.protocols.framing import MAX_EVENT, BlockSplitter, read_event
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
)
from gateway.protocols.spans import inner, members, splice

ENDPOINTS = (
    Endpoint("openai_chat", "generate", "/v1/chat/completions"),
    Endpoint("openai_chat", "embed", "/v1/embeddings"),
)

_WATCHED = requests.WATCHED | {"n"}
_ASKED = b'{"include_usage":true}'


class _Chunk(Struct):
    choices: Any = None
    usage: Any = None
    error: Any = None
    x_groq: Any = None


class _Whole(Struct):
    usage: Any = None
    error: Any = None


_chunk = msgspec.json.Decoder(_Chunk)
_whole = msgspec.json.Decoder(_Whole)


def usage(figures: dict[str, Any]) -> Usage:
    """The classes of a `usage` object, of OpenAI and of those who speak its protocol. Raises Absurd.

    Cached tokens are `prompt_tokens_details.cached_tokens`, or by DeepSeek `prompt_cache_hit_tokens`, by Mistral
    `num_cached_tokens`, by Moonshot `cached_tokens`.
    """
    details = mapping(figures.get("prompt_tokens_details"))
    cached = (
        details.get("cached_tokens"),
        figures.get("prompt_cache_hit_tokens"),
        figures.get("num_cached_tokens"),
        figures.get("cached_tokens"),
    )
    spent = mapping(figures.get("completion_tokens_details"))
    reasoned = spent.get("reasoning_tokens")
    output, total = count(figures.get("completion_tokens")), count(figures.get("total_tokens"))
    prompt = figures.get("prompt_tokens")
    return openai_usage(
        prompt=max(0, total - output) if prompt is None else count(prompt),
        cached=count(next((each for each in cached if each is not None), None)),
        written=count(details.get("cache_write_tokens")),
        output=output,
        reasoning=count(figures.get("reasoning_tokens") if reasoned is None else reasoned),
        total=total,
        audio=count(details.get("audio_tokens")) + count(spent.get("audio_tokens")),
        image=count(details.get("image_tokens")) + count(spent.get("image_tokens")),
        calls=tool_calls(figures) or 0,
    )


def _characters(choice: Any) -> int:
    """Of the delta or the message of a choice: text, refusal, reasoning, arguments of calls."""
    found = mapping(choice)
    delta = mapping(found.get("delta") or found.get("message"))
    size = length(delta.get("content")) + length(delta.get("refusal"))
    size += length(delta.get("reasoning_content")) or length(delta.get("reasoning"))
    for call in sequence(delta.get("tool_calls")):
        size += length(mapping(mapping(call).get("function")).get("arguments"))
    return size + length(mapping(delta.get("function_call")).get("arguments"))


class _StreamReader(StreamReader):
    """`[DONE]` is the end. Where a server leaves it out, a last chunk with a finish reason and figures is one."""

    __slots__ = ("_finished",)

    def __init__(self) -> None:
        super().__init__()
        self._finished = False

    def close(self) -> None:
        super().close()
        self.complete = self.complete or (self._finished and self.usage_final)

    def _event(self, name: bytes, data: bytes) -> None:
        if data == b"[DONE]":
            self.complete = True
            self.usage_final = self.usage is not None
            return
        chunk = decode(_chunk, data)
        if chunk is None:
            return
        choices = sequence(chunk.choices)
        for choice in choices:
            self.characters += _characters(choice)
            self._finished = self._finished or bool(mapping(choice).get("finish_reason"))
        if chunk.error is not None:
            self._fail(failure_status(chunk.error), data)
        figures = mapping(chunk.x_groq).get("usage") if chunk.usage is None else chunk.usage
        if figures is not None:
            self.usage_final = self._report(usage, figures) and (self._finished or not choices)


class _WholeReader(WholeReader):
    __slots__ = ("_generates",)

    def __init__(self, generates: bool) -> None:
        super().__init__()
        self._generates = generates

    def _answer(self, data: bytes) -> None:
        found = decode(_whole, data)
        if found is None:
            self.characters = len(data) if self._generates else 0
            return
        self.complete = found.error is None
        if found.error is not None:
            self._fail(failure_status(found.error), data)
        self.usage_final = found.usage is not None and self._report(usage, found.usage)
        if self._generates and not self.usage_final and (body := decode(_chunk, data)) is not None:
            self.characters = sum(_characters(choice) for choice in sequence(body.choices))


def peek(endpoint: Endpoint, body: bytes) -> Peek:
    """Raises InvalidBody."""
    found = members(body, _WATCHED)
    peeked = requests.peek(found, "max_tokens", "max_completion_tokens")
    span = found.spans.get("stream_options")
    if span is None and "n" not in found.raw:
        return peeked
    asked = mapping(requests.value(found.raw, "stream_options")).get("include_usage")
    return msgspec.structs.replace(
        peeked, stream_options=span, include_usage=asked is True, answers=requests.answers(found.raw, "n")
    )


def rename(endpoint: Endpoint, body: bytes, peeked: Peek, model: str) -> bytes:
    """The body with this model's name."""
    return requests.rename(body, peeked, model)


def reader(endpoint: Endpoint, stream: bool) -> Reader:
    """A Reader for one answer."""
    return _StreamReader() if stream else _WholeReader(endpoint.operation == "generate")


def stream_error(problem: Problem) -> bytes:
    """The event that ends a broken stream."""
    return b"data: " + error(problem) + b"\n\n"


def with_usage(body: bytes, peeked: Peek, model: str | None = None) -> bytes:
    """The body of a stream, asking for its usage too; as it is when it asks already or is no stream.

    With `model` it is renamed in the same pass: the spans of `peeked` are those of the body before any edit.
    """
    edits = [] if model is None else requests.model_edits(body, peeked, model)
    if peeked.stream and not peeked.include_usage:
        if peeked.stream_options is None:
            edits.append(requests.insertion(peeked, b'"stream_options":' + _ASKED))
        else:
            edits.append(_asking(body, peeked.stream_options))
    return splice(body, edits) if edits else body


def _asking(body: bytes, span: Span) -> tuple[int, int, bytes]:
    try:
        found = inner(body, span, ("include_usage",), "stream_options")
    except InvalidBody:
        if body[span[0] : span[1]] == b"null":
            return *span, _ASKED
        raise
    if "include_usage" in found.spans:
        return *found.spans["include_usage"], b"true"
    member = b'"include_usage":true' + (b"," if found.raw else b"")
    return found.insert_at, found.insert_at, member


class UsageFilter(BlockSplitter):
    """Forwards a stream by whole events and takes out exactly the one with `choices: []` and a non-null `usage`.

    An event that is longer than the bound is forwarded as it comes.
    """

    __slots__ = ("_out", "_removing", "removed")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        super().__init__(limit)
        self._out: list[bytes] = []
        self._removing = False
        self.removed = 0
        """Events taken out."""

    def feed(self, data: bytes) -> bytes:
        """What goes to the client now; often the same object."""
        if self._pending is None and not self._after_cr and data.endswith(b"\n\n") and b'"usage"' not in data:
            return data
        self._cut(data)
        return self._flush()

    def close(self) -> bytes:
        """What waited for its blank line."""
        rest = self._rest()
        if rest and self._skipping:
            self._piece(rest)
        elif rest:
            self._block(rest)
        return self._flush()

    def _flush(self) -> bytes:
        out, self._out = self._out, []
        return b"".join(out)

    def _block(self, block: bytes) -> None:
        self._removing = b"usage" in block and _is_usage_only(block)
        if self._removing:
            self.removed += 1
        else:
            self._out.append(block)

    def _piece(self, piece: bytes) -> None:
        self._removing = False
        self._out.append(piece)

    def _line_feed(self) -> None:
        if not self._removing:
            self._out.append(b"\n")


def _is_usage_only(block: bytes) -> bool:
    event = read_event(block)
    chunk = None if event is None else decode(_chunk, event[1])
    return chunk is not None and chunk.choices == [] and chunk.usage is not None


CODEC = Codec(
    name="openai_chat",
    endpoints=ENDPOINTS,
    peek=peek,
    rename=rename,
    reader=reader,
    error=error,
    stream_error=stream_error,
    limit_headers="openai",
    with_usage=with_usage,
    usage_filter=UsageFilter,
)
