"""Members by both spellings, and errors that name the field."""

from typing import Any

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.translation.gemini.members import Object, camel, read


def test_both_spellings_null_and_one_for_a_list():
    found = read(b'{"max_output_tokens": "64", "topK": 40.0, "seed": null, "parts": {"file_data": {"fileUri": "u"}}}')
    assert found.whole("maxOutputTokens") == 64
    assert found.whole("topK") == 40
    assert found.whole("seed") is None
    assert [part.object("fileData").needed("fileUri") for part in found.objects("parts")] == ["u"]
    assert [*found.given()] == ["maxOutputTokens", "topK", "parts"]
    assert camel("any_of") == "anyOf"


def test_the_unspecified_value_of_an_enum_is_none():
    assert Object({"mode": "MODE_UNSPECIFIED"}).word("mode") is None


@pytest.mark.parametrize(
    ("value", "ask"),
    [
        (1, "text"),
        ("", "needed"),
        (None, "needed"),
        ("yes", "flag"),
        (True, "number"),
        ("x", "whole"),
        (1.5, "whole"),
        (True, "whole"),
        ("a", "texts"),
        ([1], "object"),
        ("a", "objects"),
    ],
)
def test_what_is_of_the_wrong_type_is_named(value: Any, ask: str):
    with pytest.raises(InvalidBody) as caught:
        getattr(Object({"some_name": value}, "a[1].b"), ask)("someName")
    assert caught.value.field == "a[1].b.someName"
    assert caught.value.message.startswith("a[1].b.someName must be ")


@pytest.mark.parametrize(("ask", "value"), [("texts", ["a", 1]), ("objects", [{}, "a"])])
def test_elements_are_named_by_their_place(ask: str, value: Any):
    with pytest.raises(InvalidBody) as caught:
        getattr(Object({"names": value}), ask)("names")
    assert caught.value.field == "names[1]"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a": "\\ud800"}', b"[" * 5000, b'{"a": "\xff"}'])
def test_a_body_that_is_no_object(body: bytes):
    with pytest.raises(InvalidBody):
        read(body)
