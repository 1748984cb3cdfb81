"""Refusals on their way from a gateway to PostgreSQL: a line in the journal and the stream, like a row of the ledger.

Requests that are refused before they are admitted have no row: they are counted by key, code and hour.
"""

import re
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

STATUSES = frozenset({400, 401, 403, 404, 413, 429})
NIL = str(UUID(int=0))
NO_TENANT, NO_KEY = f"ten_{NIL}", f"key_{NIL}"
"""Whose refusals these are when no key was presented, or one that nobody knows."""
_BEGINNING = re.compile(rb'\s*\{\s*"refused"')


class Refused(Struct, frozen=True, array_like=True):
    """`hour` is in hours since the epoch."""

    tenant_id: str
    key_id: str
    code: str
    status: Annotated[int, Meta(ge=400, le=599)]
    hour: Annotated[int, Meta(ge=0, le=10_000_000)]
    count: Annotated[int, Meta(ge=1, le=2**53)]


class _Line(Struct):
    refused: list[Refused]


_LINES = msgspec.json.Decoder(_Line)


def encode(refused: Sequence[Refused]) -> bytes:
    return msgspec.json.encode(_Line(list(refused)))


def decode(line: bytes | str) -> list[Refused] | None:
    """None of what is no such line. Raises MsgspecError for one that cannot be read."""
    data = line.encode() if isinstance(line, str) else line
    return _LINES.decode(data).refused if _BEGINNING.match(data) else None
