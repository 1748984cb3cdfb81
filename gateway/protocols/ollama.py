"""Ollama's own API: https://docs.ollama.com/api (chat, generate, embed), its streams (lines of JSON) and its errors.

A stream is the default. It ends in an object with `done`, which also holds the figures; in one piece the answer is that
same object, with all of the text. What only loads a model, or frees it, is answered in one piece, stream or not.
"""

from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols import requests
from gateway.protocols.codec import Codec, Endpoint, Peek, Problem, Reader, Usage
from gateway.protocols.framing import MAX_EVENT
from gateway.protocols.openai_errors import failure_status
from gateway.protocols.reading import Absurd, Answer, WholeReader, count, decode, length, mapping, sequence, written
from gateway.protocols.spans import Members, inner, members

_OPERATIONS = {"chat": "generate", "generate": "generate", "embed": "embed", "embeddings": "embed"}

ENDPOINTS = tuple(Endpoint("ollama", operation, f"/api/{action}", action) for action, operation in _OPERATIONS.items())

_WATCHED = requests.WATCHED | {"options"}
_LIMIT = frozenset({"num_predict"})
#: The `done_reason` of answers for which no model has worked: nothing was asked of it.
_IDLE = frozenset({"load", "unload"})


class _Object(Struct):
    message: Any = None
    response: Any = None
    thinking: Any = None
    done: Any = None
    done_reason: Any = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    error: Any = None


_object = msgspec.json.Decoder(_Object)


def usage(figures: dict[str, Any]) -> Usage:
    """The classes of `prompt_eval_count` and `eval_count`, which is left out when it is 0. Raises Absurd.

    A prompt has tokens: older servers leave their count out when all of them are in the model's cache.
    """
    if figures.get("prompt_eval_count") is None:
        raise Absurd
    return Usage(input_tokens=count(figures["prompt_eval_count"]), output_tokens=count(figures.get("eval_count")))


def _characters(found: _Object) -> int:
    """Of an object of chat or of generate: text, thinking, arguments of calls."""
    message = mapping(found.message)
    size = length(message.get("content")) + length(message.get("thinking"))
    for call in sequence(message.get("tool_calls")):
        size += len(written(mapping(mapping(call).get("function")).get("arguments") or ""))
    return size + length(found.response) + length(found.thinking)


class LineSplitter:
    """Cuts a stream into its lines, in bounded memory. A line that is longer than the bound is passed over."""

    __slots__ = ("_limit", "_pending", "_skipping", "lost")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._limit = limit
        self._pending = bytearray()
        self._skipping = False
        self.lost = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that these bytes complete, without the blank ones."""
        first, *others = data.split(b"\n")
        self._keep(first)
        if not others:
            return []
        *whole, rest = others
        lines = [self._line(), *whole]
        self._keep(rest)
        return [line for line in lines if line and not line.isspace()]

    def close(self) -> list[bytes]:
        """The last line, when its end never came."""
        return self.feed(b"\n")

    def _keep(self, piece: bytes) -> None:
        if self._skipping:
            return
        self._pending += piece
        if len(self._pending) > self._limit:
            self.lost = self._skipping = True
            self._pending = bytearray()

    def _line(self) -> bytes:
        line, self._pending, self._skipping = bytes(self._pending), bytearray(), False
        return line


class _Objects(Answer):
    """Reads answers that come in one or more objects; the one with `done` is the end."""

    __slots__ = ()

    def _take(self, found: _Object, data: bytes) -> None:
        if found.error is not None:
            self._fail(failure_status(found.error), data)
            return
        self.characters += _characters(found)
        if found.prompt_eval_count is not None or found.eval_count is not None:
            figures = {"prompt_eval_count": found.prompt_eval_count, "eval_count": found.eval_count}
            self._report(usage, figures)
        elif found.done is True and isinstance(found.done_reason, str) and found.done_reason in _IDLE:
            self._report(lambda _: Usage(), {})


class _StreamReader(_Objects):
    __slots__ = ("_splitter",)

    def __init__(self) -> None:
        super().__init__()
        self._splitter = LineSplitter()

    def feed(self, data: bytes) -> None:
        for line in self._splitter.feed(data):
            self._line(line)

    def close(self) -> None:
        for line in self._splitter.close():
            self._line(line)

    def _line(self, line: bytes) -> None:
        found = decode(_object, line)
        if found is not None:
            self._take(found, line.strip())
            self.complete = self.complete or (found.done is True and found.error is None)
            self.usage_final = self.complete and self.usage is not None
        self.begun = True


class _WholeReader(_Objects, WholeReader):
    __slots__ = ("_generates",)

    def __init__(self, generates: bool) -> None:
        super().__init__()
        self._generates = generates

    def _answer(self, data: bytes) -> None:
        found = decode(_object, data)
        if found is None:
            self.characters = len(data) if self._generates else 0
            return
        self._take(found, data)
        self.complete = found.error is None
        self.usage_final = self.usage is not None


def peek(endpoint: Endpoint, body: bytes) -> Peek:
    """Raises InvalidBody. What generates is a stream unless `stream` is false; `options.num_predict` is the limit."""
    found = members(body, _WATCHED)
    peeked = requests.peek(found)
    streams = peeked.stream or requests.value(found.raw, "stream") is None
    return msgspec.structs.replace(
        peeked, stream=streams and endpoint.operation == "generate", max_tokens=_max_tokens(body, found)
    )


def _max_tokens(body: bytes, found: Members) -> int | None:
    span = found.spans.get("options")
    if span is None or body[span[0]] != 123:
        return None
    return requests.most(inner(body, span, _LIMIT, "options").raw, *_LIMIT)


def rename(endpoint: Endpoint, body: bytes, peeked: Peek, model: str) -> bytes:
    """The body with this model's name."""
    return requests.rename(body, peeked, model)


def reader(endpoint: Endpoint, stream: bool) -> Reader:
    """A Reader for one answer: lines, or one object."""
    return _StreamReader() if stream else _WholeReader(endpoint.operation == "generate")


def error(problem: Problem) -> bytes:
    """The body of an error answer."""
    return msgspec.json.encode({"error": problem.message})


def stream_error(problem: Problem) -> bytes:
    """The line that ends a broken stream."""
    return error(problem) + b"\n"


CODEC = Codec(
    name="ollama",
    endpoints=ENDPOINTS,
    peek=peek,
    rename=rename,
    reader=reader,
    error=error,
    stream_error=stream_error,
    stream_type=b"application/x-ndjson",
)
