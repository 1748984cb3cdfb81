"""Authorising accounts by code and PKCE, against a server that checks the proof."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from msgspec import structs
from sqlalchemy import text
from structlog.testing import capture_logs

from admin.api.oauth import Finishing
from admin.authorisations import Begun
from admin.caller import Caller
from admin.resources import Resources
from admin.schemas.oauth import AuthorisationFinish
from gateway.core import state
from gateway.core.names import tenant_prefix
from gateway.core.redis import client
from gateway.core.services import accounts, configuration
from gateway.core.services.audit import Actor
from gateway.core.services.reach import Reach
from gateway.local.sandbox import Running, running
from gateway.platforms import PLATFORMS
from tests.admin.conftest import Api, Tenant
from tests.support.outbound import outbound

START, FINISH = "POST /accounts/oauth/start", "POST /accounts/oauth/finish"


@pytest.fixture(scope="module")
async def vendor() -> AsyncIterator[Running]:
    async with running() as sandbox:
        yield sandbox


def options(vendor: Running, **more: Any) -> dict[str, Any]:
    return {
        "authorize_url": f"{vendor.url}/oauth/authorize",
        "token_url": f"{vendor.url}/oauth/token",
        "client_id": "client-of-the-operator",
        **more,
    }


def name() -> str:
    return f"authorised {secrets.token_hex(4)}"


async def consent(url: str) -> str:
    """What the owner's browser shows: the address that it was sent to, or the text of the page."""
    async with httpx.AsyncClient(trust_env=False) as browser:
        page = await browser.get(url)
    assert page.status_code in {200, 302}, page.text
    return page.headers.get("location") or page.text


async def begun(api: Api, vendor: Running, platform: str = "openai-responses", **more: Any) -> tuple[str, str]:
    """(state, what the vendor gave)."""
    started = await api(START, {"platform": platform, "options": options(vendor), **more})
    return started["state"], await consent(started["authorize_url"])


async def opened(resources: Resources, account_id: str) -> Any:
    async with resources.database() as session:
        row = await accounts.find(session, Reach(everything=True), account_id)
        platform = PLATFORMS[row.platform]
        return row, configuration.opened(row, resources.sealer, platform.base_url, platform.models)


async def test_the_address_asks_with_a_challenge_and_tells_no_verifier(root: Api):
    started = await root(START, {"platform": "openai-responses"})
    url = urlsplit(started["authorize_url"])
    asked = {key: values[0] for key, values in parse_qs(url.query).items()}
    assert f"{url.scheme}://{url.netloc}{url.path}" == "https://auth.openai.com/oauth/authorize"
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["redirect_uri"] == "http://localhost:1455/auth/callback"
    assert asked["state"] == started["state"] and len(asked["code_challenge"]) == 43
    assert set(started) == {"authorize_url", "state", "expires_at"}
    again = await root(START, {"platform": "openai-responses"})
    assert again["state"] != started["state"]
    other = parse_qs(urlsplit(again["authorize_url"]).query)["code_challenge"][0]
    assert other != asked["code_challenge"]


async def test_a_callback_becomes_an_account_whose_tokens_nobody_sees(root: Api, vendor: Running, resources: Resources):
    state_, callback = await begun(root, vendor)
    assert callback.startswith("http://localhost:1455/auth/callback?code=")
    draft = {"name": name(), "priority": 7, "models": ["gpt-*"], "notes": "by OAuth"}
    made = await root(FINISH, {"callback_url": callback, **draft})
    assert (made["platform"], made["priority"], made["notes"]) == ("openai-responses", 7, "by OAuth")
    assert made["credential_fields"] == ["access_token", "expires_at", "refresh_token"]
    row, account = await opened(resources, made["id"])
    assert account.credentials["refresh_token"].reveal().startswith("sandbox-refresh-")
    assert account.base_url == "https://chatgpt.com/backend-api/codex"
    assert row.options == options(vendor)
    log = await root("GET /audit", target=made["id"])
    assert [entry["action"] for entry in log["data"]] == ["accounts.authorise"]
    starts = await root("GET /audit", target="openai-responses")
    assert starts["data"][0]["action"] == "accounts.oauth_start"
    shown = json.dumps([made, log, starts])
    for secret in (*(held.reveal() for held in account.credentials.values()), state_, callback):
        assert secret not in shown


