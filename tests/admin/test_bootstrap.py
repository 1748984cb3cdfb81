"""The first user, and the token that stands in until a user has set a password."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs
from sqlalchemy import select, update

from admin.bootstrap import bootstrap
from admin.resources import open_resources
from gateway.core import models as m
from gateway.core.settings import Settings
from tests.admin.conftest import BOOTSTRAP, Api, make_settings, serving


@pytest.fixture
def settings(new_database: Callable[[], str], redis_url: str) -> Settings:
    """Of an installation of the test's own."""
    return make_settings(new_database(), redis_url)


async def test_the_first_user_is_made_once(settings: Settings):
    made = await asyncio.gather(bootstrap(settings), bootstrap(settings))
    printed = [one for one in made if one is not None]
    assert len(printed) == 1
    email, password = printed[0]
    assert (email, len(password) >= 20) == ("owner@localhost", True)
    assert await bootstrap(settings) is None
    async with open_resources(settings) as resources, resources.database() as session:
        user = (await session.execute(select(m.User))).scalar_one()
        assert (user.root, user.one_time) == (True, True)
        assert user.password_hash is not None and user.password_hash.startswith("$argon2id$v=19$m=65536,t=3,")
        assert password not in user.password_hash


async def test_the_token_works_until_a_user_has_set_a_password(settings: Settings):
    made = await bootstrap(settings)
    assert made is not None
    change = {"current": made[1], "new": "a password of the tests"}
    async with serving(settings) as url, Api(url, BOOTSTRAP) as root, Api(url, BOOTSTRAP[:-1] + "x") as wrong:
        me = await root("GET /me")
        assert (me["actor"], me["root"]) == ("bootstrap", True)
        await wrong("GET /me", expect=401)
        await root("POST /me/password", change, expect=403)
        await root("POST /me/totp", expect=403)
        token = await root("POST /tokens", {"name": "ci", "scopes": ["*:*"]}, expect=201)
        await root("POST /users", {"email": "x@example.com", "password": "given by root"}, expect=201)
        await root("GET /keys")
        async with Api(url) as browser:
            login = await browser("POST /session", {"email": made[0], "password": made[1]})
            browser.http.headers["x-csrf-token"] = login["csrf_token"]
            await browser("POST /me/password", change)
        await root("GET /keys", expect=401)
        async with Api(url, token["secret"]) as by_token:
            await by_token("GET /keys")


async def test_the_token_works_for_a_day(settings: Settings):
    await bootstrap(settings)
    async with serving(settings) as url, open_resources(settings) as resources, Api(url, BOOTSTRAP) as root:
        for age, status in ((timedelta(hours=23), 200), (timedelta(hours=25), 401)):
            async with resources.database.begin() as session:
                await session.execute(update(m.User).values(created_at=datetime.now(UTC) - age))
            await root("GET /keys", expect=status)


async def test_without_the_setting_there_is_no_such_token(settings: Settings):
    async with serving(structs.replace(settings, bootstrap_token=None)) as url, Api(url) as api:
        for token in ("x", "None", BOOTSTRAP):
            answer = await api.http.get("/me", headers={"authorization": f"Bearer {token}"})
            assert answer.status_code == 401
