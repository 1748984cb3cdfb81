"""What is understood of tools' schemas."""

import time

import pytest

from gateway.translation.compat.schema import ANY, Schema
from gateway.translation.prompt import Tool

NUMBER = {"number", "integer"}


def of(*nodes, **more):
    properties = {f"a{number}": node for number, node in enumerate(nodes)}
    return Schema(Tool("f", schema={"type": "object", "properties": properties, **more}))


@pytest.mark.parametrize(
    ("node", "kinds"),
    [
        ({"type": "string"}, {"string"}),
        ({"type": "number"}, NUMBER),
        ({"type": "integer"}, {"integer"}),
        ({"type": ["string", "null"]}, {"string", "null"}),
        ({"type": "STRING", "nullable": True}, {"string", "null"}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"string", "null"}),
        ({"oneOf": [{"type": "array"}, {"anyOf": [{"type": "boolean"}]}]}, {"array", "boolean"}),
        ({"allOf": [{"type": "string"}, {"minLength": 1}]}, {"string"}),
        ({"enum": ["a", 1, None]}, {"string", "integer", "null"}),
        ({"const": True}, {"boolean"}),
        ({"type": "string", "enum": ["1", "2"]}, {"string"}),
        ({"properties": {}}, {"object"}),
        ({"items": {}}, {"array"}),
        ({"$ref": "#/$defs/x"}, {"integer"}),
        ({"$ref": "#/$defs/a~1b~0c%20d"}, {"boolean"}),
        ({"$ref": "#/$defs/loop"}, {"null"}),
        ({"$ref": "#/none"}, ANY),
        ({"$ref": "https://example.com"}, ANY),
        ({"$ref": 7, "type": 7, "anyOf": 7, "enum": 7}, ANY),
        ({}, ANY),
        (True, ANY),
        ({"type": "what"}, ANY),
    ],
)
def test_the_types_of_an_argument(node, kinds):
    loop = {"anyOf": [{"$ref": "#/$defs/loop"}, {"type": "null"}]}
    schema = of(node, **{"$defs": {"x": {"type": "integer"}, "a/b~c d": {"type": "boolean"}, "loop": loop}})
    assert schema.of("a0")[0] == kinds


def test_values_that_are_named():
    assert of({"anyOf": [{"enum": [1, "a"]}, {"const": None}]}).of("a0")[1] == [1, "a", None]


def test_arguments_of_branches():
    schema = Schema(
        Tool(
            "f",
            schema={
                "$ref": "#/$defs/base",
                "required": ["z"],
                "allOf": [{"properties": {"y": {"type": "integer"}}, "required": ["y"]}],
                "anyOf": [{"properties": {"w": {}}, "required": ["w"]}],
                "properties": {"x": {}, "z": {"type": "string"}},
                "$defs": {"base": {"properties": {"v": {"type": "null"}}, "required": ["v", 3]}},
            },
        )
    )
    assert schema.required == {"v", "y", "z"}
    assert schema.names() == ("z", "v", "y", "x", "w")
    assert [schema.knows(name) for name in ("v", "w", "x", "y", "z", "u")] == [True] * 5 + [False]
    assert schema.of("v") == ({"null"}, [])
    assert schema.of("u") == (ANY, [])


def test_no_schema_and_a_custom_tool():
    assert Schema(Tool("f")).of("x") == (ANY, [])
    assert Schema(Tool("f")).names() == ()
    assert Schema(Tool("f", custom=True)).of("input") == ({"string"}, [])
    assert Schema(Tool("f", custom=True)).required == {"input"}


@pytest.mark.parametrize(
    ("node", "plain"),
    [
        ({"type": "string"}, {"type": "string"}),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}], "title": "t"}, {"type": "integer", "title": "t"}),
        (
            {
                "allOf": [{"properties": {"a": {"type": "null"}, "b": {}}, "required": ["b"]}],
                "properties": {"a": {}},
                "required": ["a"],
            },
            {"properties": {"a": {}, "b": {}}, "required": ["a", "b"]},
        ),
        ({"$ref": "#/$defs/two"}, {"type": "boolean"}),
    ],
)
def test_a_plain_schema(node, plain):
    schema = of(node, **{"$defs": {"two": {"$ref": "#/$defs/one"}, "one": {"type": "boolean"}}})
    assert schema.plain(schema.node("a0")) == plain


def test_a_schema_that_refers_to_itself_has_an_end():
    schema = of({"$ref": "#/properties/a0"})
    assert schema.of("a0")[0] == ANY
    assert isinstance(schema.plain(schema.node("a0")), dict)


def test_a_schema_that_branches_without_end_is_read_once():
    levels = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]} for n in range(200)}
    began = time.perf_counter()
    assert of({"$ref": "#/$defs/d0"}, **{"$defs": {**levels, "d200": {"type": "integer"}}}).of("a0")[0] == {"integer"}
    assert time.perf_counter() - began < 2