async def test_anthropic_shows_the_code_with_its_state(root: Api, vendor: Running, resources: Resources):
    state_, page = await begun(root, vendor, "claude-official")
    assert page.endswith(f"#{state_}")
    made = await root(FINISH, {"code": page, "name": name()})
    _, account = await opened(resources, made["id"])
    assert PLATFORMS["claude-official"].expires is not None
    assert made["platform"] == made["provider"] == "claude-official"
    assert "id_token" not in account.credentials


async def test_code_and_state_apart(root: Api, vendor: Running):
    state_, page = await begun(root, vendor, "claude-official")
    made = await root(FINISH, {"code": page.partition("#")[0], "state": state_, "name": name()})
    assert made["credential_fields"] == ["access_token", "expires_at", "refresh_token"]


async def test_an_account_is_authorised_again(root: Api, vendor: Running, resources: Resources):
    _, callback = await begun(root, vendor)
    made = await root(FINISH, {"callback_url": callback, "name": name(), "priority": 3})
    row, before = await opened(resources, made["id"])
    async with resources.database.begin() as session:
        held = await accounts.find(session, Reach(everything=True), made["id"])
        await accounts.keep_renewed(session, resources.sealer, held, {"access_token": "renewed"})
    out = state.State(reason="re-authorise", until=state.FOR_EVER)
    field = f"{made['id']}|account"
    await resources.redis.hset(tenant_prefix(row.tenant_id) + "state", field, state.encode(out))
    assert (await root(f"GET /accounts/{made['id']}/state"))["usable"] is False
    _, callback = await begun(root, vendor)
    again = await root(FINISH, {"callback_url": callback, "account_id": made["id"]})
    row, after = await opened(resources, made["id"])
    assert (again["id"], again["name"], again["priority"], row.renewed) == (made["id"], made["name"], 3, None)
    assert after.credentials["access_token"] not in (before.credentials["access_token"], "renewed")
    assert after.credentials["refresh_token"] != before.credentials["refresh_token"]
    shown = await root(f"GET /accounts/{made['id']}/state")
    assert (shown["usable"], shown["reason"]) == (True, None)


async def test_new_tokens_lift_what_was_found_of_the_old_once_they_are_committed(
    root: Api, vendor: Running, resources: Resources
):
    _, callback = await begun(root, vendor)
    made = await root(FINISH, {"callback_url": callback, "name": name()})
    states, field = tenant_prefix(made["tenant_id"]) + "state", f"{made['id']}|account"
    out = state.encode(state.State(reason="re-authorise", until=state.FOR_EVER))
    await resources.redis.hset(states, field, out)
    _, callback = await begun(root, vendor)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks, resources.database() as blocking:
        await blocking.execute(text("LOCK TABLE audit IN SHARE MODE"))  # every change is noted before its commit
        ending = tasks.create_task(root(FINISH, {"callback_url": callback, "account_id": made["id"]}))
        waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'audit'::regclass")
        while not (await blocking.execute(waits)).scalar_one():
            await asyncio.sleep(0.01)
        assert await resources.redis.hexists(states, field) and not ending.done()
    assert not await resources.redis.hexists(states, field)


async def test_tokens_are_kept_though_redis_goes_away(root: Api, resources: Resources):
    """The code is spent: what it gave must not be lost for a state that was not lifted."""
    tenant_id = (await root("GET /tenants", q="default"))["data"][0]["id"]
    asks = Caller(Actor("usr_1"), "usr_1", root=True)
    wanted = Begun("usr_1", tenant_id, "openai-responses", {}, None, "-")
    got = {"access_token": "kept", "refresh_token": "kept-too", "expires_at": 4e9}
    async with client("redis://127.0.0.1:9") as nowhere:
        without = structs.replace(resources, redis=nowhere)
        finishing = Finishing(without, asks, Reach(everything=True), wanted, AuthorisationFinish(name=name()))
        with capture_logs() as logs:
            made = await finishing.store(got)
    assert [(line["event"], line["owner"]) for line in logs] == [("automatic states were not lifted", made.id)]
    _, account = await opened(resources, made.id)
    assert account.credentials["access_token"].reveal() == "kept"


