"""Answers for Anthropic's clients, written: https://docs.anthropic.com/en/docs/build-with-claude/streaming

One block is open at a time: of others that are open beside it the events wait, in the order of their opening. A block
of text or thinking begins with its first letter, so that no empty one is ever seen.
"""

from collections.abc import Sequence
from typing import Any

from gateway.protocols import anthropic
from gateway.protocols.codec import Problem, Usage
from gateway.protocols.reading import written
from gateway.translation.anthropic.shapes import DIRECT, delta_usage, ending, identify, message, usage_of
from gateway.translation.arguments import as_object
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Failed, Opened, Sealing
from gateway.translation.names import legal
from gateway.translation.speech import Asking

_PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class _Block:
    """`index` is None until its start is written."""

    __slots__ = ("custom", "index", "opened", "sealed")

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.index: int | None = None
        self.sealed = ""


class Writer:
    """A stream, from events in any valid order. After its end, or an error, nothing more is written."""

    content_type = b"text/event-stream"
    __slots__ = ("_asking", "_begun", "_block", "_known", "_over", "_waiting", "_written")

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._begun = self._over = False
        self._known: Usage | None = None
        self._block: _Block | None = None
        self._waiting: dict[int, list[Event]] = {}
        self._written = 0

    def ping(self) -> bytes:
        return b"" if self._over else _PING

    def write(self, event: Event) -> bytes:
        if self._over:
            return b""
        if isinstance(event, Failed):
            self._over = True
            code = event.code or "upstream_error"
            return anthropic.stream_error(Problem(event.status, code, event.message, None, self._asking.request_id))
        return b"".join((self._begin(event), self._said(event)))

    def _begin(self, event: Event) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        self._known = event.usage if isinstance(event, Begun) else None
        usage = self._known or Usage(input_tokens=self._asking.estimated)
        start = message(self._asking) | {"usage": usage_of(usage)}
        return _sse(b"message_start", b'"message":' + written(start))

    def _said(self, event: Event) -> bytes:
        if isinstance(event, Begun):
            return b""
        if isinstance(event, Ended):
            return self._end(event)
        if isinstance(event, Opened):
            if self._block is not None:
                self._waiting[event.block] = [event]
                return b""
            self._block = _Block(event)
            return self._start() if event.kind == "call" else b""
        assert not isinstance(event, Failed)
        if self._block is not None and event.block == self._block.opened.block:
            return self._current(event)
        if event.block in self._waiting:
            self._waiting[event.block].append(event)
        return b""

    def _current(self, event: Event) -> bytes:
        """An event of the open block."""
        block = self._block
        assert block is not None
        match event:
            case Delta(text=text) if text:
                return self._start() + self._delta(block, text)
            case Sealing(sealed=sealed) if sealed.family == "anthropic" and block.opened.kind == "thinking":
                block.sealed = sealed.data
                return b"" if block.opened.redacted else self._start() + self._signed(block)
            case Closed():
                return self._close(block) + self._next()
            case _:
                return b""

    def _start(self) -> bytes:
        block = self._block
        if block is None or block.index is not None:
            return b""
        block.index, self._written = self._written, self._written + 1
        start = content_block(block.opened, block.index, self._asking, block.sealed)
        begun = _sse(b"content_block_start", b'"index":%d,"content_block":%b' % (block.index, written(start)))
        return begun + (self._piece(block, '{"input":"') if block.opened.custom else b"")

    def _delta(self, block: _Block, text: str) -> bytes:
        if block.opened.kind == "call":
            return self._piece(block, escaped(text) if block.opened.custom else text)
        kind = b"text" if block.opened.kind == "text" else b"thinking"
        said = b'"index":%d,"delta":{"type":"%b_delta","%b":%b}' % (block.index, kind, kind, written(text))
        return _sse(b"content_block_delta", said)

    def _piece(self, block: _Block, text: str) -> bytes:
        said = b'"index":%d,"delta":{"type":"input_json_delta","partial_json":%b}' % (block.index, written(text))
        return _sse(b"content_block_delta", said)

    def _signed(self, block: _Block) -> bytes:
        said = b'"index":%d,"delta":{"type":"signature_delta","signature":%b}' % (block.index, written(block.sealed))
        return _sse(b"content_block_delta", said)

    def _close(self, block: _Block) -> bytes:
        """What nothing was said in was never begun; sealed thinking without a text is said at its end."""
        said = self._start() if block.opened.redacted and block.sealed else b""
        if block.opened.custom and block.index is not None:
            said += self._piece(block, '"}')
        if block.index is None:
            return said
        return said + _sse(b"content_block_stop", b'"index":%d' % block.index)

    def _next(self) -> bytes:
        """The blocks that waited, up to the first that is still open."""
        said: list[bytes] = []
        self._block = None
        while self._block is None and self._waiting:
            events = self._waiting.pop(next(iter(self._waiting)))
            said += map(self._said, events)
        return b"".join(said)

    def _end(self, event: Ended) -> bytes:
        said: list[bytes] = []
        while self._block is not None:
            said += (self._close(self._block), self._next())
        self._over = True
        usage = event.usage or self._known or Usage()
        end = b'"delta":%b,"usage":%b' % (written(ending(event)), written(delta_usage(usage)))
        return b"".join((*said, _sse(b"message_delta", end), _STOP))


def _sse(name: bytes, members: bytes) -> bytes:
    return b'event: %b\ndata: {"type":"%b",%b}\n\n' % (name, name, members)


def escaped(text: str) -> str:
    """As it stands inside a JSON string."""
    return written(text)[1:-1].decode()


def content_block(opened: Opened, index: int, asking: Asking, sealed: str = "") -> dict[str, Any]:
    """A block as it begins."""
    if opened.kind == "text":
        return {"type": "text", "text": "", "citations": None}
    if opened.redacted:
        return {"type": "redacted_thinking", "data": sealed}
    if opened.kind == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}
    given = legal(opened.id) if opened.id else f"toolu_{identify(asking)}_{index}"
    return {"type": "tool_use", "id": given, "name": opened.name or "", "input": {}, "caller": DIRECT}


def whole(asking: Asking, events: Sequence[Event]) -> bytes:
    """An answer in one piece."""
    blocks: dict[int, tuple[Opened, list[str]]] = {}
    seals: dict[int, str] = {}
    known: Usage | None = None
    ended = Ended("end")
    for event in events:
        match event:
            case Opened(block=block):
                blocks[block] = (event, [])
            case Delta(block=block, text=text):
                blocks[block][1].append(text)
            case Sealing(block=block, sealed=sealed) if sealed.family == "anthropic":
                seals[block] = sealed.data
            case Begun(usage=usage):
                known = usage
            case Ended():
                ended = event
            case _:
                pass
    content: list[dict[str, Any]] = []
    for number, (opened, texts) in blocks.items():
        content += _filled(opened, "".join(texts), seals.get(number, ""), len(content), asking)
    usage = usage_of(ended.usage or known or Usage())
    return written(message(asking) | {"content": content, "usage": usage} | ending(ended))


def _filled(opened: Opened, text: str, sealed: str, index: int, asking: Asking) -> Sequence[dict[str, Any]]:
    """A block with all that it says; none where it says nothing."""
    block = content_block(opened, index, asking, sealed)
    if opened.kind == "call":
        return (block | {"input": as_object(text, opened.custom)},)
    if opened.redacted:
        return (block,) if sealed else ()
    if opened.kind == "text":
        return (block | {"text": text},) if text else ()
    return (block | {"thinking": text, "signature": sealed},) if text or sealed else ()
