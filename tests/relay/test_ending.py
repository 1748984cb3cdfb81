"""Every ending of the ledger, by what an exchange had come to."""

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.protocols.codec import Failure, Usage
from gateway.relay.ending import ending, used


def exchange(**fields: Any) -> Any:
    row = SimpleNamespace(attempts=[SimpleNamespace(error_code=None)], error_code=None, status=200, first_byte_at=1.0,
                          input_tokens=70)  # fmt: skip
    reader = SimpleNamespace(failure=None, complete=True, usage=Usage(3, output_tokens=4), usage_final=True, doubt="",
                             characters=8)  # fmt: skip
    given = {"row": row, "reader": reader, "events": True, "converter": None, "stopped": False}
    for name, value in fields.items():
        where, _, member = name.partition("__")
        setattr(given[where], member, value) if member else given.update({name: value})
    return SimpleNamespace(**given)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, "complete"),
        ({"row__attempts": []}, "refused"),
        ({"row__error_code": "upstream_timeout"}, "stalled"),
        ({"row__error_code": "upstream_error"}, "upstream_error"),
        ({"row__status": None}, "upstream_error"),
        ({"row__status": 400}, "upstream_error"),
        ({"reader__failure": Failure(529, b"")}, "upstream_error"),
        ({"reader__complete": False}, "upstream_error"),
        ({"reader__complete": False, "events": False}, "complete"),
        ({"converter": SimpleNamespace(failed=None)}, "complete"),
        ({"converter": SimpleNamespace(failed="x")}, "upstream_error"),
        ({"reader": None}, "complete"),
    ],
)
def test_endings(fields: dict[str, Any], found: str) -> None:
    assert ending(exchange(**fields)) == found


@pytest.mark.parametrize(
    ("fields", "tokens", "source"),
    [
        ({}, (3, 4), "provider"),
        ({"reader__usage_final": False}, (3, 4), "estimated"),
        ({"reader__failure": Failure(500, b"")}, (3, 4), "provider"),
        ({"reader__failure": Failure(500, b""), "row__first_byte_at": None}, (0, 0), "none"),
        ({"reader": None}, (0, 0), "none"),
        ({"reader": None, "stopped": True}, (70, 0), "estimated"),
        ({"reader": None, "stopped": True, "row__attempts": []}, (0, 0), "none"),
    ],
)
def test_what_was_used(fields: dict[str, Any], tokens: tuple[int, int], source: str) -> None:
    usage, said = used(exchange(**fields))
    assert ((usage.input_tokens, usage.output_tokens), said) == (tokens, source)
