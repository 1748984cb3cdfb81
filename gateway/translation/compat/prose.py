"""Where in a text a call would not be one: in code, by Markdown's rules, and in thinking that is written as text.

https://spec.commonmark.org/0.31.2/#fenced-code-blocks and #code-spans, but on the safe side, where what is only shown
could run: a fence may be indented in any way, one in a list or a quote is not ended by that, and one of backticks may
begin at the end of a line of text, with a word after it.
"""

import re

_SIGN = re.compile(r"[`~\n<]")
_INFO_SIGN = re.compile(r"[`\n]")
_RUNS = {"`": re.compile("`*"), "~": re.compile("~*")}
_LEAST = 3
"""Characters that open a fence."""
_BLANK, _MARKED, _FULL = range(3)
"""A line so far: white space; also signs that quotes and lists begin with; more than that."""
_WHITE = " \t\r"
_MARKS = _WHITE + ">*+-.)0123456789"
_MARGIN, _CLOSING, _CLOSED, _CODE = range(4)
"""A line in a fence so far: what may stand before the closing run; that run; white space after it; code."""
_TAB = 4
_NO_RUN = ("", 0, False)
_NO_FENCE = ("", 0)
_LONGEST_WORD = 100
_THOUGHT_ENDS = "</think"


class Prose:
    """Reads a text in pieces, each character once.

    `begun`: more than white space was read. `spans`: the lengths of runs of backticks that a code span may begin with,
    in order; the first of which another run of the same length follows in the paragraph does.
    """

    __slots__ = (
        "_certain",
        "_closing",
        "_fence",
        "_first",
        "_indent",
        "_info",
        "_line",
        "_margin",
        "_quoted",
        "_run",
        "_stage",
        "_tail",
        "_thinking",
        "begun",
        "spans",
    )

    def __init__(self) -> None:
        self.begun = False
        self.spans: list[int] = []
        self._certain: int = 0
        """The length of a run within a line that looks like a fence's. What follows is code up to another such run,
        beside what is code by the rules: at the beginning of a line that run opens a fence."""
        self._line = _BLANK
        self._indent: int = 0
        """Characters before the line's text, or before its run; a tab counts as four."""
        self._run: tuple[str, int, bool] = _NO_RUN
        """(the character, how many, whether they begin their line) of a run that may go on."""
        self._fence: tuple[str, int] = _NO_FENCE
        """(the character, how many) of the run that opened the fence."""
        self._info: str | None = None
        """What follows it in its line, while that goes on and has no backticks, which would make it a span's."""
        self._first = False
        """It began its line."""
        self._margin = range(0)
        """How far in the run that closes it may stand: as an item of a list is, if it stood so, or hardly."""
        self._quoted = False
        """The line stands in a quote, or the fence."""
        self._stage = _MARGIN
        self._closing: int = 0
        self._thinking = False
        self._tail = ""

    def advance(self, text: str, at: int) -> int:
        """Reads from `at`; stops before a `<` that a call could begin with, or at the end."""
        while at < len(text):
            if self._run[0]:
                at = self._more(text, at)
            elif self._thinking:
                at = self._thought(text, at)
            elif self._info is not None:
                at = self._after_run(text, at, self._info)
            elif self._fence[0]:
                at = self._code(text, at)
            else:
                found = _SIGN.search(text, at)
                stop = found.start() if found else len(text)
                self._words(text, at, stop)
                if stop == len(text) or (text[stop] == "<" and not self._certain):
                    return stop
                at = self._sign(text, stop)
        return at

    def read(self, text: str) -> None:
        """Reads what is text in any case."""
        at = 0
        while (at := self.advance(text, at)) < len(text):
            self.skip()
            at += 1

    def skip(self) -> None:
        """A `<` that begins no tag, or a call that is taken out, stood here."""
        self.begun = True
        self._line = _FULL

    def think(self) -> None:
        """What follows is thinking, up to the tag that ends it."""
        self._thinking, self._tail = True, ""

    def _words(self, text: str, at: int, stop: int) -> None:
        if self._line == _FULL:
            return
        self._indent += stop - at + (_TAB - 1) * text.count("\t", at, stop)
        if piece := text[at:stop].strip(_WHITE):
            self.begun = True
            self._line = _FULL if piece.strip(_MARKS) else _MARKED
            self._quoted = self._quoted or (self._line == _MARKED and ">" in piece)

    def _sign(self, text: str, at: int) -> int:
        if text[at] == "<":
            self.skip()
            return at + 1
        if text[at] != "\n":
            self._run = (text[at], 0, self._line < _FULL)
            return at
        if self._line == _BLANK:
            self.spans.clear()
        self._new_line()
        return at + 1

    def _new_line(self) -> None:
        self._line, self._indent, self._quoted = _BLANK, 0, False

    def _more(self, text: str, at: int) -> int:
        sign, count, first = self._run
        found = _RUNS[sign].match(text, at)
        end = found.end() if found else at
        self._run = (sign, count + end - at, first)
        if end < len(text):
            self._end_run()
        return end

    def _end_run(self) -> None:
        (sign, count, first), self._run = self._run, _NO_RUN
        self.skip()
        if sign == "~":
            if first and count >= _LEAST:
                self._open(sign, count)
                self._stage = _CODE
                self.spans.clear()
            return
        if self._info is not None:
            self._toggle(self._fence[1])
            self._info, self._fence = None, _NO_FENCE
        if count >= _LEAST and (first or not (self._certain or count in self.spans)):
            self._open(sign, count)
            self._info, self._first = "", first
            return
        if count == self._certain:
            self._certain = 0
        self._toggle(count)

    def _open(self, sign: str, count: int) -> None:
        self._fence = (sign, count)
        self._margin = range(_TAB, self._indent + 1) if self._indent >= _TAB else range(_TAB)

    def _toggle(self, count: int) -> None:
        if count in self.spans:
            del self.spans[self.spans.index(count) :]
        else:
            self.spans.append(count)

    def _after_run(self, text: str, at: int, info: str) -> int:
        """The line of a run that may open a fence."""
        found = _INFO_SIGN.search(text, at)
        stop = found.start() if found else len(text)
        if len(info) < _LONGEST_WORD:
            info += text[at : min(stop, at + _LONGEST_WORD)]
        self._info = info
        if found is None:
            return stop
        if found[0] == "`":
            self._run = ("`", 0, False)
            return stop
        self._info = None
        self._end_line(len(info.split()) if len(info) < _LONGEST_WORD else _LONGEST_WORD)
        return stop + 1

    def _end_line(self, words: int) -> None:
        """So many stand between the run and the end of its line."""
        count = self._fence[1]
        if self._first:
            self._stage, self._indent = _MARGIN, 0
            self._certain = 0 if count == self._certain else self._certain
            self.spans.clear()
            return
        self._fence = _NO_FENCE
        self._new_line()
        if words <= 1 and not self.spans:
            self._certain = count
        self._toggle(count)

    def _code(self, text: str, at: int) -> int:
        sign, count = self._fence
        if self._stage == _CODE:
            at = text.find("\n", at)
            if at < 0:
                return len(text)
        character = text[at]
        if character == "\n":
            if self._stage == _CLOSED or (self._stage == _CLOSING and self._closing >= count):
                self._fence = _NO_FENCE
                self._new_line()
            self._stage, self._indent = _MARGIN, 0
        elif self._stage == _MARGIN:
            self._before_run(character, sign)
        elif character == sign and self._stage == _CLOSING:
            self._closing += 1
        elif character not in _WHITE or (self._stage == _CLOSING and self._closing < count):
            self._stage = _CODE
        else:
            self._stage = _CLOSED
        return at + 1

    def _before_run(self, character: str, sign: str) -> None:
        if character in _WHITE or (character == ">" and self._quoted):
            self._indent += _TAB if character == "\t" else 1
        elif character == sign and self._indent in self._margin:
            self._stage, self._closing = _CLOSING, 1
        else:
            self._stage = _CODE

    def _thought(self, text: str, at: int) -> int:
        known = self._tail + text[at:]
        found = known.find(_THOUGHT_ENDS)
        if found < 0:
            self._tail = known[1 - len(_THOUGHT_ENDS) :]
            return len(text)
        self._thinking = False
        return at + found + len(_THOUGHT_ENDS) - len(self._tail)
