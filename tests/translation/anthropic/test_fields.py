import pytest

from gateway.protocols.codec import InvalidBody
from gateway.translation.anthropic.fields import ARRAY, OBJECT, member, needed, of, unknown


@pytest.mark.parametrize(
    ("value", "kind"), [("a", str), (True, bool), (7, int), (7.5, float), (7, float), ({}, OBJECT), ([], ARRAY)]
)
def test_values_of_the_type_are_taken(value, kind):
    assert member({"a": value}, "a", kind) == value
    assert needed({"a": value}, "a", kind) == value


def test_a_whole_number_may_be_written_with_a_point():
    found = of(7.0, int, "a")
    assert (found, type(found)) == (7, int)


@pytest.mark.parametrize(
    ("value", "kind", "noun"),
    [
        (1, str, "a string"),
        (1, bool, "true or false"),
        (True, int, "a whole number"),
        (7.5, int, "a whole number"),
        (True, float, "a number"),
        ([], OBJECT, "an object"),
        ({}, ARRAY, "an array"),
    ],
)
def test_values_of_another_type_are_refused_by_name(value, kind, noun):
    with pytest.raises(InvalidBody, match=rf"^messages\[0\]\.a must be {noun}$") as refused:
        member({"a": value}, "a", kind, "messages[0].")
    assert refused.value.field == "messages[0].a"


def test_what_is_absent_or_null():
    assert member({}, "a", str) is member({"a": None}, "a", str) is None
    with pytest.raises(InvalidBody, match=r"^b\.a is missing$"):
        needed({"a": None}, "a", str, "b.")


def test_an_unknown_word_is_said_but_not_at_any_length():
    refused = unknown("a role", "messages[0].role", "x" * 500)
    assert refused.field == "messages[0].role"
    assert len(refused.message) < 200