async def test_an_account_of_another_kind_is_left_alone(root: Api, vendor: Running):
    draft = {"name": name(), "platform": "claude-official", "credentials": {"api_key": "sk-ant-api-1"}}
    other = await root("POST /accounts", draft, expect=201)
    _, callback = await begun(root, vendor)
    problem = await root(FINISH, {"callback_url": callback, "account_id": other["id"]}, expect=400)
    assert problem["errors"][0]["field"] == "account_id"
    assert (await root(f"GET /accounts/{other['id']}"))["credential_fields"] == ["api_key"]


async def test_a_state_is_good_once(root: Api, vendor: Running):
    _, callback = await begun(root, vendor)
    await root(FINISH, {"callback_url": callback, "name": name()})
    problem = await root(FINISH, {"callback_url": callback, "name": name()}, expect=400)
    assert problem["errors"][0]["field"] == "state"


async def test_of_two_at_once_one_is_served(root: Api, vendor: Running):
    _, callback = await begun(root, vendor)
    bodies = [{"callback_url": callback, "name": name()} for _ in range(4)]
    answers = await asyncio.gather(*(root.http.post("/accounts/oauth/finish", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]


async def test_what_is_wrong_with_the_draft_does_not_spend_the_code(root: Api, vendor: Running):
    taken = name()
    _, first = await begun(root, vendor)
    await root(FINISH, {"callback_url": first, "name": taken})
    _, callback = await begun(root, vendor)
    for more, status, field in (
        ({}, 400, "name"),
        ({"name": taken}, 409, "name"),
        ({"name": name(), "pools": ["nowhere"]}, 400, "pools[0]"),
        ({"name": name(), "base_url": "ftp://x"}, 400, "base_url"),
        ({"name": name(), "timeouts": {"connect": 0}}, 400, "timeouts.connect"),
        ({"name": name(), "colour": "red"}, 400, "colour"),
        ({"account_id": "acct_0000"}, 404, None),
    ):
        problem = await root(FINISH, {"callback_url": callback, **more}, expect=status)
        assert [error["field"] for error in problem.get("errors", [])] == ([field] if field else [])
    await root(FINISH, {"callback_url": callback, "name": name()})


async def test_only_who_began_it_ends_it(root: Api, north: Tenant, south: Tenant, vendor: Running):
    _, callback = await begun(north.as_("operator"), vendor)
    for other in (root, north.as_("owner"), south.as_("operator")):
        problem = await other(FINISH, {"callback_url": callback, "name": name()}, expect=400)
        assert problem["errors"][0]["field"] == "state"
    made = await north.as_("operator")(FINISH, {"callback_url": callback, "name": name()})
    assert made["tenant_id"] == north.id


async def test_permissions(north: Tenant, south: Tenant, vendor: Running):
    for role in ("viewer", "member"):
        await north.as_(role)(START, {"platform": "openai-responses"}, expect=403)
        await north.as_(role)(FINISH, {"code": "c", "state": "s", "name": name()}, expect=403)
    problem = await north.as_("owner")(START, {"platform": "openai-responses", "tenant_id": south.id}, expect=404)
    assert problem["errors"][0]["field"] == "tenant_id"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"platform": "nonsense"}, "platform"),
        ({"platform": "gemini"}, "platform"),
        ({"platform": "claude-official"}, "options.client_id"),
        ({"platform": "openai-responses", "options": {"colour": "red"}}, "options.colour"),
        ({"platform": "openai-responses", "options": {"token_url": "ftp://x"}}, "options.token_url"),
        ({"platform": "openai-responses", "proxy_id": "prx_x"}, "proxy_id"),
        ({"platform": "openai-responses", "credentials": {}}, "credentials"),
    ],
)
async def test_a_start_that_cannot_be(root: Api, body: dict[str, Any], field: str):
    problem = await root(START, body, expect=400)
    assert [error["field"] for error in problem["errors"]] == [field]


