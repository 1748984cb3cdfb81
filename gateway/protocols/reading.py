"""What the readers of all protocols share: the state they show, figures that can be trusted, answers in one piece."""

import json
from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec

from gateway.protocols.codec import Failure, Usage
from gateway.protocols.framing import EventSplitter

MAX_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer in one piece that are kept for the figures at its end; a longer one is not measured."""

MAX_COUNT = 10**8
"""More tokens than this in one answer are absurd: ten times the longest context that any model has (ten million), since
the provider's own tools make it read its context again and again."""

T = TypeVar("T")


class Absurd(ValueError):
    """The provider's figures cannot be true: the row is estimated instead, and nothing is credited."""


def count(value: Any) -> int:
    """A number of tokens; an absent one is 0. Raises Absurd for anything but a whole number in range."""
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise Absurd
    return value


def mapping(value: Any) -> dict[str, Any]:
    """The object, or an empty one for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """The array, or an empty one for anything else."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def length(value: Any) -> int:
    """Characters of a text; of anything else none."""
    return len(value) if isinstance(value, str) else 0


def written(value: Any) -> bytes:
    """The value as JSON again, whatever the lenient decoding let in."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def decode(decoder: msgspec.json.Decoder[T], data: bytes) -> T | None:
    """The event or answer as the decoder's type, None when it is not JSON or has another shape.

    Lone surrogates (an emoji cut in two by a provider) are refused by msgspec but not by the vendors' SDKs.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decode_leniently(decoder, data)
    except RecursionError:
        return None


def _decode_leniently(decoder: msgspec.json.Decoder[T], data: bytes) -> T | None:
    try:
        return msgspec.convert(json.loads(data), decoder.type)
    except (ValueError, RecursionError, msgspec.ValidationError):
        return None


def believed(usage: Usage) -> Usage:
    """The same. Raises Absurd when a sum is out of range, or a part is more than its whole."""
    prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    whole = count(prompt + usage.output_tokens)
    if usage.reasoning_tokens > usage.output_tokens or max(usage.audio_tokens, usage.image_tokens) > whole:
        raise Absurd
    return usage


def tool_calls(figures: dict[str, Any]) -> int | None:
    """Calls of the provider's own tools, by those who say their number in OpenAI's protocols; None when it is not said.

    xAI `num_server_side_tools_used`, OpenRouter `server_tool_use_details`, Perplexity `num_search_queries`.
    """
    details = mapping(figures.get("server_tool_use_details"))
    said = (
        figures.get("num_server_side_tools_used"),
        details.get("tool_calls_executed"),
        details.get("web_search_requests"),
        figures.get("num_search_queries"),
    )
    return next((count(each) for each in said if each is not None), None)


def openai_usage(
    *,
    prompt: int,
    cached: int,
    written: int,
    output: int,
    reasoning: int,
    total: int,
    audio: int = 0,
    image: int = 0,
    calls: int = 0,
) -> Usage:
    """The classes from OpenAI's figures, whose prompt holds what was read from and written to caches.

    xAI leaves the reasoning out of the output and adds it to the total: the total tells. Raises Absurd.
    """
    if reasoning and total == prompt + output + reasoning:
        output += reasoning
    if cached + written > prompt:
        raise Absurd
    return Usage(
        input_tokens=prompt - cached - written,
        cache_read_tokens=cached,
        cache_write_5m_tokens=written,
        output_tokens=output,
        reasoning_tokens=reasoning,
        audio_tokens=audio,
        image_tokens=image,
        server_tool_calls=calls,
    )


class Answer:
    """The state of a Reader. Once figures were absurd, no later ones of the same answer are believed."""

    __slots__ = (
        "begun",
        "calls",
        "characters",
        "complete",
        "doubt",
        "failed_first",
        "failure",
        "reasoning",
        "response_id",
        "usage",
        "usage_final",
    )

    def __init__(self) -> None:
        self.begun = False
        self.failure: Failure | None = None
        self.failed_first = False
        self.complete = False
        self.usage: Usage | None = None
        self.usage_final = False
        self.response_id: str | None = None
        self.reasoning: dict[str, None] = {}
        self.characters = 0
        self.doubt = ""
        self.calls = 0
        """Calls of the provider's own tools in the answer's text, for figures that do not say their number."""

    def _report(self, read: Callable[[dict[str, Any]], Usage], figures: Any) -> bool:
        """Takes the provider's figures, if they can be believed; says whether they were."""
        if self.doubt:
            return False
        try:
            if not isinstance(figures, dict):
                raise Absurd
            usage = believed(read(mapping(cast("Any", figures))))
            if self.calls and not usage.server_tool_calls:
                usage = msgspec.structs.replace(usage, server_tool_calls=self.calls)
            self.usage = usage
        except Absurd:
            self.doubt = "absurd_usage"
            self.usage, self.usage_final = None, False
        return not self.doubt

    def _identify(self, value: Any) -> None:
        if isinstance(value, str):
            self.response_id = value

    def _forget_id(self) -> None:
        self.response_id = None

    def _fail(self, status: int, body: bytes) -> None:
        if self.failure is None:
            self.failure = Failure(status, body)
            self.failed_first = not self.begun


class StreamReader(Answer):
    """Reads an event stream; a protocol says what an `_event` means."""

    __slots__ = ("_splitter",)

    def __init__(self) -> None:
        super().__init__()
        self._splitter = EventSplitter()

    def feed(self, data: bytes) -> None:
        for name, text in self._splitter.feed(data):
            self._event(name, text)
            self.begun = True

    def close(self) -> None:
        for name, text in self._splitter.close():
            self._event(name, text)
            self.begun = True

    def _event(self, name: bytes, data: bytes) -> None:
        raise NotImplementedError


class WholeReader(Answer):
    """Keeps an answer in one piece and reads it at its end; a protocol says what the `_answer` means.

    `complete` means that the JSON is whole; of an answer that was too long to keep, that it ends like JSON.
    """

    __slots__ = ("_chunks", "_limit", "_size")

    def __init__(self, limit: int = MAX_ANSWER) -> None:
        super().__init__()
        self._chunks: list[bytes] = []
        self._size = 0
        self._limit = limit

    def feed(self, data: bytes) -> None:
        if not data:
            return
        self.begun = True
        self._size += len(data)
        if self._size > self._limit:
            self._chunks.clear()
        self._chunks.append(data)

    def close(self) -> None:
        data = b"".join(self._chunks)
        self._chunks.clear()
        if self._size > self._limit:
            self.complete = data.rstrip().endswith(b"}")
        elif data:
            self._answer(data)

    def _answer(self, data: bytes) -> None:
        raise NotImplementedError


class Unmeasured(WholeReader):
    """An answer that is not billed by tokens (their counting): its figures are zeros, and final."""

    __slots__ = ("_status",)

    def __init__(self, status: Callable[[Any], int]) -> None:
        super().__init__()
        self._status = status

    def _answer(self, data: bytes) -> None:
        found = decode(_any, data)
        if found is None:
            return
        if found.get("error") is not None:
            self._fail(self._status(found["error"]), data)
            return
        self.complete = True
        self.usage_final = self._report(lambda _: Usage(), {})


_any = msgspec.json.Decoder(dict[str, Any])
