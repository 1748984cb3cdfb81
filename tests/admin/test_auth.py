"""Who is let in: by a token, by the bootstrap token for its time, by a cookie with its CSRF token."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from msgspec import structs
from sqlalchemy import update

from admin.bootstrap import bootstrap
from admin.resources import open_resources
from gateway.core import models as m
from gateway.core.settings import Settings
from tests.admin.conftest import BOOTSTRAP, Api, Browser, make_settings, serving


@pytest.fixture
def new_settings(new_database: Callable[[], str], redis_server: str) -> Settings:
    """Of an installation of the test's own."""
    return make_settings(new_database(), redis_server)


async def test_without_credentials_the_way_to_have_them_is_said(url: str):
    async with httpx.AsyncClient(base_url=f"{url}/admin/v1", trust_env=False) as client:
        for headers in ({}, {"authorization": "Basic eDp5"}, {"authorization": "Bearer"}, {"cookie": "pg_session=x"}):
            answer = await client.get("/me", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
            assert "bearer" in answer.headers["www-authenticate"].lower()
        twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")]
        assert (await client.get("/me", headers=twice)).status_code == 401


async def test_the_bootstrap_token_works_until_a_user_has_set_a_password(new_settings: Settings):
    made = await bootstrap(new_settings)
    assert made is not None
    async with serving(new_settings) as url, Api(url, BOOTSTRAP) as root, Api(url, BOOTSTRAP[:-1] + "x") as wrong:
        me = await root("GET /me")
        assert (me["actor"], me["root"]) == ("bootstrap", True)
        await wrong("GET /me", expect=401)
        token = await root("POST /tokens", {"name": "ci", "scopes": ["*:*"]}, expect=201)
        await root("POST /users", {"email": "x@example.com", "password": "given by root"}, expect=201)
        await root("GET /keys")
        async with Api(url) as browser:
            login = await browser("POST /session", {"email": made[0], "password": made[1]})
            browser.http.headers["x-csrf-token"] = login["csrf_token"]
            await browser("POST /me/password", {"current": made[1], "new": "a password of the tests"})
        await root("GET /keys", expect=401)
        async with Api(url, token["secret"]) as by_token:
            await by_token("GET /keys")


async def test_a_log_in_with_a_password_that_was_given_ends_the_bootstrap_token(new_settings: Settings):
    """With a one-time password it is not the end: who has it could not do anything yet."""
    made = await bootstrap(new_settings)
    assert made is not None
    async with serving(new_settings) as url, Api(url, BOOTSTRAP) as root, Api(url) as browser:
        given = {"email": "given@example.com", "password": "given by root"}
        await root("POST /users", given, expect=201)
        await browser("POST /session", {"email": made[0], "password": made[1]})
        await root("GET /keys")
        await browser("POST /session", given)
        await root("GET /keys", expect=401)


async def test_the_bootstrap_token_acts_for_nobodys_password(new_settings: Settings):
    await bootstrap(new_settings)
    async with serving(new_settings) as url, Api(url, BOOTSTRAP) as root:
        await root("POST /me/password", {"current": "whatever", "new": "a password of the tests"}, expect=403)
        for act in ("POST /me/totp", "POST /me/totp/confirm", "DELETE /me/totp"):
            await root(act, None if act == "POST /me/totp" else {"code": "000000"}, expect=403)


async def test_the_bootstrap_token_works_for_a_day(new_settings: Settings):
    async with serving(new_settings) as url, open_resources(new_settings) as resources, Api(url, BOOTSTRAP) as root:
        await root("POST /users", {"email": "first@example.com"}, expect=201)
        for age, status in ((timedelta(hours=23), 200), (timedelta(hours=25), 401)):
            async with resources.database.begin() as session:
                await session.execute(update(m.User).values(created_at=datetime.now(UTC) - age))
            await root("GET /keys", expect=status)


async def test_without_the_setting_there_is_no_bootstrap_token(new_settings: Settings):
    async with serving(structs.replace(new_settings, bootstrap_token=None)) as url, Api(url) as api:
        for token in ("x", "None", BOOTSTRAP):
            answer = await api.http.get("/me", headers={"authorization": f"Bearer {token}"})
            assert answer.status_code == 401


async def test_whoever_is_let_in_is_told_the_methods_of_a_path(root: Api, browser: Browser):
    await browser.user("options@example.com")
    await browser.enter("options@example.com")
    del browser.http.headers["x-csrf-token"]
    for api in (root.http, browser.http):
        answer = await api.options("/keys")
        assert (answer.status_code, answer.headers["allow"]) == (204, "GET, OPTIONS, POST")


async def test_changes_by_cookie_need_the_csrf_token(browser: Browser):
    await browser.user("csrf@example.com", root=True)
    await browser.enter("csrf@example.com")
    csrf = browser.http.headers.pop("x-csrf-token")
    wrong: tuple[dict[str, Any], ...] = ({}, {"x-csrf-token": "wrong"}, {"x-csrf-token": b"\xff"})
    for headers in wrong:
        answer = await browser.http.post("/tenants", json={"name": "csrf"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
        assert (await browser.http.delete("/session", headers=headers)).status_code == 403
    assert (await browser.http.get("/me")).status_code == 200, "reading needs none"
    browser.http.headers["x-csrf-token"] = csrf
    assert (await browser.http.post("/tenants", json={"name": "csrf"})).status_code == 201
    assert (await browser.http.delete("/session")).status_code == 204
    assert (await browser.http.get("/me")).status_code == 401


async def test_a_token_stands_before_the_cookie(browser: Browser):
    """A wrong one is not made good by a cookie."""
    await browser.user("both@example.com")
    await browser.enter("both@example.com")
    answer = await browser.http.get("/me", headers={"authorization": "Bearer pgadm_wrong"})
    assert answer.status_code == 401


async def test_a_disabled_or_deleted_user_is_out_at_once(root: Api, browser: Browser):
    user_id = await browser.user("out@example.com")
    await browser.enter("out@example.com")
    for enabled, status in ((True, 200), (False, 401), (True, 200)):
        await root(f"PATCH /users/{user_id}", {"enabled": enabled})
        assert (await browser.http.get("/me")).status_code == status
    await root(f"DELETE /users/{user_id}", expect=204)
    assert (await browser.http.get("/me")).status_code == 401
