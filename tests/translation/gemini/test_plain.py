"""Gemini's schemas as JSON schema."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.codec import InvalidBody
from gateway.translation.gemini.plain import plain
from gateway.translation.gemini.schema import answer

ROWS: dict[str, tuple[Any, Any]] = {
    "types": (
        {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
        {"type": "object", "properties": {"a": {"type": "string"}}},
    ),
    "nullable": ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
    "nullable enum": (
        {"type": "STRING", "enum": ["a"], "nullable": True},
        {"type": ["string", "null"], "enum": ["a", None]},
    ),
    "nullable anyOf": (
        {"any_of": [{"type": "STRING"}], "nullable": True},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
    ),
    "not nullable": ({"type": "STRING", "nullable": False}, {"type": "string"}),
    "64 bits": (
        {"type": "ARRAY", "min_items": "2", "items": {"type": "INTEGER"}},
        {"type": "array", "minItems": 2, "items": {"type": "integer"}},
    ),
    "its own words": (
        {"type": "STRING", "format": "enum", "enum": ["a"], "propertyOrdering": ["x"]},
        {"type": "string", "enum": ["a"]},
    ),
    "no type": ({"type": "TYPE_UNSPECIFIED"}, {}),
    "a property called type": (
        {"properties": {"type": {"type": "STRING"}}},
        {"properties": {"type": {"type": "string"}}},
    ),
    "JSON schema": (
        {
            "type": ["string", "null"],
            "$defs": {"A": {"const": "STRING"}},
            "additionalProperties": False,
            "items": [{"type": "NUMBER"}],
        },
        {
            "type": ["string", "null"],
            "$defs": {"A": {"const": "STRING"}},
            "additionalProperties": False,
            "items": [{"type": "number"}],
        },
    ),
    "values stay": ({"enum": ["STRING", {"type": "STRING"}]}, {"enum": ["STRING", {"type": "STRING"}]}),
    "the SDK's names": (
        {"defs": {"A": {"type": "STRING"}}, "ref": "#/$defs/A"},
        {"$defs": {"A": {"type": "string"}}, "$ref": "#/$defs/A"},
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_schema(row: str):
    schema, expected = ROWS[row]
    assert plain(schema, "x") == expected


def test_one_that_is_nested_without_end_is_refused():
    schema: dict[str, Any] = {}
    for _ in range(200):
        schema = {"items": schema}
    with pytest.raises(InvalidBody) as caught:
        plain(schema, "tools[0].functionDeclarations[0].parameters")
    assert caught.value.field == "tools[0].functionDeclarations[0].parameters"


scalars = st.sampled_from(
    [
        {"type": "STRING"},
        {"type": "STRING", "enum": ["a", "b"]},
        {"type": "INTEGER", "minimum": 1},
        {"type": "BOOLEAN", "description": "d"},
    ]
)
schemas = st.recursive(
    scalars | scalars.map(lambda found: found | {"nullable": True}),
    lambda inner: (
        st.builds(lambda items: {"type": "ARRAY", "items": items}, inner)
        | st.builds(
            lambda properties: {"type": "OBJECT", "properties": properties, "required": sorted(properties)},
            st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3),
        )
    ),
    max_leaves=8,
)


@given(schemas)
def test_there_and_back(schema: dict[str, Any]):
    assert answer(plain(schema, "x")) == schema
