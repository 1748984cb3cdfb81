"""Answers for Ollama's clients, written: lines of JSON, or one object, of chat and of generate.

https://docs.ollama.com/api/streaming: pieces with `done` false, calls whole, then one object with `done` and the
figures. Blocks follow one another in the order in which they were opened; what comes early of a later one waits.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.protocols import ollama
from gateway.protocols.codec import Problem, Usage
from gateway.protocols.reading import written
from gateway.translation.arguments import as_object
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Failed, Logprobs, Opened
from gateway.translation.speech import Asking

_MEMBERS = {"text": "content", "thinking": "thinking"}


class _Block:
    """`pieces` are what of it has not been said yet."""

    __slots__ = ("closed", "opened", "pieces", "tokens")

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.pieces: list[str] = []
        self.tokens: list[Any] = []
        self.closed = False


class _Form:
    """The objects of one answer."""

    def __init__(self, asking: Asking) -> None:
        self._chat = asking.action != "generate"
        self._head = {"model": asking.model, "created_at": _moment(asking.created)}
        self._calls = 0
        self._id = asking.request_id

    def line(self, said: dict[str, Any], last: dict[str, Any] | None = None) -> bytes:
        """`said`: members of a message; `last`: those of the object that ends the answer."""
        logprobs = {"logprobs": said.pop("logprobs")} if "logprobs" in said else {}
        rest = logprobs | ({"done": False} if last is None else {"done": True} | last)
        message = {"content": "", **said}
        if self._chat:
            return _encoded(self._head | {"message": {"role": "assistant", **message}} | rest)
        return _encoded(self._head | {"response": message.pop("content"), **message} | rest)

    def call(self, block: _Block) -> dict[str, Any]:
        opened = block.opened
        arguments = as_object("".join(block.pieces), opened.custom)
        self._calls += 1
        index = self._calls - 1
        function = {"index": index, "name": opened.name or "", "arguments": arguments}
        return {"id": opened.id or f"call_{self._id}_{index}", "function": function}


class Writer:
    """A stream."""

    content_type = b"application/x-ndjson"

    def __init__(self, asking: Asking) -> None:
        self._form = _Form(asking)
        self._clock = asking.elapsed
        self._first: int | None = None
        self._blocks: dict[int, _Block] = {}
        """Those that are not said to their end, in order of opening: the first may speak."""
        self._usage: Usage | None = None
        self._over = False

    def write(self, event: Event) -> bytes:
        if self._over:
            return b""
        match event:
            case Begun():
                self._usage = event.usage
            case Opened():
                self._blocks[event.block] = _Block(event)
            case Delta():
                self._blocks[event.block].pieces.append(event.text)
            case Logprobs():
                self._blocks[event.block].tokens += event.tokens
            case Closed():
                self._blocks[event.block].closed = True
            case Ended():
                return self._end(event)
            case Failed():
                self._over = True
                return ollama.stream_error(Problem(event.status, event.code or "upstream_error", event.message))
            case _:
                return b""  # what is sealed has no place
        return self._speak()

    def ping(self) -> bytes:
        return b""

    def _speak(self) -> bytes:
        lines: list[bytes] = []
        while self._blocks:
            number, block = next(iter(self._blocks.items()))
            if said := self._said(block):
                self._first = self._clock() if self._first is None else self._first
                lines.append(self._form.line(said))
            if not block.closed:
                break
            del self._blocks[number]
        return b"".join(lines)

    def _said(self, block: _Block) -> dict[str, Any]:
        if block.opened.kind == "call":
            return {"tool_calls": [self._form.call(block)]} if block.closed else {}
        text = "".join(block.pieces)
        block.pieces.clear()
        said: dict[str, Any] = {_MEMBERS[block.opened.kind]: text} if text else {}
        if block.tokens:
            said["logprobs"], block.tokens = block.tokens, []
        return said

    def _end(self, ended: Ended) -> bytes:
        for block in self._blocks.values():
            block.closed = True
        rest = self._speak()
        self._over = True
        now = self._clock()
        last = _last(ended, ended.usage or self._usage, now, now if self._first is None else self._first)
        return rest + self._form.line({}, last)


def whole(asking: Asking, events: Sequence[Event]) -> bytes:
    """No events: no model has worked, it is only loaded or let go (a request without messages)."""
    form, now = _Form(asking), asking.elapsed()
    blocks: dict[int, _Block] = {}
    usage, ended = None, Ended("end")
    for event in events:
        match event:
            case Begun():
                usage = event.usage
            case Opened():
                blocks[event.block] = _Block(event)
            case Delta():
                blocks[event.block].pieces.append(event.text)
            case Logprobs():
                blocks[event.block].tokens += event.tokens
            case Ended():
                ended, usage = event, event.usage or usage
            case _:
                pass
    if not events:
        return form.line({}, {"done_reason": "unload" if asking.unload else "load"})[:-1]
    return form.line(_message(form, list(blocks.values())), _last(ended, usage, now, 0))[:-1]


def _message(form: _Form, blocks: list[_Block]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for kind, member in _MEMBERS.items():
        if text := "".join(piece for block in blocks if block.opened.kind == kind for piece in block.pieces):
            said[member] = text
    if calls := [form.call(block) for block in blocks if block.opened.kind == "call"]:
        said["tool_calls"] = calls
    if tokens := [token for block in blocks for token in block.tokens]:
        said["logprobs"] = tokens
    return said


def _last(ended: Ended, usage: Usage | None, total: int, first: int) -> dict[str, Any]:
    """The prompt's count is that of all of it, caches included."""
    used = usage or Usage()
    prompt = used.input_tokens + used.cache_read_tokens + used.cache_write_5m_tokens + used.cache_write_1h_tokens
    return {
        "done_reason": "length" if ended.stop == "length" else "stop",
        "total_duration": total,
        "load_duration": 0,
        "prompt_eval_count": prompt,
        "prompt_eval_duration": first,
        "eval_count": used.output_tokens,
        "eval_duration": total - first,
    }


def _encoded(value: dict[str, Any]) -> bytes:
    return written(value) + b"\n"


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
