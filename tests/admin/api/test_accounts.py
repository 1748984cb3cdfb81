"""Accounts: checked against their platform, credentials in and never out, tested, recovered."""

import asyncio
import json
import time
from typing import Any

import pytest
from sqlalchemy import text

from admin.resources import Resources
from gateway.core import state
from gateway.core.names import tenant_prefix
from gateway.core.services import accounts, configuration
from gateway.core.services.reach import Reach
from tests.admin.conftest import Api, Tenant

SECRET = "sk-ant-canary-0123456789abcdef"
NAMES = iter(range(1000))


def draft(**more: Any) -> dict[str, Any]:
    name = f"account {next(NAMES)}"
    return {"name": name, "platform": "claude-official", "credentials": {"api_key": SECRET}, **more}


async def test_credentials_go_in_and_do_not_come_out(root: Api, resources: Resources):
    made = await root("POST /accounts", draft(), expect=201)
    assert made["credential_fields"] == ["api_key"] and "credentials" not in made
    assert SECRET not in json.dumps([made, await root(f"GET /accounts/{made['id']}"), await root("GET /accounts")])
    async with resources.database() as session:
        row = await accounts.find(session, Reach(everything=True), made["id"])
        assert SECRET.encode() not in row.credentials
        assert configuration.opened(row, resources.sealer, "", ()).credentials["api_key"].reveal() == SECRET


