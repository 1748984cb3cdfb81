"""Values by the schema."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.compat.schema import ANY, kind_of
from gateway.translation.compat.values import read, shown
from tests.translation.generate import values

STRING = {"string"}


@pytest.mark.parametrize(
    ("text", "kinds", "named", "expected"),
    [
        ("5", STRING, [], "5"),
        (' "quoted" \n', STRING, [], ' "quoted" \n'),
        ("", STRING, [], ""),
        ("\ud83d", STRING, [], "\ud83d"),
        ("5", {"integer"}, [], 5),
        (" 5\n", {"integer"}, [], 5),
        ("5.0", {"integer"}, [], 5),
        ("5.5", {"integer"}, [], "5.5"),
        ("1e300", {"integer"}, [], "1e300"),
        ("123456789012345678901234567890", {"integer"}, [], 123456789012345678901234567890),
        ("9" * 5000, {"integer"}, [], "9" * 5000),
        ("five", {"integer"}, [], "five"),
        ("", {"integer"}, [], ""),
        ("5.0", {"number", "integer"}, [], 5.0),
        ("-1.5e3", {"number", "integer"}, [], -1500.0),
        ("NaN", {"number", "integer"}, [], "NaN"),
        ("-Infinity", {"number"}, [], "-Infinity"),
        ("1e400", {"number", "integer"}, [], "1e400"),
        ("true", {"boolean"}, [], True),
        ("True", {"boolean"}, [], True),
        (" False ", {"boolean"}, [], False),
        ("None", {"null", "integer"}, [], None),
        ("None", {"null", "string"}, [], "None"),
        ("True", {"integer"}, [], "True"),
        ("1", {"boolean"}, [], "1"),
        ("yes", {"boolean"}, [], "yes"),
        ("null", {"null", "string"}, [], None),
        ('"null"', {"null", "string"}, [], "null"),
        ("hello", {"null", "string"}, [], "hello"),
        ("5", {"null", "string"}, [], "5"),
        ("5", {"integer", "string"}, [], 5),
        ('[1, {"a": null}]', {"array"}, [], [1, {"a": None}]),
        ('{"a": "l1\nl2"}', {"object"}, [], {"a": "l1\nl2"}),
        ("{'a': 1}", {"object"}, [], "{'a': 1}"),
        ("[1]", {"object"}, [], "[1]"),
        ("[" * 100_000, {"array"}, [], "[" * 100_000),
        ("[" * 100_000 + "]" * 100_000, {"array"}, [], "[" * 100_000 + "]" * 100_000),
        ("a, b", {"array"}, [], "a, b"),
        ("anything", ANY, [], "anything"),
        ("7", ANY, [], 7),
        ('"7"', ANY, [], "7"),
        ("007", ANY, [], "007"),
        (" fast\n", STRING, ["fast", "slow"], "fast"),
        (" other\n", STRING, ["fast", "slow"], " other\n"),
        (" a ", STRING, ["a", " a "], " a "),
        ("1", {"string", "integer"}, ["1", 2], "1"),
        ("2", {"string", "integer"}, ["1", 2], 2),
        ("1", {"integer", "string"}, [1, "1"], 1),
        ("3", {"integer"}, [1, 2], 3),
        ("true", {"integer", "string"}, [1, "true"], "true"),
    ],
)
def test_reading(text, kinds, named, expected):
    found = json.loads(read(text, frozenset(kinds), named))
    assert (found, type(found)) == (expected, type(expected))


@given(values, st.sampled_from(["own", "any", "null too"]))
def test_what_is_shown_is_read(value, how):
    own = frozenset({kind_of(value)})
    kinds = {"own": own, "any": ANY, "null too": own | {"null"}}[how]
    found = json.loads(read(shown(value, kinds, []), kinds, []))
    assert found == value
    assert kind_of(found) == kind_of(value)


@pytest.mark.parametrize(
    ("value", "kinds", "text"),
    [
        ("plain", ANY, "plain"),
        ("7", ANY, '"7"'),
        ("7", STRING, "7"),
        ('"7"', ANY, '"\\"7\\""'),
        ("null", {"string", "null"}, '"null"'),
        ({"a": [1]}, {"object"}, '{"a":[1]}'),
        (None, ANY, "null"),
        (5, STRING, "5"),
    ],
)
def test_a_string_is_shown_as_it_is_where_that_can_be(value, kinds, text):
    assert shown(value, frozenset(kinds), []) == text


@pytest.mark.parametrize("depth", [*range(100, 1500, 50), *range(960, 1001), 10_000])
def test_depth_is_no_trouble(depth):
    text = "[" * depth + "]" * depth
    assert read(text, ANY, []) in (text, json.dumps(text))
