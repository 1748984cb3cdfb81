"""What OpenAI's two protocols share: errors, headers and the rule of its prompt cache.

https://platform.openai.com/docs/guides/error-codes/api-errors, https://platform.openai.com/docs/guides/prompt-caching
"""

from typing import Any

from gateway.local.sandbox.answer import encode
from gateway.local.sandbox.dialect import Fault
from gateway.protocols.codec import Usage

_MESSAGES = {
    400: ("invalid_request_error", None, "Invalid request."),
    401: (
        "invalid_request_error",
        "invalid_api_key",
        "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
    ),
    403: (
        "invalid_request_error",
        "unsupported_country_region_territory",
        "Country, region, or territory not supported",
    ),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    429: (
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached in organization org-sandbox on requests per min (RPM): Limit 500, Used 500, Requested 1.",
    ),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}
_REASONS = {
    "quota": (
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "model": (
        "invalid_request_error",
        "model_not_found",
        "Your project does not have access to the requested model.",
    ),
    "disabled": ("invalid_request_error", "account_deactivated", "The OpenAI account has been deactivated."),
}
_REASONS["credit"] = _REASONS["quota"]
_FAULT = ("server_error", None, "The server had an error while processing your request. Sorry about that!")


def cached(total: int) -> Usage:
    """Prompts of 1,024 tokens and more are cached: half of them here, in whole steps of 128."""
    read = total // 2 // 128 * 128 if total >= 1024 else 0
    return Usage(input_tokens=total - read, cache_read_tokens=read)


def problem(fault: Fault) -> dict[str, Any]:
    """The error object, as in a body and in a stream."""
    known = _REASONS.get(fault.reason) or _MESSAGES.get(fault.status)
    kind, code, message = known or (_FAULT if fault.status >= 500 else _MESSAGES[400])
    return {"message": fault.message or message, "type": kind, "param": fault.param, "code": code}


def fault(fault: Fault, request_id: str) -> bytes:
    return encode({"error": problem(fault)})


_EDGE = (
    "openai-organization: org-sandbox\r\nopenai-project: proj_sandbox\r\nopenai-version: 2020-10-01\r\n"
    "openai-processing-ms: 12\r\nx-envoy-upstream-service-time: 14\r\n"
    "strict-transport-security: max-age=31536000; includeSubDomains; preload\r\nx-content-type-options: nosniff\r\n"
    "via: 1.1 envoy\r\nserver: cloudflare\r\ncf-cache-status: DYNAMIC\r\ncf-ray: 8f0000005a2db0c5-FRA\r\n"
    'alt-svc: h3=":443"; ma=86400\r\n'
    "set-cookie: __cf_bm=sandbox; path=/; domain=.api.openai.com; HttpOnly; Secure; SameSite=None\r\n"
)
_LIMITS = (
    "x-ratelimit-limit-requests: 10000\r\nx-ratelimit-limit-tokens: 2000000\r\n"
    "x-ratelimit-remaining-requests: 9999\r\nx-ratelimit-remaining-tokens: 1999985\r\n"
    "x-ratelimit-reset-requests: 6ms\r\nx-ratelimit-reset-tokens: 0s\r\n"
)


def headers(request_id: str, fault: Fault | None) -> str:
    lines = f"x-request-id: {request_id}\r\n{_EDGE}"
    if fault is None:
        return lines + _LIMITS
    return lines + (f"retry-after: {fault.retry_after}\r\n" if fault.retry_after is not None else "")
