"""A model's text, as text and calls: what can be no call is given out at once."""

import re
from collections.abc import Generator, Iterator, Mapping, Sequence

from msgspec import Struct

from gateway.translation.compat.draft import Draft, Found, Over
from gateway.translation.compat.prose import Prose
from gateway.translation.compat.remains import Remains
from gateway.translation.compat.schema import Schema

Piece = str | Found

_SLICE = 4096
"""Characters that are read at once: what is handed back after a call is copied, and must not be the whole answer."""
_OPENING = re.compile(r"<pg:call(?=[\s/>])")
_STARTS = ("<pg:call",)
_THOUGHTS = ("<think>", "<thinking>")
_LONGEST_START = max(map(len, _STARTS + _THOUGHTS))
_REST = 1000
"""Characters after a call in which a code span's end is looked for."""
_SPAN_ENDS = re.compile(r"`+|\n[ \t\r]*\n")


class _Doubt(Struct):
    """A call before which a code span began: it is in code if the span ends after it, in its paragraph."""

    found: Found
    source: str
    after: str = ""


class Scanner:
    """Of one text, which Markdown's rules hold for as a whole."""

    __slots__ = ("_doubt", "_draft", "_held", "_prose", "_remains", "_tools")

    def __init__(self, tools: Mapping[str, Schema]) -> None:
        self._tools = tools
        self._prose = Prose()
        self._held = ""
        """The beginning of a tag, perhaps."""
        self._draft: Draft | None = None
        self._remains: Remains | None = None
        self._doubt: _Doubt | None = None

    @property
    def pending(self) -> bool:
        """Whether it depends on the text's end whether there is a call."""
        return self._draft is not None or self._doubt is not None

    def feed(self, text: str) -> Iterator[Piece]:
        for at in range(0, len(text), _SLICE):
            yield from self._feed(text[at : at + _SLICE])

    def close(self, cut: bool) -> Iterator[Piece]:
        """`cut`: the text was cut off, so a call that is not complete is none."""
        rest = ""
        while self.pending:
            if self._draft is not None:
                over = Over(self._draft.size) if cut else self._draft.finish()
                rest = yield from self._over(self._draft, over)
            elif self._doubt is not None:
                rest = yield from self._in_doubt(self._doubt, "", cut=cut, last=True)
            yield from self._feed(rest)
        if self._remains is not None:
            yield self._remains.text
        if self._held:
            yield self._held
        self._remains, self._held = None, ""

    def _feed(self, text: str) -> Iterator[Piece]:
        text, self._held = self._held + text, ""
        while text:
            if self._draft is not None:
                text = yield from self._in_call(self._draft, text)
            elif self._doubt is not None:
                text = yield from self._in_doubt(self._doubt, text)
            elif self._remains is not None:
                text = yield from self._in_remains(self._remains, text)
            else:
                text = yield from self._in_text(text)

    def _in_text(self, text: str) -> Generator[Piece, None, str]:
        prose, at = self._prose, 0
        while (at := prose.advance(text, at)) < len(text):
            if _OPENING.match(text, at):
                self._draft = Draft(self._tools)
                break
            ahead = text[at : at + _LONGEST_START]
            if not prose.begun and ahead.startswith(_THOUGHTS):
                prose.think()
            elif any(start.startswith(ahead) for start in (_STARTS if prose.begun else _STARTS + _THOUGHTS)):
                self._held = text[at:]
                break
            prose.skip()
            at += 1
        if at:
            yield text[:at]
        return "" if self._held else text[at:]

    def _in_call(self, draft: Draft, text: str) -> Generator[Piece, None, str]:
        text, rest = text[: draft.room], text[draft.room :]
        over = draft.feed(text)
        if over is not None:
            return (yield from self._over(draft, over)) + rest
        if draft.broken:
            self._draft, self._remains = None, Remains(draft)
            return (yield from self._in_remains(self._remains, "")) + rest
        return rest

    def _over(self, draft: Draft, over: Over) -> Generator[Piece, None, str]:
        source, self._draft = draft.source, None
        if over.found is None:
            yield self._as_text(source[: over.end])
        elif self._prose.spans:
            self._doubt = _Doubt(over.found, source[: over.end])
        else:
            yield over.found
            self._prose.skip()
        return source[over.end :]

    def _in_remains(self, remains: Remains, text: str) -> Generator[Piece, None, str]:
        remains.add(text)
        if (tag := remains.next()) is not None:
            yield self._as_text(remains.give(tag.start if tag.kind == "call" else tag.end))
            self._remains = None
            return remains.text
        yield self._as_text(remains.give())
        return ""

    def _in_doubt(
        self, doubt: _Doubt, text: str, *, cut: bool = False, last: bool = False
    ) -> Generator[Piece, None, str]:
        doubt.after += text
        end = len(doubt.after) if cut else _span_end(doubt.after, self._prose.spans, last)
        if end is None:
            return ""
        self._doubt = None
        if end >= 0:
            yield self._as_text(doubt.source + doubt.after[:end])
            return doubt.after[end:]
        yield doubt.found
        self._prose.skip()
        self._prose.spans.clear()
        return doubt.after

    def _as_text(self, text: str) -> str:
        self._prose.read(text)
        return text


def _span_end(text: str, spans: Sequence[int], last: bool) -> int | None:
    """Where a span with so many backticks ends in the rest of a paragraph; -1: nowhere, None: more of it is needed."""
    rest = text[:_REST]
    known = last or len(rest) == _REST
    for found in _SPAN_ENDS.finditer(rest):
        if found[0][0] == "\n":
            return -1
        if len(found[0]) in spans and (found.end() < len(rest) or known):
            return found.end()
    return -1 if known else None
