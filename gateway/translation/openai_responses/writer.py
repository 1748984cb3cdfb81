"""Events → an answer for a client: https://platform.openai.com/docs/api-reference/responses-streaming

One item of the output is open at a time; the final response holds all of them again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Failed, Logprobs, Opened, Sealing
from gateway.translation.openai_responses import snapshot
from gateway.translation.openai_responses.marks import Piece, encrypted
from gateway.translation.openai_responses.one_by_one import OneByOne
from gateway.translation.openai_responses.tools import write_name
from gateway.translation.prompt import Sealed
from gateway.translation.speech import Asking

_INCOMPLETE = {"length": "max_output_tokens", "refusal": "content_filter"}
_ERROR_CODES = {429: "rate_limit_exceeded", 503: "server_is_overloaded", 529: "server_is_overloaded"}
"""As Codex tells them apart."""


class Writer:
    """Of a stream. `response` is the response object as it stands."""

    content_type = b"text/event-stream"

    def __init__(self, asking: Asking) -> None:
        self.response = snapshot.begun(asking)
        self._asking = asking
        self._customs = {tool.name for tool in asking.prompt.tools if tool.custom}
        self._order = OneByOne()
        self._item: _Item | None = None
        self._out: list[bytes] = []
        self._number = 0
        self._over = False

    def write(self, event: Event) -> bytes:
        """The bytes of the protocol's own events that this one makes known; none after the end."""
        for each in self._order.put(event):
            if not self._over:
                self._write(each)
        out = b"".join(self._out)
        self._out.clear()
        return out

    def ping(self) -> bytes:
        return b": ping\n\n"

    def emit(self, kind: str, **members: Any) -> None:
        """One event of the stream."""
        event = {"type": kind, "sequence_number": self._number, **members}
        self._number += 1
        self._out += (b"event: ", kind.encode(), b"\ndata: ", msgspec.json.encode(event), b"\n\n")

    def done(self, item: Mapping[str, Any]) -> None:
        """An item of the output is what it will be."""
        self.emit("response.output_item.done", output_index=self.place, item=item)
        self.response["output"].append(item)

    @property
    def place(self) -> int:
        """In the output: of the item that is open."""
        return len(self.response["output"])

    def new_id(self, prefix: str) -> str:
        return snapshot.item_id(self._asking, prefix, self.place)

    def _write(self, event: Event) -> None:
        if self._number == 0:
            self.emit("response.created", response=self.response)
            self.emit("response.in_progress", response=self.response)
        match event:
            case Begun():
                pass
            case Opened():
                self._item = self._opened(event)
            case Delta() | Sealing() | Logprobs() if self._item is not None:
                self._item.take(event)
            case Closed() if self._item is not None:
                self._item.close()
                self._item = None
            case Ended():
                self._end(event)
            case Failed():
                self._fail(event)
            case _:
                pass

    def _opened(self, event: Opened) -> "_Item":
        if event.kind == "text":
            return _Words(self)
        if event.kind == "thinking":
            return _Thought(self, event)
        if event.custom or event.name in self._customs:
            return _CustomCall(self, event)
        return _Call(self, event)

    def _end(self, event: Ended) -> None:
        reason = _INCOMPLETE.get(event.stop)
        status = "incomplete" if reason else "completed"
        self.response |= {"status": status, "usage": snapshot.figures(event.usage)}
        if reason:
            self.response["incomplete_details"] = {"reason": reason}
        else:
            self.response["completed_at"] = self._asking.created
        self._finish(f"response.{status}")

    def _fail(self, event: Failed) -> None:
        code = event.code or _ERROR_CODES.get(event.status, "server_error" if event.status >= 500 else "invalid_prompt")
        self.response |= {"status": "failed", "error": {"code": code, "message": event.message}}
        self._finish("response.failed")

    def _finish(self, kind: str) -> None:
        self.emit(kind, response=self.response)
        self._over = True


class _Item:
    """An item that is open. Its text comes in pieces."""

    prefix = ""

    def __init__(self, writer: Writer, item_id: str | None = None, **members: Any) -> None:
        self._writer = writer
        self._pieces: list[str] = []
        self._item: dict[str, Any] = {"id": item_id or writer.new_id(self.prefix), **members}
        writer.emit("response.output_item.added", output_index=writer.place, item=self._item)

    @property
    def _text(self) -> str:
        return "".join(self._pieces)

    def _emit(self, kind: str, **members: Any) -> None:
        self._writer.emit(kind, item_id=self._item["id"], output_index=self._writer.place, **members)

    def take(self, event: Delta | Sealing | Logprobs) -> None:
        if isinstance(event, Delta) and event.text:
            self._pieces.append(event.text)
            self._said(event.text)

    def _said(self, text: str) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class _Words(_Item):
    """A message with one text."""

    prefix = "msg"

    def __init__(self, writer: Writer) -> None:
        super().__init__(writer, type="message", status="in_progress", role="assistant", content=[])
        self._rated: list[dict[str, Any]] = []
        self._unsaid: list[dict[str, Any]] = []
        self._emit("response.content_part.added", content_index=0, part=self._part())

    def take(self, event: Delta | Sealing | Logprobs) -> None:
        if isinstance(event, Logprobs):
            self._unsaid += map(_token, event.tokens)
        super().take(event)

    def _said(self, text: str) -> None:
        tokens, self._unsaid = self._unsaid, []
        self._rated += tokens
        self._emit("response.output_text.delta", content_index=0, delta=text, logprobs=tokens)

    def _part(self) -> dict[str, Any]:
        return {"type": "output_text", "text": self._text, "annotations": [], "logprobs": self._rated}

    def close(self) -> None:
        self._rated += self._unsaid
        part = self._part()
        self._emit("response.output_text.done", content_index=0, text=part["text"], logprobs=self._rated)
        self._emit("response.content_part.done", content_index=0, part=part)
        self._writer.done({**self._item, "status": "completed", "content": [part]})


