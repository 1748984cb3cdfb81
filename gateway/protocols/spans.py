"""Where the members of a JSON object stand in its bytes, so that one can be replaced and every other byte kept.

The body is decoded once to raw values (which checks the whole of it), then the top level is walked from key to
key, jumping over each value by its length. Only a body in which a key stands twice takes the exact, slower way.
JSON is RFC 8259 without leniency: no NaN, no comments, no byte order mark, valid UTF-8.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from gateway.protocols.codec import InvalidBody, Span

T = TypeVar("T")

Edit = tuple[int, int, bytes]
"""Replace `body[start:end]` by these bytes; an empty span inserts."""

_raw_object = msgspec.json.Decoder(dict[str, Raw])
_raw_array = msgspec.json.Decoder(list[Raw])
_any_raw = msgspec.json.Decoder(Raw)
_string = msgspec.json.Decoder(str)

MAX_MEMBERS = 10_000
"""Bound on top-level members, so that no body costs seconds of walking."""

# No possessive quantifiers: CPython before 3.11.5 matches some of them wrongly.
_BLANKS = rb"[ \t\n\r]*"
_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_member = re.compile(_BLANKS + rb"[,{]" + _BLANKS + rb"(" + _STRING + rb")" + _BLANKS + rb":" + _BLANKS, re.DOTALL)
_end = re.compile(_BLANKS + rb"(?:\{" + _BLANKS + rb")?\}" + _BLANKS + rb"\Z")
_scalar = re.compile(_STRING + rb"|[^\[\]{}\",\s:]+", re.DOTALL)
_some_blanks = re.compile(_BLANKS)
_surrogate = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_trailing = re.compile(r"trailing characters \(byte (\d+)\)")


class Members(Struct, frozen=True, gc=False):
    """The top-level members of an object: their raw values and their spans. `insert_at` is after the brace."""

    raw: dict[str, Raw]
    spans: dict[str, Span]
    insert_at: int


def members(body: bytes, watched: Collection[str], field: str | None = None) -> Members:
    """Decodes and locates the top level of `body`. A watched key that stands twice is refused.

    Raises InvalidBody; `field` is what it names when the object as a whole is at fault.
    """
    text = body
    try:
        raw = _decode(body, field)
    except InvalidBody:
        text = _without_surrogates(body)
        if text == body:
            raise
        raw = _decode(text, field)
    for name in raw:
        # Some servers (Go's decoder) take `Model` for `model`, and the last of both: what is checked is what is used.
        if name not in watched and name.casefold() in watched:
            raise InvalidBody(f"{name} is not {name.casefold()}: names are written in small letters", name)
    spans = _walk(text, raw)
    if spans is None:
        spans = _walk_exactly(text, watched)
    if text is not body:
        raw = {name: Raw(body[low:high]) for name, (low, high) in spans.items()}
    return Members(raw, spans, body.index(b"{") + 1)


def _without_surrogates(body: bytes) -> bytes:
    """The same bytes for a walk, with U+FFFD for every escaped surrogate: as long, and never a watched key.

    RFC 8259 allows a lone one (an emoji that a client cut in two), msgspec does not.
    """
    return _surrogate.sub(rb"\\ufffd", body)


def inner(body: bytes, span: Span, watched: Collection[str], field: str) -> Members:
    """As `members`, of an object inside the body: the spans are those in `body`."""
    start, end = span
    found = members(body[start:end], watched, field)
    spans = {name: (start + low, start + high) for name, (low, high) in found.spans.items()}
    return Members(found.raw, spans, start + found.insert_at)


def elements(body: bytes, span: Span, field: str) -> list[Span]:
    """The spans of the elements of an array inside the body; none when it is no array."""
    start, end = span
    if body[start : start + 1] != b"[":
        return []
    values = _raw_array.decode(_without_surrogates(body[start:end]))
    if len(values) > MAX_MEMBERS:
        raise InvalidBody(f"{field} has more than {MAX_MEMBERS} elements", field)
    found: list[Span] = []
    position = start
    for value in values:
        position = _blanks(body, _blanks(body, position) + 1)  # over the bracket or the comma
        found.append((position, position + len(memoryview(value))))
        position = found[-1][1]
    return found


def typed(decoder: msgspec.json.Decoder[T], body: bytes, span: Span, field: str) -> T:
    """A value inside the body as the decoder's type, U+FFFD for each lone surrogate. Raises InvalidBody."""
    text = body[slice(*span)]
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        raise InvalidBody(f"{field} cannot be read: {error}", field) from None
    except (msgspec.DecodeError, RecursionError) as error:
        mended = _without_surrogates(text)
        if mended == text:
            raise InvalidBody(f"{field} cannot be read: {error}", field) from None
    return typed(decoder, mended, (0, len(mended)), field)


