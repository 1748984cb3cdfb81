"""Schemas that Anthropic holds the model to."""

import json

import pytest
from anthropic import transform_schema

from gateway.translation.anthropic.build import build
from gateway.translation.anthropic.strict import strict
from gateway.translation.prompt import Format, Prompt, Text, Tool, Turn
from gateway.translation.speech import Limits


def test_objects_are_closed_wherever_they_stand_and_nothing_else_changes():
    schema = {
        "type": "object",
        "properties": {
            "type": {"type": "string", "enum": ["object"]},
            "items": {"type": "array", "items": {"type": "object", "properties": {}}},
            "open": {"type": "object", "additionalProperties": {"type": "object"}},
            "either": {"anyOf": [{"$ref": "#/$defs/d"}, {"type": "null"}]},
        },
        "$defs": {"d": {"type": "object", "default": {"type": "object"}}},
        "required": ["type"],
    }
    no = {"additionalProperties": False}
    assert strict(schema) == {
        "type": "object",
        "properties": {
            "type": {"type": "string", "enum": ["object"]},
            "items": {"type": "array", "items": {"type": "object", "properties": {}, **no}},
            "open": {"type": "object", "additionalProperties": {"type": "object", **no}},
            "either": {"anyOf": [{"$ref": "#/$defs/d"}, {"type": "null"}]},
        },
        "$defs": {"d": {"type": "object", "default": {"type": "object"}, **no}},
        "required": ["type"],
        **no,
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 1, "exclusiveMaximum": 10, "description": "A number"},
        {"type": "number", "multipleOf": 0.5},
        {"type": "string", "minLength": 1, "maxLength": 9},
        {"type": "string", "format": "email"},
        {"type": "string", "format": "regex"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
        {"type": "array", "items": {"type": "string", "maxLength": 2}, "maxItems": 3, "minItems": 2},
        {"oneOf": [{"type": "string"}, {"type": "null"}]},
        {"type": "object", "properties": {"minimum": {"type": "integer", "minimum": 0}}, "required": ["minimum"]},
    ],
)
def test_what_anthropic_refuses_is_told_as_its_own_sdk_tells_it(schema):
    assert strict(schema) == transform_schema(schema)


def test_an_object_that_may_be_null_is_closed_too():
    assert strict({"type": ["object", "null"]}) == {"type": ["object", "null"], "additionalProperties": False}


COUNTED = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 3}}}
TOLD = {"n": {"type": "integer", "description": "{maximum: 3}"}}


def test_answers_and_strict_tools_keep_to_it_and_others_keep_all():
    tools = (Tool("a", schema=COUNTED, strict=True), Tool("b", schema=COUNTED, strict=False), Tool("c", schema=COUNTED))
    prompt = Prompt("m", (Turn("user", (Text("hi"),)),), tools=tools, format=Format("schema", COUNTED))
    body = json.loads(build(prompt, Limits("m")).body)
    assert body["output_config"]["format"]["schema"]["properties"] == TOLD
    assert [tool["input_schema"]["properties"] == TOLD for tool in body["tools"]] == [True, False, False]
    assert [tool["input_schema"] == COUNTED for tool in body["tools"]] == [False, True, True]
