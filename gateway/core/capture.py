"""Capture: whether a tenant's prompts and answers are kept, for how long, and what is taken out of them.

    {"enabled": true, "retention_days": 7, "redact": ["\\bemployee-[0-9]{4,8}\\b"], "max_bytes": 65536}

Nothing is kept unless `enabled` is true.
"""

import re
import warnings
from typing import Any, cast

import msgspec

from gateway.core.domain import Capture

MOST_PATTERNS = 20
LONGEST_PATTERN = 200
LONGEST_DAYS = 365
MOST_BYTES = 1 << 18
LEAST_BYTES = 1024


class InvalidCapture(ValueError):
    """`field` names what is wrong, as `capture.redact[0]`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def parse(given: Any) -> Capture:
    """Raises InvalidCapture, naming the field."""
    if not isinstance(given, dict):
        raise InvalidCapture("capture", "an object is expected")
    for name in cast("dict[str, Any]", given):
        if name not in Capture.__struct_fields__:
            raise InvalidCapture(f"capture.{name}", "unknown field")
    try:
        read = msgspec.convert(given, Capture)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$")
        raise InvalidCapture("capture" + place.rstrip("`"), text) from None
    if not 1 <= read.retention_days <= LONGEST_DAYS:
        raise InvalidCapture("capture.retention_days", f"expected days, at least 1 and at most {LONGEST_DAYS}")
    if not LEAST_BYTES <= read.max_bytes <= MOST_BYTES:
        raise InvalidCapture("capture.max_bytes", f"expected bytes, at least {LEAST_BYTES} and at most {MOST_BYTES}")
    if len(read.redact) > MOST_PATTERNS:
        raise InvalidCapture("capture.redact", f"expected at most {MOST_PATTERNS} patterns")
    for at, pattern in enumerate(read.redact):
        _check(pattern, f"capture.redact[{at}]")
    return read


def _check(pattern: str, field: str) -> None:
    """How long a pattern may take is not judged here: its work is done apart, within two seconds or not at all."""
    if not 1 <= len(pattern) <= LONGEST_PATTERN:
        raise InvalidCapture(field, f"expected 1 to {LONGEST_PATTERN} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python will read otherwise one day
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        raise InvalidCapture(field, f"not a regular expression: {error}") from None