class _Thought(_Item):
    """Reasoning: its text is told as a summary, which begins with its first letter."""

    prefix = "rs"

    def __init__(self, writer: Writer, event: Opened) -> None:
        super().__init__(writer, event.id, type="reasoning", summary=[])
        self._redacted = event.redacted
        self._piece: Piece | None = None

    def take(self, event: Delta | Sealing | Logprobs) -> None:
        if isinstance(event, Sealing):
            self.seal(Piece(event.sealed, self._redacted))
        super().take(event)

    def seal(self, piece: Piece) -> None:
        self._piece = piece

    def _said(self, text: str) -> None:
        if len(self._pieces) == 1:
            part = {"type": "summary_text", "text": ""}
            self._emit("response.reasoning_summary_part.added", summary_index=0, part=part)
        self._emit("response.reasoning_summary_text.delta", summary_index=0, delta=text)

    def close(self) -> None:
        if self._pieces:
            part = {"type": "summary_text", "text": self._text}
            self._emit("response.reasoning_summary_text.done", summary_index=0, text=part["text"])
            self._emit("response.reasoning_summary_part.done", summary_index=0, part=part)
            self._item = {**self._item, "summary": [part]}
        if self._piece is not None:
            self._item = {**self._item, "encrypted_content": encrypted(self._piece)}
        self._writer.done(self._item)


class _Call(_Item):
    """A function's call. What its maker sealed of it follows as reasoning without a text."""

    prefix = "fc"
    kind, text, event = "function_call", "arguments", "response.function_call_arguments"

    def __init__(self, writer: Writer, event: Opened) -> None:
        self._call_id = event.id or writer.new_id("call")
        about = {"call_id": self._call_id, **write_name(event.name or ""), self.text: ""}
        super().__init__(writer, type=self.kind, status="in_progress", **about)
        self._sealed: Sealed | None = None

    def take(self, event: Delta | Sealing | Logprobs) -> None:
        if isinstance(event, Sealing):
            self._sealed = event.sealed
        super().take(event)

    def _said(self, text: str) -> None:
        self._emit(f"{self.event}.delta", delta=text)

    def close(self) -> None:
        if not self._pieces:
            self._pieces.append("{}")
            self._said("{}")
        self._finish(self._text)

    def _finish(self, text: str) -> None:
        self._emit(f"{self.event}.done", **{self.text: text})
        self._writer.done({**self._item, "status": "completed", self.text: text})
        if self._sealed is not None:
            thought = _Thought(self._writer, Opened(0, "thinking"))
            thought.seal(Piece(self._sealed, call=self._call_id))
            thought.close()


class _CustomCall(_Call):
    """The call of a custom tool. Protocols without such tools give a function's arguments with one text in them: they
    are opened when they are whole."""

    prefix = "ctc"
    kind, text, event = "custom_tool_call", "input", "response.custom_tool_call_input"

    def __init__(self, writer: Writer, event: Opened) -> None:
        super().__init__(writer, event)
        self._free = event.custom

    def _said(self, text: str) -> None:
        if self._free:
            super()._said(text)

    def close(self) -> None:
        text = self._text
        if not self._free and (text := _unwrapped(text)):
            super()._said(text)
        self._finish(text)


def _unwrapped(arguments: str) -> str:
    """The text in `{"input": …}`; what is no such thing is the text itself."""
    try:
        found = msgspec.json.decode(arguments, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return arguments
    text = found.get("input")
    return text if isinstance(text, str) and len(found) == 1 else arguments


def _token(token: Mapping[str, Any]) -> dict[str, Any]:
    """Bytes are never left out here."""
    others = [_with_bytes(each) for each in token.get("top_logprobs") or ()]
    return {**_with_bytes(token), "top_logprobs": others}


def _with_bytes(token: Mapping[str, Any]) -> dict[str, Any]:
    text = token.get("token") or ""
    given = token.get("bytes")
    return {"token": text, "logprob": token.get("logprob"), "bytes": list(text.encode()) if given is None else given}


def whole(asking: Asking, events: Sequence[Event]) -> bytes:
    """The answer in one piece."""
    writer = Writer(asking)
    for event in events:
        writer.write(event)
    return msgspec.json.encode(writer.response)
