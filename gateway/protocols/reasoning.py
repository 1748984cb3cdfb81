"""Encrypted reasoning of OpenAI Responses: pieces that only the organisation which made them can read again.

An item of `output`, and later of `input`, holds one as `encrypted_content` (reasoning, compaction):
https://platform.openai.com/docs/guides/reasoning#encrypted-reasoning-items
Pieces are told apart by digest: what they say is nobody's business here, and they are long.
"""

import hashlib
import re
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols.codec import Span
from gateway.protocols.edits import relisted
from gateway.protocols.spans import elements, members, splice

MOST = 64
"""Digests kept of one answer: a request is known by its last piece."""

#: In JSON text these bytes are the whole of a string, never a part of one: there its quotes would be escaped. A client
#: that escapes letters of the name goes unnoticed, and loses with it only its own claim to an account.
_SIGN = b'"encrypted_content"'
_PIECE = re.compile(_SIGN + rb'[ \t\n\r]*:[ \t\n\r]*("[^"\\]+(?:\\.[^"\\]*)*")')
_text = msgspec.json.Decoder(str)


class _Item(Struct):
    encrypted_content: Any = None


_item = msgspec.json.Decoder(_Item)


def last(body: bytes) -> str | None:
    """The digest of the last piece in a request's body, None when it has none."""
    at = body.rfind(_SIGN)
    while at >= 0:
        found = _PIECE.match(body, at)
        if found is not None:
            return _digest(found[1])
        at = body.rfind(_SIGN, 0, at)
    return None


def collect(known: dict[str, None], data: bytes) -> None:
    """Adds the digests of an event's or an answer's pieces; the oldest go when there are too many."""
    if _SIGN not in data:
        return
    for found in _PIECE.finditer(data):
        known[_digest(found[1])] = None
        if len(known) > MOST:
            del known[next(iter(known))]


def without(body: bytes) -> bytes:
    """The request's body less the items of `input` that are such pieces; every other byte stays. Raises InvalidBody."""
    span = members(body, {"input"}).spans.get("input")
    items = elements(body, span, "input") if span else []
    gone = {at for at, item in enumerate(items) if _is_piece(body, item)}
    return splice(body, relisted(span, items, gone)) if span and gone else body


def _is_piece(body: bytes, item: Span) -> bool:
    text = body[item[0] : item[1]]
    if _SIGN not in text:
        return False
    try:
        piece = _item.decode(text).encrypted_content
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(piece, str) and bool(piece)


def _digest(quoted: bytes) -> str:
    piece = quoted[1:-1]
    if b"\\" in piece:
        with suppress(msgspec.DecodeError, UnicodeError):  # what cannot be read is told by its bytes
            piece = _text.decode(quoted).encode()
    return hashlib.blake2b(piece, digest_size=16).hexdigest()
