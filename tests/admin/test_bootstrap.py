"""The first user is made once."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import select

from admin.bootstrap import bootstrap
from admin.resources import open_resources
from gateway.core import models as m
from gateway.core.settings import Settings
from tests.admin.conftest import make_settings


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
