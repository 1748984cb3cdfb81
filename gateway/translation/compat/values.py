"""The value of an argument, between the text that stands in a call and JSON, by the tool's schema."""

import json
import math
from collections.abc import Sequence
from typing import Any

from gateway.protocols.reading import written
from gateway.translation.compat.schema import Kinds, kind_of

_TEXT = frozenset({"string"})
_WORDS = {"True": "true", "False": "false", "None": "null"}
_EXACT = 2**53
"""Up to here a float that has no fraction is one integer."""


def read(text: str, kinds: Kinds, values: Sequence[Any]) -> str:
    """The text of a value (entities decoded) as JSON.

    A string is the text itself. Where another type is allowed it is JSON of one of them, and what does not fit stays
    text rather than being lost. One of the schema's own `values` may have white space around it.
    """
    bare = text.strip()
    parsed = () if kinds == _TEXT else _parsed(text)
    if not parsed and "string" not in kinds:
        parsed = _parsed(_WORDS.get(bare, ""))
    named = text if text in values else bare if bare in values else None
    if named is not None and not any(_same(each, value) for each in parsed for value in values):
        return written(named).decode()
    for each in parsed:
        if (found := _fitting(each, kinds)) is not None:
            return found
    return written(text).decode()


def shown(value: Any, kinds: Kinds, values: Sequence[Any]) -> str:
    """The text that `read` reads as the value: a string as it is wherever that can be."""
    as_json = written(value).decode()
    if isinstance(value, str) and read(value, kinds, values) == as_json:
        return value
    return as_json


def _parsed(text: str) -> tuple[Any, ...]:
    """The value of JSON text, or nothing. Lenient with line breaks in strings, which models write."""
    try:
        return (json.loads(text, strict=False, parse_constant=_refused, parse_float=_finite),)
    except (ValueError, RecursionError):
        return ()


def _finite(text: str) -> float:
    found = float(text)
    return found if math.isfinite(found) else _refused(text)


def _refused(text: str) -> float:
    raise ValueError(text)


def _fitting(value: Any, kinds: Kinds) -> str | None:
    """As JSON, if it is of one of these types."""
    kind = kind_of(value)
    if kind == "number" and "number" not in kinds and value.is_integer() and abs(value) <= _EXACT:
        value, kind = int(value), "integer"
    if kind not in kinds:
        return None
    try:
        return written(value).decode()
    except RecursionError:
        return None


def _same(value: Any, other: Any) -> bool:
    """True is not 1."""
    return kind_of(value) == kind_of(other) and value == other
