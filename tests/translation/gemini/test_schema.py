"""Law 6: what Gemini takes for a schema."""

import json
import time
from typing import Any

import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.gemini.schema import MOST_NODES, answer, parameters

STRING, NUMBER, INTEGER, BOOLEAN = ({"type": name} for name in ("STRING", "NUMBER", "INTEGER", "BOOLEAN"))
ANYTHING = {"anyOf": [STRING, NUMBER, BOOLEAN, {"type": "OBJECT"}]}

ROWS: dict[str, tuple[Any, Any]] = {
    "types in capitals": ({"type": "string"}, STRING),
    "already Gemini's": ({"type": "STRING", "nullable": True}, STRING | {"nullable": True}),
    "description": ({"type": "boolean", "description": "d"}, BOOLEAN | {"description": "d"}),
    "a type and null": ({"type": ["string", "null"], "minLength": 1}, STRING | {"minLength": 1, "nullable": True}),
    "several types": ({"type": ["string", "integer"], "minimum": 1}, {"anyOf": [STRING, INTEGER | {"minimum": 1}]}),
    "several types and null": (
        {"type": ["string", "integer", "null"]},
        {"anyOf": [STRING | {"nullable": True}, INTEGER | {"nullable": True}]},
    ),
    "anyOf with null": (
        {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "null"}], "description": "d", "default": None},
        STRING | {"nullable": True, "description": "d"},
    ),
    "oneOf": (
        {"oneOf": [{"type": "string"}, {"type": "number", "description": "n"}], "description": "d"},
        {"anyOf": [STRING | {"description": "d"}, NUMBER | {"description": "n"}]},
    ),
    "anyOf in anyOf": (
        {"anyOf": [{"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"type": "boolean"}, {"type": "string"}]},
        {"anyOf": [STRING, INTEGER, BOOLEAN]},
    ),
    "anyOf of what is required": (
        {
            "type": "object",
            "properties": {"a": {"type": "string"}},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        {
            "anyOf": [
                {"type": "OBJECT", "properties": {"a": STRING}, "required": ["a"]},
                {"type": "OBJECT", "properties": {"a": STRING}},
            ]
        },
    ),
    "allOf": (
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"properties": {"b": {"type": "integer"}}, "required": ["b"]},
            ]
        },
        {"type": "OBJECT", "properties": {"b": INTEGER, "a": STRING}, "required": ["b", "a"]},
    ),
    "const": ({"const": "x"}, STRING | {"enum": ["x"]}),
    "const of a number": ({"const": 5}, INTEGER | {"description": "One of: 5"}),
    "const null": ({"const": None}, {"type": "NULL"}),
    "enum": ({"type": "string", "enum": ["a", "b", "a", ""]}, STRING | {"enum": ["a", "b"]}),
    "enum without a type": ({"enum": ["a", None]}, STRING | {"enum": ["a"], "nullable": True}),
    "enum of numbers": (
        {"type": "integer", "enum": [1, 2], "description": "d"},
        INTEGER | {"description": "d\nOne of: 1, 2"},
    ),
    "enum of all kinds": (
        {"enum": ["a", 1]},
        {"anyOf": [STRING | {"enum": ["a"]}, INTEGER | {"description": "One of: 1"}]},
    ),
    "format of a string": ({"type": "string", "format": "date-time"}, STRING | {"format": "date-time"}),
    "format that it does not know": ({"type": "string", "format": "uri"}, STRING),
    "format of a number": ({"type": "number", "format": "double"}, NUMBER | {"format": "double"}),
    "format of another type": ({"type": "integer", "format": "double"}, INTEGER),
    "limits": (
        {"type": "number", "minimum": 0, "maximum": 1.5, "multipleOf": 0.5},
        NUMBER | {"minimum": 0, "maximum": 1.5},
    ),
    "open limits": (
        {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10},
        INTEGER | {"minimum": 1, "maximum": 9},
    ),
    "open limits of draft 4": ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, INTEGER | {"minimum": 0}),
    "words of another type": ({"type": "string", "minimum": 1, "items": {}, "required": ["a"]}, STRING),
    "array": (
        {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        {"type": "ARRAY", "items": STRING, "maxItems": 3},
    ),
    "array of anything": ({"type": "array"}, {"type": "ARRAY", "items": ANYTHING}),
    "tuple": (
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
        {"type": "ARRAY", "items": {"anyOf": [STRING, INTEGER]}},
    ),
    "old tuple": ({"type": "array", "items": [{"type": "string"}]}, {"type": "ARRAY", "items": STRING}),
    "anything": ({}, ANYTHING),
    "true": ({"type": "object", "properties": {"a": True}}, {"type": "OBJECT", "properties": {"a": ANYTHING}}),
    "removed names": (
        {"type": "object", "properties": {"a": {"type": "string"}, "b": False}, "required": ["a", "b", "c", "a", 1]},
        {"type": "OBJECT", "properties": {"a": STRING}, "required": ["a"]},
    ),
    "no names left": ({"type": "object", "required": ["a"]}, {"type": "OBJECT"}),
    "unknown words": (
        {
            "type": "object",
            "properties": {"a": {"type": "string", "x-y": 1, "readOnly": True}},
            "additionalProperties": False,
            "patternProperties": {"^x": {}},
            "$schema": "s",
            "title": "t",
            "examples": [{}],
            "not": {},
        },
        {"type": "OBJECT", "properties": {"a": STRING}},
    ),
    "names that are words": (
        {"type": "object", "properties": {"type": {"type": "string"}, "$ref": {"type": "string"}}},
        {"type": "OBJECT", "properties": {"type": STRING, "$ref": STRING}},
    ),
    "reference": (
        {"$ref": "#/$defs/A", "description": "d", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"type": "string"}}},
        STRING | {"description": "d"},
    ),
    "reference of draft 4": ({"$ref": "#/definitions/a~1b", "definitions": {"a/b": {"type": "integer"}}}, INTEGER),
    "reference to nothing": ({"$ref": "#/$defs/A"}, ANYTHING),
    "reference elsewhere": ({"$ref": "https://example.org/schema"}, ANYTHING),
    "reference to itself": ({"$ref": "#"}, {"type": "OBJECT"}),
    "reference in anyOf": (
        {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}], "$defs": {"A": {"type": "string"}}},
        STRING | {"nullable": True},
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_schema(row: str):
    given, expected = ROWS[row]
    assert answer(given) == expected


