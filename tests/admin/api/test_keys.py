"""Keys: issued once, narrowed, changed, rotated, cut, deleted and restored; and whose they are."""

import asyncio
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from admin.resources import Resources
from gateway.core import changes, names
from gateway.core import models as m
from gateway.core.keys import well_formed
from tests.admin.conftest import Api, Tenant

DRAFT: dict[str, Any] = {"name": "k", "platforms": ["*"], "models": ["*"]}


async def digests(resources: Resources, key_id: str) -> dict[bytes, Any]:
    async with resources.database() as session:
        rows = await session.execute(select(m.KeySecret).where(m.KeySecret.key_id == key_id))
        return {row.digest: row.expires_at for row in rows.scalars()}


async def test_a_key_is_shown_once_and_kept_as_a_digest(root: Api, resources: Resources):
    key = await root("POST /keys", DRAFT, expect=201)
    assert well_formed(key["secret"])
    assert key["id"].startswith("key_")
    assert key["secret"].startswith(key["prefix"])
    assert key["secret"].endswith(key["last_four"])
    assert key["created_at"][-5:-1].startswith(".") and key["created_at"].endswith("Z")
    assert list(await digests(resources, key["id"])) == [resources.peppers.digest(key["secret"])]
    again = await root(f"GET /keys/{key['id']}")
    assert "secret" not in again
    assert again["usage"]["requests"] == 0


