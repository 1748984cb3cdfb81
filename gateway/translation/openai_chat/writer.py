"""Events, as the chat completion that a client gets, in chunks or whole.

https://platform.openai.com/docs/api-reference/chat-streaming and …/chat/object, with every member that OpenAI always
gives. Thinking is `reasoning_content`, as DeepSeek has it (api-docs.deepseek.com/guides/reasoning_model).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.protocols.codec import Problem, Usage
from gateway.protocols.openai_chat import stream_error
from gateway.protocols.reading import decode, written
from gateway.translation.events import (
    Begun,
    Closed,
    Delta,
    Ended,
    Event,
    Failed,
    Logprobs,
    Opened,
    Stop,
)
from gateway.translation.prompt import Prompt
from gateway.translation.speech import Asking

Members = dict[str, Any]

_FINISH: Mapping[Stop, str] = {
    "end": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "pause": "stop",
}
_FINGERPRINT = "fp_poolgate"
"""A string, as the strict schemas want it: what ran upstream is not known."""
_input = msgspec.json.Decoder(dict[str, Any])


def _frame(asking: Asking, kind: str) -> Members:
    return {
        "id": f"chatcmpl-{asking.request_id}",
        "object": kind,
        "created": asking.created,
        "model": asking.model,
        "system_fingerprint": _FINGERPRINT,
    }


def figures(usage: Usage) -> Members:
    """OpenAI's figures: the prompt holds what was read from and written to caches. All sound and images were asked, for
    answers in them are not translated."""
    written_to = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    prompt = usage.input_tokens + usage.cache_read_tokens + written_to
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output_tokens,
        "total_tokens": prompt + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": written_to,
            "audio_tokens": usage.audio_tokens,
            "image_tokens": usage.image_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def unwrapped(arguments: str) -> str:
    """The text of a free-form call that came as one of a function with one string, `input`; else as it is."""
    found = decode(_input, arguments.encode(errors="surrogatepass"))
    said = None if found is None else found.get("input")
    return said if isinstance(said, str) else arguments


class _Call:
    """`wrapped`: a free-form call that comes as a function's, to be unwrapped once it is whole."""

    __slots__ = ("custom", "id", "index", "name", "pieces", "wrapped")

    def __init__(self, opened: Opened, index: int, asking: Asking) -> None:
        self.index = index
        self.name = opened.name or ""
        self.id = opened.id or f"call_{asking.request_id}_{index}"
        self.wrapped = not opened.custom and _is_custom(asking.prompt, self.name)
        self.custom = opened.custom or self.wrapped
        self.pieces: list[str] = []

    def text(self) -> str:
        arguments = "".join(self.pieces)
        if self.wrapped:
            return unwrapped(arguments)
        return arguments if arguments or self.custom else "{}"

    def whole(self) -> Members:
        kind, member = ("custom", "input") if self.custom else ("function", "arguments")
        return {"id": self.id, "type": kind, kind: {"name": self.name, member: self.text()}}


def _is_custom(prompt: Prompt, name: str) -> bool:
    return any(tool.custom and tool.name == name for tool in prompt.tools)


class _Lane:
    """`content` or `reasoning_content`: one block at a time, the others wait in the order of opening."""

    __slots__ = ("_waiting", "member")

    def __init__(self, member: str) -> None:
        self.member = member
        self._waiting: dict[int, list[Event]] = {}
        """The first is the block that is being said."""

    def open(self, block: int) -> None:
        self._waiting[block] = []

    def pass_on(self, event: Delta | Logprobs | Closed) -> list[Event]:
        """What is to be said now."""
        if event.block != next(iter(self._waiting)):
            self._waiting[event.block].append(event)
            return []
        now: list[Event] = [event]
        while isinstance(last := now[-1], Closed):
            del self._waiting[last.block]
            held = next(iter(self._waiting.values()), None)
            if not held:
                break
            now += held
            held.clear()
        return now


