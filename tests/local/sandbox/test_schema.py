import pytest

from gateway.local.sandbox.schema import example


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, "sandbox"),
        ({"type": "string"}, "sandbox"),
        ({"type": "STRING"}, "sandbox"),
        ({"type": "string", "maxLength": 3}, "san"),
        ({"type": "string", "minLength": 9}, "sandbox.."),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "string", "pattern": "^[0-9]$"}, "0"),
        ({"type": ["integer", "null"], "minimum": 3}, 3),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "maximum": -2}, -3),
        ({"type": "integer", "minimum": 1, "maximum": 100}, 1),
        ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 3}, 2),
        ({"type": "number", "minimum": 0.5, "maximum": 0.7}, 0.5),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "integer", "minimum": 4, "multipleOf": 5}, 5),
        ({"type": "NUMBER"}, 1.0),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"enum": ["flash", "pro"]}, "flash"),
        ({"const": 7}, 7),
        ({"default": []}, []),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"type": "array", "items": {"type": "integer"}}, []),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        ({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]}, {"a": "sandbox"}),
        ({"properties": {"a": {"$ref": "#/$defs/A"}}, "required": ["a"], "$defs": {"A": {"enum": [1]}}}, {"a": 1}),
        (
            {
                "allOf": [
                    {"properties": {"a": {"const": 1}}, "required": ["a"]},
                    {"type": "object", "properties": {"b": {"const": 2}}, "required": ["b"]},
                ]
            },
            {"a": 1, "b": 2},
        ),
    ],
)
def test_examples_satisfy_their_schema(schema, value) -> None:
    assert example(schema) == value


def test_a_schema_that_refers_to_itself_ends() -> None:
    schema = {"properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    depth, node = 0, example(schema)
    while isinstance(node, dict):
        depth, node = depth + 1, node.get("next")
    assert 1 < depth < 60
