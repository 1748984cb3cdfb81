"""The tags in the source of a call, found while it comes: in one pass, whatever stands in it.

A tag ends at the first `>` that is in no quotes. There is no `<` in one, as in XML: what begins like a tag and has one
is text.
"""

import re
from typing import Literal, cast

from msgspec import Struct

from gateway.translation.compat.syntax import decoded

LONGEST = 4096
"""Characters of a tag; what goes on without an end is text."""

Kind = Literal["call", "/call", "arg", "/arg"]

_START = re.compile(r"<(?:!\[CDATA\[|(/?)pg:(call|arg)(?=[\s/>]))")
_STARTS = ("<pg:call", "<pg:arg", "</pg:call", "</pg:arg", "<![CDATA[")
_CDATA_ENDS = "]]>"
_NEXT = {"": re.compile("[<>\"']"), '"': re.compile('[<"]'), "'": re.compile("[<']")}
_ATTRIBUTE = re.compile(r"""\s*([^\s=<>"'/]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s=<>"']+))""")


class Tag(Struct, frozen=True):
    """`start` and `end` are places in the source. `bare`: only white space stands between the tag before and this."""

    kind: Kind
    start: int
    end: int
    text: str
    bare: bool

    @property
    def empty(self) -> bool:
        """It closes itself."""
        return self.text.endswith("/>")

    def attributes(self) -> dict[str, str] | None:
        """None where they cannot be read. Quotes of both kinds, or none."""
        body = self.text[len("<pg:") + len(self.kind) : -1].removesuffix("/").rstrip()
        found: dict[str, str] = {}
        at = 0
        while at < len(body):
            one = _ATTRIBUTE.match(body, at)
            if one is None:
                return None
            name, *values = one.groups()
            found.setdefault(name, decoded(next(value for value in values if value is not None)))
            at = one.end()
        return found


class Markup:
    """`add` takes more of the source, `next` gives its tags one by one.

    `decided`: the place up to which all is read; what follows may be the beginning of a tag. `bare`: only white space
    was read since the last tag.
    """

    __slots__ = ("_at", "_base", "_cdata", "_kind", "_quote", "_seen", "_window", "bare")

    def __init__(self) -> None:
        self.bare = True
        self._window = ""
        self._base = 0
        """The window's place in the source."""
        self._at = 0
        self._cdata = False
        self._kind: Kind | None = None
        """Of the tag that begins at `_at` and whose end is looked for, from `_seen` on."""
        self._seen = 0
        self._quote = ""

    @property
    def decided(self) -> int:
        return self._base + self._at

    @property
    def in_cdata(self) -> bool:
        return self._cdata

    def add(self, text: str) -> None:
        self._base += self._at
        self._seen -= self._at
        self._window = self._window[self._at :] + text
        self._at = 0

    def next(self) -> Tag | None:
        """None: more of the source is needed."""
        while True:
            if self._cdata and not self._leave_cdata():
                return None
            if self._kind is None and not self._enter():
                return None
            if self._kind is not None:
                if (end := self._end()) is None:
                    return None
                if end:
                    return self._tag(self._kind, end)
                self._kind = None

    def _leave_cdata(self) -> bool:
        found = self._window.find(_CDATA_ENDS, self._at)
        if found < 0:
            self._at = max(self._at, len(self._window) - len(_CDATA_ENDS) + 1)
            return False
        self._at, self._cdata = found + len(_CDATA_ENDS), False
        return True

    def _enter(self) -> bool:
        """Goes to the next beginning of a tag or of CDATA; False when there is none yet."""
        found = _START.search(self._window, self._at)
        if found is None:
            last = self._window.rfind("<", self._at)
            whole = last < 0 or not any(start.startswith(self._window[last:]) for start in _STARTS)
            self._pass(len(self._window) if whole else last)
            return False
        self._pass(found.start())
        if found[2] is None:
            self._at, self._cdata, self.bare = found.end(), True, False
        else:
            self._kind, self._seen, self._quote = cast("Kind", found[1] + found[2]), found.end(), ""
        return True

    def _pass(self, to: int) -> None:
        self.bare = self.bare and not self._window[self._at : to].strip()
        self._at = to

    def _end(self) -> int | None:
        """The end of the tag in the window; 0 where it is none, None while that is open."""
        limit = self._at + LONGEST
        while (found := _NEXT[self._quote].search(self._window, self._seen, limit)) is not None:
            self._seen = found.end()
            if found[0] == ">":
                return found.end()
            if found[0] == "<":
                self._pass(found.start())
                return 0
            self._quote = "" if self._quote else found[0]
        self._seen = min(len(self._window), limit)
        if self._seen < limit:
            return None
        self._pass(limit)
        return 0

    def _tag(self, kind: Kind, end: int) -> Tag:
        start, bare = self._at, self.bare
        self._kind, self._at, self.bare = None, end, True
        return Tag(kind, self._base + start, self._base + end, self._window[start:end], bare)