def test_a_recursive_one_is_two_levels_deep():
    tree = {"type": "object", "properties": {"v": {"type": "string"}, "next": {"$ref": "#"}}, "required": ["v", "next"]}
    leaf = {"type": "OBJECT"}
    for _ in range(3):
        leaf = {"type": "OBJECT", "properties": {"v": STRING, "next": leaf}, "required": ["v", "next"]}
    assert parameters(tree) == leaf


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"type": "object"}, None),
        ({"type": "object", "properties": {}}, None),
        ({"type": "string"}, None),
        (
            {"type": ["object", "null"], "properties": {"a": {"type": "string"}}},
            {"type": "OBJECT", "properties": {"a": STRING}},
        ),
        (
            {
                "anyOf": [
                    {"type": "object", "properties": {"a": {"type": "string"}, "c": {}}, "required": ["a", "c"]},
                    {"type": "object", "properties": {"b": {"type": "string"}, "c": {}}, "required": ["b", "c"]},
                    {"type": "string"},
                ]
            },
            {"type": "OBJECT", "properties": {"b": STRING, "c": ANYTHING, "a": STRING}, "required": ["c"]},
        ),
    ],
)
def test_parameters_are_an_object_or_none(given: Any, expected: Any):
    assert parameters(given) == expected


def test_a_schema_that_would_grow_without_end_is_cut():
    defs = {
        f"d{n}": {"type": "object", "properties": {x: {"$ref": f"#/$defs/d{n + 1}"} for x in "abcdefghij"}}
        for n in range(20)
    }
    started = time.perf_counter()
    found = parameters({"$ref": "#/$defs/d0", "$defs": defs})
    assert time.perf_counter() - started < 2
    assert json.dumps(found).count('"type"') < MOST_NODES * 12


words = st.sampled_from(
    [
        *("type", "properties", "items", "anyOf", "oneOf", "allOf", "enum", "const", "$ref", "required", "format"),
        *("nullable", "description", "minimum", "minLength", "maxItems", "prefixItems", "additionalProperties"),
    ]
)
junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(
        ["string", "null", "object", "array", "integer", "#", "#/properties/a", "#/items", "date-time", "a"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.sampled_from("ab"), inner, max_size=4),
    max_leaves=25,
)


@given(st.dictionaries(words, junk, max_size=6))
def test_whatever_it_is_what_comes_out_is_gemini_s(schema: dict[str, Any]):
    found = answer(schema)
    assert violations(found) == []
    types.Schema.model_validate(found)
    root = parameters(schema)
    assert root is None or (root["type"] == "OBJECT" and root["properties"] and violations(root) == [])
    assert answer(found) == found


WORDS = {
    "STRING": {"enum", "format", "minLength", "maxLength", "pattern"},
    "NUMBER": {"format", "minimum", "maximum"},
    "INTEGER": {"format", "minimum", "maximum"},
    "BOOLEAN": set(),
    "NULL": set(),
    "ARRAY": {"items", "minItems", "maxItems"},
    "OBJECT": {"properties", "required", "minProperties", "maxProperties"},
}


def violations(schema: dict[str, Any]) -> list[str]:
    """What Google's servers refuse."""
    if "anyOf" in schema:
        found = [] if set(schema) == {"anyOf"} and len(schema["anyOf"]) > 1 else ["anyOf stands alone"]
        return found + [each for branch in schema["anyOf"] for each in violations(branch)]
    kind = schema.get("type")
    if kind not in WORDS:
        return [f"type {kind}"]
    found = [f"{name} of {kind}" for name in set(schema) - WORDS[kind] - {"type", "description", "nullable"}]
    if kind == "ARRAY":
        found += violations(schema["items"]) if "items" in schema else ["items is missing"]
    if not all(isinstance(value, str) and value for value in schema.get("enum", ["x"])):
        found.append("enum is of texts")
    properties = schema.get("properties", {})
    found += [f"{name} is required" for name in schema.get("required", []) if name not in properties]
    return found + [each for inner in properties.values() for each in violations(inner)]
