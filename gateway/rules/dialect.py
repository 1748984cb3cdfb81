"""What a protocol module says for the rules, and the draft on which the steps note what changes."""

from collections.abc import Callable, Collection

from msgspec import Struct

from gateway.protocols.codec import Endpoint, InvalidBody, Span
from gateway.protocols.edits import changes
from gateway.protocols.spans import Edit, Members, inner, members, splice
from gateway.rules.wording import Wording

Names = tuple[str, ...]
"""The spellings under which one member may stand; the first is the one that is written."""


class Draft:
    """A body whose top level was located once. `put` and `drop` are of the top level, `edits` of what is in it."""

    __slots__ = ("body", "drop", "edits", "found", "put")

    def __init__(self, body: bytes, watched: Collection[str], field: str | None = None) -> None:
        """Raises InvalidBody, also for a watched member that stands twice; `field`: as whose fault."""
        self.body = body
        self.found = members(body, watched, field)
        self.edits: list[Edit] = []
        self.put: dict[str, bytes] = {}
        self.drop: set[str] = set()

    def given(self, names: Names) -> str | None:
        """The name under which a member stands and is not null. Raises InvalidBody for two spellings of it."""
        name = there(self.found, names)
        return None if name is None or is_null(self.found, name) else name

    def span(self, names: Names) -> Span | None:
        name = self.given(names)
        return None if name is None else self.found.spans[name]

    def set(self, names: Names, text: bytes) -> None:
        self.put[there(self.found, names) or names[0]] = text

    def written(self) -> bytes:
        """The body with all of it; the same object when nothing changes."""
        edits = [*self.edits, *changes(self.body, self.found, self.put, self.drop)]
        return splice(self.body, edits) if edits else self.body


def there(found: Members, names: Names) -> str | None:
    """The name under which a member stands. Raises InvalidBody for two spellings of it."""
    names = tuple(name for name in names if name in found.spans)
    if len(names) > 1:
        raise InvalidBody(f"{names[1]} is given twice", names[1])
    return names[0] if names else None


def is_null(found: Members, name: str) -> bool:
    return bytes(found.raw[name]) == b"null"


def opened(body: bytes, span: Span, watched: Collection[str], field: str) -> Members | None:
    """The members of an object inside the body, None for anything else."""
    return inner(body, span, watched, field) if body[span[0]] == ord("{") else None


class Dialect(Struct, frozen=True):
    """A protocol, as a record of plain functions. All of them raise InvalidBody."""

    temperature: Names
    """The way to it from the top."""
    hottest: float
    tools: Callable[[Draft, Callable[[str], bool]], bool]
    """Takes out the tools of which the function says so; says whether any are left."""
    offered: Names
    """The members that `tools` reads."""
    prompt: Callable[[Draft, Endpoint, Wording, Wording], None]
    """Words the system text by the one, the last turn of the user by the other."""
    said: Names
    """The members that `prompt` reads."""
    choices: Names = ()
    """Those of the members above that may be set as parameters: choices among tools, which go with tools alone."""
    counted: frozenset[str] = frozenset()
    """The parameters that an endpoint which counts takes as well; it refuses the others."""
    wrapped: Names = ()
    """Where an endpoint which counts may take a whole request of an endpoint which generates."""
    spelled: Callable[[str], Names] = lambda name: (name,)
    """The spellings of a parameter, the same for all that mean the same."""
