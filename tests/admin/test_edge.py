"""Before any routing: Host, request ids, media types; over a raw socket where clients would not send such things."""

import json
from collections.abc import AsyncIterator

import pytest
from msgspec import structs

from gateway.core.settings import Settings
from tests.admin.conftest import Api, raw, serving


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 401),
        ("LOCALHOST:8081", 401),
        ("127.0.0.1:1", 401),
        ("[::1]:8081", 401),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost:8081@evil.example", 400),
        ("localhost/../x", 400),
        ("a b", 400),
    ],
)
async def test_only_our_names_are_answered(url: str, host: str, status: int):
    got, headers, content = await raw(url, "GET /admin/v1/me HTTP/1.1", f"host: {host}")
    assert got == status
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(content)["request_id"] == headers["x-request-id"]


async def test_two_hosts_or_none_are_refused(url: str):
    assert (await raw(url, "GET /admin/v1/me HTTP/1.1", "host: localhost", "host: evil.example"))[0] == 400
    assert (await raw(url, "GET /admin/v1/me HTTP/1.0"))[0] == 400


@pytest.fixture(scope="module")
async def named(settings: Settings) -> AsyncIterator[str]:
    async with serving(structs.replace(settings, admin_hosts=("admin.example.com", "b.test:9"))) as url:
        yield url


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("admin.example.com", 401),
        ("Admin.Example.com:443", 401),
        ("b.test:9", 401),
        ("b.test:10", 421),
        ("localhost", 421),
    ],
)
async def test_the_setting_names_the_hosts(named: str, host: str, status: int):
    assert (await raw(named, "GET /admin/v1/me HTTP/1.1", f"host: {host}"))[0] == status


async def test_every_answer_has_its_request_id(url: str):
    seen: set[str] = set()
    for line in ("GET /health", "GET /nowhere", "DELETE /admin/v1/keys", "GET /admin/openapi.json", "GET /admin/v1/me"):
        _, headers, _ = await raw(url, f"{line} HTTP/1.1", "host: localhost", "x-request-id: req_mine")
        assert headers["x-request-id"].startswith("req_0")
        assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers
        seen.add(headers["x-request-id"])
    assert len(seen) == 5


async def test_a_form_is_not_read(url: str):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", "multipart/form-data"):
        lines = ("POST /admin/v1/session HTTP/1.1", "host: localhost", f"content-type: {kind}", "content-length: 2")
        assert (await raw(url, *lines, body=b"{}"))[0] == 415
    lines = ("POST /admin/v1/session HTTP/1.1", "host: localhost", "content-type: application/json; charset=utf-8")
    assert (await raw(url, *lines, "content-length: 2", body=b"{}"))[0] == 400


async def test_a_path_is_matched_not_guessed(url: str, root: Api):
    """What is authorised is the handler that was matched: spelling a path otherwise opens nothing."""
    for path in ("/admin/v1//keys", "/admin/v1/keys/", "/admin/v1/%6beys", "/admin/v1/x/../keys", "/admin/v1/keys;x"):
        status, _, content = await raw(url, f"GET {path} HTTP/1.1", "host: localhost")
        assert status in (401, 404), path
        assert b'"data"' not in content
    for path in ("/admin/docs/../v1/keys", "/health/../admin/v1/keys", "/admin/openapi.json/../v1/keys"):
        status, _, content = await raw(url, f"GET {path} HTTP/1.1", "host: localhost")
        assert status in (401, 404) and b'"data"' not in content
