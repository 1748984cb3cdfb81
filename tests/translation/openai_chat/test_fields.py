import math

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.translation.openai_chat import fields

WRONG = [
    (fields.text, (1, [], {}, True)),
    (fields.word, ("", 1, [])),
    (fields.flag, (0, 1, "true")),
    (fields.whole, (1.5, "1", True, math.inf)),
    (fields.natural, (-1, 1.5, True)),
    (fields.number, ("1", True, math.nan, math.inf, -math.inf)),
    (fields.record, ([], "", 1)),
    (fields.array, ({}, "", 1)),
]
RIGHT = [
    (fields.text, "", ""),
    (fields.word, "a", "a"),
    (fields.flag, False, False),
    (fields.whole, -8.0, -8),
    (fields.natural, 0, 0),
    (fields.number, 0, 0),
    (fields.number, 0.5, 0.5),
    (fields.record, {}, {}),
    (fields.array, [], []),
]


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in WRONG for value in values])
def test_a_wrong_type_is_named_with_its_path(kind, value):
    with pytest.raises(InvalidBody) as caught:
        fields.maybe({"x": value}, "x", kind, "messages[0]")
    assert caught.value.field == "messages[0].x"
    assert "messages[0].x must" in caught.value.message


@pytest.mark.parametrize(("kind", "value", "found"), RIGHT)
def test_a_value_is_a_value_though_it_is_nothing(kind, value, found):
    for given in (fields.maybe({"x": value}, "x", kind), fields.needed({"x": value}, "x", kind)):
        assert (given, type(given)) == (found, type(found))


@pytest.mark.parametrize("members", [{}, {"x": None}])
def test_absent_and_null_are_the_same(members):
    assert fields.maybe(members, "x", fields.text) is None
    with pytest.raises(InvalidBody) as caught:
        fields.needed(members, "x", fields.text)
    assert (caught.value.field, caught.value.message) == ("x", "x is required")
