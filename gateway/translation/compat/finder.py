"""The upstream's events, with the calls that its text holds as calls."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

import msgspec

from gateway.translation.compat.draft import Found
from gateway.translation.compat.scanner import Piece, Scanner
from gateway.translation.compat.schema import Schema
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Failed, Logprobs, Opened, Sealing
from gateway.translation.prompt import Tool

_WHOLE = frozenset({"end", "tool_use"})
"""Stops at which the model had said all it wanted to."""
_BECOME_TOOL_USE = frozenset({"end", "stop_sequence", "length"})
_MOST_SPACE = 1000


class _Said:
    """A text block of the upstream. `block`: the number of the open block that its text goes to now."""

    __slots__ = ("block", "called", "scanner", "space")

    def __init__(self, scanner: Scanner) -> None:
        self.scanner = scanner
        self.block: int | None = None
        self.called = False
        self.space = ""
        """White space after a call. It makes no block of its own: it goes before the text that follows, if any does."""


class Finder:
    """Gives text out as it comes, each call as a block of its own with an id of `new_id`, and thinking as it is.

    Blocks are counted anew. A text block is opened with its first text, so there are no empty ones. Log probabilities
    of text are left out: tokens of a call are no text. An answer that holds a call ends as tool use; one that was cut
    off does so unless a call was cut.
    """

    __slots__ = ("_blocks", "_called", "_cut", "_new_id", "_numbers", "_texts", "_tools", "_waiting")

    def __init__(self, tools: Sequence[Tool], new_id: Callable[[], str]) -> None:
        self._tools = {tool.name: Schema(tool) for tool in reversed(tools)}
        self._new_id = new_id
        self._texts: dict[int, _Said] = {}
        self._numbers: dict[int, int] = {}
        """Of all other blocks: the upstream's and ours."""
        self._blocks = 0
        self._waiting: list[_Said] = []
        """Texts that ended within a call: the reason for the answer's end says whether they were cut off."""
        self._called = False
        self._cut = False

    def read(self, event: Event) -> Sequence[Event]:
        return list(self._read(event))

    def _read(self, event: Event) -> Iterator[Event]:
        match event:
            case Opened():
                yield from self._settle()
                yield from self._open(event)
            case Delta() | Sealing():
                yield from self._settle()
                yield from self._more(event)
            case Closed():
                yield from self._close(event.block)
            case Ended():
                yield from self._settle(cut=event.stop not in _WHOLE)
                yield self._end(event)
            case Failed():
                self._waiting += self._texts.values()
                yield from self._settle(cut=True)
                yield event
            case Begun():
                yield event
            case Logprobs():
                pass

    def _open(self, event: Opened) -> Iterator[Event]:
        if event.kind == "text":
            self._texts[event.block] = _Said(Scanner(self._tools))
        else:
            self._numbers[event.block] = self._next()
            yield msgspec.structs.replace(event, block=self._numbers[event.block])

    def _more(self, event: Delta | Sealing) -> Iterator[Event]:
        said = self._texts.get(event.block)
        if said is None:
            if (number := self._numbers.get(event.block)) is not None:
                yield msgspec.structs.replace(event, block=number)
        elif isinstance(event, Delta):
            yield from self._pieces(said, said.scanner.feed(event.text))

    def _close(self, block: int) -> Iterator[Event]:
        said = self._texts.pop(block, None)
        if said is None:
            if (number := self._numbers.pop(block, None)) is not None:
                yield Closed(number)
        elif said.scanner.pending:
            self._waiting.append(said)
        else:
            yield from self._finish(said, cut=False)

    def _settle(self, cut: bool = False) -> Iterator[Event]:
        """Ends the texts that wait. While no end of the answer is known it goes on after them: they are whole."""
        waiting, self._waiting = self._waiting, []
        for said in waiting:
            yield from self._finish(said, cut)

    def _finish(self, said: _Said, cut: bool) -> Iterator[Event]:
        self._cut = self._cut or (cut and said.scanner.pending)
        yield from self._pieces(said, said.scanner.close(cut))
        yield from self._end_block(said)

    def _end(self, event: Ended) -> Ended:
        if self._called and event.stop in _BECOME_TOOL_USE and not (self._cut and event.stop == "length"):
            return Ended("tool_use", usage=event.usage)
        return event

    def _pieces(self, said: _Said, pieces: Iterable[Piece]) -> Iterator[Event]:
        for is_text, group in groupby(pieces, key=lambda piece: isinstance(piece, str)):
            if is_text:
                yield from self._say(said, "".join(piece for piece in group if isinstance(piece, str)))
            else:
                for piece in group:
                    if isinstance(piece, Found):
                        yield from self._call(said, piece)

    def _say(self, said: _Said, text: str) -> Iterator[Event]:
        if said.block is None and said.called:
            text = said.space + text
            said.space = text if text.isspace() and len(text) <= _MOST_SPACE else ""
        if not text or said.space:
            return
        if said.block is None:
            said.block = self._next()
            yield Opened(said.block, "text")
        yield Delta(said.block, text)

    def _call(self, said: _Said, found: Found) -> Iterator[Event]:
        yield from self._end_block(said)
        said.called = self._called = True
        block = self._next()
        yield Opened(block, "call", self._new_id(), found.name, custom=found.custom)
        if found.arguments:
            yield Delta(block, found.arguments)
        yield Closed(block)

    def _end_block(self, said: _Said) -> Iterator[Event]:
        if said.block is not None:
            yield Closed(said.block)
            said.block = None

    def _next(self) -> int:
        self._blocks += 1
        return self._blocks - 1
