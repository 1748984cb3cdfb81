"""Members of any type."""

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.translation.openai_responses import fields


@pytest.mark.parametrize(
    ("read", "value", "found"),
    [
        (fields.maybe_text, None, None),
        (fields.maybe_text, "", ""),
        (fields.text, "", ""),
        (fields.name, "a", "a"),
        (fields.flag, None, None),
        (fields.flag, False, False),
        (fields.number, None, None),
        (fields.number, 0, 0),
        (fields.number, 0.5, 0.5),
        (fields.whole, 3.0, 3),
        (fields.whole, 0, 0),
        (fields.whole, None, None),
        (fields.array, None, []),
        (fields.array, [1], [1]),
        (fields.maybe_record, None, None),
        (fields.record, {}, {}),
    ],
)
def test_what_is_taken(read, value, found):
    assert read(value, "a.b") == found


@pytest.mark.parametrize(
    ("read", "value"),
    [
        *((fields.maybe_text, value) for value in (1, [], {}, True)),
        *((fields.text, value) for value in (None, 1)),
        *((fields.name, value) for value in (None, "", 1)),
        *((fields.flag, value) for value in (0, 1, "true")),
        *((fields.number, value) for value in ("1", True, [])),
        *((fields.whole, value) for value in (-1, 1.5, True, "1")),
        *((fields.array, value) for value in ({}, "a")),
        *((fields.maybe_record, value) for value in ([], "a")),
        (fields.record, None),
    ],
)
def test_what_is_refused_names_its_path(read, value):
    with pytest.raises(InvalidBody) as refused:
        read(value, "input[3].content[0].text")
    assert refused.value.field == "input[3].content[0].text"
    assert refused.value.message.startswith("input[3].content[0].text must be ")


def test_one_of():
    assert fields.one_of("b", "x", ("a", "b")) == "b"
    assert fields.one_of(None, "x", ("a", "b")) is None
    for value in ("c", 1, ["a"]):
        with pytest.raises(InvalidBody, match="x must be one of a, b"):
            fields.one_of(value, "x", ("a", "b"))
