"""Splitting answers into events as their bytes come, however they are cut, in bounded memory.

Server-sent events as in the WHATWG HTML standard, section 9.2 (LF, CRLF and CR, comments, data on several lines,
a byte order mark at the start), except that a last event without its blank line counts too, as the vendors'
SDKs have it. And the JSON array that Gemini streams without `alt=sse`.
"""

import re

MAX_EVENT = 16 * 1024 * 1024
"""Bytes of one event. A longer one is passed over and `lost` says so: the measuring goes on after it."""

Event = tuple[bytes, bytes]
"""The event's name (empty when it has none) and its data."""

_BOM = b"\xef\xbb\xbf"
# No possessive quantifiers and no atomic groups here: CPython before 3.11.5 matches some of them wrongly.
_blank_line = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_line_end = re.compile(rb"\r\n|\n|\r")

# A whole string, or one mark of the structure: a quote is one when its string does not end in these bytes.
_structure = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|(["\[\]{}])', re.DOTALL)
_in_string = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)


class BlockSplitter:
    """Cuts an event stream into blocks, each one event with its blank line; every byte is handed over once.

    Subclasses say what becomes of a `_block` (a whole event), of a `_piece` (bytes of an event that is too long),
    and of a `_line_feed` (of the CRLF that ended a block and was cut in two).
    """

    __slots__ = ("_after_cr", "_limit", "_pending", "_skipping", "lost")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._limit = limit
        self._pending: bytearray | None = None
        self._after_cr = False
        self._skipping = False
        self.lost = False

    def _block(self, block: bytes) -> None:
        raise NotImplementedError

    def _piece(self, piece: bytes) -> None:
        raise NotImplementedError

    def _line_feed(self) -> None:
        raise NotImplementedError

    def _cut(self, data: bytes) -> None:
        if self._after_cr and data:
            self._after_cr = False
            if data.startswith(b"\n"):
                self._line_feed()
                data = data[1:]
        # a blank line may have begun in the last two bytes that wait; nothing before them is searched again
        search = max(0, len(self._pending) - 2) if self._pending else 0
        buffer = data if self._pending is None else self._pending
        if buffer is not data:
            buffer += data
        start = 0
        while found := _blank_line.search(buffer, search):
            search = found.end()
            block, start = bytes(buffer[start:search]), search
            if self._skipping:
                self._skipping = False
                self._piece(block)
            else:
                self._block(block)
        if start and start == len(buffer):
            self._after_cr = buffer[-1] == 13
        self._keep(buffer, start)

    def _keep(self, buffer: bytes | bytearray, start: int) -> None:
        if start == len(buffer):
            self._pending = None
            return
        rest = bytearray(buffer[start:]) if start or isinstance(buffer, bytes) else buffer
        if self._skipping or len(rest) > self._limit:
            self.lost = self._skipping = True
            self._piece(bytes(rest[:-2]))
            del rest[:-2]
        self._pending = rest

    def _rest(self) -> bytes:
        rest, self._pending = bytes(self._pending or b""), None
        return rest


class EventSplitter(BlockSplitter):
    """The events of a stream as (name, data). Comments and events without data are left out."""

    __slots__ = ("_begun", "_events")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        super().__init__(limit)
        self._begun = False
        self._events: list[Event] = []

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        if self._begun and self._pending is None and (lines := _whole_events(data)):
            self._after_cr = False
            return [event for block in lines.split(b"\n\n") if block and (event := read_event(block)) is not None]
        self._cut(data)
        events, self._events = self._events, []
        return events

    def close(self) -> list[Event]:
        """The last event, when its blank line never came."""
        rest = self._rest()
        if rest and not self._skipping:
            self._block(rest)
        events, self._events = self._events, []
        return events

    def _block(self, block: bytes) -> None:
        if not self._begun:
            self._begun = True
            block = block.removeprefix(_BOM)
        event = read_event(block)
        if event is not None:
            self._events.append(event)

    def _piece(self, piece: bytes) -> None:
        pass

    def _line_feed(self) -> None:
        pass


def _whole_events(data: bytes) -> bytes:
    """The data with its lines ended by LF when it ends in a blank line and has no lone CR, else nothing."""
    if b"\r" not in data:
        return data if data.endswith(b"\n\n") else b""
    if not data.endswith(b"\r\n\r\n") or data.count(b"\r") != data.count(b"\r\n"):
        return b""
    return data.replace(b"\r\n", b"\n")


def read_event(block: bytes) -> Event | None:
    """The name and data of one block of lines; None when it has no data."""
    name = b""
    data: list[bytes] = []
    for line in _line_end.split(block) if b"\r" in block else block.split(b"\n"):
        if line.startswith(b"data:"):
            data.append(line[6:] if line.startswith(b"data: ") else line[5:])
        elif line.startswith(b"event:"):
            name = line[6:].removeprefix(b" ")
        elif line == b"data":
            data.append(b"")
    text = data[0] if len(data) == 1 else b"\n".join(data)
    return (name, text) if text else None


class ArraySplitter:
    """The elements (objects) of a JSON array that comes in pieces. `ended`: its closing bracket was seen."""

    __slots__ = ("_depth", "_element", "_escaped", "_limit", "_string", "ended", "lost")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._limit = limit
        self._depth = 0  # 1 is inside the array, 2 and more inside an element
        self._element: bytearray | None = None
        self._string = False
        self._escaped = False
        self.ended = False
        self.lost = False

    @property
    def between(self) -> bool:
        """Whether the array is open and no element is: another may follow here."""
        return self._depth == 1 and not self._string

    def feed(self, data: bytes) -> list[bytes]:
        """The texts of the elements that these bytes complete."""
        elements: list[bytes] = []
        start = position = 0
        while position < len(data):
            if self._string:
                position = self._through_string(data, position)
                continue
            found = _structure.search(data, position)
            if found is None:
                break
            position = found.end()
            mark = found[1]
            if mark is None:
                continue
            if mark == b'"':
                self._string = True
            elif mark in b"[{":
                if self._open(mark):
                    start = position - 1
            elif self._close_one():
                self._gather(data[start:position])
                if self._element is not None:
                    elements.append(bytes(self._element))
                self._element = None
        self._gather(data[start:])
        return elements

    def _through_string(self, data: bytes, position: int) -> int:
        if self._escaped:
            self._escaped = False
            position += 1
        end = found.end() if (found := _in_string.match(data, position)) else position
        if end < len(data):  # at the closing quote, or at a backslash that is the last byte
            self._escaped = data[end] == 92
            self._string = self._escaped
        return end + 1

    def _open(self, mark: bytes) -> bool:
        if self._depth == 0:
            self._depth = 1
            if mark == b"[":
                return False
        self._depth += 1
        if self._depth > 2:
            return False
        self._element = bytearray()
        return True

    def _close_one(self) -> bool:
        self._depth = max(0, self._depth - 1)
        self.ended = self.ended or self._depth == 0
        return self._depth == 1

    def _gather(self, piece: bytes) -> None:
        """Adds to the element that is open; one that is too long is given up."""
        if self._element is None:
            return
        self._element += piece
        if len(self._element) > self._limit:
            self.lost = True
            self._element = None
