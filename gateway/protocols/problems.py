"""The gateway's own errors in each protocol's words: one table from code to the vendors' error types."""

from typing import NamedTuple

from gateway.protocols.codec import Problem


class Names(NamedTuple):
    """What the three vendors call a kind of error."""

    anthropic: str
    openai: str
    gemini: str


_INVALID = Names("invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT")
_UNKNOWN_KEY = Names("authentication_error", "authentication_error", "UNAUTHENTICATED")
_FORBIDDEN = Names("permission_error", "permission_error", "PERMISSION_DENIED")
_NOT_FOUND = Names("not_found_error", "invalid_request_error", "NOT_FOUND")
_TOO_LARGE = Names("request_too_large", "invalid_request_error", "INVALID_ARGUMENT")
_LIMITED = Names("rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED")
_INTERNAL = Names("api_error", "api_error", "INTERNAL")
_UPSTREAM = Names("api_error", "api_error", "UNAVAILABLE")
_UNAVAILABLE = Names("overloaded_error", "server_error", "UNAVAILABLE")
_TIMEOUT = Names("timeout_error", "timeout_error", "DEADLINE_EXCEEDED")

_by_code = {"budget_exceeded": _LIMITED._replace(openai="insufficient_quota")}

_by_status = {
    400: _INVALID,
    401: _UNKNOWN_KEY,
    403: _FORBIDDEN,
    404: _NOT_FOUND,
    405: _INVALID,
    408: _INVALID,
    413: _TOO_LARGE,
    415: _INVALID,
    426: _INVALID,
    429: _LIMITED,
    431: _INVALID,
    500: _INTERNAL,
    502: _UPSTREAM,
    503: _UNAVAILABLE,
    504: _TIMEOUT,
    529: _UNAVAILABLE,
}


def names(problem: Problem) -> Names:
    """By the code where it has names of its own, else by the status; another 4xx is the request's, the rest ours."""
    known = _by_code.get(problem.code) or _by_status.get(problem.status)
    if known is not None:
        return known
    return _INVALID if 400 <= problem.status < 500 else _INTERNAL
