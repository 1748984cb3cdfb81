"""Logging in, staying in, getting out: by cookie, with CSRF, with one-time passwords and authenticators."""

import base64
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

import admin.attempts as attempts
import admin.totp as totp
from admin.resources import Resources
from admin.sessions import COOKIE
from tests.admin.conftest import Api, Tenant

PASSWORD = "a password of the tests"


@pytest.fixture(autouse=True)
async def no_attempts_yet(resources: Resources) -> None:
    async for name in resources.redis.scan_iter("pg:login:*"):
        await resources.redis.delete(name)


@pytest.fixture
async def browser(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{url}/admin/v1", trust_env=False) as client:
        yield client


async def make_user(api: Api, email: str, **more: Any) -> Any:
    return await api("POST /users", {"email": email, "password": PASSWORD, **more}, expect=201)


async def log_in(browser: httpx.AsyncClient, email: str, password: str = PASSWORD, **more: Any) -> httpx.Response:
    return await browser.post("/session", json={"email": email, "password": password, **more})


async def test_a_log_in_gives_a_cookie_that_scripts_and_other_sites_do_not_get(root: Api, browser: httpx.AsyncClient):
    user = await make_user(root, "Cookie@Example.com")
    answer = await log_in(browser, "cookie@example.COM")
    assert answer.status_code == 200
    assert answer.json()["user"]["id"] == user["id"] and answer.json()["must_change_password"] is False
    cookie = answer.headers["set-cookie"].lower()
    for part in (COOKIE, "httponly", "samesite=strict", "path=/"):
        assert part in cookie
    assert "secure" not in cookie and "domain" not in cookie
    me = (await browser.get("/me")).json()
    assert me["user"]["email"] == "cookie@example.com" and me["csrf_token"] == answer.json()["csrf_token"]
    assert me["user"]["last_login_at"] is not None
    assert (await root("GET /audit", target=user["id"]))["data"][0]["action"] == "session.create"


async def test_changes_by_cookie_need_the_csrf_token(root: Api, browser: httpx.AsyncClient):
    await make_user(root, "csrf@example.com", root=True)
    csrf = (await log_in(browser, "csrf@example.com")).json()["csrf_token"]
    for headers in ({}, {"x-csrf-token": "wrong"}):
        answer = await browser.post("/tenants", json={"name": "csrf"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
    assert (await browser.post("/tenants", json={"name": "csrf"}, headers={"x-csrf-token": csrf})).status_code == 201
    assert (await browser.delete("/session")).status_code == 403
    assert (await browser.delete("/session", headers={"x-csrf-token": csrf})).status_code == 204
    assert (await browser.get("/me")).status_code == 401


async def test_a_session_that_was_ended_stays_ended(root: Api, browser: httpx.AsyncClient, url: str):
    await make_user(root, "replay@example.com")
    csrf = (await log_in(browser, "replay@example.com")).json()["csrf_token"]
    stolen = {"cookie": f"{COOKIE}={browser.cookies[COOKIE]}"}
    await browser.delete("/session", headers={"x-csrf-token": csrf})
    async with httpx.AsyncClient(base_url=f"{url}/admin/v1", trust_env=False, headers=stolen) as thief:
        assert (await thief.get("/me")).status_code == 401


async def test_wrong_and_unknown_are_the_same_answer(root: Api, browser: httpx.AsyncClient):
    await make_user(root, "wrong@example.com")
    wrong = await log_in(browser, "wrong@example.com", "not this one")
    unknown = await log_in(browser, "nobody@example.com", "not this one")
    assert wrong.status_code == unknown.status_code == 401
    bodies = [{**answer.json(), "request_id": ""} for answer in (wrong, unknown)]
    assert bodies[0] == bodies[1] and bodies[0]["code"] == "login_failed"


async def test_a_one_time_password_opens_nothing_but_its_own_change(root: Api, browser: httpx.AsyncClient):
    made = await root("POST /users", {"email": "once@example.com", "root": True}, expect=201)
    assert made["must_change_password"] is True
    login = (await log_in(browser, "once@example.com", made["password"])).json()
    assert login["must_change_password"] is True
    browser.headers["x-csrf-token"] = login["csrf_token"]
    assert (await browser.get("/me")).status_code == 200
    for answer in (await browser.get("/keys"), await browser.post("/tenants", json={"name": "x"})):
        assert (answer.status_code, answer.json()["code"]) == (403, "password_change_required")
    wrong = await browser.post("/me/password", json={"current": "wrong one", "new": PASSWORD})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "current")
    short = await browser.post("/me/password", json={"current": made["password"], "new": "short"})
    assert (short.status_code, short.json()["errors"][0]["field"]) == (400, "new")
    changed = await browser.post("/me/password", json={"current": made["password"], "new": PASSWORD})
    assert (changed.status_code, changed.json()["must_change_password"]) == (200, False)
    assert (await browser.get("/keys")).status_code == 200


async def test_a_new_password_ends_the_other_sessions(root: Api, url: str, browser: httpx.AsyncClient):
    await make_user(root, "many@example.com")
    async with httpx.AsyncClient(base_url=f"{url}/admin/v1", trust_env=False) as other:
        await log_in(other, "many@example.com")
        csrf = (await log_in(browser, "many@example.com")).json()["csrf_token"]
        change = {"current": PASSWORD, "new": PASSWORD + "!"}
        assert (await browser.post("/me/password", json=change, headers={"x-csrf-token": csrf})).status_code == 200
        assert (await other.get("/me")).status_code == 401
        assert (await browser.get("/me")).status_code == 200


async def test_a_disabled_user_is_out_at_once(root: Api, browser: httpx.AsyncClient):
    user = await make_user(root, "off@example.com")
    await log_in(browser, "off@example.com")
    await root(f"PATCH /users/{user['id']}", {"enabled": False})
    assert (await browser.get("/me")).status_code == 401
    assert (await log_in(browser, "off@example.com")).status_code == 401


async def test_log_ins_are_limited_for_an_account_that_exists_or_not(
    root: Api, browser: httpx.AsyncClient, resources: Resources
):
    await make_user(root, "limited@example.com")
    for email in ("limited@example.com", "limited-nobody@example.com"):
        assert (await log_in(browser, email, "wrong")).status_code == 401
        (name,) = [name async for name in resources.redis.scan_iter("pg:login:account:*")]
        await resources.redis.incrby(name, attempts.PER_ACCOUNT - 2)
        assert (await log_in(browser, email, "wrong")).status_code == 401
        refused = await log_in(browser, email)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")
        assert 0 < int(refused.headers["retry-after"]) <= attempts.WINDOW
        await resources.redis.delete(name)


async def test_log_ins_are_limited_for_an_address(root: Api, browser: httpx.AsyncClient, resources: Resources):
    await resources.redis.set("pg:login:address:127.0.0.1", attempts.PER_ADDRESS, ex=60)
    assert (await log_in(browser, "anyone@example.com")).status_code == 429


async def test_a_page_of_another_site_cannot_log_in(root: Api, browser: httpx.AsyncClient):
    await make_user(root, "cross@example.com")
    body = {"email": "cross@example.com", "password": PASSWORD}
    for site in ("cross-site", "same-site"):
        answer = await browser.post("/session", json=body, headers={"sec-fetch-site": site})
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    form = await browser.post("/session", content=b"{}", headers={"content-type": "text/plain"})
    assert form.status_code == 415


async def test_an_authenticator_from_its_start_to_its_end(
    root: Api, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
):
    clock = SimpleNamespace(time=lambda: 2_000_000_000.0)
    for module in ("me", "session"):
        monkeypatch.setattr(f"admin.api.{module}.time", clock)
    user = await make_user(root, "totp@example.com")
    browser.headers["x-csrf-token"] = (await log_in(browser, "totp@example.com")).json()["csrf_token"]
    started = (await browser.post("/me/totp")).json()
    secret = base64.b32decode(started["secret"] + "=" * (-len(started["secret"]) % 8))
    assert started["secret"] in started["uri"]
    now = int(clock.time()) // totp.STEP
    assert (await browser.post("/me/totp/confirm", json={"code": "000000"})).status_code == 400
    before = totp.code(secret, now - 1)
    assert (await browser.post("/me/totp/confirm", json={"code": before})).json()["totp"] is True
    assert (await browser.post("/me/totp")).status_code == 409

    without = await log_in(browser, "totp@example.com")
    assert (without.status_code, without.json()["code"]) == (401, "totp_required")
    assert (await log_in(browser, "totp@example.com", "wrong")).json()["code"] == "login_failed"
    assert (await log_in(browser, "totp@example.com", totp=before)).status_code == 401, "a code counts once"
    code = totp.code(secret, now)
    logged_in = await log_in(browser, "totp@example.com", totp=code)
    assert logged_in.status_code == 200
    assert started["secret"] not in (await browser.get("/me")).text

    browser.headers["x-csrf-token"] = logged_in.json()["csrf_token"]
    assert (await browser.request("DELETE", "/me/totp", json={"code": code})).status_code == 400
    removed = await browser.request("DELETE", "/me/totp", json={"code": totp.code(secret, now + 1)})
    assert (removed.status_code, removed.json()["totp"]) == (200, False)
    assert (await log_in(browser, "totp@example.com")).status_code == 200
    actions = [row["action"] for row in (await root("GET /audit", target=user["id"]))["data"]]
    assert {"me.totp_added", "me.totp_removed"} <= set(actions)


async def test_the_owner_of_a_tenant_is_told_nothing_but_their_own(north: Tenant):
    me = await north.as_("owner")("GET /me")
    assert me["roles"] == [{"tenant_id": north.id, "role": "owner"}]
    assert (me["root"], me["csrf_token"], me["scopes"]) == (False, None, ["*:*"])
