"""Text added to, put in place of, or replaced in a request's own: in a JSON string, or in a list of parts.

A string that is added to keeps its bytes, escapes and all; one in which something is replaced is written anew.
"""

import re

import msgspec
from msgspec import Struct

from gateway.core.groups import PromptMode, Replacement
from gateway.protocols.codec import InvalidBody, Span
from gateway.protocols.edits import changes, relisted
from gateway.protocols.reading import decode, written
from gateway.protocols.spans import Edit, Members, elements, inner

_GAP = b"\\n\\n"
_EMPTY = b'""'
_PART = frozenset({"type", "text"})
_string = msgspec.json.Decoder(str)


MOST_GROWTH = 16 * 1024 * 1024
"""Characters by which replacements may lengthen the texts of one body: a client could repeat what is found."""


class Growth:
    """Counts them."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST_GROWTH

    def take(self, characters: int) -> None:
        """Raises InvalidBody."""
        self.left -= max(characters, 0)
        if self.left < 0:
            raise InvalidBody("the system text becomes too long: what the group replaces stands in it too often")


class Wording(Struct, frozen=True):
    """`text`, a JSON string, by `mode`; before that the replacements. With the mode off they are all."""

    mode: PromptMode = "off"
    text: bytes = _EMPTY
    replace: tuple[Replacement, ...] = ()
    growth: Growth = msgspec.field(default_factory=Growth)
    """Of all texts that this or a changed copy words."""

    @property
    def idle(self) -> bool:
        return self.mode == "off" and not self.replace


class Form(Struct, frozen=True):
    """How a protocol writes a text."""

    kinds: frozenset[str] = frozenset()
    """The `type`s of parts that are text; none: any part that has one."""
    opening: bytes = b""
    """A new part, up to its text."""
    bare: bool = True
    """A string may stand for the list."""
    listed: bool = True
    """There are lists of parts."""
    lone: bool = False
    """One part may stand for the list."""
    head: re.Pattern[bytes] | None = None
    """Parts (their JSON strings) that nothing may come before, nor in place of."""

    def part(self, text: bytes) -> bytes:
        return self.opening + text + b"}"

    def fresh(self, text: bytes) -> bytes:
        """What is written where there was nothing."""
        return text if self.bare else b"[" + self.part(text) + b"]"


def worded(old: bytes, wording: Wording, head: re.Pattern[bytes] | None = None) -> bytes:
    """A JSON string with the wording. What must stay first is not pushed from its place: the text goes behind it."""
    if wording.mode == "replace":
        return wording.text
    old = replaced(old, wording)
    if wording.mode == "off":
        return old
    if old == _EMPTY:
        return wording.text
    if wording.mode == "prepend" and not (head and head.match(old)):
        return wording.text[:-1] + _GAP + old[1:]
    return old[:-1] + _GAP + wording.text[1:]


def replaced(old: bytes, wording: Wording) -> bytes:
    """A JSON string with each text found replaced, one pair after the other; the same where nothing was found.

    Raises InvalidBody when the texts become too long.
    """
    text = decode(_string, old) if wording.replace else None
    if text is None:
        return old
    new = text
    for pair in wording.replace:
        if pair.find in new and pair.find:
            wording.growth.take(new.count(pair.find) * (len(pair.with_) - len(pair.find)))
            new = new.replace(pair.find, pair.with_)
    return old if new == text else written(new)


def content(body: bytes, owner: Members, name: str, form: Form, wording: Wording, field: str) -> list[Edit]:
    """The edits that word a member of an object, put into it where it is absent or null. Raises InvalidBody."""
    span = owner.spans.get(name)
    if span is not None and body[slice(*span)] != b"null":
        return text(body, span, form, wording, field)
    return [] if wording.mode == "off" else changes(body, owner, {name: form.fresh(wording.text)})


def text(body: bytes, span: Span, form: Form, wording: Wording, field: str) -> list[Edit]:
    """The edits that word a string, or a list of parts. Raises InvalidBody."""
    first, old = body[span[0]], body[slice(*span)]
    if first == ord('"') and form.bare:
        new = worded(old, wording, form.head)
        return [] if new == old else [(*span, new)]
    if first == ord("[") and form.listed:
        return _listed(body, span, form, wording, field)
    if first == ord("{") and form.lone:
        return _lone(body, span, form, wording, field)
    forms = [name for name, there in (("a string", form.bare), ("an array of parts", form.listed)) if there]
    raise InvalidBody(f"{field} must be {' or '.join(forms)}", field)


def _listed(body: bytes, span: Span, form: Form, wording: Wording, field: str) -> list[Edit]:
    """A text that is added is a part of its own; one in place of others takes that of the last, with its marks.

    A part that replacements leave empty goes: providers refuse it.
    """
    items = elements(body, span, field)
    parts = [inner(body, item, _PART, field) for item in items]
    texts = [number for number, part in enumerate(parts) if _is_text(part, form)]
    heads = {number for number in texts if form.head and form.head.match(bytes(parts[number].raw["text"]))}
    own = [number for number in texts if number not in heads]
    takes = own[-1] if wording.mode == "replace" and own else None
    edits: list[Edit] = []
    gone: set[int] = set()
    for number in texts:
        old = bytes(parts[number].raw["text"])
        if takes is None or number in heads:
            new = replaced(old, wording)
            emptied = new == _EMPTY and new != old
        else:
            new, emptied = wording.text, number != takes
        if emptied:
            gone.add(number)
        elif new != old:
            edits.append((*parts[number].spans["text"], new))
    put = None if wording.mode == "off" or takes is not None else form.part(wording.text)
    at = own[0] if wording.mode == "prepend" and own else len(items)
    return [*edits, *relisted(span, items, gone, put, at)]


def _lone(body: bytes, span: Span, form: Form, wording: Wording, field: str) -> list[Edit]:
    part = inner(body, span, _PART, field)
    if _is_text(part, form):
        old = bytes(part.raw["text"])
        new = worded(old, wording)
        return [] if new == old else [(*part.spans["text"], new)]
    if wording.mode == "off":
        return []
    return [(*span, b"[" + body[slice(*span)] + b"," + form.part(wording.text) + b"]")]


def _is_text(part: Members, form: Form) -> bool:
    if not bytes(part.raw.get("text", b"")).startswith(b'"'):
        return False
    return not form.kinds or ("type" in part.raw and decode(_string, bytes(part.raw["type"])) in form.kinds)
