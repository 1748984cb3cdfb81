"""Names as all take them: `^[a-zA-Z0-9_-]+$` (Gemini's clients have dots and colons too). What is not so is written in
that alphabet, readably and so that it can be read back: every other character as `_u{code point in hex}_` (`fs.read` →
`fs_u2e_read`).

Nothing is remembered between requests: the same text always becomes the same, and two never become one. Pure.
"""

import re

#: A text that looks like one of ours must not be read back as what it never was: its first underscore is written too.
_TO_WRITE = re.compile(r"[^a-zA-Z0-9_-]|_(?=u[0-9a-f]{2,6}(?:_|[^a-zA-Z0-9_-]))")
_WRITTEN = re.compile(r"_u([0-9a-f]{2,6})_")


def legal(text: str) -> str:
    """The text in the alphabet that all take; itself where it is in it already."""
    return _TO_WRITE.sub(lambda found: f"_u{ord(found[0]):02x}_", text) or "_"


def original(text: str) -> str:
    """What `legal` was given."""
    return _WRITTEN.sub(_character, text) if "_u" in text else text


def _character(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    return chr(code) if code <= 0x10FFFF else found[0]