async def test_the_fields_are_those_of_the_contract(root: Api):
    made = await root("POST /accounts", draft(), expect=201)
    assert set(made) == {
        *("id", "tenant_id", "name", "platform", "provider", "base_url", "options", "models", "model_map", "pools"),
        *(
            "priority",
            "weight",
            "max_concurrency",
            "limits",
            "enabled",
            "proxy_id",
            "timeouts",
            "notes",
            "probe",
            "draining",
        ),
        *("expires_at", "explicit_only", "credential_fields", "created_at", "updated_at"),
    }
    assert (made["provider"], made["priority"], made["explicit_only"]) == ("claude-official", 50, False)
    ccr = draft(platform="claude-ccr", base_url="http://127.0.0.1:3456")
    assert (await root("POST /accounts", ccr, expect=201))["explicit_only"] is True


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"platform": "nonsense"}, "platform"),
        ({"credentials": {}}, "credentials.api_key"),
        ({"credentials": {"api_key": SECRET, "colour": "red"}}, "credentials.colour"),
        ({"credentials": {"api_key": 7}}, "credentials.api_key"),
        ({"options": {"colour": "red"}}, "options.colour"),
        ({"base_url": "ftp://example.com"}, "base_url"),
        ({"base_url": "https://user:pass@example.com"}, "base_url"),
        ({"base_url": "https://0x7f.1"}, "base_url"),
        ({"platform": "claude-console"}, "base_url"),
        ({"priority": 0}, "priority"),
        ({"priority": 101}, "priority"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"weight": 10**12}, "weight"),
        ({"provider": "Not a slug"}, "provider"),
        ({"timeouts": {"connect": 0}}, "timeouts.connect"),
        ({"timeouts": {"colour": 1}}, "timeouts.colour"),
        ({"pools": ["nowhere"]}, "pools[0]"),
        ({"limits": [{"type": "requests", "per": "minute", "max": -1}]}, "limits[0].max"),
        ({"limits": [{"type": "concurrency", "max": 1}, {"type": "money", "max": 1}]}, "limits[1].type"),
        ({"limits": [{"type": "concurrency", "max": 1}, {"type": "budget", "per": "day", "max": -1}]}, "limits[1].max"),
        ({"proxy_id": "prx_x"}, "proxy_id"),
        ({"model_map": {"a": 1}}, "model_map[...]"),
        ({"colour": "red"}, "colour"),
        ({"id": "acct_x"}, "id"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(root: Api, more: dict[str, Any], field: str):
    problem = await root("POST /accounts", draft(**more), expect=400)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert SECRET not in json.dumps(problem)


async def test_one_that_is_drained_says_so_until_it_is_switched(root: Api):
    path = f"/accounts/{(await root('POST /accounts', draft(), expect=201))['id']}"
    assert (await root(f"GET {path}/state"))["draining"] is False
    drained = await root(f"POST {path}/drain")
    assert (drained["usable"], drained["draining"]) == (True, True)
    assert (await root(f"GET {path}/state"))["draining"] is True
    await root(f"POST {path}/enable")
    assert (await root(f"GET {path}/state"))["draining"] is False


async def test_a_patch_keeps_clears_and_replaces(root: Api, resources: Resources):
    said = {"models": ["claude-3*"], "priority": 3, "max_concurrency": 2, "timeouts": {"connect": 3}, "notes": "n"}
    own = [{"type": "requests", "per": {"rolling": "5h"}, "max": 9}, {"type": "concurrency", "max": 2}]
    made = await root("POST /accounts", draft(**said, limits=own), expect=201)
    assert made["limits"] == own
    path = f"/accounts/{made['id']}"
    assert made["timeouts"] == {"connect": 3.0, "first_event": 60.0, "stream_idle": 600.0, "total": 600.0}
    cleared = await root(f"PATCH {path}", {"models": None, "max_concurrency": None, "priority": None, "provider": "p"})
    assert (cleared["models"], cleared["max_concurrency"], cleared["priority"]) == (None, None, 50)
    assert (cleared["provider"], cleared["notes"]) == ("p", "n")
    assert (await root(f"PATCH {path}", {"provider": None}))["provider"] == "claude-official"
    oauth = {"access_token": "tok-canary-1", "refresh_token": "tok-canary-2", "expires_at": 1893456000}
    problem = await root(f"PATCH {path}", {"credentials": {"access_token": 5}}, expect=400)
    assert problem["errors"][0]["field"].startswith("credentials.")
    replaced = await root(f"PATCH {path}", {"credentials": oauth})
    assert replaced["credential_fields"] == sorted(oauth)
    assert (await root("GET /audit", target=made["id"]))["data"][0]["action"] == "accounts.change_credentials"
    for body, field in (
        ({"name": None}, "name"),
        ({"platform": "openai"}, "platform"),
        ({"base_url": "x"}, "base_url"),
    ):
        assert (await root(f"PATCH {path}", body, expect=400))["errors"][0]["field"] == field


async def test_a_name_is_taken_once_in_a_tenant_and_free_after_deletion(root: Api, north: Tenant, resources: Resources):
    body = draft()
    made = await root("POST /accounts", body, expect=201)
    assert (await root("POST /accounts", body, expect=409))["errors"][0]["field"] == "name"
    await root("POST /accounts", {**body, "tenant_id": north.id}, expect=201)
    await root(f"DELETE /accounts/{made['id']}", expect=204)
    await root(f"GET /accounts/{made['id']}", expect=404)
    await root("POST /accounts", body, expect=201)


async def test_the_switch_is_the_operators(north: Tenant):
    operator = north.as_("operator")
    made = await operator("POST /accounts", draft(), expect=201)
    assert made["tenant_id"] == north.id
    assert (await operator(f"POST /accounts/{made['id']}/disable"))["enabled"] is False
    shown = await operator(f"GET /accounts/{made['id']}/state")
    assert (shown["usable"], shown["reason"], shown["until"]) == (False, "disabled", None)
    assert (await operator(f"POST /accounts/{made['id']}/enable"))["enabled"] is True
    await north.as_("viewer")(f"POST /accounts/{made['id']}/enable", expect=403)
    await north.as_("member")("GET /accounts", expect=403)


async def test_foreign_accounts_do_not_exist(north: Tenant, south: Tenant):
    made = await north.as_("owner")("POST /accounts", draft(), expect=201)
    theirs = south.as_("owner")
    for act in ("GET {}", "GET {}/state", "POST {}/recover", "POST {}/test", "POST {}/enable", "DELETE {}"):
        await theirs(act.format(f"/accounts/{made['id']}"), expect=404)
    await theirs(f"PATCH /accounts/{made['id']}", {"notes": "x"}, expect=404)
    await theirs("POST /accounts", draft(tenant_id=north.id), expect=404)


async def test_filters_and_search(root: Api, south: Tenant):
    pool = await root("POST /pools", {"name": "p", "tenant_id": south.id}, expect=201)
    one = await root("POST /accounts", draft(tenant_id=south.id, pools=["p"], notes="findable"), expect=201)
    two = await root("POST /accounts", draft(tenant_id=south.id, platform="openai", enabled=False), expect=201)
    cases: tuple[tuple[dict[str, Any], list[Any]], ...] = (
        ({"pool_id": pool["id"]}, [one]),
        ({"platform": "openai"}, [two]),
        ({"enabled": False}, [two]),
        ({"q": "FINDABLE"}, [one]),
        ({}, [two, one]),
    )
    for params, found in cases:
        listed = (await root("GET /accounts", tenant_id=south.id, **params))["data"]
        assert [account["id"] for account in listed] == [account["id"] for account in found], params
    await root(f"DELETE /pools/{pool['id']}", expect=409)


async def test_state_is_read_and_lifted(root: Api, resources: Resources):
    made = await root("POST /accounts", draft(), expect=201)
    path = f"/accounts/{made['id']}"
    assert (await root(f"GET {path}/state"))["usable"] is True
    out = state.State("credentials", time.time() + 600, time.time(), "req_x", 401)
    prefix = tenant_prefix(made["tenant_id"])
    await resources.redis.hset(prefix + "state", f"{made['id']}|account", state.encode(out).decode())
    shown = await root(f"GET {path}/state")
    assert (shown["usable"], shown["reason"]) == (False, "credentials")
    assert shown["source"] == {"request_id": "req_x", "status": 401}
    lifted = await root(f"POST {path}/recover")
    assert lifted["usable"] is True and len(lifted["recent"]) == 1
    assert (await root("GET /audit", target=made["id"]))["data"][0]["after"] == {"lifted": 1}


@pytest.mark.parametrize("how", ["disabled", "expired"])
async def test_what_the_operator_decided_does_not_end_with_a_cool_down(root: Api, resources: Resources, how: str):
    past = "2026-01-01T00:00:00Z"
    made = await root("POST /accounts", draft(), expect=201)
    path = f"/accounts/{made['id']}"
    await root(f"PATCH {path}", {"expires_at": past} if how == "expired" else {"enabled": False})
    out = state.State("limit", time.time() + 60, time.time(), "req_x", 429)
    prefix = tenant_prefix(made["tenant_id"])
    for _ in range(2):
        shown = await root(f"GET {path}/state")
        assert (shown["usable"], shown["reason"], shown["until"], shown["source"]) == (False, how, None, None)
        await resources.redis.hset(prefix + "state", f"{made['id']}|account", state.encode(out).decode())
    assert [one["reason"] for one in shown["cooldowns"]] == ["limit"]
    assert (await root(f"POST {path}/recover"))["reason"] == how
    await root(f"PATCH {path}", {"expires_at": "2099-01-01T00:00:00Z", "enabled": True})
    assert (await root(f"GET {path}/state"))["usable"] is True


async def test_new_credentials_lift_what_was_found_of_the_old_once_they_are_committed(root: Api, resources: Resources):
    """Until then gateways use the old ones, and would find the same once more."""
    made = await root("POST /accounts", draft(), expect=201)
    path, name = f"/accounts/{made['id']}", tenant_prefix(made["tenant_id"]) + "state"
    field, out = f"{made['id']}|account", state.encode(state.State("credentials", state.FOR_EVER))
    await resources.redis.hset(name, field, out)
    await root(f"PATCH {path}", {"notes": "the same credentials"})
    assert await resources.redis.hexists(name, field)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks, resources.database() as blocking:
        await blocking.execute(text("LOCK TABLE audit IN SHARE MODE"))  # every change is noted before its commit
        changing = tasks.create_task(root(f"PATCH {path}", {"credentials": {"api_key": SECRET + "2"}}))
        waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'audit'::regclass")
        while not (await blocking.execute(waits)).scalar_one():
            await asyncio.sleep(0.01)
        assert await resources.redis.hexists(name, field) and not changing.done()
    assert not await resources.redis.hexists(name, field)
    recent = (await root(f"GET {path}/state"))["recent"]
    assert len(recent) == 1 and recent[0]["reason"].startswith("recovered by ")


async def test_credentials_that_are_refused_lift_nothing(root: Api, resources: Resources):
    made = await root("POST /accounts", draft(), expect=201)
    name, field = tenant_prefix(made["tenant_id"]) + "state", f"{made['id']}|account"
    await resources.redis.hset(name, field, state.encode(state.State("credentials", state.FOR_EVER)))
    await root(f"PATCH /accounts/{made['id']}", {"credentials": {"api_key": "a\nb"}}, expect=400)
    assert await resources.redis.hexists(name, field)


async def test_nothing_automatic_stays_of_a_deleted_account(root: Api, south: Tenant, resources: Resources):
    made = await root("POST /accounts", draft(tenant_id=south.id), expect=201)
    name, field = tenant_prefix(south.id) + "state", f"{made['id']}|account"
    await resources.redis.hset(name, field, state.encode(state.State("disabled", state.FOR_EVER)))
    await root(f"DELETE /accounts/{made['id']}", expect=204)
    assert not await resources.redis.hexists(name, field)


async def test_only_root_gives_the_machines_own_role(root: Api, north: Tenant):
    aws = {"platform": "bedrock", "options": {"region": "eu-west-1"}}
    own = {"access_key_id": "AKIA1", "secret_access_key": "s"}
    refused = await north.as_("owner")("POST /accounts", draft(**aws, credentials={}), expect=400)
    assert refused["errors"][0]["field"] == "credentials"
    made = await north.as_("owner")("POST /accounts", draft(**aws, credentials=own), expect=201)
    at = f"PATCH /accounts/{made['id']}"
    assert (await north.as_("owner")(at, {"credentials": {}}, expect=400))["errors"][0]["field"] == "credentials"
    assert (await north.as_("owner")(at, {"notes": "kept"}))["credential_fields"] == sorted(own)
    assert (await root(at, {"credentials": {}}))["credential_fields"] == []
    assert (await root("POST /accounts", draft(**aws, credentials={}), expect=201))["credential_fields"] == []


async def test_ollama_needs_no_credentials(root: Api, resources: Resources):
    ollama = {"platform": "ollama", "base_url": "http://10.0.0.7:11434"}
    for given in ({"credentials": {}}, {"credentials": None}, {"credentials": {"api_key": SECRET}}):
        made = await root("POST /accounts", draft(**ollama, **given), expect=201)
        assert made["credential_fields"] == (["api_key"] if given["credentials"] else [])
        assert made["provider"] == "ollama"
        cleared = await root(f"PATCH /accounts/{made['id']}", {"credentials": {}, "options": {"usage_probe": False}})
        assert cleared["credential_fields"] == []
        async with resources.database() as session:
            row = await accounts.find(session, Reach(everything=True), made["id"])
            assert configuration.opened(row, resources.sealer, "", ()).credentials == {}


async def test_entra_needs_its_application(root: Api):
    azure = {"platform": "azure-openai", "base_url": "https://res.openai.azure.com"}
    entra = {"credentials": {"client_secret": SECRET}}
    known = {"client_id": "app", "entra_tenant_id": "contoso.com"}
    problem = await root("POST /accounts", draft(**azure, **entra), expect=400)
    assert [error["field"] for error in problem["errors"]] == ["options.client_id"]
    made = await root("POST /accounts", draft(**azure, **entra, options=known), expect=201)
    path = f"PATCH /accounts/{made['id']}"
    refused = await root(path, {"options": {"client_id": "app"}}, expect=400)
    assert [error["field"] for error in refused["errors"]] == ["options.entra_tenant_id"]
    assert (await root(path, {"credentials": {"api_key": SECRET}, "options": {}}))["credential_fields"] == ["api_key"]


def service_account(token_uri: str = "https://oauth2.googleapis.com/token") -> dict[str, str]:
    named = {"type": "service_account", "client_email": "a@p.iam.gserviceaccount.com", "project_id": "p"}
    return {**named, "private_key": f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n", "token_uri": token_uri}


async def test_a_service_account_is_taken_as_an_object_and_as_its_text(root: Api, resources: Resources):
    own = service_account()
    for given in (own, json.dumps(own, indent=2)):
        made = await root(
            "POST /accounts", draft(platform="gemini", credentials={"service_account": given}), expect=201
        )
        path = f"PATCH /accounts/{made['id']}"
        for _ in range(2):
            async with resources.database() as session:
                row = await accounts.find(session, Reach(everything=True), made["id"])
                assert accounts.credentials(row, resources.sealer) == {"service_account": own}
            await root(path, {"credentials": {"service_account": given}})
        assert (await root(path, {"options": {"location": "eu"}}))["credential_fields"] == ["service_account"]
    wrong = draft(platform="gemini", credentials={"service_account": f"{{{SECRET}"})
    problem = await root("POST /accounts", wrong, expect=400)
    assert [error["field"] for error in problem["errors"]] == ["credentials.service_account"]
    assert SECRET not in json.dumps(problem)
    problem = await root(path, {"credentials": {"service_account": json.dumps(own | {"type": "user"})}}, expect=400)
    assert problem["errors"][0]["field"].startswith("credentials.service_account")


async def test_nobody_reads_credentials_by_moving_their_account(north: Tenant, resources: Resources):
    owner, elsewhere = north.as_("owner"), "https://my-own.example"
    oauth = {"access_token": "tok-1", "refresh_token": "tok-2", "expires_at": 1893456000}
    moves: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
        (draft(), {"base_url": elsewhere}),
        (draft(base_url="https://a.example"), {"base_url": None}),
        (draft(platform="openai", credentials={"api_key": SECRET}), {"base_url": elsewhere, "name": f"m{next(NAMES)}"}),
        (draft(credentials=oauth), {"options": {"token_url": elsewhere}}),
        (draft(credentials=oauth, options={"token_url": "https://a.example"}), {"options": None}),
    )
    for body, change in moves:
        made = await owner("POST /accounts", body, expect=201)
        path = f"/accounts/{made['id']}"
        for asking in (owner, north.as_("operator")):
            problem = await asking(f"PATCH {path}", change, expect=400)
            assert [error["field"] for error in problem["errors"]] == ["credentials"]
        assert await owner(f"GET {path}") == made
        given = {**change, "credentials": body["credentials"]}
        assert (await owner(f"PATCH {path}", given))["base_url"] == change.get("base_url", made["base_url"])
        # What stays where it is, and what is no address, needs no credentials.
        await owner(
            f"PATCH {path}", {"options": given.get("options"), "base_url": given.get("base_url", made["base_url"])}
        )


async def test_only_root_moves_an_account_of_the_machines_role(root: Api, north: Tenant):
    aws = draft(platform="bedrock", options={"region": "eu-west-1"}, credentials={}, tenant_id=north.id)
    at = f"PATCH /accounts/{(await root('POST /accounts', aws, expect=201))['id']}"
    moved = {"base_url": "https://vpc.example"}
    problem = await north.as_("owner")(at, moved, expect=400)
    assert (problem["errors"][0]["field"], "root" in problem["errors"][0]["message"]) == ("credentials", True)
    await north.as_("owner")(at, {"notes": "n"})
    assert (await root(at, moved))["base_url"] == moved["base_url"]


async def test_an_account_without_secrets_moves(north: Tenant):
    owner = north.as_("owner")
    bare = draft(platform="ollama", base_url="http://10.0.0.7:11434", credentials={})
    at = f"PATCH /accounts/{(await owner('POST /accounts', bare, expect=201))['id']}"
    assert (await owner(at, {"base_url": "http://10.0.0.8:11434"}))["base_url"] == "http://10.0.0.8:11434"
    await owner(at, {"credentials": {"api_key": SECRET}})
    await owner(at, {"base_url": "http://10.0.0.9:11434"}, expect=400)
    assert (await owner(at, {"base_url": "http://10.0.0.9:11434", "credentials": {}}))["credential_fields"] == []
