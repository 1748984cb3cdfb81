"""Headers both ways, exactly: what the provider sees of a client, what the client sees of the provider."""

import hmac
import json
import re
from collections import Counter
from typing import Any

import pytest
import pytest_asyncio
from msgspec import Struct

from tests.conformance.upstream import Told, Upstream
from tests.support.installation import Site
from tests.support.wire import Got, wire

REQUEST_ID = re.compile(r"req_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
STREAM = b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n'
PATHS = {
    "claude-console": "/v1/messages",
    "openai": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "gemini": "",
}


class Scene(Struct):
    site: Site
    told: Upstream
    accounts: dict[str, str]

    async def ask(
        self,
        platform: str,
        *more: str,
        answer: Told | None = None,
        query: str = "",
        path: str = "",
        credential: str = "",
        members: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Got:
        key = await self.site.key(account_id=self.accounts[platform], **fields)
        model = self.told.tell(answer or Told(200, "application/json", [b"{}"], length=True))
        path = path or PATHS[platform] or f"/v1beta/models/{model}:generateContent"
        lines = [credential.replace("KEY", key) or f"authorization: Bearer {key}", "host: poolgate.example", *more]
        query = query.replace("KEY", key)
        async with wire(self.site.url) as client:
            body = json.dumps({"model": model, **(members or {})}).encode()
            return await client.ask("\r\n".join([f"POST {path}{query} HTTP/1.1", *lines]), body)

    @property
    def up(self) -> list[tuple[str, str]]:
        return self.told.seen[-1].headers


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(site: Site, told: Upstream) -> Scene:
    accounts = {
        platform: await site.account(platform, base_url=told.url, secret=f"sk-{platform}-secret", models=["answer-*"])
        for platform in PATHS
    }
    return Scene(site, told, accounts)


# ---------------------------------------------------------------- to the upstream

KEPT = [
    ("user-agent", "claude-cli/2.0.1 (external, cli)"),
    ("accept", "application/json"),
    ("content-type", "application/json; charset=utf-8"),
    ("anthropic-version", "2023-06-01"),
    ("anthropic-beta", "a-2025-01-01,b-2025-01-01"),
    ("x-app", "cli"),
    ("x-stainless-lang", "js"),
    ("x-custom", "Möwe".encode().decode("latin-1")),
    ("x-custom", "twice"),
    ("priority", "u=1"),
    ("x-client-request-id", "theirs"),
]
GONE = [
    "cookie: session=1",
    "x-api-key: sk-other",
    "x-goog-api-key: other",
    "api-key: other",
    "proxy-authorization: Basic x",
    "forwarded: for=1.2.3.4",
    "via: 1.1 proxy",
    "origin: https://site.example",
    "referer: https://site.example/page",
    "x-forwarded-for: 1.2.3.4",
    "x-forwarded-host: site.example",
    "x-forwarded-proto: https",
    "x-real-ip: 1.2.3.4",
    "x-request-id: mine",
    "cf-connecting-ip: 1.2.3.4",
    "cf-ray: 1",
    "cdn-loop: cloudflare",
    "true-client-ip: 1.2.3.4",
    "openai-organization: org-theirs",
    "openai-project: proj-theirs",
    "x-poolgate-anything: 1",
    "connection: keep-alive, x-hop",
    "connection: x-hop-too",
    "keep-alive: timeout=5",
    "te: trailers",
    "trailer: x-t",
    "x-hop: 1",
    "x-hop-too: 1",
    "proxy-connection: keep-alive",
    "accept-encoding: gzip, br",
]
OWN = {
    "claude-console": ("x-api-key", "sk-claude-console-secret"),
    "openai": ("authorization", "Bearer sk-openai-secret"),
    "openai-responses": ("authorization", "Bearer sk-openai-responses-secret"),
    "gemini": ("x-goog-api-key", "sk-gemini-secret"),
}


@pytest.mark.parametrize("platform", PATHS)
async def test_what_the_upstream_sees(scene: Scene, platform: str) -> None:
    lines = [f"{name.title()}: {value}" for name, value in KEPT]
    got = await scene.ask(platform, *GONE[:15], *lines, *GONE[15:])
    assert got.status == 200
    seen = scene.up
    body = scene.told.seen[-1].body
    framing = [("host", scene.told.url.removeprefix("http://")), ("content-length", str(len(body)))]
    optional = [("accept-encoding", "identity"), ("connection", "keep-alive")]
    found = Counter(pair for pair in seen if pair not in optional)
    assert found == Counter([*KEPT, OWN[platform], *framing])
    assert [pair for pair in seen if pair in KEPT] == KEPT
    if platform == "gemini":
        assert not scene.told.seen[-1].head.startswith(b"POST /v1/")


FORMS = {
    "bearer": "Authorization: Bearer KEY",
    "bearer in any case": "AUTHORIZATION: bEaReR   KEY",
    "x-api-key": "X-Api-Key: KEY",
    "x-goog-api-key": "x-goog-api-key: KEY",
    "api-key": "api-key: KEY",
}


@pytest.mark.parametrize("platform", PATHS)
async def test_every_form_of_the_key_is_taken_away(scene: Scene, platform: str) -> None:
    for form in FORMS.values():
        got = await scene.ask(platform, credential=form)
        assert got.status == 200
        assert scene.up.count(OWN[platform]) == 1
        head = scene.told.seen[-1].head.decode("latin-1")
        assert "sk-" not in head.replace(OWN[platform][1], "")
    got = await scene.ask(platform, credential="x-none: 1", query="?a=1&key=KEY&b=%20+c")
    assert got.status == 200
    assert scene.told.seen[-1].target.endswith("?a=1&b=%20+c")
    assert "sk-" not in scene.told.seen[-1].head.decode("latin-1").replace(OWN[platform][1], "")


async def test_the_first_form_that_is_present_counts(scene: Scene) -> None:
    got = await scene.ask("openai", "x-api-key: sk-junk")
    assert got.status == 200
    got = await scene.ask("openai", credential="x-api-key: KEY\r\nauthorization: Bearer sk-junk")
    assert got.status == 401
    got = await scene.ask("openai", credential="x-api-key: KEY\r\nauthorization:")
    assert got.status == 401


QUERIES = [
    "?beta=true",
    "?a=1&a=2&&b",
    "?%6Bey2=x&monkey=1",
    "?api-version=1",
    "?x=%00%2F&y=ü".encode().decode("latin-1"),
]


@pytest.mark.parametrize("query", QUERIES[:4])
async def test_the_query_goes_along_unchanged(scene: Scene, query: str) -> None:
    assert (await scene.ask("claude-console", query=query)).status == 200
    assert scene.told.seen[-1].target == f"/v1/messages{query}"


async def test_azures_version_stays_here(scene: Scene) -> None:
    path = f"/openai/deployments/answer-{len(scene.told.answers)}/chat/completions"
    assert (await scene.ask("openai", path=path, query="?api-version=2025-01-01&x=1")).status == 200
    assert scene.told.seen[-1].target == "/v1/chat/completions?x=1"


async def test_idempotency_keys_of_two_keys_never_meet(scene: Scene, site: Site) -> None:
    seen: list[str] = []
    for _ in range(2):
        identity, key = await site.new_key(account_id=scene.accounts["openai"])
        model = scene.told.tell(Told(200, "application/json", [b"{}"], length=True))
        for _ in range(2):
            body = json.dumps({"model": model}).encode()
            async with wire(site.url) as client:
                head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\napi-key: {key}\r\nidempotency-key: order-1"
                assert (await client.ask(head, body)).status == 200
            seen.append(dict(scene.up)["idempotency-key"])
        assert seen[-1] == hmac.digest(identity.encode(), b"order-1", "sha256").hex()
    assert seen[0] == seen[1] != seen[2] == seen[3]


# ---------------------------------------------------------------- to the client

FROM_UPSTREAM = [
    ("request-id", "req_upstream"),
    ("openai-processing-ms", "12"),
    ("x-anything", "kept"),
    ("retry-after", "7"),
    ("date", "Fri, 20 Nov 2026 20:00:00 GMT"),
    ("cache-control", "private"),
]
NOT_FROM_UPSTREAM = [
    ("set-cookie", "__cf_bm=1"),
    ("alt-svc", 'h3=":443"'),
    ("strict-transport-security", "max-age=1"),
    ("nel", "{}"),
    ("report-to", "{}"),
    ("via", "1.1 google"),
    ("server", "cloudflare"),
    ("x-request-id", "req_of_the_upstream"),
    ("x-client-request-id", "upstreams"),
    ("anthropic-organization-id", "org-1"),
    ("openai-organization", "org-1"),
    ("openai-project", "proj-1"),
    ("x-ms-region", "Sweden"),
    ("apim-request-id", "1"),
    ("x-amzn-requestid", "1"),
    ("x-ratelimit-limit-requests", "5000"),
    ("x-ratelimit-remaining-tokens", "1"),
    ("anthropic-ratelimit-requests-limit", "50"),
    ("anthropic-ratelimit-unified-status", "allowed"),
    ("x-poolgate-account", "faked"),
    ("connection", "keep-alive, x-hop"),
    ("keep-alive", "timeout=5"),
    ("x-hop", "1"),
]
TIMING = re.compile(r"auth;dur=[\d.]+, choose;dur=[\d.]+, admit;dur=[\d.]+, upstream;dur=[\d.]+")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("platform", PATHS)
async def test_what_the_client_sees(scene: Scene, platform: str, stream: bool) -> None:
    headers = [*NOT_FROM_UPSTREAM[:9], *FROM_UPSTREAM, *NOT_FROM_UPSTREAM[9:]]
    kind = "text/event-stream" if stream else "application/json"
    answer = Told(200, kind, [STREAM if stream else b"{}"], length=not stream, headers=headers)
    model = f"answer-{len(scene.told.answers)}"
    path = f"/v1beta/models/{model}:streamGenerateContent" if platform == "gemini" and stream else ""
    members = {"stream": True} if stream and platform != "gemini" else {}
    got = await scene.ask(platform, "x-request-id: my-own-id", answer=answer, path=path, members=members)
    assert got.status == 200, got.body
    expected = dict(FROM_UPSTREAM) | {"content-type": kind, "x-client-request-id": "my-own-id"}
    if stream:
        expected |= {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
    else:
        expected["content-length"] = "2"
    names = Counter(name for name, _ in got.headers)
    assert max(names.values()) == 1, names
    seen = dict(got.headers)
    assert REQUEST_ID.fullmatch(seen.pop("x-request-id"))
    assert TIMING.fullmatch(seen.pop("server-timing"))
    if stream:
        assert seen.pop("transfer-encoding", "chunked") == "chunked"
        seen.pop("content-length", None)
    assert seen == expected


async def test_the_row_keeps_both_ids(scene: Scene, site: Site) -> None:
    answer = Told(200, "application/json", [b"{}"], length=True, headers=[("x-request-id", "req_of_the_upstream")])
    got = await scene.ask("openai", "x-request-id: my-own-id", answer=answer)
    row = await site.row(got.header("x-request-id") or "")
    assert row.client_request_id == "my-own-id"
    assert row.attempts[-1]["upstream_request_id"] == "req_of_the_upstream"


@pytest.mark.parametrize("own", ["x" * 129, "with space", "über".encode().decode("latin-1"), ""])
async def test_a_clients_id_that_is_not_kept(scene: Scene, own: str) -> None:
    got = await scene.ask("openai", f"x-request-id: {own}")
    assert (got.status, got.header("x-client-request-id")) == (200, None)


async def test_limits_in_the_clients_dialect(scene: Scene) -> None:
    limits = [
        {"type": "requests", "per": "hour", "max": 50},
        {"type": "requests", "per": "day", "max": 7},
        {"type": "concurrency", "max": 3},
    ]
    got = await scene.ask("openai", limits=limits)
    assert (got.header("x-ratelimit-limit-requests"), got.header("x-ratelimit-remaining-requests")) == ("7", "6")
    assert re.fullmatch(r"(\d+h)?(\d+m)?\d+s|\d+ms", got.header("x-ratelimit-reset-requests") or "")
    got = await scene.ask("claude-console", limits=limits)
    found = [got.header(f"anthropic-ratelimit-requests-{name}") for name in ("limit", "remaining")]
    assert found == ["7", "6"]
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", got.header("anthropic-ratelimit-requests-reset") or ""
    )
    got = await scene.ask("gemini", limits=limits)
    assert not [name for name, _ in got.headers if "ratelimit" in name]
    got = await scene.ask("openai")
    assert not [name for name, _ in got.headers if "ratelimit" in name]


async def test_debug(scene: Scene) -> None:
    got = await scene.ask("openai", debug=True)
    shown = {name: value for name, value in got.headers if name.startswith("x-poolgate-")}
    assert shown == {
        "x-poolgate-account": scene.accounts["openai"],
        "x-poolgate-platform": "openai",
        "x-poolgate-attempts": "1",
    }
    got = await scene.ask("openai")
    assert not [name for name, _ in got.headers if name.startswith("x-poolgate-")]


async def test_an_error_that_passes_through_keeps_the_rules(scene: Scene) -> None:
    answer = Told(422, "application/problem+json", [b'{"error":"x"}'], length=True, headers=NOT_FROM_UPSTREAM)
    got = await scene.ask("claude-console", answer=answer)
    assert (got.status, got.body, got.header("content-type")) == (422, b'{"error":"x"}', "application/problem+json")
    assert not {name for name, _ in got.headers} & ({name for name, _ in NOT_FROM_UPSTREAM} - {"x-request-id"})
    assert REQUEST_ID.fullmatch(got.header("x-request-id") or "")


async def test_an_error_with_the_accounts_secret_is_replaced(scene: Scene) -> None:
    answer = Told(400, "application/json", [b'{"error":"no sk-claude-console-secret here"}'], length=True)
    got = await scene.ask("claude-console", answer=answer)
    assert (got.status, b"secret" in got.body) == (400, False)
    assert got.json["error"]["code"] == "invalid_request"  # type: ignore[index]


async def test_a_compressed_answer_passes_as_it_is_and_is_metered(scene: Scene, site: Site) -> None:
    import gzip

    body = gzip.compress(b'{"id":"x","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}')
    answer = Told(200, "application/json", [body[:9], body[9:]], headers=[("content-encoding", "gzip")])
    got = await scene.ask("openai", answer=answer)
    assert (got.body, got.header("content-encoding")) == (body, "gzip")
    row = await site.row(got.header("x-request-id") or "")
    assert (row.input_tokens, row.output_tokens) == (5, 2)
