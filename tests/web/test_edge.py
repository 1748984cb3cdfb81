"""The edge on the wire: paths, methods, probes, and whose protocol an error speaks."""

import json
from typing import Any

import pytest

from gateway.web.edge import client_ip
from tests.support.installation import Site
from tests.support.wire import Got, wire

MESSAGE = {"model": "sandbox-echo", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
EMBED = {"content": {"parts": [{"text": "Hello"}]}}
BODIES: dict[str, Any] = {
    "generateContent": CONTENTS,
    "streamGenerateContent": CONTENTS,
    "countTokens": CONTENTS,
    "embedContent": EMBED,
    "batchEmbedContents": {"requests": [{"model": "models/sandbox-echo", **EMBED}]},
}


async def raw(site: Site, method: str, path: str, key: str, *more: str, body: bytes = b"") -> Got:
    async with wire(site.url) as client:
        head = "\r\n".join([f"{method} {path} HTTP/1.1", "host: x", f"x-api-key: {key}", *more])
        if method != "HEAD":
            return await client.ask(head, body)
        await client.send(f"{head}\r\n\r\n".encode())
        got = await client.answer(head_only=True)
        await client.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await client.answer()).body == b'{"status":"ok"}'  # nothing of a body came before it
        return got


def code(got: Got) -> str:
    error: Any = got.json["error"]
    return str(error["details"][0]["reason"] if "details" in error else error["code"]).lower()


def protocol(got: Got) -> str:
    if got.json.get("type") == "error":
        return "anthropic"
    error: Any = got.json["error"]
    return "gemini" if "status" in error else "openai"


# ---------------------------------------------------------------- paths that serve


@pytest.mark.parametrize("prefix", ["", "/claude", "/openai", "/gemini"])
@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_gemini(site: Site, key: str, prefix: str, version: str) -> None:
    for action, body in BODIES.items():
        for separator in (":", "%3A", "/"):
            for model in ("sandbox-echo", "models%2Fsandbox-echo", "sandbox-echo:12b", "sandbox/echo"):
                path = f"{prefix}/{version}/models/{model}{separator}{action}"
                got = await raw(site, "POST", path, key, body=json.dumps(body).encode())
                assert got.status == 200, (path, got.body)
                seen = site.sandbox.requests()[-1].target
                name = model.replace("models%2F", "").replace(":", "%3A")
                assert seen == f"/v1beta/models/{name}:{action}"


async def test_gemini_streams_in_both_forms(site: Site, key: str) -> None:
    path = "/v1beta/models/sandbox-echo:streamGenerateContent"
    array = await raw(site, "POST", path, key, body=json.dumps(CONTENTS).encode())
    events = await raw(site, "POST", path + "?alt=sse", key, body=json.dumps(CONTENTS).encode())
    assert array.header("content-type") == "application/json; charset=UTF-8"
    assert (events.header("content-type") or "").startswith("text/event-stream")
    for got in (array, events):
        assert got.header("cache-control") == "no-cache, no-transform"
        assert got.header("x-accel-buffering") == "no"
    texts = [
        [part["candidates"][0]["content"]["parts"][0]["text"] for part in parts if "content" in part["candidates"][0]]
        for parts in (
            json.loads(array.body),
            [json.loads(line[6:]) for line in events.body.split(b"\r\n") if line.startswith(b"data: ")],
        )
    ]
    assert texts[0] == texts[1]


async def test_gemini_chat(site: Site, key: str) -> None:
    body = json.dumps({"model": "sandbox-echo", **CONTENTS}).encode()
    got = await raw(site, "POST", "/gemini/v1/chat", key, body=body)
    assert (got.status, b"Hello" in got.body) == (200, True)
    assert site.sandbox.requests()[-1].target == "/v1beta/models/sandbox-echo:generateContent"
    row = await site.row(got.header("x-request-id") or "")
    assert row.output_tokens > 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"model": "sandbox-echo", "messages": []}, "messages"),
        ({"model": "sandbox-echo", **CONTENTS, "stream": True}, "stream"),
        (CONTENTS, "no model"),
    ],
)
async def test_gemini_chat_that_cannot_be(site: Site, key: str, body: Any, said: str) -> None:
    got = await raw(site, "POST", "/gemini/v1/chat", key, body=json.dumps(body).encode())
    assert (got.status, protocol(got)) == (400, "gemini")
    assert said in got.body.decode()


@pytest.mark.parametrize("path", ["/responses", "/openai/responses", "/v1/responses", "/gemini/v1/responses"])
async def test_responses(site: Site, key: str, path: str) -> None:
    got = await raw(site, "POST", path, key, body=b'{"model":"sandbox-echo","input":"Hello"}')
    assert (got.status, b"Hello" in got.body) == (200, True)


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("chat/completions", {"messages": MESSAGE["messages"]}),
        ("embeddings", {"input": "x"}),
        ("responses", {"input": "x"}),
    ],
)
async def test_azures_form(site: Site, key: str, operation: str, body: dict[str, Any]) -> None:
    path = f"/openai/deployments/sandbox-echo/{operation}?api-version=2025-01-01"
    for members in (body, {"model": "another", **body}):
        got = await raw(site, "POST", path, key, body=json.dumps(members).encode())
        assert got.status == 200, got.body
        row = await site.row(got.header("x-request-id") or "")
        assert row.model_asked == "sandbox-echo"


# ---------------------------------------------------------------- paths that do not


TRICKS = [
    "//v1/messages",
    "/v1//messages",
    "/v1/messages/",
    "/v1/messages;x",
    "/v1/../v1/messages",
    "/v1/%2e%2e/v1/messages",
    "/v1%2fmessages",
    "/v1/messages%00",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/health/../v1/messages",
    "/v1/messages/" + "a" * 8192,
]


