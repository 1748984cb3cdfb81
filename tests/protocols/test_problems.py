"""Every row of the error table in every protocol."""

import json

import pytest

from gateway.protocols import CODECS
from gateway.protocols.codec import Problem

INVALID = ("invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT")
ROWS = [
    (400, "invalid_request", *INVALID),
    (400, "invalid_model", *INVALID),
    (400, "previous_response_not_found", *INVALID),
    (401, "key_missing", "authentication_error", "authentication_error", "UNAUTHENTICATED"),
    (401, "key_invalid", "authentication_error", "authentication_error", "UNAUTHENTICATED"),
    (401, "key_disabled", "authentication_error", "authentication_error", "UNAUTHENTICATED"),
    (401, "key_expired", "authentication_error", "authentication_error", "UNAUTHENTICATED"),
    (403, "platform_forbidden", "permission_error", "permission_error", "PERMISSION_DENIED"),
    (403, "model_forbidden", "permission_error", "permission_error", "PERMISSION_DENIED"),
    (403, "group_forbidden", "permission_error", "permission_error", "PERMISSION_DENIED"),
    (403, "ip_forbidden", "permission_error", "permission_error", "PERMISSION_DENIED"),
    (403, "client_forbidden", "permission_error", "permission_error", "PERMISSION_DENIED"),
    (404, "model_not_found", "not_found_error", "invalid_request_error", "NOT_FOUND"),
    (404, "not_found", "not_found_error", "invalid_request_error", "NOT_FOUND"),
    (405, "method_not_allowed", *INVALID),
    (408, "request_timeout", *INVALID),
    (415, "unsupported_encoding", *INVALID),
    (426, "websocket_not_offered", *INVALID),
    (431, "headers_too_large", *INVALID),
    (413, "request_too_large", "request_too_large", "invalid_request_error", "INVALID_ARGUMENT"),
    (429, "rate_limited", "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
    (429, "token_limited", "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
    (429, "concurrency_limited", "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
    (429, "budget_exceeded", "rate_limit_error", "insufficient_quota", "RESOURCE_EXHAUSTED"),
    (500, "internal", "api_error", "api_error", "INTERNAL"),
    (502, "upstream_error", "api_error", "api_error", "UNAVAILABLE"),
    (502, "upstream_auth_failed", "api_error", "api_error", "UNAVAILABLE"),
    (503, "no_account", "overloaded_error", "server_error", "UNAVAILABLE"),
    (503, "overloaded", "overloaded_error", "server_error", "UNAVAILABLE"),
    (503, "draining", "overloaded_error", "server_error", "UNAVAILABLE"),
    (504, "upstream_timeout", "timeout_error", "timeout_error", "DEADLINE_EXCEEDED"),
    (418, "new_in_a_later_version", *INVALID),
    (599, "new_in_a_later_version", "api_error", "api_error", "INTERNAL"),
]


@pytest.mark.parametrize(("status", "code", "anthropic", "openai", "gemini"), ROWS)
def test_error_bodies(status, code, anthropic, openai, gemini):
    problem = Problem(status, code, 'say "é"', "model", "req_1")
    said = {name: json.loads(codec.error(problem)) for name, codec in CODECS.items()}
    assert said["anthropic"] == {
        "type": "error",
        "error": {"type": anthropic, "message": 'say "é"', "code": code},
        "request_id": "req_1",
    }
    expected = {"error": {"message": 'say "é"', "type": openai, "param": "model", "code": code}}
    assert said["openai_chat"] == said["openai_responses"] == expected
    assert said["ollama"] == {"error": 'say "é"'}
    assert said["gemini"] == {
        "error": {
            "code": status,
            "message": 'say "é"',
            "status": gemini,
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": code.upper(),
                    "domain": "poolgate",
                }
            ],
        }
    }


def test_no_field_is_null():
    assert json.loads(CODECS["openai_chat"].error(Problem(500, "internal", "x")))["error"]["param"] is None
