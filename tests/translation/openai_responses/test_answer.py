"""Refusals of an upstream."""

import pytest

from gateway.protocols.codec import Problem
from gateway.translation.openai_responses import SPEECH


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (
            404,
            b'{"error":{"message":"no","type":"invalid_request_error","param":"model","code":"model_not_found"}}',
            Problem(404, "model_not_found", "no", "model"),
        ),
        (429, b'{"error":{"message":"slowly","type":"tokens","code":null}}', Problem(429, "tokens", "slowly")),
        (400, b'{"detail":"Unsupported"}', Problem(400, "upstream_error", "Unsupported")),
        (400, b'{"error":"no"}', Problem(400, "upstream_error", "no")),
        (500, b'{"message":"no"}', Problem(500, "upstream_error", "no")),
        (503, b"<html>", Problem(503, "upstream_error", "The upstream answered with 503.")),
        (502, b"", Problem(502, "upstream_error", "The upstream answered with 502.")),
        (500, b'{"error":{"message":"","code":7,"param":1}}', Problem(500, "7", "The upstream answered with 500.")),
    ],
)
def test_failures(status, body, problem):
    assert SPEECH.failure(status, body) == problem
