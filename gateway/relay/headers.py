"""Which headers go where. The rules are spec "Headers"; names are lower case.

To the upstream: the client's own, honestly, less credentials and what belongs to one hop or to this client alone.
To the client: the upstream's, less what belongs to one hop or would name the account and its limits.
"""

import hmac
from functools import lru_cache

from gateway.routing.call import CREDENTIALS, Header

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_NOT_UP = (
    HOP_BY_HOP
    | CREDENTIALS
    | {
        b"cookie",
        b"cookie2",
        b"host",
        b"content-length",
        b"expect",
        b"forwarded",
        b"via",
        b"origin",
        b"referer",
        b"x-real-ip",
        b"x-request-id",
        b"cdn-loop",
        b"true-client-ip",
        b"openai-organization",
        b"openai-project",
        b"accept-encoding",
    }
)
_NOT_UP_PREFIXES = (b"x-forwarded-", b"cf-", b"x-poolgate-")
_NOT_DOWN = HOP_BY_HOP | {
    b"set-cookie",
    b"set-cookie2",
    b"alt-svc",
    b"strict-transport-security",
    b"nel",
    b"report-to",
    b"via",
    b"server",
    b"content-length",
    b"x-request-id",
    b"x-client-request-id",
    b"server-timing",
    b"anthropic-organization-id",
    b"openai-organization",
    b"openai-project",
    b"x-ms-region",
    b"x-ms-client-request-id",
    b"x-ms-deployment-name",
    b"apim-request-id",
    b"azureml-model-session",
    b"x-goog-project-id",
}
_NOT_DOWN_PREFIXES = (
    # Which pages may read an answer of ours is our own word (gateway.web.cors); browsers refuse two.
    b"access-control-",
    b"x-amzn-",
    b"x-ms-spillover-",
    b"anthropic-ratelimit-",
    b"x-ratelimit-",
    b"ratelimit",
    b"x-poolgate-",
    b"x-codex-",
)

_NONE: frozenset[bytes] = frozenset()


@lru_cache(4096)
def _goes_up(name: bytes) -> bool:
    return name not in _NOT_UP and not name.startswith(_NOT_UP_PREFIXES)


@lru_cache(4096)
def _goes_down(name: bytes) -> bool:
    return name not in _NOT_DOWN and not name.startswith(_NOT_DOWN_PREFIXES)


def upstream_headers(headers: list[Header], key_id: str) -> list[Header]:
    """The client's headers as the upstream may see them.

    An idempotency key goes as an HMAC with the key's id, so that two keys never meet at the upstream.
    """
    listed = _listed(headers)
    kept = [pair for pair in headers if _goes_up(pair[0]) and pair[0] not in listed]
    for at, (name, value) in enumerate(kept):
        if name == b"idempotency-key":
            kept[at] = (name, hmac.digest(key_id.encode(), value, "sha256").hex().encode())
    return kept


def client_headers(headers: list[Header]) -> list[Header]:
    """The upstream's headers as the client may see them."""
    listed = _listed(headers)
    return [pair for pair in headers if _goes_down(pair[0]) and pair[0] not in listed]


def _listed(headers: list[Header]) -> frozenset[bytes]:
    """Names that Connection headers make hop-by-hop."""
    listed = _NONE
    for name, value in headers:
        if name == b"connection":
            listed |= _tokens(value)
    return listed


@lru_cache(256)
def _tokens(value: bytes) -> frozenset[bytes]:
    return frozenset(token.strip().lower() for token in value.split(b","))