def splice(body: bytes, edits: Iterable[Edit]) -> bytes:
    """The body with these spans replaced; they must not overlap."""
    pieces: list[bytes] = []
    position = 0
    for start, end, text in sorted(edits):
        pieces += (body[position:start], text)
        position = end
    pieces.append(body[position:])
    return b"".join(pieces)


def _decode(body: bytes, field: str | None) -> dict[str, Raw]:
    try:
        if not body.isascii():
            body.decode()  # a raw value is not checked for UTF-8 by the decoder
        raw = _raw_object.decode(body)
    except UnicodeDecodeError:
        raise InvalidBody("the body is not valid UTF-8", field) from None
    except RecursionError:
        raise InvalidBody("the body is nested too deeply", field) from None
    except msgspec.ValidationError:
        raise InvalidBody(f"{field or 'the body'} must be a JSON object", field) from None
    except msgspec.DecodeError as error:
        raise InvalidBody(f"the body is not valid JSON: {error}", field) from None
    if len(raw) > MAX_MEMBERS:
        raise InvalidBody(f"the body has more than {MAX_MEMBERS} members", field)
    return raw


def _walk(body: bytes, raw: Mapping[str, Raw]) -> dict[str, Span] | None:
    """The spans, if the bytes agree with the decoded members one by one; None when a key stands twice.

    The check is exact: JSON values are prefix-free up to the delimiter that must follow, so a jump that finds
    the decoded value's own text at its place, and then a delimiter, has jumped over exactly one value.
    """
    spans: dict[str, Span] = {}
    position = 0
    for name, value in raw.items():
        found = _member.match(body, position)
        if found is None:
            return None
        key = found[1]
        if key[1:-1] != name.encode() and _key(key) != name:
            return None
        start = found.end()
        if not body.startswith(value, start):
            return None
        position = start + len(memoryview(value))
        spans[name] = (start, position)
    return spans if _end.match(body, position) else None


def _walk_exactly(body: bytes, watched: Collection[str]) -> dict[str, Span]:
    """The slow way, over a body known to be valid: the last of equal keys counts, as it does for the decoder."""
    spans: dict[str, Span] = {}
    position = walked = 0
    while found := _member.match(body, position):
        walked += 1
        if walked > MAX_MEMBERS:
            raise InvalidBody(f"the body has more than {MAX_MEMBERS} members")
        name = _key(found[1])
        if name in spans and name in watched:
            raise InvalidBody(f"{name} is given twice", name)
        start = found.end()
        position = _value_end(body, start)
        spans[name] = (start, position)
    return spans


def _key(text: bytes) -> str:
    return _string.decode(text)


def _blanks(body: bytes, position: int) -> int:
    found = _some_blanks.match(body, position)
    return found.end() if found else position


def _value_end(body: bytes, start: int) -> int:
    scalar = _scalar.match(body, start)
    if scalar is not None:
        return scalar.end()
    try:
        _any_raw.decode(memoryview(body)[start:])
    except msgspec.DecodeError as error:
        # the decoder runs over the one value in C and complains of what follows it, counting bytes from 1
        trailing = _trailing.search(str(error))
        if trailing is not None:
            return start + len(body[start : start + int(trailing[1]) - 1].rstrip(b" \t\n\r"))
    raise InvalidBody("a member of the body is given twice")
