"""What OpenAI's and Ollama's requests have in common; their own tests go through it too."""

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.translation.embeddings.inputs import inputs, members
from gateway.translation.prompt import Untranslatable


def test_bodies():
    assert members(b'{"a":1}') == {"a": 1}
    with pytest.raises(InvalidBody):
        members(b"[1]")


@pytest.mark.parametrize(("value", "expected"), [("a", ("a",)), (["a"], ("a",)), (["a", ""], ("a", ""))])
def test_texts(value, expected):
    assert inputs(value, "input") == expected


@pytest.mark.parametrize(
    ("value", "error", "field"),
    [
        (7, InvalidBody, "input"),
        ([], InvalidBody, "input"),
        ([True], InvalidBody, "input[0]"),
        ([1, "a"], InvalidBody, "input[0]"),
        ([1], Untranslatable, "input"),
        ([[1]], Untranslatable, "input"),
    ],
)
def test_what_is_no_text(value, error, field):
    with pytest.raises(error) as caught:
        inputs(value, "input")
    assert caught.value.field == field
