"""OpenAI's error object, which chat completions and Responses share: https://platform.openai.com/docs/guides/error-codes"""

from typing import Any

import msgspec

from gateway.protocols.codec import Problem
from gateway.protocols.problems import names
from gateway.protocols.reading import mapping

STATUS = {
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "invalid_prompt": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "usage_limit_reached": 429,
    "usage_not_included": 429,
    "token_expired": 401,
    "requests": 429,
    "tokens": 429,
    "server_error": 500,
    "overloaded_error": 503,
    "server_is_overloaded": 503,
    "service_unavailable": 503,
    "slow_down": 503,
    "timeout": 504,
}
"""The status of each `error.code` or `error.type`."""


def failure_status(error: Any) -> int:
    """The closest status of an error object that came inside a 200: its code tells more than its type."""
    found = mapping(error)
    for name in ("code", "status_code", "status", "type"):
        said = found.get(name)
        if isinstance(said, str):
            said = STATUS.get(said) or (int(said) if said.isdecimal() and len(said) == 3 else None)
        if type(said) is int and 400 <= said <= 599:
            return said
    return 500


def error(problem: Problem) -> bytes:
    """The body of an error answer."""
    about = {
        "message": problem.message,
        "type": names(problem).openai,
        "param": problem.field,
        "code": problem.code,
    }
    return msgspec.json.encode({"error": about})
