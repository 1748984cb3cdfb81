"""The blocks of an answer as its items tell of them, by events or at once.

Servers that speak this protocol leave out some of its events. What has come of a block is counted, so that the text
that stands in a later event (…done, response.completed) only adds what is missing.
"""

from collections.abc import Sequence
from typing import Any, cast
from zlib import crc32

from gateway.protocols import openai_responses as protocol
from gateway.protocols.codec import Usage
from gateway.protocols.openai_errors import failure_status
from gateway.protocols.reading import Absurd, believed, mapping, sequence
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Failed, Logprobs, Opened, Sealing, Stop
from gateway.translation.names import original
from gateway.translation.openai_responses.items import thought
from gateway.translation.openai_responses.marks import flat
from gateway.translation.prompt import Sealed

CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
"""Calls that the client answers, and where their text stands."""

Key = tuple[Any, Any]
"""The item (its `output_index`, its id where a server gives none), and the part of it."""


class Block:
    """One that is open. `come` and `sum`: characters of its part so far, and their checksum; `cut`: half of a character
    that a server cut in two."""

    __slots__ = ("come", "cut", "number", "part", "source", "sum")

    def __init__(self, number: int) -> None:
        self.number = number
        self.come = self.sum = 0
        self.cut = ""
        self.part: Any = None
        self.source = ""

    def next_part(self) -> None:
        self.come = self.sum = 0


