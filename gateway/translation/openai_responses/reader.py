"""An upstream's answer → events: https://platform.openai.com/docs/api-reference/responses-streaming"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols.framing import EventSplitter
from gateway.protocols.reading import decode, mapping
from gateway.translation.events import Event
from gateway.translation.held import Held
from gateway.translation.openai_responses.blocks import CALLS, Block, Blocks, failed

BAD_GATEWAY = 502
_ENDS = {"response.completed", "response.incomplete", "response.failed"}
_UNFINISHED = {"queued", "in_progress", "cancelled"}
_SUMMARY = "response.reasoning_summary_text"


class _Message(Struct):
    """An event of the stream."""

    type: Any = None
    delta: Any = None
    text: Any = None
    refusal: Any = None
    arguments: Any = None
    input: Any = None
    logprobs: Any = None
    item_id: Any = None
    output_index: Any = None
    content_index: Any = None
    summary_index: Any = None
    item: Any = None
    response: Any = None
    error: Any = None
    code: Any = None
    message: Any = None


_message = msgspec.json.Decoder(_Message)
_answer = msgspec.json.Decoder(dict[str, Any])


class StreamReader:
    """Of an event stream."""

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._blocks = Blocks()

    def feed(self, data: bytes) -> Sequence[Event]:
        for _, text in self._splitter.feed(data):
            self._event(text)
        if self._splitter.lost:
            self._blocks.fail(BAD_GATEWAY, "An event of the upstream's answer is too long.", "upstream_error")
        return self._blocks.taken()

    def close(self) -> Sequence[Event]:
        for _, text in self._splitter.close():
            self._event(text)
        self._blocks.fail(BAD_GATEWAY, "The upstream's answer was cut off.", "upstream_error")
        return self._blocks.taken()

    def _event(self, data: bytes) -> None:
        if self._blocks.over or data == b"[DONE]":
            return
        message = decode(_message, data)
        if message is None:
            self._blocks.fail(BAD_GATEWAY, "An event of the upstream's answer cannot be read.", "upstream_error")
            return
        kind = message.type if isinstance(message.type, str) else "error" if message.error else ""
        index = _place(message.output_index, message.item_id)
        if kind.endswith(".delta"):
            self._delta(kind, message, index)
        elif kind in _ENDS:
            self._blocks.end({"status": kind.removeprefix("response.")} | mapping(message.response))
        elif kind == "error":
            about = message.error or {"code": message.code, "message": message.message}
            self._blocks.fail(*failed(about))
        elif message.response is not None:
            self._blocks.begin(mapping(message.response))
        elif message.item is not None:
            self._item(kind, mapping(message.item), message)
        else:
            self._part(kind, message, index)

    def _item(self, kind: str, item: dict[str, Any], message: _Message) -> None:
        index = _place(message.output_index, item.get("id"))
        if kind == "response.output_item.done":
            self._blocks.item(index, item)
        elif kind == "response.output_item.added" and item.get("type") in CALLS:
            self._blocks.call(index, item)

    def _delta(self, kind: str, message: _Message, index: Any) -> None:
        blocks, text = self._blocks, message.delta
        if not isinstance(text, str):
            return
        match kind:
            case "response.output_text.delta" | "response.refusal.delta":
                blocks.refused = blocks.refused or kind == "response.refusal.delta"
                block = blocks.text((index, _place(message.content_index))) if text or message.logprobs else None
                if block is not None:
                    blocks.rate(block, message.logprobs)
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                block = self._thinking(kind.removesuffix(".delta"), message, index) if text else None
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
                block = blocks.known((index, "call"))
            case _:
                return
        if block is not None:
            blocks.add(block, text)

    def _part(self, kind: str, message: _Message, index: Any) -> None:
        """The end of a part: `response.….done` with its whole text."""
        blocks = self._blocks
        text = message.text or message.refusal or message.arguments or message.input
        match kind:
            case "response.output_text.done" | "response.refusal.done":
                key = (index, _place(message.content_index))
                block = blocks.text(key) if text else blocks.known(key)
            case "response.content_part.done":
                blocks.close((index, _place(message.content_index)))
                return
            case "response.reasoning_summary_text.done" | "response.reasoning_text.done":
                block = self._thinking(kind.removesuffix(".done"), message, index) if text else None
            case "response.function_call_arguments.done" | "response.custom_tool_call_input.done":
                block = blocks.known((index, "call"))
            case _:
                return
        if block is not None:
            blocks.complete(block, text)

    def _thinking(self, source: str, message: _Message, index: Any) -> Block | None:
        """What was thought or a summary of it, whichever comes first: never both. An empty line between parts."""
        block = self._blocks.thinking(index, message.item_id)
        part = message.summary_index if source == _SUMMARY else message.content_index
        if block is None or block.source not in ("", source):
            return None
        if block.source and part != block.part:
            self._blocks.add(block, "\n\n")
            block.next_part()
        block.source, block.part = source, part
        return block


class WholeReader:
    """Of an answer in one piece, at its end."""

    def __init__(self) -> None:
        self._held = Held()

    def feed(self, data: bytes) -> Sequence[Event]:
        self._held.add(data)
        return ()

    def close(self) -> Sequence[Event]:
        blocks = Blocks()
        data = self._held.taken()
        response = None if data is None else decode(_answer, data)
        if response is None or not ("output" in response or response.get("error")):
            blocks.fail(BAD_GATEWAY, "The upstream's answer cannot be read.", "upstream_error")
        elif response.get("status") in _UNFINISHED:
            blocks.fail(BAD_GATEWAY, "The upstream did not finish its answer.", "upstream_error")
        else:
            blocks.end(response)
        return blocks.taken()


def _place(index: Any, name: Any = 0) -> Any:
    """By its index, else by its name."""
    return index if isinstance(index, int) else name if isinstance(name, str) else 0


def reader(stream: bool) -> StreamReader | WholeReader:
    """Of one answer."""
    return StreamReader() if stream else WholeReader()
