"""Which browsers' pages may call the gateway: none, unless POOLGATE_CORS_ORIGINS names their origin. Pure.

Source: the Fetch standard, https://fetch.spec.whatwg.org/#http-cors-protocol. Credentials are never allowed: a key is a
header that the page itself sets.
"""

from collections.abc import Mapping

from gateway.routing.call import Header

_METHODS = b"GET, HEAD, POST, OPTIONS"
_MAX_AGE = b"600"
#: What a page may read beside the simple headers.
_EXPOSED = (
    b"x-request-id, x-client-request-id, request-id, server-timing, retry-after, x-should-retry, "
    b"x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    b"x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, "
    b"anthropic-ratelimit-requests-limit, anthropic-ratelimit-requests-remaining, anthropic-ratelimit-requests-reset, "
    b"anthropic-ratelimit-tokens-limit, anthropic-ratelimit-tokens-remaining, anthropic-ratelimit-tokens-reset, "
    b"x-poolgate-adjusted, x-poolgate-account, x-poolgate-platform, x-poolgate-attempts"
)


def granted(origin: bytes | None, origins: tuple[str, ...]) -> list[Header]:
    """The headers of an answer to a page of this origin; none when it may not read it."""
    if origin is None or not ("*" in origins or origin.decode("latin-1") in origins):
        return []
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"origin"),
    ]


def is_preflight(method: str, header: Mapping[bytes, bytes]) -> bool:
    return method == "OPTIONS" and b"access-control-request-method" in header


def preflight(header: Mapping[bytes, bytes]) -> list[Header]:
    """What a browser asks before it sends a key: the methods, and the very headers that it wants to send."""
    return [
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", header.get(b"access-control-request-headers", b"*")),
        (b"access-control-max-age", _MAX_AGE),
    ]
