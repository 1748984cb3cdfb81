"""A call's arguments where a protocol takes an object and not its text, and the schemas of objects."""

import json
from collections.abc import Mapping
from typing import Any, cast

import msgspec

FREE: dict[str, Any] = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
"""The schema of a tool that takes one free text, where tools take objects only: its text is `input`."""
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
"""The schema of a tool without arguments."""

_object = msgspec.json.Decoder(dict[str, Any])


def as_object(text: str, custom: bool = False) -> dict[str, Any]:
    """The object that the text is. What is none (models write broken JSON), and the free text of a `custom` tool, is
    put into one as `input`. Nothing is `{}`.

    It may hold half of a surrogate pair (an emoji cut in two): it is to be encoded by `gateway.protocols.reading`.
    """
    if custom:
        return {"input": text}
    try:
        return _object.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _leniently(text)


def of_object(schema: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The schema with the members that upstreams demand of every tool's: `type`, and `properties`, though there be none
    (https://github.com/openai/openai-agents-python/issues/449)."""
    if schema is None or ("type" in schema and "properties" in schema):
        return NOTHING if schema is None else schema
    found = {"type": "object", **schema}
    return found if found["type"] != "object" else {**found, "properties": schema.get("properties", {})}


def _leniently(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
        json.dumps(found, allow_nan=False)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return cast("dict[str, Any]", found)
    return {"input": text} if text.strip() else {}
