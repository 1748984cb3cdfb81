"""One call while it is written: its tags in order, and what they come to."""

from collections.abc import Mapping

from msgspec import Struct

from gateway.protocols.reading import written
from gateway.translation.compat import syntax
from gateway.translation.compat.markup import Markup, Tag
from gateway.translation.compat.schema import Schema
from gateway.translation.compat.values import read
from gateway.translation.prompt import Tool

LONGEST = 1 << 20
"""Characters of a call's source that are held (1 MiB)."""


class Found(Struct, frozen=True):
    """A call. `arguments`: JSON text; of a `custom` tool its free text."""

    name: str
    arguments: str
    custom: bool = False


class Over(Struct, frozen=True):
    """The draft ends at this place of its source: a call, or text."""

    end: int
    found: Found | None = None


class Draft:
    """What is read from `<pg:call` on.

    The last closing tag before the next argument or the end of the call ends a value; those before it are the value's
    own. So are whole calls that stand in it, and arguments that the tool does not have. `broken`: it can be no call any
    more, which shows at `last` where that is a tag.
    """

    __slots__ = (
        "_close",
        "_end",
        "_given",
        "_mixed",
        "_opened",
        "_parts",
        "_schema",
        "_sealed",
        "_start",
        "_tools",
        "broken",
        "last",
        "markup",
        "name",
        "nested",
        "size",
    )

    def __init__(self, tools: Mapping[str, Schema]) -> None:
        self.markup = Markup()
        self.size = 0
        self.broken = False
        self.last: Tag | None = None
        self.name: str | None = None
        """Of the argument that is open; its value begins at `_start`."""
        self.nested = 0
        """Calls that are open in the value."""
        self._tools = tools
        self._schema = Schema(Tool(""))
        self._opened = False
        self._parts: list[str] = []
        self._given: dict[str, tuple[int, int] | str] = {}
        """Arguments that are over: where their values stand, or the values themselves."""
        self._start = 0
        self._close: int | None = None
        """Where the last tag stands that may close the value."""
        self._sealed = False
        """No tag stands after that."""
        self._end: Tag | None = None
        """It closes the call, if the value's own closing tag is missing and not still to come."""
        self._mixed = False
        """There are other tags in the value."""

    @property
    def source(self) -> str:
        return "".join(self._parts)

    @property
    def room(self) -> int:
        """Characters that are still taken."""
        return LONGEST - self.size

    def feed(self, text: str) -> Over | None:
        """`text`: no more than there is room for."""
        self._parts.append(text)
        self.size += len(text)
        self.markup.add(text)
        while (tag := self.markup.next()) is not None:
            over = self._take(tag)
            if over is not None or self.broken:
                return over
        self.broken = not self.room or (self.name is None and not self.markup.bare)
        return None

    def finish(self) -> Over:
        """Nothing follows. Closing tags may be missing or cut, if all is there that the tool needs."""
        if not self._opened or self.nested or self.markup.in_cdata:
            return Over(self.size)
        if self._end is not None:
            return self._ended(self._end)
        tail = self.source[self.markup.decided :]
        closing = tail.startswith("</")
        if self.name is None or self._sealed:
            sound = self.markup.bare and (closing or not tail)
            if self._close is not None:
                self._end_value(self._close)
        else:
            sound = self._close is None and not self._mixed and (closing or tail in ("", "<"))
            self._end_value(self.markup.decided if closing else self.size)
        return Over(self.size, self._found() if sound and self._complete() else None)

    def _take(self, tag: Tag) -> Over | None:
        if not self._opened:
            return self._begin(tag)
        if self.name is not None:
            if not self._sealed or not tag.bare or tag.kind == "/arg" or self._close is None:
                return self._within(tag)
            self._end_value(self._close)
        return self._between(tag)

    def _begin(self, tag: Tag) -> Over | None:
        schema = self._tools.get((tag.attributes() or {}).get("name", "")) if tag.start == 0 else None
        if schema is None:
            self.broken, self.last = True, tag if tag.start else None
            return Over(tag.end) if tag.empty and not tag.start else None
        self._schema, self._opened = schema, True
        return Over(tag.end, self._found()) if tag.empty else None

    def _between(self, tag: Tag) -> Over | None:
        if not tag.bare or tag.kind == "/arg":
            self._break(tag)
            return None
        if tag.kind == "arg":
            self._begin_value(tag)
            return None
        if tag.kind == "/call":
            return Over(tag.end, self._found())
        return Over(tag.start, self._found() if self._complete() else None)

    def _within(self, tag: Tag) -> Over | None:
        """A tag in a value, or what seems to be one."""
        self._sealed = False
        if self.nested:
            self.nested += 0 if tag.empty else {"call": 1, "/call": -1}.get(tag.kind, 0)
        elif tag.kind == "/arg":
            self._close, self._sealed, self._end = tag.start, True, None
        elif tag.kind == "arg":
            self._argument(tag)
        elif tag.kind == "/call":
            self._end = self._end or tag
        elif self._end is not None:
            return self._ended(self._end)
        elif self._close is not None:
            return Over(tag.start)
        else:
            self.nested, self._mixed = int(not tag.empty), True
        return None

    def _argument(self, tag: Tag) -> None:
        """In a value: the next argument, where this one's closing tag is missing, if it is one of the tool's."""
        name = (tag.attributes() or {}).get("name")
        if name is None or name == self.name or name in self._given or not self._schema.knows(name):
            self._mixed = True
        elif self._mixed or self._close is not None or self._end is not None:
            self._break(tag)
        else:
            self._end_value(tag.start)
            self._begin_value(tag)

    def _begin_value(self, tag: Tag) -> None:
        attributes = tag.attributes() or {}
        name = attributes.get("name")
        if name is None or name in self._given:
            self._break(tag)
        elif tag.empty:
            self._given[name] = attributes.get("value", "")
        else:
            self.name, self._start = name, tag.end

    def _end_value(self, end: int) -> None:
        if self.name is not None:
            self._given[self.name] = (self._start, end)
        self.name, self._close, self._sealed, self._end, self._mixed = None, None, False, None, False

    def _ended(self, end: Tag) -> Over:
        """By this tag, which stands in an open value."""
        if self._close is not None or self._mixed:
            return Over(end.end)
        self._end_value(end.start)
        return Over(end.end, self._found())

    def _break(self, tag: Tag) -> None:
        self.broken, self.last = True, tag

    def _complete(self) -> bool:
        return self._schema.required <= self._given.keys()

    def _found(self) -> Found | None:
        source, schema = self.source, self._schema
        texts = {
            name: where if isinstance(where, str) else syntax.value(source[slice(*where)])
            for name, where in self._given.items()
        }
        if schema.tool.custom:
            return Found(schema.tool.name, texts.get("input", ""), True) if texts.keys() <= {"input"} else None
        members = (f"{written(name).decode()}:{read(text, *schema.of(name))}" for name, text in texts.items())
        return Found(schema.tool.name, "{" + ",".join(members) + "}")
