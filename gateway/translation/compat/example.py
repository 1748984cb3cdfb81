"""Arguments as a model could give them, made from a tool's schema for the worked example."""

from collections.abc import Mapping
from typing import Any

from gateway.protocols.reading import mapping, sequence, written
from gateway.translation.compat.schema import Schema

_MOST_ARGUMENTS = 3
"""Optional ones fill up to here; required ones are all shown."""
_MOST_VALUES = 40
_DEEPEST = 4
_LONGEST_DEFAULT = 100
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "email": "name@example.com",
    "time": "12:00:00Z",
    "uri": "https://example.com",
    "url": "https://example.com",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
}


def arguments(schema: Schema) -> dict[str, Any]:
    """The required ones first."""
    names = schema.names()
    shown = max(_MOST_ARGUMENTS, sum(name in schema.required for name in names))
    made = _Maker(schema)
    return {name: made.value(schema.node(name), name, 0) for name in names[:shown]}


class _Maker:
    """Makes values, each simpler once there are many of them."""

    __slots__ = ("_left", "_schema")

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._left = _MOST_VALUES

    def value(self, node: Mapping[str, Any], name: str, depth: int) -> Any:
        self._left -= 1
        node = self._schema.plain(node)
        if given := _given(node):
            return given[0]
        kind = self._schema.kind(node)
        if kind == "object":
            return self._object(node, depth)
        if kind == "array":
            deeper = depth < _DEEPEST and self._left > 0
            return [self.value(mapping(node.get("items")), name, depth + 1)] if deeper else []
        if kind in ("integer", "number"):
            return _number(node)
        return {"boolean": True, "null": None}.get(kind, _text(node, name))

    def _object(self, node: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties, required = mapping(node.get("properties")), sequence(node.get("required"))
        names = [name for name in properties if name in required] or list(properties)[:_MOST_ARGUMENTS]
        made: dict[str, Any] = {}
        for name in names:
            if depth >= _DEEPEST or self._left <= 0:
                break
            made[name] = self.value(mapping(properties[name]), name, depth + 1)
        return made


def _given(node: Mapping[str, Any]) -> list[Any]:
    """The values that the schema itself names, of which long ones teach nothing."""
    fixed = [node["const"]] if "const" in node else sequence(node.get("enum"))
    named = [*sequence(node.get("examples"))[:1], node.get("default")]
    return fixed or [each for each in named if each is not None and len(written(each)) <= _LONGEST_DEFAULT]


def _number(node: Mapping[str, Any]) -> float:
    least, most = node.get("minimum"), node.get("maximum")
    if isinstance(node.get("exclusiveMinimum"), int | float):
        least = node["exclusiveMinimum"] + 1
    found = least if isinstance(least, int | float) else 1
    return most if isinstance(most, int | float) and most < found else found


def _text(node: Mapping[str, Any], name: str) -> str:
    text = _FORMATS.get(str(node.get("format")), f"example {name}".rstrip())
    longest = node.get("maxLength")
    return text[:longest] if isinstance(longest, int) and longest > 0 else text
