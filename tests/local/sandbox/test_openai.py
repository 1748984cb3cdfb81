"""What both of OpenAI's protocols say of errors and of the prompt cache."""

import json

import pytest

from gateway.local.sandbox.dialect import Fault
from gateway.local.sandbox.openai import cached, fault, headers
from gateway.platforms.judgement import judge
from gateway.platforms.platform import Kind


@pytest.mark.parametrize(
    ("total", "read"), [(0, 0), (1023, 0), (1024, 512), (1300, 640), (2047, 896), (100_000, 49_920)]
)
def test_half_of_a_long_prompt_is_cached_in_steps(total: int, read: int) -> None:
    usage = cached(total)
    assert (usage.input_tokens, usage.cache_read_tokens) == (total - read, read)
    assert read % 128 == 0


@pytest.mark.parametrize(
    ("asked", "kind", "code"),
    [
        (Fault(400), "invalid_request_error", None),
        (Fault(401), "invalid_request_error", "invalid_api_key"),
        (Fault(404), "invalid_request_error", "model_not_found"),
        (Fault(429), "requests", "rate_limit_exceeded"),
        (Fault(429, reason="quota"), "insufficient_quota", "insufficient_quota"),
        (Fault(400, reason="credit"), "insufficient_quota", "insufficient_quota"),
        (Fault(500), "server_error", None),
        (Fault(599), "server_error", None),
        (Fault(418), "invalid_request_error", None),
    ],
)
def test_an_error(asked: Fault, kind: str, code: str | None) -> None:
    error = json.loads(fault(asked, "req_1"))["error"]
    assert (error["type"], error["code"], error["param"]) == (kind, code, None)
    assert error["message"]


def test_what_is_said_is_said_as_told() -> None:
    error = json.loads(fault(Fault(400, "No such parameter.", param="tools"), "req_1"))["error"]
    assert (error["message"], error["param"]) == ("No such parameter.", "tools")


@pytest.mark.parametrize(
    ("asked", "kind", "reason"),
    [
        (Fault(429, reason="quota"), Kind.COOL_DOWN, "money"),
        (Fault(403, reason="model"), Kind.COOL_DOWN, "model"),
        (Fault(401, reason="disabled"), Kind.DISABLE, "disabled"),
        (Fault(401), Kind.COOL_DOWN, "credentials"),
    ],
)
def test_the_gateway_understands_it_as_it_does_openais(asked: Fault, kind: Kind, reason: str) -> None:
    verdict = judge(asked.status, {}, fault(asked, "req_1"), 1_790_000_000.0)
    assert (verdict.kind, verdict.reason) == (kind, reason)


def test_headers() -> None:
    assert "x-request-id: req_1\r\n" in headers("req_1", None)
    assert "x-ratelimit-remaining-tokens: " in headers("req_1", None)
    refused = headers("req_1", Fault(429, retry_after=0))
    assert "retry-after: 0\r\n" in refused
    assert "x-ratelimit" not in refused
    assert "retry-after" not in headers("req_1", Fault(500))
