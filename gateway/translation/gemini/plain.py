"""Gemini's `Schema` (ai.google.dev/api/caching#Schema) → JSON schema, as other protocols have it.

Types in small letters, `nullable` as a type, 64-bit numbers that came as texts as numbers, what JSON schema has no word
for (`propertyOrdering`, `format: enum`) left out. JSON schema that came as such keeps all the rest. Pure.
"""

from collections.abc import Mapping
from typing import Any, cast

from gateway.protocols.codec import InvalidBody
from gateway.protocols.reading import mapping, sequence
from gateway.translation.gemini.members import camel

_DEEPEST = 100
_TYPES = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})
_ONE = frozenset({"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"})
_LIST = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_OTHERWISE = {"defs": "$defs", "ref": "$ref"}
_GOOGLES = frozenset({"propertyOrdering", "nullable"})


def plain(schema: Mapping[str, Any], field: str, depth: int = 0) -> dict[str, Any]:
    """`field` is named where the schema cannot be read. Raises InvalidBody."""
    if depth > _DEEPEST:
        raise InvalidBody(f"{field} is nested too deeply", field)
    found: dict[str, Any] = {}
    for given, value in schema.items():
        name = _OTHERWISE.get(given) or (camel(given) if "_" in given else given)
        if name in _GOOGLES or (name == "format" and value == "enum") or value == "TYPE_UNSPECIFIED":
            continue
        if isinstance(value, str):
            found[name] = _text(name, value)
        else:
            found[name] = _member(name, value, field, depth + 1) if isinstance(value, dict | list) else value
    return _with_null(found) if schema.get("nullable") is True else found


def _text(name: str, value: str) -> str | int:
    if name == "type":
        return _type(value)
    return int(value) if name in _COUNTS and value.isdecimal() else value


def _member(name: str, value: Any, field: str, depth: int) -> Any:
    if name == "type":
        return [_type(each) for each in sequence(value)]
    if name in _NAMED and isinstance(value, dict):
        return {each: _sub(schema, field, depth) for each, schema in mapping(cast("Any", value)).items()}
    if name in _LIST and isinstance(value, list):
        return [_sub(each, field, depth) for each in sequence(cast("Any", value))]
    if name == "items" and isinstance(value, list):
        return [_sub(each, field, depth) for each in sequence(cast("Any", value))]
    return _sub(value, field, depth) if name in _ONE else value


def _sub(value: Any, field: str, depth: int) -> Any:
    """True and False are schemas too."""
    return plain(mapping(value), field, depth) if isinstance(value, dict) else value


def _type(value: Any) -> Any:
    return value.lower() if isinstance(value, str) and value in _TYPES else value


def _with_null(found: dict[str, Any]) -> dict[str, Any]:
    if isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
        if "enum" in found and None not in sequence(found["enum"]):
            found["enum"] = [*sequence(found["enum"]), None]
    elif "anyOf" in found:
        found["anyOf"] = [*sequence(found["anyOf"]), {"type": "null"}]
    return found
