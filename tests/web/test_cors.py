"""Browsers' pages: only those whose origin is named, and never with credentials."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from gateway.core.counters import counter
from gateway.core.limits import parse
from gateway.relay.admit import Standing
from gateway.relay.standing import limit_headers
from gateway.web.cors import granted, is_preflight, preflight
from tests.support.installation import Site, installation

PAGE = "https://app.example"


@pytest.mark.parametrize(
    ("origin", "origins", "allowed"),
    [
        (None, ("*",), False),
        (b"https://app.example", (), False),
        (b"https://app.example", (PAGE,), True),
        (b"https://app.example.evil", (PAGE,), False),
        (b"http://app.example", (PAGE,), False),
        (b"https://other.example", ("*",), True),
        (b"null", (PAGE,), False),
    ],
)
def test_an_origin_is_allowed_when_it_is_named(origin: bytes | None, origins: tuple[str, ...], allowed: bool) -> None:
    headers = dict(granted(origin, origins))
    assert bool(headers) is allowed
    assert headers.get(b"access-control-allow-origin") == (origin if allowed else None)
    assert b"access-control-allow-credentials" not in headers


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_every_header_of_ours_can_be_read(dialect: str) -> None:
    limits = parse([{"type": kind, "max": 9, "per": "minute"} for kind in ("requests", "tokens")])
    standings = [Standing(counter(limit, 0), 1, 5) for limit in limits]
    ours = {name.decode() for name, _ in limit_headers(dialect, standings, 0.0)}
    assert len(ours) == 6
    exposed = set(dict(granted(PAGE.encode(), ("*",)))[b"access-control-expose-headers"].decode().split(", "))
    assert ours | {"x-poolgate-adjusted", "x-request-id", "server-timing"} <= exposed


def test_a_preflight_is_an_options_request_that_asks_for_a_method() -> None:
    asked = {b"access-control-request-method": b"POST", b"access-control-request-headers": b"x-api-key"}
    assert is_preflight("OPTIONS", asked) and not is_preflight("POST", asked) and not is_preflight("OPTIONS", {})
    assert dict(preflight(asked))[b"access-control-allow-headers"] == b"x-api-key"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    async with installation(database_url, redis_url, environ={"POOLGATE_CORS_ORIGINS": PAGE}) as made:
        yield made


async def test_a_page_asks_first_and_then_reads_answers_and_errors(site: Site) -> None:
    asked = {"origin": PAGE, "access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    before = await site.http.options("/v1/messages", headers=asked)
    assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, PAGE)
    assert before.headers["access-control-allow-headers"] == "x-api-key"
    refused = await site.http.post("/v1/messages", headers={"origin": PAGE}, json={})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, PAGE)
    await site.account("claude-console")
    body = {"model": "sandbox-echo", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"origin": PAGE, "x-api-key": await site.key()}
    answer = await site.http.post("/v1/messages", headers=headers, json=body)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, PAGE)


async def test_another_page_gets_nothing(site: Site) -> None:
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    before = await site.http.options("/v1/messages", headers=asked)
    assert before.status_code == 405 and "access-control-allow-origin" not in before.headers
