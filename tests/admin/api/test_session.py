"""Logging in and out by cookie."""

import httpx
import pytest

from admin.api.session import LOGIN_LIMIT
from admin.sessions import COOKIE, LIFETIME
from tests.admin.conftest import PASSWORD, Api, Browser, Tenant

pytestmark = pytest.mark.usefixtures("no_attempts_yet")


async def test_a_log_in_gives_a_cookie_that_scripts_and_other_sites_do_not_get(root: Api, browser: Browser):
    user_id = await browser.user("Cookie@Example.com")
    answer = await browser.log_in("cookie@example.COM")
    assert answer.status_code == 200
    assert answer.json()["user"]["id"] == user_id and answer.json()["must_change_password"] is False
    cookie = answer.headers["set-cookie"].lower()
    for part in (COOKIE, "httponly", "samesite=strict", "path=/", f"max-age={LIFETIME}"):
        assert part in cookie
    assert "secure" not in cookie and "domain" not in cookie
    me = (await browser.http.get("/me")).json()
    assert me["user"]["email"] == "cookie@example.com" and me["csrf_token"] == answer.json()["csrf_token"]
    assert me["user"]["last_login_at"] is not None
    assert (await root("GET /audit", target=user_id))["data"][0]["action"] == "session.create"


async def test_a_session_that_was_ended_stays_ended(root: Api, browser: Browser, url: str):
    user_id = await browser.user("replay@example.com")
    await browser.enter("replay@example.com")
    stolen = {"cookie": f"{COOKIE}={browser.http.cookies[COOKIE]}"}
    ended = await browser.http.delete("/session")
    assert ended.status_code == 204 and "max-age=0" in ended.headers["set-cookie"].lower()
    async with httpx.AsyncClient(base_url=f"{url}/admin/v1", trust_env=False, headers=stolen) as thief:
        assert (await thief.get("/me")).status_code == 401
    (noted,) = (await root("GET /audit", target=user_id))["data"]
    assert (noted["action"], noted["actor"], noted["address"]) == ("session.delete", user_id, "127.0.0.1")


async def test_a_token_has_no_session_to_end(north: Tenant, root: Api):
    await north.as_("viewer")("DELETE /session", expect=204)
    assert (await root("GET /audit", action="session.delete", target=north.users["viewer"]["id"]))["data"] == []


async def test_wrong_and_unknown_and_disabled_are_the_same_answer(browser: Browser):
    await browser.user("wrong@example.com")
    await browser.user("off@example.com", enabled=False)
    answers = [
        await browser.log_in("wrong@example.com", "not this one"),
        await browser.log_in("nobody@example.com", "not this one"),
        await browser.log_in("off@example.com"),
    ]
    assert {answer.status_code for answer in answers} == {401}
    bodies = [{**answer.json(), "request_id": ""} for answer in answers]
    assert bodies[0] == bodies[1] == bodies[2] and bodies[0]["code"] == "login_failed"


async def test_a_page_of_another_site_cannot_log_in(browser: Browser):
    await browser.user("cross@example.com")
    body = {"email": "cross@example.com", "password": PASSWORD}
    for site in ("cross-site", "same-site"):
        answer = await browser.http.post("/session", json=body, headers={"sec-fetch-site": site})
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    form = await browser.http.post("/session", content=b"{}", headers={"content-type": "text/plain"})
    assert form.status_code == 415


@pytest.mark.parametrize(
    ("more", "field"),
    [({"email": ""}, "email"), ({"password": ""}, "password"), ({"totp": "12345"}, "totp"), ({"remember": True}, None)],
)
async def test_what_cannot_be_is_refused_by_its_name(browser: Browser, more: dict[str, object], field: str | None):
    body = {"email": "a@example.com", "password": PASSWORD, **more}
    answer = await browser.http.post("/session", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field or "remember")


async def test_a_log_in_is_short(browser: Browser):
    content = b'{"email":"' + b"x" * LOGIN_LIMIT + b'"}'
    answer = await browser.http.post("/session", content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
