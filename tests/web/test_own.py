"""Answers of our own: the key and its use."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.core import models as m
from gateway.core.services import groups, tenants
from tests.relay.world import World
from tests.support.installation import Site
from tests.web.test_lists import MOMENT, get


async def test_the_key_itself(site: Site) -> None:
    limits = [{"type": "requests", "per": "day", "max": 9}, {"type": "concurrency", "max": 3}]
    ends = datetime.now(UTC) + timedelta(days=1)
    identity, secret = await site.new_key(name="mine", models=["sandbox*"], limits=limits, expires_at=ends)
    asked = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "Hello"}]}
    assert (await site.http.post("/v1/chat/completions", headers={"api-key": secret}, json=asked)).status_code == 200
    about = await get(site, "/v1/key", secret)
    shown = {name: about[name] for name in ("id", "name", "tenant_id", "platforms", "models", "groups")}
    assert shown == {
        "id": identity, "name": "mine", "tenant_id": await site.tenant(), "platforms": ["*"],
        "models": ["sandbox*"], "groups": ["*"],
    }  # fmt: skip
    assert MOMENT.fullmatch(about["expires_at"])
    day = next(one for one in about["limits"] if one["type"] == "requests")
    assert (day["per"], day["max"], day["used"], day["remaining"], day["scope"]) == ("day", 9, 1, 8, "key")
    assert MOMENT.fullmatch(day["resets_at"])
    assert secret not in str(about)


async def test_usage(site: Site) -> None:
    secret = await site.key()
    asked = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "Hello"}]}
    rows: list[Any] = []
    for _ in range(2):
        got = await site.http.post("/v1/chat/completions", headers={"api-key": secret}, json=asked)
        rows.append(await site.row(got.headers["x-request-id"]))
    about = await get(site, "/v1/usage", secret)
    [day] = about["data"]
    assert (day["model"], day["requests"], day["day"]) == ("sandbox-echo", 2, f"{datetime.now(UTC):%Y-%m-%d}")
    assert (day["input_tokens"], day["output_tokens"]) == (
        sum(row.input_tokens for row in rows),
        sum(row.output_tokens for row in rows),
    )
    assert MOMENT.fullmatch(about["from"])
    part = await get(site, f"/v1/usage?from={day['day']}T00:00:00Z", secret)
    assert part["data"] == about["data"]
    assert (await get(site, "/v1/usage?from=2020-01-01T00:00:00Z&to=2020-01-02", secret))["data"] == []
    for wrong in ("from=yesterday", "to=12", "from=99999-01-01", "to=0001-01-01", "from=0001-01-01T00:00:00%2B14:00"):
        got = await site.http.get(f"/v1/usage?{wrong}", headers={"x-api-key": secret})
        assert (got.status_code, got.json()["error"]["code"]) == (400, "invalid_request"), wrong


async def test_lists_without_a_key_only_where_the_tenant_opened_them(site: Site) -> None:
    account = await site.account("openai", models=["named-model"])
    lists = ("/v1/models", "/v1beta/models", "/v1/providers", "/api/tags", "/api/ps")
    assert {(await site.http.get(path)).status_code for path in lists} == {401}
    tenant = await site.tenant()

    async def switch(opened: bool) -> None:
        async with site.sessions.begin() as session:
            row = await session.get(m.Tenant, tenant)
            assert row is not None
            await tenants.change(session, row, {"public_lists": opened})
        await site.reload()

    await switch(opened=True)
    try:
        shown = await site.http.get("/v1/models")
        assert "named-model" in {one["id"] for one in shown.json()["data"]}
        assert {(await site.http.get(path)).status_code for path in lists} == {200}
        counted = (await site.http.get("/")).json()
        assert counted["models"]["total"] == sum(counted["models"]["byProvider"].values()) > 0
        about = await site.http.post("/api/show", json={"model": "openai:named-model"})
        assert (about.status_code, about.json()["model_info"]["general.basename"]) == (200, "openai:named-model")
        assert account not in shown.text and "base_url" not in (await site.http.get("/v1/providers")).text
        # A wrong key is not turned into no key, and nothing else opens.
        assert (await site.http.get("/v1/models", headers={"x-api-key": "sk-wrong"})).status_code == 401
        assert {(await site.http.get(path)).status_code for path in ("/v1/key", "/v1/usage")} == {401}
    finally:
        await switch(opened=False)


# ---------------------------------------------------------------- Ollama's own answers


NOBODY: dict[str, Any] = {"available": 0, "active": []}


@pytest.mark.parametrize(
    ("accept", "text"),
    [
        ("text/plain", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/plain, application/json", False),
        ("application/json", False),
        ("*/*", False),
        ("", False),
    ],
)
async def test_the_root(site: Site, accept: str, text: bool) -> None:
    got = await site.http.get("/", headers={"accept": accept})
    assert got.status_code == 200
    if text:
        assert (got.text, got.headers["content-type"]) == ("Ollama is running", "text/plain; charset=utf-8")
    else:
        about = got.json()
        assert set(about) == {"status", "service", "version", "uptime", "providers", "models"}
        assert (about["status"], about["providers"], about["models"]) == ("ok", NOBODY, {"total": 0, "byProvider": {}})
    head = await site.http.head("/", headers={"accept": accept})
    assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", got.headers["content-type"])


async def test_the_root_counts_what_the_key_sees(site: Site) -> None:
    world = await World.make(site)
    await world.account("openai", provider="acme", models=["a", "b"])
    await world.account("gemini", provider="goo", models=["b", "c-*"])
    key = await world.key()
    about = await get(site, "/", key)
    assert about["providers"] == {"available": 2, "active": ["acme", "goo"]}
    assert about["models"] == {"total": 3, "byProvider": {"acme": 2, "goo": 1}}
    assert (await get(site, "/", await world.key(models=["a"])))["models"] == {"total": 1, "byProvider": {"acme": 1}}
    for wrong in ("sk-wrong", key[:-1] + ("a" if key[-1] != "a" else "b"), ""):
        assert (await get(site, "/", wrong))["providers"] == NOBODY


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_probes_need_no_key(site: Site, method: str) -> None:
    for path in ("/", "/api/hello", "/api/version", "/team/api/version", "/compat/api/version"):
        got = await site.http.request(method, path)
        assert got.status_code == 200, path
        assert (got.content == b"") is (method == "HEAD")
    about = (await site.http.get("/api/version")).json()
    assert set(about) == {"version", "build", "ollama"}
    for path in ("/api/tags", "/api/ps"):
        got = await site.http.get(path)
        assert (got.status_code, got.json()) == (401, {"error": "No key was presented."})


async def test_show(site: Site) -> None:
    world = await World.make(site)
    await world.account("openai", provider="acme", models=["gpt-4.1", "hidden", "wild-*"])
    key = await world.key(models=["gpt-4.1", "wild-*", "nowhere"])

    async def show(body: Any, prefix: str = "", **headers: str) -> Any:
        asked = {"content": body} if isinstance(body, bytes) else {"json": body}
        return await site.http.post(f"{prefix}/api/show", headers={"x-api-key": key, **headers}, **asked)

    for body in (
        {"model": "acme:gpt-4.1"}, {"name": "acme:gpt-4.1"}, {"model": "gpt-4.1", "verbose": True},
        {"model": "openai,gpt-4.1"},
    ):  # fmt: skip
        for prefix in ("", "/claude", "/compat", "/openai/compat_mode"):
            got = await show(body, prefix)
            assert got.status_code == 200, got.text
            about = got.json()
            assert about["capabilities"] == ["completion", "tools", "vision"]
            assert about["model_info"]["gpt.context_length"] == 1_047_576
            assert MOMENT.fullmatch(about["modified_at"])
    assert (await show({"model": "wild-thing"})).status_code == 200  # it would be served
    for name in ("hidden", "acme:hidden", "nowhere", "acme:nowhere", "wild-*", "strange,gpt-4.1", "x" * 5000):
        got = await show({"model": name})
        assert (got.status_code, list(got.json())) == (404, ["error"]), name
        assert "does not exist" in got.json()["error"] and len(got.content) < 1000
    for wrong in (b"", b"{", b"[]", b"{}", b'{"model":3}', b'{"name":""}'):
        got = await show(wrong)
        assert got.status_code == 400 and "`model`" in got.json()["error"], wrong
    large = await show(b'{"model":"' + b"x" * 1_100_000 + b'"}')
    assert (large.status_code, list(large.json())) == (413, ["error"])
    assert (await show({"model": "gpt-4.1"}, "/nothing")).status_code == 404
    unknown = await site.http.post("/api/show", json={"model": "gpt-4.1"})
    assert (unknown.status_code, list(unknown.json())) == (401, ["error"])
    assert site.gate.body_bytes == 0


async def test_where_tools_are_text_every_model_that_chats_has_them(site: Site) -> None:
    world = await World.make(site)
    await world.account("ollama", provider="local", models=["gemma3:12b", "nomic-embed-text", "qwen3:8b"])
    key = await world.key()
    async with site.sessions.begin() as session:
        for name, mode in (("asked", "auto"), ("always", "compat"), ("never", "native")):
            await groups.create(session, world.tenant_id, {"name": name, "tool_mode": mode})
    await site.reload()

    async def abilities(prefix: str, model: str = "gemma3:12b") -> list[str]:
        got = await site.http.post(f"{prefix}/api/show", headers={"x-api-key": key}, json={"model": model})
        return got.json()["capabilities"]

    for prefix in ("", "/asked", "/never", "/never/compat_mode"):
        assert await abilities(prefix) == ["completion", "vision"], prefix
    for prefix in ("/compat_mode", "/asked/compat", "/always", "/always/compat_mode"):
        assert await abilities(prefix) == ["completion", "tools", "vision"], prefix
        assert await abilities(prefix, "nomic-embed-text") == ["embedding"]
        assert await abilities(prefix, "qwen3:8b") == ["completion", "tools", "thinking"]


async def test_nothing_is_loaded(site: Site) -> None:
    assert await get(site, "/claude/api/ps", await site.key()) == {"models": []}
