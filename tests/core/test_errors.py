"""The tree of public errors: statuses, codes, and how a wait is said."""

import inspect

import pytest

from gateway.core import errors
from gateway.core.errors import Forbidden, GatewayError, LimitReached, Refused, Unauthenticated, Unavailable

KINDS = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, GatewayError)
]  # fmt: skip
STATUS = {
    "InvalidRequest": 400, "Unauthenticated": 401, "Forbidden": 403, "NotFound": 404, "Refused": 400,
    "LimitReached": 429, "Internal": 500, "UpstreamFailed": 502, "Unavailable": 503, "UpstreamTimeout": 504,
    "GatewayError": 500,
}  # fmt: skip


def test_the_tree_is_whole() -> None:
    assert {kind.__name__: kind.status for kind in KINDS} == STATUS


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not LimitReached])
def test_each_has_a_code_and_a_sentence(kind: type[GatewayError]) -> None:
    error = kind("A sentence.")
    assert (str(error), error.message, error.code) == ("A sentence.", "A sentence.", kind.default_code)
    assert error.http_status == kind.status
    assert dict(error.headers) == {}


def test_what_is_given_wins() -> None:
    error = Refused("Too large.", code="payload_too_large", status=413, field="body", headers={"x": "y"})
    assert (error.code, error.http_status, error.field, error.headers) == ("payload_too_large", 413, "body", {"x": "y"})
    assert Unauthenticated("x", code="key_expired").code == "key_expired"
    assert Forbidden("x", code="ip_forbidden").code == "ip_forbidden"


@pytest.mark.parametrize(
    ("wait", "said"), [(0, "1"), (-5, "1"), (0.001, "1"), (1, "1"), (1.001, "2"), (59.999, "60"), (3600, "3600")]
)
def test_waits_are_rounded_up(wait: float, said: str) -> None:
    assert LimitReached("x", code="rate_limited", retry_after=wait).headers["retry-after"] == said
    assert Unavailable("x", retry_after=wait).headers["retry-after"] == said


@pytest.mark.parametrize(
    ("code", "wait", "told"),
    [("rate_limited", 60, False), ("rate_limited", 60.1, True), ("budget_exceeded", 1, True)],
)
def test_long_waits_tell_the_sdk_not_to_retry(code: str, wait: float, told: bool) -> None:
    headers = LimitReached("x", code=code, retry_after=wait).headers
    assert (headers.get("x-should-retry") == "false") is told


def test_an_unknown_wait_is_not_said() -> None:
    assert dict(Unavailable("x").headers) == {}
