"""Top-level members of a JSON object set and removed in its bytes; every other byte stays as it was."""

from collections.abc import Collection, Iterable, Mapping

import msgspec

from gateway.protocols.codec import Span
from gateway.protocols.spans import Edit, members, splice

_BLANKS = b" \t\n\r"


def edited(body: bytes, put: Mapping[str, bytes], drop: Collection[str] = ()) -> bytes:
    """The object with these members: `put` maps names to JSON texts, `drop` names what goes, with its comma.

    The value of a member that is there is replaced in place, any other comes right after the opening brace, in the
    order of `put`. What stands in both is put. Raises InvalidBody when the body is no JSON object, or when one of
    these names stands twice in it.
    """
    spans = members(body, {*put, *drop}).spans
    gone = [spans[name] for name in set(drop) - put.keys() if name in spans]
    missing = [name for name in put if name not in spans]
    edits: list[Edit] = [(*spans[name], text) for name, text in put.items() if name in spans]
    edits += _removals(body, gone)
    if missing:
        text = b",".join(msgspec.json.encode(name) + b":" + put[name] for name in missing)
        at = body.index(b"{") + 1
        edits.append((at, at, text + b"," if len(spans) > len(gone) else text))
    return splice(body, edits) if edits else body


def _removals(body: bytes, values: Iterable[Span]) -> Iterable[Edit]:
    """A member takes the comma before it; one that nothing is left before takes that after it."""
    taken = 0  # the end of what has been removed from the opening brace on
    for start, end in sorted(values):
        key = _key_start(body, start)
        before = _last_of(body, key)
        if body[before] == ord(b",") and before >= taken:
            yield before, end, b""
            continue
        taken = _first_of(body, end)
        taken = taken + 1 if body[taken] == ord(b",") else end
        yield key, taken, b""


def _key_start(body: bytes, value: int) -> int:
    """Backwards from a value to its key's opening quote: the nearest that no odd number of backslashes escapes."""
    quote = body.rindex(b'"', 0, value)
    while True:
        quote = body.rindex(b'"', 0, quote)
        slash = quote
        while body[slash - 1] == ord(b"\\"):
            slash -= 1
        if (quote - slash) % 2 == 0:
            return quote


def _last_of(body: bytes, position: int) -> int:
    """Where the last byte before `position` stands that is no blank."""
    while body[position - 1] in _BLANKS:
        position -= 1
    return position - 1


def _first_of(body: bytes, position: int) -> int:
    """Where the first byte from `position` on stands that is no blank."""
    while body[position] in _BLANKS:
        position += 1
    return position