class Writer:
    """Calls have chunks of their own and may interleave. After the end, or an error, nothing is written."""

    content_type = b"text/event-stream; charset=utf-8"

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        counts = asking.prompt.include_usage
        self._frame = b"data: " + written(_frame(asking, "chat.completion.chunk"))[:-1] + b',"choices":['
        self._usage = b',"usage":null' if counts else b""
        self._counts = counts
        self._lanes: dict[int, _Lane] = {}
        self._text, self._thinking = _Lane("content"), _Lane("reasoning_content")
        self._calls: dict[int, _Call] = {}
        self._begun = False
        self._over = False

    def write(self, event: Event) -> bytes:
        if self._over:
            return b""
        match event:
            case Delta() | Logprobs() | Closed():
                return self._block(event)
            case Opened():
                return self._role() + self._opened(event)
            case Begun():
                return self._role()
            case Ended():
                return self._role() + self._ended(event)
            case Failed():
                self._over = True
                code = event.code or "upstream_error"
                return stream_error(Problem(event.status, code, event.message, None, self._asking.request_id))
            case _:
                return b""

    def ping(self) -> bytes:
        """A comment, which every reader of event streams passes over."""
        return b"" if self._over else b": ping\n\n"

    def _chunk(self, delta: Members, logprobs: Members | None = None, finish: str | None = None) -> bytes:
        choice: Members = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return b"%b%b]%b}\n\n" % (self._frame, written(choice), self._usage)

    def _role(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def _opened(self, event: Opened) -> bytes:
        if event.kind != "call":
            lane = self._text if event.kind == "text" else self._thinking
            self._lanes[event.block] = lane
            lane.open(event.block)
            return b""
        call = self._calls[event.block] = _Call(event, len(self._calls), self._asking)
        kind, member = ("custom", "input") if call.custom else ("function", "arguments")
        first = {"index": call.index, "id": call.id, "type": kind, kind: {"name": call.name, member: ""}}
        return self._chunk({"tool_calls": [first]})

    def _block(self, event: Delta | Logprobs | Closed) -> bytes:
        call = self._calls.get(event.block)
        if call is not None:
            return self._called(call, event)
        lane = self._lanes[event.block]
        return b"".join(self._said(lane.member, each) for each in lane.pass_on(event))

    def _said(self, member: str, event: Event) -> bytes:
        if isinstance(event, Delta) and event.text:
            return self._chunk({member: event.text})
        if isinstance(event, Logprobs):
            return self._chunk({}, {"content": list(event.tokens), "refusal": None})
        return b""

    def _called(self, call: _Call, event: Delta | Logprobs | Closed) -> bytes:
        """A piece is kept only where it is needed again: to be unwrapped, or to know that there was one."""
        text = ""
        if isinstance(event, Delta):
            text = event.text
            if text and (call.wrapped or not call.pieces):
                call.pieces.append(text)
            if call.wrapped:
                return b""
        elif isinstance(event, Closed) and (call.wrapped or not call.pieces):
            text = call.text()
        if not text:
            return b""
        kind, member = ("custom", "input") if call.custom else ("function", "arguments")
        return self._chunk({"tool_calls": [{"index": call.index, kind: {member: text}}]})

    def _ended(self, event: Ended) -> bytes:
        self._over = True
        end = self._chunk({}, finish=_FINISH[event.stop])
        if self._counts and event.usage is not None:
            end += b'%b],"usage":%b}\n\n' % (self._frame, written(figures(event.usage)))
        return end + b"data: [DONE]\n\n"


def whole(asking: Asking, events: Sequence[Event]) -> bytes:
    """The answer in one piece."""
    said: dict[str, dict[int, list[str]]] = {"text": {}, "thinking": {}}
    calls: dict[int, _Call] = {}
    tokens: list[Any] = []
    ended = Ended("end")
    for event in events:
        match event:
            case Opened(kind="call"):
                calls[event.block] = _Call(event, len(calls), asking)
            case Opened():
                said[event.kind][event.block] = []
            case Delta():
                _pieces(event.block, said, calls).append(event.text)
            case Logprobs():
                tokens += event.tokens
            case Ended():
                ended = event
            case _:
                pass
    text, thinking = ("".join(piece for pieces in found.values() for piece in pieces) for found in said.values())
    message: Members = {
        "role": "assistant",
        "content": None if calls and not text else text,
        "refusal": None,
        "annotations": [],
    }
    if thinking:
        message["reasoning_content"] = thinking
    if calls:
        message["tool_calls"] = [call.whole() for call in calls.values()]
    logprobs = {"content": tokens, "refusal": None} if tokens else None
    choice: Members = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": _FINISH[ended.stop]}
    body = _frame(asking, "chat.completion") | {"choices": [choice]}
    if ended.usage is not None:
        body["usage"] = figures(ended.usage)
    return written(body)


def _pieces(block: int, said: dict[str, dict[int, list[str]]], calls: dict[int, _Call]) -> list[str]:
    if block in calls:
        return calls[block].pieces
    return next(found[block] for found in said.values() if block in found)