async def test_what_a_key_says_comes_back(root: Api):
    pool = await root("POST /pools", {"name": "fast"}, expect=201)
    said = {
        "name": "all",
        "platforms": ["claude", "openai-responses"],
        "models": ["claude-*"],
        "groups": ["g*"],
        "limits": [{"type": "requests", "per": "minute", "max": 5}],
        "allowed_ips": ["10.0.0.0/8", "2001:db8::/32"],
        "allowed_clients": ["claude-cli/*"],
        "mcp_servers": ["files"],
        "on_disconnect": "drain",
        "price_multiplier": "1.5",
        "debug": True,
        "metadata": {"team": "blue"},
        "tags": ["a", "b"],
        "enabled": False,
    }
    moment = "2030-01-02T03:04:05.678Z"
    key = await root(
        "POST /keys", {**said, "pools": ["fast"], "expires_at": "2030-01-02T04:04:05.678+01:00"}, expect=201
    )
    assert {name: key[name] for name in said} == said
    assert key["pools"] == [pool["id"]]
    assert key["expires_at"] == moment


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"models": ["*"]}, "platforms"),
        ({"platforms": ["*"]}, "models"),
        ({**DRAFT, "platforms": ["nonsense"]}, "platforms[0]"),
        ({**DRAFT, "platforms": "claude"}, "platforms"),
        ({**DRAFT, "colour": "red"}, "colour"),
        ({**DRAFT, "id": "key_x"}, "id"),
        ({**DRAFT, "limits": [{"type": "requests", "per": "fortnight", "max": 1}]}, "limits[0].per"),
        ({**DRAFT, "limits": [{"type": "money", "per": "day", "max": "1"}]}, "limits[0].type"),
        ({**DRAFT, "limits": [{"type": "budget", "per": "day", "max": 1.5}]}, "limits[0].max"),
        ({**DRAFT, "allowed_ips": ["not an address"]}, "allowed_ips[0]"),
        ({**DRAFT, "pools": ["nowhere"]}, "pools[0]"),
        ({**DRAFT, "account_id": "acct_00000000-0000-0000-0000-000000000000"}, "account_id"),
        ({**DRAFT, "account_id": "nonsense"}, "account_id"),
        ({**DRAFT, "user_id": "usr_00000000-0000-0000-0000-000000000000"}, "user_id"),
        ({**DRAFT, "expires_at": "tomorrow"}, "expires_at"),
        ({**DRAFT, "expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({**DRAFT, "on_disconnect": "explode"}, "on_disconnect"),
        ({**DRAFT, "price_multiplier": "-1"}, "price_multiplier"),
        ({**DRAFT, "price_multiplier": "NaN"}, "price_multiplier"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(root: Api, body: dict[str, Any], field: str):
    problem = await root("POST /keys", body, expect=400)
    assert problem["code"] == "invalid_request"
    assert [error["field"] for error in problem["errors"]] == [field]


async def test_a_patch_keeps_what_is_absent_and_clears_what_is_null(root: Api):
    draft = {
        **DRAFT,
        "tags": ["a"],
        "limits": [{"type": "concurrency", "max": 2}],
        "expires_at": "2030-01-01T00:00:00Z",
    }
    key = await root("POST /keys", draft, expect=201)
    changed = await root(f"PATCH /keys/{key['id']}", {"name": "n", "limits": None, "expires_at": None, "groups": None})
    assert (changed["name"], changed["tags"]) == ("n", ["a"])
    assert (changed["limits"], changed["expires_at"], changed["groups"]) == ([], None, ["*"])
    for body, field in (
        ({"platforms": None}, "platforms"),
        ({"tenant_id": "x"}, "tenant_id"),
        ({"prefix": "x"}, "prefix"),
    ):
        problem = await root(f"PATCH /keys/{key['id']}", body, expect=400)
        assert problem["errors"][0]["field"] == field


async def test_rotation_with_and_without_an_overlap(root: Api, resources: Resources):
    key = await root("POST /keys", DRAFT, expect=201)
    first = resources.peppers.digest(key["secret"])
    second = await root(f"POST /keys/{key['id']}/rotate", {"overlap_seconds": 60})
    held = await digests(resources, key["id"])
    assert held[first] is not None and held[resources.peppers.digest(second["secret"])] is None
    third = await root(f"POST /keys/{key['id']}/rotate")
    assert list(await digests(resources, key["id"])) == [resources.peppers.digest(third["secret"])]
    assert third["last_four"] == third["secret"][-4:]
    await root(f"POST /keys/{key['id']}/rotate", {"overlap_seconds": -1}, expect=400)


async def test_a_change_is_recorded_for_the_gateways_and_announced(root: Api, resources: Resources):
    async with resources.database() as session:
        before = await changes.current(session)
    async with resources.redis.pubsub() as heard:
        await heard.subscribe(changes.CHANNEL)
        key = await root("POST /keys", DRAFT, expect=201)
        async with resources.database() as session:
            found = await changes.since(session, before)
        assert [(change.kind, change.id) for change in found] == [("key", key["id"])]
        async with asyncio.timeout(2):
            async for message in heard.listen():
                if message["type"] == "message":
                    assert message["data"] == str(found[0].version)
                    break


async def test_disabling_with_cut_tells_the_gateways(root: Api, resources: Resources):
    key = await root("POST /keys", DRAFT, expect=201)
    async with resources.redis.pubsub() as heard:
        await heard.subscribe(names.CUT_CHANNEL)
        assert (await root(f"POST /keys/{key['id']}/disable"))["enabled"] is False
        assert (await root(f"POST /keys/{key['id']}/enable"))["enabled"] is True
        assert (await root(f"POST /keys/{key['id']}/disable", {"cut": True}))["enabled"] is False
        async with asyncio.timeout(2):
            async for message in heard.listen():
                if message["type"] == "message":
                    assert message["data"] == key["id"]
                    break
        assert await heard.get_message(ignore_subscribe_messages=True, timeout=0.05) is None


async def test_deletion_is_soft_and_undone(root: Api):
    key = await root("POST /keys", {**DRAFT, "name": "to be deleted"}, expect=201)
    await root(f"POST /keys/{key['id']}/restore", expect=404)
    await root(f"DELETE /keys/{key['id']}", expect=204)
    await root(f"GET /keys/{key['id']}", expect=404)
    await root(f"PATCH /keys/{key['id']}", {"name": "x"}, expect=404)
    assert key["id"] not in [row["id"] for row in (await root("GET /keys", limit=200))["data"]]
    assert key["id"] in [row["id"] for row in (await root("GET /keys", deleted=True))["data"]]
    assert (await root(f"POST /keys/{key['id']}/restore"))["id"] == key["id"]
    await root(f"GET /keys/{key['id']}")


async def test_lists_are_read_in_pages_and_searched_literally(root: Api, south: Tenant):
    tenant = south.id
    made = [
        (await root("POST /keys", {**DRAFT, "name": f"page {at}", "tenant_id": tenant, "tags": ["p"]}, expect=201))[
            "id"
        ]
        for at in range(5)
    ]
    await root("POST /keys", {**DRAFT, "name": "50%_off", "tenant_id": tenant}, expect=201)
    first = await root("GET /keys", tenant_id=tenant, tag="p", limit=2, count="exact")
    assert (first["has_more"], first["count"]) == (True, 5)
    seen = [row["id"] for row in first["data"]]
    cursor = first["next_cursor"]
    while cursor:
        part = await root("GET /keys", tenant_id=tenant, tag="p", limit=2, cursor=cursor)
        assert "count" not in part
        seen += [row["id"] for row in part["data"]]
        cursor = part["next_cursor"]
    assert seen == made[::-1]
    assert [row["name"] for row in (await root("GET /keys", tenant_id=tenant, q="%_"))["data"]] == ["50%_off"]
    assert (await root("GET /keys", tenant_id=tenant, q="PAGE 3"))["data"][0]["name"] == "page 3"
    assert (await root("GET /keys", cursor="nonsense", expect=400))["errors"][0]["field"] == "cursor"
    assert (await root("GET /keys", limit=0, expect=400))["errors"][0]["field"] == "limit"


async def test_a_foreign_key_does_not_exist(north: Tenant, south: Tenant):
    key = await north.as_("owner")("POST /keys", DRAFT, expect=201)
    assert key["tenant_id"] == north.id
    foreign = south.as_("owner")
    for act in ("GET /keys/{}", "PATCH /keys/{}", "DELETE /keys/{}", "POST /keys/{}/rotate", "POST /keys/{}/disable"):
        body = {} if act.startswith("PATCH") else None
        assert (await foreign(act.format(key["id"]), body, expect=404))["code"] == "not_found"
    await foreign("POST /keys", {**DRAFT, "tenant_id": north.id}, expect=404)
    assert (await foreign("GET /keys", tenant_id=north.id))["data"] == []


async def test_what_a_key_names_must_be_of_its_tenant(north: Tenant, south: Tenant):
    mine, theirs = north.as_("owner"), south.as_("owner")
    pool = await theirs("POST /pools", {"name": "theirs"}, expect=201)
    account = await theirs(
        "POST /accounts", {"name": "a", "platform": "openai", "credentials": {"api_key": "sk-x"}}, expect=201
    )
    for field, value, named in (
        ("pools", [pool["id"]], "pools[0]"),
        ("account_id", account["id"], "account_id"),
        ("user_id", south.users["member"]["id"], "user_id"),
    ):
        problem = await mine("POST /keys", {**DRAFT, field: value}, expect=400)
        assert problem["errors"][0]["field"] == named


async def test_members_have_their_own_keys_and_no_others(north: Tenant):
    member, operator = north.as_("member"), north.as_("operator")
    user_id = north.users["member"]["id"]
    mine = await member("POST /keys", DRAFT, expect=201)
    assert mine["user_id"] == user_id
    others = await operator("POST /keys", DRAFT, expect=201)
    await member(f"GET /keys/{others['id']}", expect=404)
    await member(f"POST /keys/{others['id']}/rotate", expect=404)
    assert {row["user_id"] for row in (await member("GET /keys"))["data"]} == {user_id}
    await member("POST /keys", {**DRAFT, "user_id": north.users["owner"]["id"]}, expect=403)
    for field, value in (("price_multiplier", "0"), ("limits", []), ("debug", True), ("pools", []), ("user_id", None)):
        problem = await member(f"PATCH /keys/{mine['id']}", {field: value}, expect=403)
        assert problem["errors"][0]["field"] == field
    await operator(f"POST /keys/{mine['id']}/disable")
    await member(f"POST /keys/{mine['id']}/enable", expect=403)
    await operator("POST /keys", {**DRAFT, "price_multiplier": "0"}, expect=403)


@pytest.mark.parametrize("who", ["operator", "member"])
async def test_members_do_not_bring_back_what_was_deleted(north: Tenant, who: str):
    member = north.as_("member")
    key = await member("POST /keys", DRAFT, expect=201)
    await north.as_(who)(f"DELETE /keys/{key['id']}", expect=204)
    await member(f"POST /keys/{key['id']}/restore", expect=403)
    await member(f"GET /keys/{key['id']}", expect=404)
    assert (await north.as_("operator")(f"POST /keys/{key['id']}/restore"))["id"] == key["id"]
    await member(f"GET /keys/{key['id']}")


async def test_members_narrow_their_keys_and_do_not_widen_them(north: Tenant):
    member, operator = north.as_("member"), north.as_("operator")
    path = f"/keys/{(await member('POST /keys', DRAFT, expect=201))['id']}"
    narrow = {
        "models": ["sandbox-e*"],
        "platforms": ["claude"],
        "allowed_ips": ["10.0.0.0/8"],
        "allowed_clients": ["claude-cli/*"],
        "expires_at": "2040-01-01T00:00:00Z",
    }
    narrowed = await operator(f"PATCH {path}", narrow)
    wide = {
        "models": ["*"],
        "platforms": ["*"],
        "allowed_ips": None,
        "allowed_clients": [],
        "expires_at": None,
    }
    for field, value in wide.items():
        problem = await member(f"PATCH {path}", {"name": "wider", field: value}, expect=403)
        assert [error["field"] for error in problem["errors"]] == [field]
    await member(f"PATCH {path}", {"expires_at": "2041-01-01T00:00:00Z"}, expect=403)
    kept = await member(f"GET {path}")
    assert {name: kept[name] for name in ("name", *narrow)} == {name: narrowed[name] for name in ("name", *narrow)}
    less = {"models": ["sandbox-echo"], "allowed_ips": ["10.1.0.0/16"], "expires_at": "2039-01-01T00:00:00.000Z"}
    changed = await member(f"PATCH {path}", {"name": "mine", "tags": ["t"], **less})
    assert {name: changed[name] for name in less} == less
    assert (await operator(f"PATCH {path}", wide))["models"] == ["*"]


async def test_a_budget_is_stored_and_shown_as_a_decimal_string(root: Api, resources: Resources):
    budget = {"type": "budget", "per": "day", "max": 20}
    counted = {"type": "requests", "per": "day", "max": 20}
    key = await root("POST /keys", {**DRAFT, "limits": [budget, counted]}, expect=201)
    assert [limit["max"] for limit in key["limits"]] == ["20", 20]
    changed = await root(
        f"PATCH /keys/{key['id']}", {"limits": [counted, {**budget, "max": "0.50"}, {**budget, "max": 0}]}
    )
    assert [limit["max"] for limit in changed["limits"]] == [20, "0.50", "0"]
    async with resources.database() as session:
        stored = await session.scalar(select(m.Key.limits).where(m.Key.id == key["id"]))
    assert stored == changed["limits"]
    standing = (await root(f"GET /keys/{key['id']}/limits"))["data"]
    assert [limit["max"] for limit in standing if limit["scope"] == "key"] == [20, "0.5", "0"]


async def test_a_budget_that_was_stored_as_a_number_is_shown_as_a_string(root: Api, resources: Resources):
    key = await root("POST /keys", DRAFT, expect=201)
    async with resources.database.begin() as session:
        row = await session.get_one(m.Key, key["id"])
        row.limits = [{"type": "budget", "per": "day", "max": 20}]
    assert (await root(f"GET /keys/{key['id']}"))["limits"][0]["max"] == "20"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/accounts", {"platform": "ollama", "base_url": "http://127.0.0.1:11434"}),
        ("/teams", {}),
        ("/tenants", {}),
        ("/users", {"email": "budget@example.com"}),
    ],
)
async def test_so_are_the_budgets_of_others(root: Api, path: str, body: dict[str, Any]):
    limits = [{"type": "budget", "per": "day", "max": 7}]
    made = await root(f"POST {path}", {"name": "of a budget", **body, "limits": limits}, expect=201)
    assert made["limits"][0]["max"] == (await root(f"GET {path}/{made['id']}"))["limits"][0]["max"] == "7"


async def test_every_change_is_in_the_audit_log(root: Api):
    key = await root("POST /keys", DRAFT, expect=201)
    await root(f"PATCH /keys/{key['id']}", {"name": "renamed"})
    await root(f"POST /keys/{key['id']}/rotate")
    await root(f"POST /keys/{key['id']}/disable")
    await root(f"POST /keys/{key['id']}/enable")
    await root(f"DELETE /keys/{key['id']}", expect=204)
    await root(f"POST /keys/{key['id']}/restore")
    rows = (await root("GET /audit", target=key["id"]))["data"]
    verbs = [row["action"].partition(".")[2] for row in rows]
    assert verbs == ["restore", "delete", "enable", "disable", "rotate", "change", "create"]
    change = rows[-2]
    assert (change["before"]["name"], change["after"]["name"]) == ("k", "renamed")
    assert change["actor"].startswith("tok_") and change["address"] == "127.0.0.1"
    assert change["request_id"].startswith("req_") and change["tenant_id"] == key["tenant_id"]
    assert key["secret"] not in msgspec.json.encode(rows).decode()