@pytest.mark.parametrize(
    ("pasted", "field"),
    [
        ({}, "code"),
        ({"code": "c", "callback_url": "http://localhost/?code=c&state=s"}, "code"),
        ({"code": "c"}, "state"),
        ({"code": "#s"}, "code"),
        ({"code": "c#s", "state": "other"}, "state"),
        ({"code": "c", "state": "never-begun"}, "state"),
        ({"callback_url": "http://localhost:1455/auth/callback?state=s"}, "callback_url"),
        ({"callback_url": "http://[::1/?code=c"}, "callback_url"),
        ({"callback_url": "http://localhost/?error=access_denied&state=s"}, "callback_url"),
    ],
)
async def test_what_was_pasted_cannot_be(root: Api, pasted: dict[str, str], field: str):
    problem = await root(FINISH, {**pasted, "name": name()}, expect=400)
    assert [error["field"] for error in problem["errors"]] == [field]


async def test_a_refusal_is_said_in_a_sentence(root: Api, vendor: Running):
    state_, _ = await begun(root, vendor)
    said = {"code": "code-that-was-never-given", "state": state_, "name": name()}
    problem = await root(FINISH, said, expect=400)
    assert problem["errors"][0]["field"] == "code" and "invalid_grant" in problem["detail"]
    assert "never-given" not in json.dumps(problem) and len(problem["detail"]) <= 600


async def test_the_proof_is_looked_at(root: Api, vendor: Running):
    """The code of one authorisation with the state, and so the verifier, of another."""
    _, callback = await begun(root, vendor)
    state_, _ = await begun(root, vendor)
    code = parse_qs(urlsplit(callback).query)["code"][0]
    problem = await root(FINISH, {"code": code, "state": state_, "name": name()}, expect=400)
    assert problem["errors"][0]["field"] == "code"


@pytest.mark.parametrize("where", ["http://10.255.0.1:9/oauth/token", "http://127.0.0.1:1/oauth/token"])
async def test_an_endpoint_out_of_reach_is_no_refusal(root: Api, vendor: Running, where: str):
    started = await root(START, {"platform": "openai-responses", "options": options(vendor, token_url=where)})
    callback = await consent(started["authorize_url"])
    problem = await root(FINISH, {"callback_url": callback, "name": name()}, expect=502)
    assert problem["code"] == "upstream_error" and "10.255" not in problem["detail"]


async def test_the_exchange_goes_the_account_s_way(root: Api, vendor: Running):
    """First by the proxy that was named, and again by the one that the account has."""
    async with outbound("socks5h", credentials=("u", "p")) as proxy:
        url = f"socks5h://u:p@127.0.0.1:{proxy.port}"
        way = await root("POST /proxies", {"name": name(), "url": url}, expect=201)
        _, callback = await begun(root, vendor, proxy_id=way["id"])
        made = await root(FINISH, {"callback_url": callback, "name": name()})
        assert made["proxy_id"] == way["id"]
        target = ("127.0.0.1", urlsplit(vendor.url).port)
        assert proxy.asked == [target]
        _, callback = await begun(root, vendor)
        again = await root(FINISH, {"callback_url": callback, "account_id": made["id"]})
        # A kept connection of the first may serve the second; none goes out directly.
        assert again["proxy_id"] == way["id"] and set(proxy.asked) == {target}
        assert bytes(proxy.heard).count(b"grant_type=authorization_code") == 2


async def test_what_waits_is_sealed_and_ends(root: Api, resources: Resources, vendor: Running):
    started = await root(START, {"platform": "openai-responses", "options": options(vendor)})
    names = [key async for key in resources.redis.scan_iter("pg:authorisation:*")]
    assert names and not any(started["state"] in key for key in names)
    for key in names:
        assert 0 < await resources.redis.ttl(key) <= 600
        assert "openai-responses" not in (await resources.redis.get(key) or "")


async def test_the_document_shows_both(root: Api):
    document = (await root.http.get(root.http.base_url.copy_with(path="/admin/openapi.json"))).json()
    for path in ("/admin/v1/accounts/oauth/start", "/admin/v1/accounts/oauth/finish"):
        assert "post" in document["paths"][path]
