"""The worked example's arguments."""

import pytest

from gateway.translation.compat.example import arguments
from gateway.translation.compat.schema import Schema
from gateway.translation.prompt import Tool

TREE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/tree"}}, "required": ["next"]}


def made(schema):
    return arguments(Schema(Tool("f", schema=schema)))


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"type": "string"}, "example a"),
        ({"type": "string", "maxLength": 3}, "exa"),
        ({"type": "string", "format": "date"}, "2026-01-31"),
        ({"enum": ["m", "n"]}, "m"),
        ({"const": None}, None),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 7}, 7),
        ({"type": "integer", "exclusiveMinimum": 7}, 8),
        ({"type": "number", "maximum": -2}, -2),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null", "boolean"]}, True),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array"}, ["example a"]),
        ({"type": "string", "default": "d"}, "d"),
        ({"type": "string", "default": "d" * 1000}, "example a"),
        ({"type": "string", "examples": ["e"], "default": "d"}, "e"),
        ({"type": "object", "properties": {"x": {"type": "boolean"}, "y": {}}, "required": ["y"]}, {"y": "example y"}),
        ({"type": "object", "properties": {"x": {"type": "boolean"}}}, {"x": True}),
        ({"anyOf": [{"type": "null"}, {"type": "array", "items": {"enum": [3]}}]}, [3]),
        ({"allOf": [{"type": "object"}, {"properties": {"x": {"type": "null"}}}]}, {"x": None}),
        ({"$ref": "#/$defs/one"}, 4),
        ({}, "example a"),
    ],
)
def test_values(node, expected):
    assert made({"properties": {"a": node}, "$defs": {"one": {"const": 4}}}) == {"a": expected}


def test_required_ones_first_and_all_of_them_and_some_others():
    properties = {name: {"type": "null"} for name in "abcdefg"}
    assert list(made({"properties": properties, "required": ["f", "c"]})) == ["c", "f", "a"]
    assert list(made({"properties": properties, "required": list("gfedc")})) == list("cdefg")
    assert made(None) == {}


def test_it_has_an_end():
    assert made({"properties": {"a": {"$ref": "#/$defs/tree"}}, "$defs": {"tree": TREE}}) == {
        "a": {"next": {"next": {"next": {"next": {}}}}}
    }
    wide = {"type": "object", "properties": {f"p{n}": {"$ref": "#/$defs/wide"} for n in range(50)}}
    wide["required"] = list(wide["properties"])
    found = made({"properties": {"a": {"$ref": "#/$defs/wide"}}, "$defs": {"wide": wide}})
    assert str(found).count("p") < 200
