"""Which headers go where."""

import pytest

from gateway.relay.headers import client_headers, upstream_headers

UP_STAYS = ["content-type", "accept", "user-agent", "anthropic-version", "anthropic-beta", "x-stainless-lang", "x-app",
            "x-claude-code-session-id", "x-goog-api-client", "traceparent", "x-client-request-id"]  # fmt: skip
UP_GOES = ["authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie", "host", "content-length", "connection",
           "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "proxy-authorization", "proxy-connection",
           "forwarded", "via", "origin", "referer", "x-forwarded-for", "x-forwarded-proto", "x-real-ip", "x-request-id",
           "cf-ray", "cf-connecting-ip", "cdn-loop", "true-client-ip", "openai-organization", "openai-project",
           "x-poolgate-account", "accept-encoding", "expect"]  # fmt: skip
DOWN_STAYS = ["content-type", "content-encoding", "cache-control", "retry-after", "etag", "x-special", "openai-version",
              "openai-processing-ms", "request-id"]  # fmt: skip
DOWN_GOES = ["connection", "keep-alive", "transfer-encoding", "upgrade", "set-cookie", "alt-svc", "nel", "report-to", "via",  # noqa: E501
             "strict-transport-security", "server", "x-request-id", "anthropic-organization-id", "openai-organization",
             "openai-project", "x-ms-region", "apim-request-id", "x-amzn-requestid", "x-ratelimit-limit-requests",
             "access-control-allow-origin", "access-control-expose-headers", "access-control-allow-credentials",
             "x-ms-deployment-name", "x-ms-spillover-from-deployment",
             "anthropic-ratelimit-requests-limit", "anthropic-ratelimit-unified-status", "x-poolgate-account"]  # fmt: skip  # noqa: E501


def test_up() -> None:
    headers = [(name.encode(), b"1") for name in UP_STAYS + UP_GOES]
    assert [name.decode() for name, _ in upstream_headers(headers, "key_1")] == UP_STAYS


def test_down() -> None:
    headers = [(name.encode(), b"1") for name in DOWN_STAYS + DOWN_GOES]
    assert [name.decode() for name, _ in client_headers(headers)] == DOWN_STAYS


@pytest.mark.parametrize("named", [[b"X-Hop, close"], [b"close", b"x-hop"]])
def test_what_a_connection_header_names_belongs_to_one_hop(named: list[bytes]) -> None:
    headers = [*((b"connection", value) for value in named), (b"x-hop", b"1"), (b"x-end", b"1")]
    assert upstream_headers(headers, "key_1") == client_headers(headers) == [(b"x-end", b"1")]


def test_order_and_repetition_stay() -> None:
    headers = [(b"anthropic-beta", b"b"), (b"accept", b"x"), (b"anthropic-beta", b"a")]
    assert upstream_headers(headers, "key_1") == client_headers(headers) == headers


def test_an_idempotency_key_is_the_keys_own() -> None:
    def sent(key_id: str, value: bytes) -> bytes:
        return dict(upstream_headers([(b"idempotency-key", value)], key_id))[b"idempotency-key"]

    assert sent("key_1", b"a") == sent("key_1", b"a")
    assert len({sent("key_1", b"a"), sent("key_2", b"a"), sent("key_1", b"b"), b"a"}) == 4
