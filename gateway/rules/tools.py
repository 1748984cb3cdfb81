"""Tools taken out of a request by name, and with them the choice that names one."""

import fnmatch
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols.codec import InvalidBody, Span
from gateway.protocols.edits import relisted
from gateway.protocols.spans import Edit, elements, typed
from gateway.rules.dialect import Draft, Names, opened

Gone = Callable[[str], bool]
"""Whether the tool of this name goes."""
Less = Callable[[bytes, Span], list[Edit] | None]
"""The edits inside an element of a list, None when the element itself goes. Raises InvalidBody."""

#: Types that many tools have, and what a choice is when it names none: no name of a tool.
_KINDS = frozenset({"function", "custom", "namespace", "tool", "auto", "any", "none", "required", "allowed_tools"})


class _Named(Struct):
    name: Any = None


class Tool(Struct):
    """What tools are known by in the protocols of Anthropic, OpenAI and Ollama, and choices among them too."""

    type: Any = None
    name: Any = None
    function: _Named | None = None
    custom: _Named | None = None

    @property
    def known_as(self) -> str:
        """Its name; of a provider's own tool without one its type."""
        names = (each and each.name for each in (self.function, self.custom, self))
        name = next((each for each in names if isinstance(each, str)), None)
        if name is None and isinstance(self.type, str) and self.type not in _KINDS:
            return self.type
        return name or ""


tool = msgspec.json.Decoder(Tool)


def matching(patterns: Sequence[str]) -> Gone:
    """Of names and patterns with `*` and `?`: a bracket is a letter of the name."""
    escaped = [pattern.replace("[", "[[]") for pattern in patterns]
    return lambda name: any(fnmatch.fnmatchcase(name, pattern) for pattern in escaped)


def by_name(gone: Gone, field: str) -> Less:
    return lambda body, span: None if gone(typed(tool, body, span, field).known_as) else []


def thinned(body: bytes, span: Span, field: str, less: Less, *, lone: bool = False) -> tuple[list[Edit], int]:
    """The edits that leave a list less, and how many elements stay. `lone`: one object may stand for the list.

    Raises InvalidBody.
    """
    if body[span[0]] != ord("["):
        if not lone or body[span[0]] != ord("{"):
            raise InvalidBody(f"{field} must be an array", field)
        inside = less(body, span)
        return ([(*span, b"[]")], 0) if inside is None else (inside, 1)
    items = elements(body, span, field)
    edits: list[Edit] = []
    gone: set[int] = set()
    for number, item in enumerate(items):
        inside = less(body, item)
        if inside is None:
            gone.add(number)
        else:
            edits += inside
    return [*edits, *relisted(span, items, gone)], len(items) - len(gone)


def take(draft: Draft, names: Names, less: Less, choices: Names, *, lone: bool = False) -> bool:
    """Leaves a list of tools less, and says whether any are left. An emptied one goes, and all `choices` with it.

    Raises InvalidBody.
    """
    name = draft.given(names)
    if name is None:
        return False
    edits, left = thinned(draft.body, draft.found.spans[name], name, less, lone=lone)
    if edits and not left:
        draft.drop.update({name, *choices})
    else:
        draft.edits += edits
    return left > 0


def choose(draft: Draft, name: str, less: Less, allowed: Names = ()) -> None:
    """Takes out a choice that names a tool which goes, or, in the list at the end of `allowed`, no other.

    Raises InvalidBody.
    """
    span = draft.span((name,))
    if span is None or name in draft.drop or draft.body[span[0]] != ord("{"):
        return
    if less(draft.body, span) is None:
        draft.drop.add(name)
        return
    for step in allowed:
        found = opened(draft.body, span, {step}, name)
        if found is None or step not in found.spans:
            return
        span = found.spans[step]
    if allowed:
        edits, left = thinned(draft.body, span, f"{name}.{'.'.join(allowed)}", less)
        if edits and not left:
            draft.drop.add(name)
        else:
            draft.edits += edits
