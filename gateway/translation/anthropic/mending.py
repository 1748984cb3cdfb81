"""Text that cannot be written: half of an emoji, which a cut through the middle of one leaves."""

import re

_LONE = re.compile("[\ud800-\udfff]")


def mended(text: str) -> str:
    """Halves that stand together are one letter again, one that stands alone is U+FFFD."""
    if text.isascii() or _LONE.search(text) is None:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def held_back(text: str) -> int:
    """How many letters at the end may be half of one whose other half is still to come."""
    return 1 if text and "\ud800" <= text[-1] <= "\udbff" else 0
