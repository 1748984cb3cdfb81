"""The table of what cannot cross: each row once, each asked for by the code or by a golden test."""

import re
from pathlib import Path

import pytest

import gateway.translation.gemini as package
from gateway.protocols.codec import InvalidBody
from gateway.translation.gemini.losses import LOSSES, clamped, dropped, refused, sift, untranslatable
from gateway.translation.gemini.members import Object


def test_each_member_has_one_row_and_one_sentence():
    assert len({row.member for row in LOSSES}) == len(LOSSES)
    assert all(row.why and "\n" not in row.why for row in LOSSES)


def test_every_row_that_the_code_names_is_there_and_its_fate_is_that_of_the_code():
    assert package.__file__ is not None
    text = "\n".join(path.read_text() for path in Path(package.__file__).parent.glob("*.py"))
    asked = re.findall(r'(dropped|clamped|refused|untranslatable)\("([A-Za-z.*_]+)"', text)
    assert len(asked) > 10
    rows = {row.member: row.fate for row in LOSSES}
    for how, member in asked:
        assert rows[member] == {"dropped": "dropped", "clamped": "clamped"}.get(how, "400"), member


def test_the_fates():
    assert dropped("labels") == "labels"
    assert clamped("Prompt.top_p") == "top_p"
    assert refused("cachedContent", "cachedContent").field == "cachedContent"
    assert untranslatable("Prompt.stop", "stop").message.startswith("stop: ")
    for wrong in (dropped, clamped):
        with pytest.raises((AssertionError, KeyError)):
            wrong("cachedContent")


def test_sifting():
    found = Object({"safety_settings": [], "labels": None, "unknown": 1})
    assert [*sift(found, "")] == ["safetySettings"]
    with pytest.raises(InvalidBody) as caught:
        [*sift(Object({"cached_content": "x"}), "")]
    assert caught.value.field == "cachedContent"
    assert [*sift(Object({"cachedContent": "x"}), "", frozenset({"cachedContent"}))] == []
