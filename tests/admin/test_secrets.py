"""Canaries: after a day's work no secret is in any answer, in the logs, in the audit log or in the database."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from admin.resources import Resources
from tests.admin.conftest import Api, Site, installed, make_settings

CANARIES = {
    "api_key": "sk-ant-canary-aaaaaaaaaaaaaaaa",
    "access_token": "oauth-canary-bbbbbbbbbbbbbbbb",
    "refresh_token": "oauth-canary-cccccccccccccccc",
}
PASSWORD = "password-canary-dddddddd"


@pytest.fixture(scope="module")
async def site(database_url: str, redis_server: str) -> AsyncIterator[Site]:
    """The module's own: everything in it is shown."""
    async with installed(make_settings(database_url, redis_server)) as made:
        yield made


async def work(root: Api, url: str) -> set[str]:
    """Everything that takes or gives a secret; returns those that were given once."""
    given: set[str] = set()
    key = await root("POST /keys", {"platforms": ["*"], "models": ["*"]}, expect=201)
    rotated = await root(f"POST /keys/{key['id']}/rotate", {"overlap_seconds": 5})
    token = await root("POST /tokens", {"name": "t", "scopes": ["*:*"]}, expect=201)
    user = await root("POST /users", {"email": "canary@x.test"}, expect=201)
    given |= {key["secret"], rotated["secret"], token["secret"], user["password"]}
    reset = await root(f"PATCH /users/{user['id']}", {"password": None})
    given.add(reset["password"])
    await root(f"PATCH /users/{user['id']}", {"password": PASSWORD})
    body = {"name": "canary", "platform": "claude-official", "credentials": {"api_key": CANARIES["api_key"]}}
    account = await root("POST /accounts", body, expect=201)
    await root("POST /accounts", body, expect=409)
    await root(f"POST /accounts/{account['id']}/test")
    await root(f"PATCH /accounts/{account['id']}", {"notes": "changed"})
    oauth = {name: CANARIES[name] for name in ("access_token", "refresh_token")}
    await root.http.patch(f"/accounts/{account['id']}", json={"credentials": oauth})
    await root.http.patch(f"/accounts/{account['id']}", json={"credentials": {**oauth, "expires_at": "soon"}})
    async with Api(url) as browser:
        await browser("POST /session", {"email": "canary@x.test", "password": PASSWORD + "!"}, expect=401)
        login = await browser("POST /session", {"email": "canary@x.test", "password": PASSWORD})
        given |= {login["csrf_token"], browser.http.cookies["pg_session"]}
        browser.http.headers["x-csrf-token"] = login["csrf_token"]
        started = await browser("POST /me/totp")
        given.add(started["secret"])
    return given


async def everything_shown(root: Api) -> str:
    shown: list[Any] = []
    for name in ("tenants", "users", "tokens", "keys", "accounts", "pools", "groups", "requests", "audit"):
        listed = await root(f"GET /{name}", limit=200)
        shown.append(listed)
        for row in listed["data"]:
            if name not in ("requests", "audit"):
                shown.append(await root(f"GET /{name}/{row['id']}"))
            if name == "accounts":
                shown.append(await root(f"GET /accounts/{row['id']}/state"))
            if name == "keys":
                shown.append(await root(f"GET /keys/{row['id']}/limits"))
    shown.append(await root("GET /usage"))
    shown.append(await root("GET /me"))
    return json.dumps(shown)


async def database_dump(resources: Resources) -> str:
    """Every row of every table as JSON; binary columns are hexadecimal there, so they are also searched as text."""
    rows: list[str] = []
    async with resources.database() as session:
        names = await session.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        for name in names.scalars().all():
            found = await session.execute(text(f'SELECT row_to_json(t)::text FROM "{name}" t'))
            rows += found.scalars().all()
    return "\n".join(rows)


async def test_no_secret_comes_back(
    root: Api, url: str, resources: Resources, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    given = await work(root, url)
    shown = await everything_shown(root)
    dumped = await database_dump(resources)
    printed = capfd.readouterr()
    places = {"answers": shown, "database": dumped, "output": printed.out + printed.err, "logs": caplog.text}
    assert "canary@x.test" in shown and "canary@x.test" in dumped, "the search would find something"
    for secret in {*CANARIES.values(), PASSWORD, *given}:
        for where, content in places.items():
            assert secret not in content, f"{secret[:12]}… is in the {where}"
            assert secret.encode().hex() not in content, f"{secret[:12]}… is in the {where}, in hexadecimal"