class Blocks:
    """The events of one answer so far, and its open blocks. Once it has ended or failed, nothing follows."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.over = False
        self.refused = False
        self.called = False
        self._begun = False
        self._count = 0
        self._open: dict[Key, Block] = {}
        self._closed: set[Key] = set()

    @property
    def silent(self) -> bool:
        return self._count == 0

    def begin(self, response: dict[str, Any]) -> None:
        if not self._begun:
            self._begun = True
            self.events.append(Begun(_text(response.get("id")) or None, _text(response.get("model")) or None))

    def text(self, key: Key) -> Block | None:
        return self._block(key, Opened(self._count, "text"))

    def thinking(self, item: Any, item_id: Any) -> Block | None:
        return self._block((item, "thinking"), Opened(self._count, "thinking", _text(item_id) or None))

    def call(self, index: Any, item: dict[str, Any]) -> Block | None:
        custom = item.get("type") == "custom_tool_call"
        call_id = _text(item.get("call_id")) or _text(item.get("id"))
        name = original(flat(_text(item.get("namespace")) or None, _text(item.get("name"))))
        self.called = True
        return self._block((index, "call"), Opened(self._count, "call", call_id, name, custom))

    def known(self, key: Key) -> Block | None:
        return self._open.get(key)

    def _block(self, key: Key, opened: Opened) -> Block | None:
        """None of a block that is closed already."""
        if (block := self._open.get(key)) is not None or key in self._closed:
            return block
        self.begin({})
        self.events.append(opened)
        self._open[key] = block = Block(self._count)
        self._count += 1
        return block

    def add(self, block: Block, text: str) -> None:
        block.come += len(text)
        block.sum = _checksum(text, block.sum)
        if block.cut or not _sound(text):
            text, block.cut = _mended(block.cut + text)
        if text:
            self.events.append(Delta(block.number, text))

    def complete(self, block: Block, text: Any) -> None:
        """The whole text of the block's part: adds what has not come. Of one that began otherwise than what has come,
        nothing: that cannot be taken back."""
        if isinstance(text, str) and len(text) > block.come and _checksum(text[: block.come]) == block.sum:
            self.add(block, text[block.come :])

    def close(self, key: Key) -> None:
        block = self._open.pop(key, None)
        if block is not None:
            self._closed.add(key)
            if block.cut:
                self.events.append(Delta(block.number, "\ufffd"))
            self.events.append(Closed(block.number))

    def fail(self, status: int, message: str, code: str | None = None) -> None:
        if not self.over:
            self.over = True
            self.events.append(Failed(status, message, code))

    def item(self, index: Any, item: dict[str, Any]) -> None:
        """An item that is done."""
        match item.get("type"):
            case "message":
                for at, part in enumerate(sequence(item.get("content"))):
                    self._words((index, at), mapping(part))
            case "reasoning":
                self._reasoning(index, item)
            case "function_call" | "custom_tool_call" as kind:
                if (block := self.call(index, item)) is not None:
                    self.complete(block, item.get(CALLS[kind]))
                    self.close((index, "call"))
            case _:
                pass

    def _words(self, key: Key, part: dict[str, Any]) -> None:
        refused = part.get("type") == "refusal"
        self.refused = self.refused or refused
        text = part.get("refusal" if refused else "text")
        if (self.known(key) or text) and (block := self.text(key)) is not None:
            if block.come == 0:
                self.rate(block, part.get("logprobs"))
            self.complete(block, text)
        self.close(key)

    def rate(self, block: Block, logprobs: Any) -> None:
        """Log probabilities, in OpenAI chat's form."""
        if logprobs:
            self.events.append(Logprobs(block.number, tuple(_token(each) for each in sequence(logprobs))))

    def _reasoning(self, index: Any, item: dict[str, Any]) -> None:
        key = (index, "thinking")
        sealed, text = _text(item.get("encrypted_content")), thought(item)
        block = self.known(key)
        if block is None and (text or sealed):
            block = self.thinking(index, item.get("id"))
            if block is not None:
                self.complete(block, text)
        if block is not None and sealed:
            self.events.append(Sealing(block.number, Sealed("openai", sealed, _text(item.get("id")) or None)))
        self.close(key)

    def end(self, response: dict[str, Any]) -> None:
        """The response as it ended: what no event told of it is told now."""
        self.begin(response)
        if response.get("status") == "failed" or mapping(response.get("error")):
            self.fail(*failed(response.get("error")))
            return
        if self.silent:
            for index, item in enumerate(sequence(response.get("output"))):
                self.item(index, mapping(item))
        for key in list(self._open):
            self.close(key)
        self.over = True
        self.events.append(Ended(self._stop(response), usage=_usage(response.get("usage"))))

    def _stop(self, response: dict[str, Any]) -> Stop:
        match mapping(response.get("incomplete_details")).get("reason"):
            case "max_output_tokens":
                return "length"
            case "content_filter":
                return "refusal"
            case _ if self.called:
                return "tool_use"
            case _:
                return "refusal" if self.refused else "end"

    def taken(self) -> Sequence[Event]:
        events, self.events = self.events, []
        return events


def failed(about: Any) -> tuple[int, str, str | None]:
    """The status, the upstream's own words and the code of an error object."""
    error = mapping(about)
    message = _text(error.get("message")) or (about if isinstance(about, str) else "")
    code = error.get("code") or error.get("type")
    return failure_status(error), message or "The upstream failed.", None if code is None else str(code)


def _usage(figures: Any) -> Usage | None:
    try:
        return believed(protocol.usage(cast("dict[str, Any]", figures))) if isinstance(figures, dict) else None
    except Absurd:
        return None


def _token(logprob: Any) -> dict[str, Any]:
    found = mapping(logprob)
    others = [mapping(each) for each in sequence(found.get("top_logprobs"))]
    return {
        **{name: found.get(name) for name in ("token", "logprob", "bytes")},
        "top_logprobs": [{name: each.get(name) for name in ("token", "logprob", "bytes")} for each in others],
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) and _sound(value) else ""


def _sound(text: str) -> bool:
    """Whether it can be written: no halves of characters."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _checksum(text: str, before: int = 0) -> int:
    return crc32(text.encode(errors="surrogatepass"), before)


def _mended(text: str) -> tuple[str, str]:
    """Halves that belong together are joined, lone ones replaced; a first half at the end is kept back."""
    cut = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
    whole = text.removesuffix(cut) if cut else text
    return whole.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"), cut
