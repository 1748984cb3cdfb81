"""Chat completions of OpenAI and of all who speak its protocol, as events.

https://platform.openai.com/docs/api-reference/chat/object and …/chat-streaming. The others' ways: thinking in
`reasoning_content` (DeepSeek, Qwen, vLLM), `reasoning` (OpenRouter, Groq) or parts of `content` (Mistral); calls
without index or id, or all at index 0; `finish_reason` stop although tools are called, or none; figures in the last
chunk, in one without choices, or in Groq's `x_groq`; no `[DONE]`.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols.codec import Usage
from gateway.protocols.framing import EventSplitter
from gateway.protocols.openai_chat import usage
from gateway.protocols.openai_errors import failure_status
from gateway.protocols.reading import Absurd, believed, decode, mapping, sequence, written
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
from gateway.translation.held import Held
from gateway.translation.names import original
from gateway.translation.openai_chat.errors import said

_STOPS: dict[str, Stop] = {
    "length": "length",
    "model_length": "length",
    "max_tokens": "length",
    "content_filter": "refusal",
}
"""`finish_reason` → stop; all others are told by what was answered."""


class _Answer(Struct):
    """A chunk or a whole answer."""

    id: Any = None
    model: Any = None
    object: Any = None
    choices: Any = None
    usage: Any = None
    error: Any = None
    x_groq: Any = None


_answer = msgspec.json.Decoder(_Answer)
_anything = msgspec.json.Decoder(Any)


class StreamReader:
    """`[DONE]` is the end; where a server leaves it out, a finish reason before the end of the body is one."""

    __slots__ = ("_assembly", "_splitter")

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._assembly = Assembly()

    def feed(self, data: bytes) -> Sequence[Event]:
        for _, text in self._splitter.feed(data):
            self._event(text)
        if self._splitter.lost:
            self._assembly.fail(502, "An event of the upstream is too long.")
        return self._assembly.drain()

    def close(self) -> Sequence[Event]:
        for _, text in self._splitter.close():
            self._event(text)
        self._assembly.close()
        return self._assembly.drain()

    def _event(self, data: bytes) -> None:
        if data == b"[DONE]":
            self._assembly.end()
        else:
            self._assembly.take(data)


class WholeReader:
    """An answer in one piece is read when it is there; up to 64 MiB."""

    __slots__ = ("_assembly", "_held")

    def __init__(self) -> None:
        self._held = Held()
        self._assembly = Assembly()

    def feed(self, data: bytes) -> Sequence[Event]:
        if self._held.add(data):
            return ()
        self._assembly.fail(502, "The upstream's answer is too long.")
        return self._assembly.drain()

    def close(self) -> Sequence[Event]:
        if data := self._held.taken():
            self._assembly.take(data)
        self._assembly.end()
        return self._assembly.drain()


def reader(stream: bool) -> StreamReader | WholeReader:
    return StreamReader() if stream else WholeReader()


class _Call:
    """`block` is None until its name is known; `held`: what came before."""

    __slots__ = ("block", "custom", "held", "id", "name")

    def __init__(self, call_id: str, *, custom: bool) -> None:
        self.block: int | None = None
        self.id = call_id
        self.name = ""
        self.custom = custom
        self.held = ""


class Assembly:
    """Makes blocks of what comes. Text and thinking are closed by what follows them, calls at the end: they interleave.
    After the end, or a failure, nothing more is said."""

    __slots__ = (
        "_begun",
        "_blocks",
        "_by_index",
        "_calls",
        "_finish",
        "_out",
        "_over",
        "_refused",
        "_seed",
        "_sequence",
        "_speaking",
        "_usage",
    )

    def __init__(self) -> None:
        self._out: list[Event] = []
        self._over = False
        self._begun = False
        self._blocks = 0
        self._speaking = ""
        """The kind of block that is open, the last one: text, thinking, or none of them."""
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._finish = ""
        self._sequence: str | None = None
        self._refused = False
        self._usage: Usage | None = None
        self._seed = b""
        """The first event: what ids are made of where the upstream gives none."""

    def drain(self) -> Sequence[Event]:
        out, self._out = self._out, []
        return out

    def fail(self, status: int, message: str, code: str | None = None) -> None:
        if not self._over:
            self._over = True
            self._out.append(Failed(status, message, code))

    def take(self, data: bytes) -> None:
        """One chunk, or the whole answer."""
        if self._over:
            return
        self._seed = self._seed or data
        found = decode(_answer, data)
        if found is None:
            self.fail(502, "The upstream's answer is not valid JSON.")
        elif found.error is not None or found.object == "error":
            error = decode(_anything, data) if found.error is None else found.error
            self.fail(failure_status(error), *said(error))
        else:
            self._more(found)

    def _more(self, found: _Answer) -> None:
        choices = [mapping(choice) for choice in sequence(found.choices)]
        if choices:
            self._begin(found)
        for choice in choices:
            if not choice.get("index"):
                self._choice(choice)
        figures = mapping(found.x_groq).get("usage") if found.usage is None else found.usage
        if figures is not None:
            self._count(figures)

    def close(self) -> None:
        """The body is at its end."""
        if self._finish:
            self.end()
        self.fail(502, "The upstream's answer was cut off.")

    def end(self) -> None:
        if not self._begun:
            self.fail(502, "The upstream's answer is empty.")
        if self._finish == "error":
            self.fail(502, "The upstream broke off its answer.")
        if self._over:
            return
        self._hush()
        for call in self._calls:
            self._out.append(Closed(self._opened(call)))
        self._over = True
        stop = self._stop()
        self._out.append(Ended(stop, self._sequence if stop == "stop_sequence" else None, self._usage))

    def _stop(self) -> Stop:
        """Calls are to be run whatever the finish reason says, unless they are cut off or filtered."""
        if self._finish in _STOPS:
            return _STOPS[self._finish]
        if self._calls:
            return "tool_use"
        if self._refused:
            return "refusal"
        return "end" if self._sequence is None else "stop_sequence"

    def _begin(self, found: _Answer) -> None:
        if self._begun:
            return
        self._begun = True
        self._out.append(Begun(_word(found.id) or None, _word(found.model) or None))

    def _count(self, figures: Any) -> None:
        """The last figures that can be believed."""
        try:
            self._usage = believed(usage(mapping(figures)))
        except Absurd:
            self._usage = None

    def _choice(self, choice: dict[str, Any]) -> None:
        whole = "message" in choice
        said_now = mapping(choice.get("message" if whole else "delta"))
        for name in ("reasoning_content", "reasoning"):
            if isinstance(thought := said_now.get(name), str) and thought:
                self._say("thinking", thought)
                break
        content = said_now.get("content")
        if isinstance(content, str):
            self._say("text", content)
        for part in sequence(content):
            self._part(mapping(part))
        if isinstance(refusal := said_now.get("refusal"), str) and refusal:
            self._refused = True
            self._say("text", refusal)
        self._tokens(mapping(choice.get("logprobs")))
        for position, call in enumerate(sequence(said_now.get("tool_calls"))):
            self._tool_call(mapping(call), position if whole else None)
        self._function_call(mapping(said_now.get("function_call")))
        if isinstance(finish := choice.get("finish_reason"), str) and finish:
            self._finish = finish
        if isinstance(met := choice.get("stop_reason"), str):  # vLLM
            self._sequence = met

    def _part(self, part: dict[str, Any]) -> None:
        """Mistral's content: `{"type": "text"}` and `{"type": "thinking", "thinking": [texts]}`."""
        if isinstance(text := part.get("text"), str):
            self._say("text", text)
        for thought in sequence(part.get("thinking")):
            if isinstance(text := mapping(thought).get("text"), str):
                self._say("thinking", text)

    def _open(self, **what: Any) -> int:
        self._out.append(Opened(self._blocks, **what))
        self._blocks += 1
        return self._blocks - 1

    def _say(self, kind: str, text: str) -> None:
        if not text:
            return
        if self._speaking != kind:
            self._hush()
            self._open(kind=kind)
            self._speaking = kind
        self._out.append(Delta(self._blocks - 1, text))

    def _hush(self) -> None:
        """Closes what is being said: no block has been opened after it."""
        if self._speaking:
            self._out.append(Closed(self._blocks - 1))
            self._speaking = ""

    def _tokens(self, logprobs: dict[str, Any]) -> None:
        given = sequence(logprobs.get("content")) or sequence(logprobs.get("refusal"))
        tokens = tuple(token for token in map(mapping, given) if "token" in token)
        if tokens and self._speaking == "text":
            self._out.append(Logprobs(self._blocks - 1, tokens))

    def _tool_call(self, found: dict[str, Any], position: int | None) -> None:
        function, custom = mapping(found.get("function")), mapping(found.get("custom"))
        free = found.get("type") == "custom" or bool(custom.get("name") and not function.get("name"))
        about = custom if free else function
        name, text = original(_word(about.get("name"))), about.get("input" if free else "arguments")
        index = found.get("index") if position is None else position
        call = self._known(index if type(index) is int else None, _word(found.get("id")), name)
        if call is None:
            call = self._new(_word(found.get("id")), custom=free)
            self._by_index[index if type(index) is int else -len(self._calls)] = call
        self._spell(call, name, text)

    def _known(self, index: int | None, call_id: str, name: str) -> _Call | None:
        """The call that this is more of. Some servers give all calls index 0, or none at all: then a new id with a name
        begins another."""
        if index is None:
            known = next((call for call in self._calls if call_id and call.id == call_id), None)
            return known or (None if name or not self._calls else self._calls[-1])
        known = self._by_index.get(index)
        if known is not None and name and call_id and known.name and call_id != known.id:
            return next((call for call in self._calls if call.id == call_id), None)
        return known

    def _new(self, call_id: str, *, custom: bool) -> _Call:
        if not call_id or any(call.id == call_id for call in self._calls):
            seed = b"%d %b" % (len(self._calls), self._seed)
            call_id = f"call_{sha256(seed).hexdigest()[:24]}"
        self._calls.append(_Call(call_id, custom=custom))
        return self._calls[-1]

    def _spell(self, call: _Call, name: str, arguments: Any) -> None:
        """More of a call; arguments that are an object are written as JSON."""
        call.name = call.name or name
        text = arguments if isinstance(arguments, str) else ""
        if isinstance(arguments, dict):
            text = written(arguments).decode()
        if not call.name:
            call.held += text
            return
        block = self._opened(call)
        if text:
            self._out.append(Delta(block, text))

    def _opened(self, call: _Call) -> int:
        """Its block, opened now if it is not yet."""
        if call.block is None:
            self._hush()
            call.block = self._open(kind="call", id=call.id, name=call.name, custom=call.custom)
            if call.held:
                self._out.append(Delta(call.block, call.held))
        return call.block

    def _function_call(self, found: dict[str, Any]) -> None:
        """Deprecated, and at most one."""
        name, arguments = original(_word(found.get("name"))), found.get("arguments")
        if not name and not arguments:
            return
        call = self._by_index.get(-1) or self._new("", custom=False)
        self._by_index[-1] = call
        self._spell(call, name, arguments)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""
