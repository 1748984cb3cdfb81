"""Error answers of our own, rendered."""

import json

import pytest

from gateway.core.errors import InvalidRequest, LimitReached, Refused
from gateway.web.errors import rendered


@pytest.mark.parametrize("protocol", ["anthropic", "openai_chat", "openai_responses", "gemini"])
def test_every_protocol(protocol: str) -> None:
    status, headers, body = rendered(InvalidRequest("No.", field="model"), protocol, "req_1", "theirs")
    found = dict(headers)
    assert (status, found[b"content-type"], found[b"x-request-id"]) == (400, b"application/json", b"req_1")
    assert found[b"x-client-request-id"] == b"theirs"
    assert found.get(b"request-id") == (b"req_1" if protocol == "anthropic" else None)
    assert json.loads(body)["error"]["message"] == "No."


def test_headers_of_an_error() -> None:
    error = Refused("No.", status=405, code="method_not_allowed", headers={"allow": "GET"})
    assert (b"allow", b"GET") in rendered(error, "gemini", "r", None)[1]


@pytest.mark.parametrize(
    ("code", "wait", "shown", "retry"),
    [
        ("rate_limited", 0.1, b"1", None),
        ("rate_limited", 59.2, b"60", None),
        ("rate_limited", 60.1, b"61", b"false"),
        ("budget_exceeded", 1, b"1", b"false"),
    ],
)
def test_waits(code: str, wait: float, shown: bytes, retry: bytes | None) -> None:
    headers = dict(rendered(LimitReached("No.", code=code, retry_after=wait), "anthropic", "r", None)[1])
    assert (headers[b"retry-after"], headers.get(b"x-should-retry")) == (shown, retry)
