"""What a tenant may say of its capture."""

from typing import Any

import pytest

from gateway.core.capture import LONGEST_PATTERN, MOST_BYTES, MOST_PATTERNS, InvalidCapture, parse
from gateway.core.domain import Capture


def test_nothing_said_is_off():
    assert parse({}) == Capture(enabled=False, retention_days=7, redact=(), max_bytes=65536)


def test_all_that_can_be_said():
    given = {"enabled": True, "retention_days": 365, "redact": [r"\d{4}", "(?i)x+"], "max_bytes": MOST_BYTES}
    assert parse(given) == Capture(True, 365, (r"\d{4}", "(?i)x+"), MOST_BYTES)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([], "capture"),
        ("on", "capture"),
        ({"enabled": "yes"}, "capture.enabled"),
        ({"retention_days": 0}, "capture.retention_days"),
        ({"retention_days": 366}, "capture.retention_days"),
        ({"retention_days": 1.5}, "capture.retention_days"),
        ({"max_bytes": 1023}, "capture.max_bytes"),
        ({"max_bytes": MOST_BYTES + 1}, "capture.max_bytes"),
        ({"redact": "x"}, "capture.redact"),
        ({"redact": ["x"] * (MOST_PATTERNS + 1)}, "capture.redact"),
        ({"redact": [5]}, "capture.redact[0]"),
        ({"redact": ["("]}, "capture.redact[0]"),
        ({"redact": ["x", "a**"]}, "capture.redact[1]"),
        ({"redact": [""]}, "capture.redact[0]"),
        ({"redact": ["x" * (LONGEST_PATTERN + 1)]}, "capture.redact[0]"),
        ({"redact": ["(" * 100 + ")" * 100 + "{5}{5}"]}, "capture.redact[0]"),
        ({"redact": ["[[a]"]}, "capture.redact[0]"),
        ({"redact": ["a{99999999999999999999}"]}, "capture.redact[0]"),
        ({"keep": True}, "capture.keep"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(given: Any, field: str):
    with pytest.raises(InvalidCapture) as caught:
        parse(given)
    assert caught.value.field == field
    assert caught.value.message
