import pytest

from gateway.translation.anthropic.mending import held_back, mended


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("plain", "plain"),
        ("é😀", "é😀"),
        ("\ud83d\ude00", "😀"),
        ("a\ud83d", "a\ufffd"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
    ],
)
def test_halves_become_letters(text, whole):
    assert mended(text) == whole


def test_a_first_half_waits_for_its_second():
    assert [held_back(text) for text in ("", "a", "a\ud83d", "a\ude00")] == [0, 0, 1, 0]
