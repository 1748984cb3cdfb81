"""Arguments as objects."""

import json

import pytest
from hypothesis import given

from gateway.protocols.reading import written
from gateway.translation.arguments import NOTHING, as_object, of_object
from tests.translation.generate import arguments

DEEP = '{"a":' * 100_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (" ", {}),
        ("{}", {}),
        (
            '{"a": 1.0, "b": 12345678901234567890123, "c": "it\'s"}',
            {"a": 1.0, "b": 12345678901234567890123, "c": "it's"},
        ),
        ('{\n "a": [1,\r\n 2]\n}', {"a": [1, 2]}),
        ('{"a": "\\ud83d"}', {"a": "\ud83d"}),
        ('{"a": "\ud83d"}', {"a": "\ud83d"}),
        *((text, {"input": text}) for text in ("{'a': 1}", '{"a":', "[1]", "7", '{"a": NaN}', '{"a": 1e400}', DEEP)),
    ],
)
def test_as_object(text, expected):
    found = as_object(text)
    assert repr(found) == repr(expected)
    assert json.loads(written(found)) == expected


@pytest.mark.parametrize("text", ["", "{}", "free\ntext"])
def test_free_text_is_always_put_into_one(text):
    assert as_object(text, custom=True) == {"input": text}


@given(arguments)
def test_all_objects_stay_what_they_are(text):
    assert json.loads(written(as_object(text))) == json.loads(text)


@pytest.mark.parametrize(
    ("schema", "whole"),
    [
        (None, NOTHING),
        ({}, NOTHING),
        ({"type": "object"}, NOTHING),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
        ({"type": "object", "$schema": "s"}, {"type": "object", "$schema": "s", "properties": {}}),
        ({"type": "string"}, {"type": "string"}),
    ],
)
def test_a_tools_schema_names_its_type_and_its_properties(schema, whole):
    assert of_object(schema) == whole
    assert of_object(whole) is whole or whole["type"] != "object"
