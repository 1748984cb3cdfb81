"""Callers that may ask for nothing, and what they are told."""

from typing import Any

import pytest

from gateway.core.callers import check
from gateway.core.domain import Caller
from gateway.core.errors import Unauthenticated

NOW = 1_000.0


@pytest.mark.parametrize(
    "fields", [{}, {"expires_at": NOW + 1}, {"secret_expires_at": NOW + 1}, {"expires_at": None, "enabled": True}]
)
def test_one_that_may(fields: dict[str, Any]) -> None:
    check(Caller("key_1", "ten_1", "k", **fields), NOW)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"enabled": False}, "key_disabled"),
        ({"expires_at": NOW}, "key_expired"),
        ({"expires_at": NOW, "enabled": False}, "key_disabled"),
        ({"secret_expires_at": NOW, "enabled": False}, "key_invalid"),
    ],
)
def test_one_that_may_not(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(Unauthenticated) as raised:
        check(Caller("key_1", "ten_1", "k", **fields), NOW)
    assert (raised.value.http_status, raised.value.code) == (401, code)
