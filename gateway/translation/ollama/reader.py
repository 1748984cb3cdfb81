"""Answers of Ollama's servers, read: lines of JSON or one object, of chat and of generate.

https://docs.ollama.com/api/streaming. Text and thinking come as they are made, calls whole, and mostly without ids.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols import ollama
from gateway.protocols.codec import Problem, Usage
from gateway.protocols.openai_errors import failure_status
from gateway.protocols.reading import Absurd, believed, decode, mapping, sequence, written
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Failed, Logprobs, Opened, Stop
from gateway.translation.held import Held
from gateway.translation.speech import EventReader

_CODE = "upstream_error"
_DAMAGED = Failed(502, "The upstream's answer is no answer of Ollama's.", _CODE)
_TOO_LONG = Failed(502, "The upstream's answer is too long.", _CODE)
_CUT_OFF = Failed(502, "The upstream's answer ended before it was complete.", _CODE)


class _Object(Struct):
    model: Any = None
    created_at: Any = None
    message: Any = None
    response: Any = None
    thinking: Any = None
    tool_calls: Any = None
    logprobs: Any = None
    done: Any = None
    done_reason: Any = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    error: Any = None


_object = msgspec.json.Decoder(_Object)


class _Objects:
    """What the objects of an answer say, as events."""

    def __init__(self) -> None:
        self._begun = False
        self._over = False
        self._blocks = 0
        self._open: str | None = None
        """The kind of the last block, when it is open: there is never more than one."""
        self._called = 0

    def _read(self, data: bytes) -> Iterable[Event]:
        if self._over:
            return
        found = decode(_object, data)
        if found is None:
            yield self._fail(_DAMAGED)
        elif found.error is not None:
            yield self._fail(Failed(failure_status(found.error), _said(found.error), _CODE))
        else:
            yield from self._begin(found)
            yield from self._content(found)
            if found.done is True:
                yield from self._end(found)

    def _begin(self, found: _Object) -> Iterable[Event]:
        if not self._begun:
            self._begun = True
            yield Begun(model=found.model if isinstance(found.model, str) else None)

    def _content(self, found: _Object) -> Iterable[Event]:
        message = mapping(found.message)
        yield from self._more("thinking", message.get("thinking") or found.thinking)
        yield from self._more("text", message.get("content") or found.response)
        if (tokens := _logprobs(found.logprobs)) and self._open == "text":
            yield Logprobs(self._blocks - 1, tokens)
        for call in sequence(message.get("tool_calls")) or sequence(found.tool_calls):
            if not self._over:
                yield from self._call(found, mapping(call))

    def _more(self, kind: Any, text: Any) -> Iterable[Event]:
        if not isinstance(text, str) or not text:
            return
        if self._open != kind:
            yield from self._close()
            yield Opened(self._next(), kind)
            self._open = kind
        yield Delta(self._blocks - 1, text)

    def _call(self, found: _Object, call: dict[str, Any]) -> Iterable[Event]:
        function = mapping(call.get("function"))
        name, given = function.get("name"), call.get("id")
        if not isinstance(name, str):
            yield self._fail(_DAMAGED)
            return
        yield from self._close()
        arguments = _arguments(function.get("arguments"))
        made = given if isinstance(given, str) and given else self._id(found, name, arguments)
        block = self._next()
        yield Opened(block, "call", made, name)
        yield Delta(block, arguments)
        yield Closed(block)
        self._called += 1

    def _id(self, found: _Object, name: str, arguments: str) -> str:
        """Of what tells the call from all others: the moment, to the nanosecond, in which it was made."""
        known = written([found.created_at, found.model, self._called, name, arguments])
        return "call_" + hashlib.blake2b(known, digest_size=12).hexdigest()

    def _next(self) -> int:
        self._blocks += 1
        return self._blocks - 1

    def _close(self) -> Iterable[Event]:
        if self._open is not None:
            self._open = None
            yield Closed(self._blocks - 1)

    def _end(self, found: _Object) -> Iterable[Event]:
        if self._over:
            return
        yield from self._close()
        self._over = True
        stop: Stop = "length" if found.done_reason == "length" else "tool_use" if self._called else "end"
        yield Ended(stop, usage=_usage(found))

    def _fail(self, failure: Failed) -> Failed:
        self._over = True
        return failure


class StreamReader(_Objects):
    def __init__(self) -> None:
        super().__init__()
        self._splitter = ollama.LineSplitter()

    def feed(self, data: bytes) -> Sequence[Event]:
        return self._lines(self._splitter.feed(data))

    def close(self) -> Sequence[Event]:
        events = self._lines(self._splitter.close())
        return events if self._over else [*events, self._fail(_CUT_OFF)]

    def _lines(self, lines: list[bytes]) -> list[Event]:
        events = [event for line in lines for event in self._read(line)]
        if self._splitter.lost and not self._over:
            events.append(self._fail(_TOO_LONG))
        return events


class WholeReader(_Objects):
    """Says everything at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._held = Held()

    def feed(self, data: bytes) -> Sequence[Event]:
        if self._over:
            return ()
        if self._held.add(data):
            return ()
        return [self._fail(_TOO_LONG)]

    def close(self) -> Sequence[Event]:
        if self._over:
            return ()
        data = self._held.taken()
        events = list(self._read(data)) if data else []
        return events if self._over else [*events, self._fail(_CUT_OFF)]


def reader(stream: bool) -> EventReader:
    return StreamReader() if stream else WholeReader()


def failure(status: int, body: bytes) -> Problem:
    """The message is that of `error`, else the body itself."""
    found = decode(_object, body)
    said = _said(found.error) if found is not None and found.error is not None else body.decode(errors="replace")
    return Problem(status, _CODE if status >= 500 else "invalid_request", said.strip() or "The upstream failed.")


def _said(error: Any) -> str:
    message = mapping(error).get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) and message else "The upstream failed."


def _usage(found: _Object) -> Usage | None:
    figures = {"prompt_eval_count": found.prompt_eval_count, "eval_count": found.eval_count}
    try:
        return believed(ollama.usage(figures))
    except Absurd:
        return None


def _arguments(given: Any) -> str:
    """Of servers that give a text for the object, that text."""
    if isinstance(given, str):
        return given or "{}"
    return "{}" if given is None else written(given).decode()


def _logprobs(given: Any) -> tuple[dict[str, Any], ...]:
    tokens = [mapping(each) for each in sequence(given)]
    return tuple(
        _token(each) | {"top_logprobs": [_token(mapping(top)) for top in sequence(each.get("top_logprobs"))]}
        for each in tokens
        if isinstance(each.get("token"), str)
    )


def _token(given: dict[str, Any]) -> dict[str, Any]:
    token = given.get("token")
    text = token if isinstance(token, str) else ""
    figures = given.get("bytes") or list(text.encode(errors="replace"))
    return {"token": text, "logprob": given.get("logprob"), "bytes": figures}
