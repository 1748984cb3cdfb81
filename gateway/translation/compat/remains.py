"""What follows of a call that is none: text, in which nothing runs that stands in one of its arguments."""

from gateway.translation.compat.draft import Draft
from gateway.translation.compat.markup import Tag


class Remains:
    """Takes a broken draft over. `text`: what of its source was not given out yet."""

    __slots__ = ("_base", "_last", "_markup", "_open", "_within", "text")

    def __init__(self, draft: Draft) -> None:
        self.text = draft.source
        self._base = 0
        """The text's place in the source."""
        self._markup = draft.markup
        self._last = draft.last
        self._open = int(draft.name is not None)
        """Arguments that are open, and calls within them."""
        self._within = draft.nested

    def add(self, text: str) -> None:
        self.text += text
        self._markup.add(text)

    def next(self) -> Tag | None:
        """The next tag that ends this: the call's own end, or another call that does not stand in an argument."""
        tag, self._last = self._last or self._markup.next(), None
        while tag is not None:
            if self._ends(tag):
                return tag
            tag = self._markup.next()
        return None

    def give(self, end: int | None = None) -> str:
        """What stands before this place of the source; without one, all that can be no tag any more."""
        size = (self._markup.decided if end is None else end) - self._base
        given, self.text = self.text[:size], self.text[size:]
        self._base += size
        return given

    def _ends(self, tag: Tag) -> bool:
        if tag.kind == "/arg":
            self._open = max(self._open - 1, 0)
        elif tag.kind == "/call":
            if not self._within:
                return True
            self._within -= 1
        elif tag.kind == "call" and not self._open:
            return True
        elif not tag.empty:
            self._open += tag.kind == "arg"
            self._within += tag.kind == "call"
        return False