@pytest.mark.parametrize("path", TRICKS)
@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
async def test_tricks_with_paths(site: Site, key: str, path: str, method: str) -> None:
    got = await raw(site, method, path, key, body=json.dumps(MESSAGE).encode() if method != "GET" else b"")
    assert (got.status, code(got)) == (404, "not_found")


@pytest.mark.parametrize("model", ["a%2f..%2fb", "..", "%2e%2e", "a%00", "a%0d%0a", "a%20b", "a/../../x", "%ff"])
async def test_tricks_with_models_in_paths(site: Site, model: str) -> None:
    """Whatever the name, it cannot lead elsewhere at the upstream."""
    await site.account("gemini", models=["*"])
    key = await site.key(platforms=["gemini"])
    before = len(site.sandbox.requests())
    path = f"/v1beta/models/{model}:generateContent"
    got = await raw(site, "POST", path, key, body=json.dumps(CONTENTS).encode())
    assert got.status in {200, 400, 404}, got.body
    for seen in site.sandbox.requests()[before:]:
        assert "/../" not in seen.target
        assert seen.target.startswith("/v1beta/models/")


@pytest.mark.parametrize(
    ("path", "speaks"),
    [
        ("/nothing", "openai"),
        ("/claude/nothing", "anthropic"),
        ("/gemini/nothing", "gemini"),
        ("/openai/nothing", "openai"),
        ("/v1beta/nothing", "gemini"),
        ("/v1/messages/nothing", "anthropic"),
    ],
)
async def test_nothing_here(site: Site, path: str, speaks: str) -> None:
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        got = await raw(site, method, path, "")
        assert (got.status, code(got), protocol(got)) == (404, "not_found", speaks)


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [
        ("/v1/messages", "GET", "POST"),
        ("/v1/messages", "DELETE", "POST"),
        ("/v1/messages", "OPTIONS", "POST"),
        ("/claude/v1/messages/count_tokens", "PUT", "POST"),
        ("/v1/chat/completions", "GET", "POST"),
        ("/v1beta/models/x:generateContent", "GET", "POST"),
        ("/v1/models", "POST", "GET, HEAD"),
        ("/v1/key", "POST", "GET, HEAD"),
        ("/", "POST", "GET, HEAD"),
        ("/claude", "POST", "GET, HEAD"),
        ("/api/hello", "DELETE", "GET, HEAD"),
    ],
)
async def test_another_method(site: Site, path: str, method: str, allow: str) -> None:
    got = await raw(site, method, path, "")
    assert (got.status, code(got), got.header("allow")) == (405, "method_not_allowed", allow)


@pytest.mark.parametrize("path", ["/v1/responses", "/responses", "/openai/responses", "/openai/v1/responses"])
async def test_no_websocket(site: Site, key: str, path: str) -> None:
    async with wire(site.url) as client:
        head = f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
        head += "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: eA=="
        got = await client.ask(head)
        assert (got.status, code(got)) == (426, "websocket_not_offered")
        assert (got.header("upgrade"), (got.header("connection") or "").lower()) == ("websocket", "close")
        assert await client.closed()
    got = await raw(site, "GET", path, key)
    assert got.status == 405


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/sandbox-echo", "/v1beta/models", "/v1/key", "/v1/usage", "/v1/providers", "/api/ps"])  # fmt: skip  # noqa: E501
async def test_head_is_get_without_the_body(site: Site, key: str, path: str) -> None:
    got, head = await raw(site, "GET", path, key), await raw(site, "HEAD", path, key)
    assert (got.status, head.status, head.body) == (200, 200, b"")
    assert [name for name, _ in head.headers] == [name for name, _ in got.headers]
    assert head.header("content-type") == got.header("content-type")
    if path != "/v1/key":  # which tells what is left
        assert head.header("content-length") == got.header("content-length") == str(len(got.body))


@pytest.mark.parametrize(
    "path", ["/", "/api/hello", "/claude", "/claude/", "/claude/api/hello", "/fast/api/hello", "/compat/api/hello"]
)
async def test_probes(site: Site, path: str) -> None:
    got = await raw(site, "HEAD", path, "")
    assert (got.status, got.header("content-type")) == (200, "application/json")
    got = await raw(site, "GET", path, "")
    assert (got.status, got.json["status"]) == (200, "ok")


async def test_cors_is_off(site: Site, key: str) -> None:
    got = await raw(site, "POST", "/v1/messages", key, "origin: https://a.example", body=json.dumps(MESSAGE).encode())
    assert got.status == 200
    assert not [name for name, _ in got.headers if name.startswith("access-control-")]


# ---------------------------------------------------------------- whose address it is


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "found"),
    [
        ("10.0.0.9", ["1.1.1.1"], (), "10.0.0.9"),
        ("10.0.0.9", ["1.1.1.1"], ("10.0.0.0/8",), "1.1.1.1"),
        ("10.0.0.9", ["6.6.6.6, 1.1.1.1"], ("10.0.0.0/8",), "1.1.1.1"),
        ("10.0.0.9", ["6.6.6.6, 1.1.1.1, 10.0.0.8"], ("10.0.0.0/8",), "1.1.1.1"),
        ("10.0.0.9", ["6.6.6.6", "1.1.1.1"], ("10.0.0.0/8",), "1.1.1.1"),
        ("2.2.2.2", ["1.1.1.1"], ("10.0.0.0/8",), "2.2.2.2"),
        ("10.0.0.9", [], ("10.0.0.0/8",), "10.0.0.9"),
        ("::1", ["fd00::1"], ("::1/128",), "fd00::1"),
    ],
)
def test_the_clients_address(peer: str, forwarded: list[str], trusted: tuple[str, ...], found: str) -> None:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    assert client_ip((peer, 1), headers, trusted) == found
