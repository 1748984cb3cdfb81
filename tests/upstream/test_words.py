"""What others said, as it may be shown."""

import pytest

from gateway.upstream.words import LONGEST, clean


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nothing to hide", "nothing to hide"),
        ("your key own-secret-1234 is wrong", "your key [secret] is wrong"),
        ("own-secret-1234-longer", "[secret]"),
        ("abc", "abc"),
        ("sk-live-abcdefghijkl", "[secret]"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: [secret]"),
        ("eyJhbGciOiJIUzI1NiJ9.e30.x", "[secret]"),
        ("a\x00\r\n\x1b[31mb\u202ec", "a [31mb c"),
        ("x" * 600, "x" * LONGEST),
        ("y" * 495 + " own-secret-1234", "y" * 495 + " [sec"),
    ],
)
def test_clean(text: str, shown: str):
    """A secret too short to be one stays; one that goes on as another does is hidden as a whole."""
    assert clean(text, ["abc", "own-secret-1234", "own-secret-1234-longer"]) == shown
