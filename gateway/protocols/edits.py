"""Members of a JSON object and elements of an array put and dropped in its bytes; every other byte stays as it was."""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set

import msgspec

from gateway.protocols.codec import Span
from gateway.protocols.spans import Edit, Members, members, splice

_BLANKS = b" \t\n\r"


def edited(body: bytes, put: Mapping[str, bytes], drop: Collection[str] = ()) -> bytes:
    """The object with these members: `put` maps names to JSON texts, `drop` names what goes, with its comma.

    The value of a member that is there is replaced in place, any other comes right after the opening brace, in the
    order of `put`. What stands in both is put. Raises InvalidBody when the body is no JSON object, or when one of
    these names stands twice in it.
    """
    edits = changes(body, members(body, {*put, *drop}), put, drop)
    return splice(body, edits) if edits else body


def changes(body: bytes, found: Members, put: Mapping[str, bytes], drop: Collection[str] = ()) -> list[Edit]:
    """As `edited`, of an object that was located already, the body itself or one inside it: the edits."""
    spans = found.spans
    gone = [spans[name] for name in set(drop) - put.keys() if name in spans]
    missing = [name for name in put if name not in spans]
    edits: list[Edit] = [(*spans[name], text) for name, text in put.items() if name in spans]
    edits += _removals(body, gone)
    if missing:
        text = b",".join(msgspec.json.encode(name) + b":" + put[name] for name in missing)
        edits.append((found.insert_at, found.insert_at, text + b"," if len(spans) > len(gone) else text))
    return edits


def relisted(
    array: Span, elements: Sequence[Span], gone: Set[int], put: bytes | None = None, at: int = 0
) -> list[Edit]:
    """The edits that take these elements (by number) out of an array, and `put` one in before the old number `at`.

    An element goes with the comma after it; those after the last that stays go with the comma before them.
    """
    kept = [number for number in range(len(elements)) if number not in gone]
    edits: list[Edit] = []
    if kept:
        edits = [(elements[each][0], elements[each + 1][0], b"") for each in gone if each < kept[-1]]
    if len(kept) < len(elements) and (not kept or kept[-1] < len(elements) - 1):
        edits.append((elements[kept[-1]][1] if kept else elements[0][0], elements[-1][1], b""))
    if put is not None:
        before = [number for number in kept if number < at]
        place = elements[before[-1]][1] if before else array[0] + 1
        edits.append((place, place, b"," + put if before else put + b"," if kept else put))
    return edits


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
