"""Lists of models and providers, in the shapes of four protocols, and that they hold what a key may use and no more."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from gateway.core.groups import Alias, Target
from gateway.core.services import accounts, groups, pools
from gateway.core.services.reach import Reach
from tests.relay.world import World
from tests.support.installation import Site

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def listed(site: Site) -> str:
    """A key that may use two models, of two platforms."""
    await site.account("openai", provider="acme", models=["zeta", "alpha", "wild-*", "hidden"], name="a")
    await site.account("gemini", provider="goo", models=["alpha", "middle"], model_map={"mapped": "real"}, name="b")
    return await site.key(models=["alpha", "middle", "zeta", "mapped", "wild-*"], platforms=["openai", "gemini"])


async def get(site: Site, path: str, key: str, **headers: str) -> Any:
    got = await site.http.get(path, headers={"x-api-key": key, **headers})
    assert got.status_code == 200, got.text
    assert got.headers["x-request-id"].startswith("req_")
    assert got.headers["content-type"] == "application/json"
    return got.json()


@pytest.mark.parametrize("prefix", ["", "/claude", "/openai", "/gemini", "/compat"])
async def test_the_union_list(site: Site, listed: str, prefix: str) -> None:
    page = await get(site, f"{prefix}/v1/models", listed)
    names = [one["id"] for one in page["data"]]
    assert names == ["alpha", "mapped", "middle", "zeta"]
    assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == ("list", "alpha", "zeta", False)
    first = page["data"][0]
    assert set(first) == {
        "id", "object", "type", "created", "created_at", "display_name", "owned_by", "provider"
    }  # fmt: skip
    assert (first["object"], first["type"], first["provider"]) == ("model", "model", "acme")
    assert MOMENT.fullmatch(first["created_at"])


async def test_the_anthropic_pages(site: Site, listed: str) -> None:
    version = {"anthropic-version": "2023-06-01"}
    page = await get(site, "/v1/models?limit=3", listed, **version)
    assert "object" not in page
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (["alpha", "mapped", "middle"], True)
    page = await get(site, f"/v1/models?limit=3&after_id={page['last_id']}", listed, **version)
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (["zeta"], False)
    assert [one["lifecycle"] for one in page["data"]] == ["active"]
    for query, names, more in (
        ("limit=2&before_id=zeta", ["mapped", "middle"], True),
        ("limit=2&before_id=middle", ["alpha", "mapped"], False),
        ("after_id=alpha&before_id=zeta", ["mapped", "middle"], False),
        ("after_id=gone-meanwhile", ["mapped", "middle", "zeta"], False),
        ("after_id=zeta", [], False),
    ):
        page = await get(site, f"/v1/models?{query}", listed, **version)
        assert ([one["id"] for one in page["data"]], page["has_more"]) == (names, more), query
    got = await site.http.get("/v1/models", headers={"x-api-key": listed, "x-request-id": "mine", **version})
    assert got.headers["request-id"] == got.headers["x-request-id"]
    assert got.headers["x-client-request-id"] == "mine"


async def test_the_gemini_pages(site: Site, listed: str) -> None:
    for path, headers in (
        ("/v1beta/models?pageSize=3", {"x-api-key": listed}),
        ("/v1/models?pageSize=3", {"x-goog-api-key": listed}),
        (f"/v1/models?pageSize=3&key={listed}", {}),
    ):
        page = (await site.http.get(path, headers=headers)).json()
        assert [one["name"] for one in page["models"]] == ["models/alpha", "models/mapped", "models/middle"]
        assert page["nextPageToken"]
    token = page["nextPageToken"]
    page = await get(site, f"/v1beta/models?pageToken={token}", listed)
    assert [one["name"] for one in page["models"]] == ["models/zeta"]
    assert "nextPageToken" not in page
    union = (await site.http.get("/v1/models?monkey=1", headers={"x-api-key": listed})).json()
    assert union["object"] == "list"


async def test_one_model(site: Site, listed: str) -> None:
    assert (await get(site, "/v1/models/alpha", listed))["id"] == "alpha"
    assert (await get(site, "/v1beta/models/alpha", listed))["name"] == "models/alpha"
    assert (await get(site, "/v1/models/alpha", listed, **{"anthropic-version": "2023-06-01"}))["lifecycle"] == "active"
    assert (await get(site, "/v1/models/goo:alpha", listed))["provider"] == "goo"
    assert (await get(site, "/v1/models/gemini,alpha", listed))["id"] == "gemini,alpha"
    for path in ("/v1/models/hidden", "/v1/models/wild-*", "/v1/models/nothing"):
        got = await site.http.get(path, headers={"x-api-key": listed})
        assert (got.status_code, got.json()["error"]["code"]) == (404, "model_not_found")


async def test_groups(site: Site, listed: str) -> None:
    got = await site.http.get("/nobodys/v1/models", headers={"x-api-key": listed})
    assert (got.status_code, got.json()["error"]["code"]) == (404, "not_found")
    key = await site.key(groups=["other"])
    got = await site.http.get("/nobodys/v1/models", headers={"x-api-key": key})
    assert (got.status_code, got.json()["error"]["code"]) == (403, "group_forbidden")


async def test_providers(site: Site, listed: str) -> None:
    page = await get(site, "/v1/providers", listed)
    found = {one["name"]: one for one in page["data"] if one["name"] in {"acme", "goo"}}
    assert found["acme"] == {"name": "acme", "type": "openai", "models": ["alpha", "zeta"], "active": True}
    assert found["goo"]["models"] == ["alpha", "mapped", "middle"]
    debug = await site.key(debug=True)
    shown = {one["name"]: one for one in (await get(site, "/v1/providers", debug))["data"]}
    assert shown["acme"]["base_url"] == site.sandbox.url


# ---------------------------------------------------------------- what a key may use


@pytest_asyncio.fixture
async def own(site: Site) -> World:
    """A tenant without any account."""
    return await World.make(site)


async def listed_by(world: World, key: str, prefix: str = "") -> list[str]:
    """The names in a list, in all of whose forms they are the same."""
    site = world.site
    union = [one["id"] for one in (await get(site, f"{prefix}/v1/models", key))["data"]]
    page = await get(site, f"{prefix}/v1/models", key, **{"anthropic-version": "2023-06-01"})
    gemini = await get(site, f"{prefix}/v1beta/models", key)
    assert union == [one["id"] for one in page["data"]] == [one["name"][7:] for one in gemini["models"]]
    assert union == sorted(set(union))
    return union


async def tags(world: World, key: str, prefix: str = "") -> list[str]:
    found = (await get(world.site, f"{prefix}/api/tags", key))["models"]
    assert all(one["name"] == one["model"] for one in found)
    return [one["name"] for one in found]


async def group(world: World, name: str, *aliases: Alias, **more: Any) -> str:
    async with world.site.sessions.begin() as session:
        made = await groups.create(session, world.tenant_id, {"name": name, "aliases": list(aliases), **more})
    await world.site.reload()
    return made.id


async def test_only_what_the_keys_rules_leave(own: World) -> None:
    async with own.site.sessions.begin() as session:
        pool = await pools.create(session, own.tenant_id, {"name": "p"})
    await own.account("openai", provider="acme", models=["a", "b"], pools=[pool.id])
    bound = await own.account("gemini", provider="goo", models=["b", "c", "d-*"])
    await own.account("claude-console", models=["e"], enabled=False)
    await own.account("claude-console", models=["f"], expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await own.account("claude-console", provider="shy", models=["g"], explicit_only=True)
    for fields, names, qualified in (
        ({}, ["a", "b", "c"], ["acme:a", "acme:b", "goo:b", "goo:c", "shy:g"]),
        ({"platforms": ["gemini"]}, ["b", "c"], ["goo:b", "goo:c"]),
        ({"platforms": ["claude"]}, [], ["shy:g"]),
        ({"platforms": []}, [], []),
        ({"models": ["[ac]", "g"]}, ["a", "c"], ["acme:a", "goo:c", "shy:g"]),
        ({"models": []}, [], []),
        ({"pools": [pool.id]}, ["a", "b"], ["acme:a", "acme:b"]),
        ({"account_id": bound}, ["b", "c"], ["goo:b", "goo:c"]),
        ({"account_id": bound, "platforms": ["openai"]}, [], []),
    ):
        key = await own.key(**fields)
        assert (await listed_by(own, key), await tags(own, key)) == (names, qualified), fields
    other = await World.make(own.site)
    assert (await listed_by(other, await other.key()), await tags(other, await other.key())) == ([], [])


async def test_a_listed_name_is_one_that_can_be_asked_for(own: World) -> None:
    """A provider called as a platform, names with colons: whatever is in a list leads where it says."""
    await own.account("openai-responses", provider="openai", models=["gpt-x", "sandbox-echo"])
    await own.account("ollama", provider="local", models=["gemma3:12b"], model_map={"gemma3:12b": "sandbox-echo"})
    await own.account("claude-console", models=["a,b", "claude-x"])
    key = await own.key()
    assert await tags(own, key) == [
        "claude-console:claude-x", "local:gemma3:12b", "openai-responses:gpt-x", "openai-responses:sandbox-echo",
    ]  # fmt: skip
    for name in (*await tags(own, key), *await listed_by(own, key)):
        about = await own.site.http.post("/api/show", headers={"x-api-key": key}, json={"model": name})
        assert about.status_code == 200, name
    assert (await own.ask(key, "local:gemma3:12b", "/v1/chat/completions")).status_code == 200


async def test_a_model_is_listed_in_protocols_that_its_account_does_not_speak(own: World) -> None:
    await own.account(
        "bedrock", models=["anthropic.claude-x"], credentials={"api_key": "x"}, options={"region": "us-east-1"}
    )
    key = await own.key()
    assert await listed_by(own, key) == ["anthropic.claude-x"]
    assert await tags(own, key) == ["bedrock:anthropic.claude-x"]
    shown = await get(own.site, "/v1beta/models/anthropic.claude-x", key)
    assert shown["supportedGenerationMethods"] == ["generateContent", "streamGenerateContent", "countTokens"]
    assert (shown["inputTokenLimit"], shown["outputTokenLimit"]) == (200_000, 65_536)


async def test_a_model_that_embeds_is_said_to_embed(own: World) -> None:
    await own.account("openai", models=["text-embedding-3-small"])
    shown = await get(own.site, "/v1beta/models/text-embedding-3-small", await own.key())
    assert shown["supportedGenerationMethods"] == ["embedContent", "batchEmbedContents"]


async def test_the_aliases_of_a_group(own: World) -> None:
    first = await own.account("openai", provider="acme", models=["gpt-4.1"], name="first")
    await own.account("gemini", provider="goo", models=["gemini-x"])
    await group(
        own, "team",
        Alias("fast", (Target("gpt-4.1"), Target("gone"))),
        Alias("smart", (Target("gemini-x", provider="goo"),)),
        Alias("pinned", (Target("gpt-4.1", account_id=first),)),
        Alias("lost", (Target("gone"),)),
        Alias("gemini-x", (Target("gpt-4.1"),)),
        Alias("any-*", (Target("gpt-4.1"),)),
    )  # fmt: skip
    key = await own.key()
    assert await listed_by(own, key) == ["gemini-x", "gpt-4.1"]
    assert await listed_by(own, key, "/team") == ["fast", "gemini-x", "gpt-4.1", "pinned", "smart"]
    assert await listed_by(own, key, "/team/compat") == await listed_by(own, key, "/team")
    assert await tags(own, key, "/team") == [
        "acme:gpt-4.1", "fast", "gemini-x", "goo:gemini-x", "pinned", "smart",
    ]  # fmt: skip
    listed = {one["id"]: one for one in (await get(own.site, "/team/v1/models", key))["data"]}
    owners = {name: (one["provider"], one["owned_by"]) for name, one in listed.items()}
    assert owners == {
        "fast": ("acme", "acme"), "gpt-4.1": ("acme", "acme"), "pinned": ("acme", "acme"), "smart": ("goo", "goo"),
        "gemini-x": ("acme", "acme"),
    }  # fmt: skip
    assert (await get(own.site, "/team/v1/models/smart", key))["provider"] == "goo"
    narrow = await own.key(platforms=["openai"])
    assert await listed_by(own, narrow, "/team") == ["fast", "gemini-x", "gpt-4.1", "pinned"]
    assert await listed_by(own, await own.key(models=["smart"]), "/team") == ["smart"]
    for path, name in (("/team/v1/models/any-thing", "any-thing"), ("/v1beta/models/team@any-2", "models/team@any-2")):
        shown = await get(own.site, path, key)
        assert (shown.get("id") or shown["name"]) == name, "it is in no list, and would be served"
    for path in ("/v1/models/fast", "/team/v1/models/lost", "/team/v1/models/any-*", "/v1/models/any-thing"):
        assert (await own.site.http.get(path, headers={"x-api-key": key})).status_code == 404, path


async def test_which_group_a_list_is_of(own: World) -> None:
    await own.account("openai", models=["m"])
    key, stranger = await own.key(), await own.key(groups=["other"])
    await group(own, "default", Alias("usual", (Target("m"),)))
    team = await group(own, "team", Alias("teams", (Target("m"),)))
    await group(own, "claude", Alias("claudes", (Target("m"),)))
    await group(own, "off", Alias("never", (Target("m"),)), enabled=False)
    shown = {prefix: await listed_by(own, key, prefix) for prefix in ("", "/team", "/claude", "/openai", "/compat")}
    assert shown == {
        "": ["m", "usual"], "/team": ["m", "teams"], "/claude": ["claudes", "m"], "/openai": ["m", "usual"],
        "/compat": ["m", "usual"],
    }  # fmt: skip
    async with own.site.sessions.begin() as session:
        await groups.activate(session, await groups.find(session, Reach(everything=True), team, lock=True))
    await own.site.reload()
    assert await tags(own, key, "/switch") == ["openai:m", "teams"]
    for path, known in (("/off", 404), ("/nothing", 404), ("/team", 200), ("/switch", 200)):
        for tail in ("/v1/models", "/api/tags", "/v1beta/models", "/v1/models/m"):
            got = await own.site.http.get(path + tail, headers={"x-api-key": key})
            assert got.status_code == known, path + tail
            refused = await own.site.http.get(path + tail, headers={"x-api-key": stranger})
            assert refused.status_code == 403, path + tail
            if tail == "/api/tags":
                assert refused.json() == {"error": "The key may not use this group."}


async def test_an_account_that_only_goes_on_with_its_sessions_is_not_offered(own: World) -> None:
    going = await own.account("openai", models=["m"])
    key = await own.key()
    assert await listed_by(own, key) == ["m"]
    async with own.site.sessions.begin() as session:
        row = await accounts.find(session, Reach(everything=True), going, lock=True)
        await accounts.switch(session, row, enabled=True, draining=True)
    await own.site.reload()
    assert await listed_by(own, key) == []
