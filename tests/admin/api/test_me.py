"""What users see of themselves; their password, and their authenticator from its start to its end."""

import base64
from types import SimpleNamespace

import httpx
import pytest

import admin.totp as totp
from tests.admin.conftest import PASSWORD, Api, Browser, Tenant

pytestmark = pytest.mark.usefixtures("no_attempts_yet")
OTHER = "another password of the tests"


async def test_the_owner_of_a_tenant_is_told_nothing_but_their_own(north: Tenant):
    me = await north.as_("owner")("GET /me")
    assert me["user"]["id"] == north.users["owner"]["id"]
    assert me["roles"] == [{"tenant_id": north.id, "role": "owner"}]
    assert (me["root"], me["csrf_token"], me["scopes"]) == (False, None, ["*:*"])


async def test_a_one_time_password_opens_nothing_but_its_own_change(root: Api, browser: Browser):
    user_id = await browser.user("once@example.com", root=True, one_time=True)
    login = (await browser.log_in("once@example.com")).json()
    assert login["must_change_password"] is True
    browser.http.headers["x-csrf-token"] = login["csrf_token"]
    assert (await browser.http.get("/me")).json()["must_change_password"] is True
    for answer in (await browser.http.get("/keys"), await browser.http.post("/tenants", json={"name": "x"})):
        assert (answer.status_code, answer.json()["code"]) == (403, "password_change_required")
    for current, new, field in (("wrong", OTHER, "current"), (PASSWORD, "short", "new"), (PASSWORD, PASSWORD, "new")):
        refused = await browser.http.post("/me/password", json={"current": current, "new": new})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, field)
    changed = await browser.http.post("/me/password", json={"current": PASSWORD, "new": OTHER})
    assert (changed.status_code, changed.json()["must_change_password"]) == (200, False)
    assert (await browser.http.get("/keys")).status_code == 200
    assert (await root("GET /audit", target=user_id))["data"][0]["action"] == "me.password"


async def test_a_new_password_ends_the_other_sessions(browser: Browser, url: str):
    await browser.user("many@example.com")
    await browser.enter("many@example.com")
    older = browser.http.cookies
    async with httpx.AsyncClient(base_url=f"{url}/admin/v1", trust_env=False, cookies=older) as other:
        browser.http.cookies.clear()
        await browser.enter("many@example.com")
        assert (await other.get("/me")).status_code == 200
        change = {"current": PASSWORD, "new": OTHER}
        assert (await browser.http.post("/me/password", json=change)).status_code == 200
        assert (await other.get("/me")).status_code == 401
        assert (await browser.http.get("/me")).status_code == 200


async def test_a_password_cannot_be_guessed_from_inside(browser: Browser):
    await browser.user("inside@example.com")
    await browser.enter("inside@example.com")
    await browser.exhaust("inside@example.com")
    guess = await browser.http.post("/me/password", json={"current": "a guess", "new": OTHER})
    assert (guess.status_code, guess.json()["code"]) == (429, "too_many_attempts")
    assert (await browser.http.request("DELETE", "/me/totp", json={"code": "000000"})).status_code == 429


async def test_an_authenticator_from_its_start_to_its_end(root: Api, browser: Browser, monkeypatch: pytest.MonkeyPatch):
    clock = SimpleNamespace(time=lambda: 2_000_000_000.0)
    for module in ("me", "session"):
        monkeypatch.setattr(f"admin.api.{module}.time", clock)
    user_id = await browser.user("totp@example.com")
    await browser.enter("totp@example.com")
    started = (await browser.http.post("/me/totp")).json()
    secret = base64.b32decode(started["secret"] + "=" * (-len(started["secret"]) % 8))
    assert started["secret"] in started["uri"]
    now = int(clock.time()) // totp.STEP
    before, code = totp.code(secret, now - 1), totp.code(secret, now)
    assert (await browser.http.post("/me/totp/confirm", json={"code": "000000"})).status_code == 400
    assert (await browser.http.post("/me/totp/confirm", json={"code": before})).json()["totp"] is True
    assert (await browser.http.post("/me/totp")).status_code == 409

    without = await browser.log_in("totp@example.com")
    assert (without.status_code, without.json()["code"]) == (401, "totp_required")
    assert (await browser.log_in("totp@example.com", "wrong")).json()["code"] == "login_failed"
    assert (await browser.log_in("totp@example.com", totp=before)).status_code == 401, "a code counts once"
    logged_in = await browser.log_in("totp@example.com", totp=code)
    assert logged_in.status_code == 200
    assert started["secret"] not in (await browser.http.get("/me")).text

    browser.http.headers["x-csrf-token"] = logged_in.json()["csrf_token"]
    assert (await browser.http.request("DELETE", "/me/totp", json={"code": code})).status_code == 400
    removed = await browser.http.request("DELETE", "/me/totp", json={"code": totp.code(secret, now + 1)})
    assert (removed.status_code, removed.json()["totp"]) == (200, False)
    assert (await browser.log_in("totp@example.com")).status_code == 200
    actions = [row["action"] for row in (await root("GET /audit", target=user_id))["data"]]
    assert {"me.totp_added", "me.totp_removed"} <= set(actions)
