"""The app as a whole: whose its resources are, and what it refuses to read."""

from typing import cast

from admin.app import BODY_LIMIT, create_app
from admin.resources import Resources
from gateway.core.settings import Settings
from tests.admin.conftest import Api


async def test_resources_that_were_given_are_left_open(settings: Settings, resources: Resources):
    app = create_app(settings, resources)
    async with app.lifespan():
        assert app.state.resources is resources
    assert await resources.redis.ping()
    assert await resources.passwords.verify(None, "x") is False


async def test_its_own_resources_end_with_it(settings: Settings):
    app = create_app(settings)
    async with app.lifespan():
        own = cast("Resources", app.state.resources)
        assert await own.passwords.verify(None, "x") is False
    try:
        await own.passwords.hash("x")
    except RuntimeError as error:
        assert "shutdown" in str(error)
    else:
        raise AssertionError("the threads still work")


async def test_a_body_is_read_up_to_the_limit(root: Api):
    draft = b'{"platforms":["*"],"models":["*"],"name":"limit"}'
    headers = {"content-type": "application/json"}
    for length, status in ((BODY_LIMIT, 201), (BODY_LIMIT + 1, 413)):
        answer = await root.http.post("/keys", content=draft.ljust(length), headers=headers)
        assert answer.status_code == status


async def test_every_resource_is_there(root: Api):
    for name in ("tenants", "users", "teams", "tokens", "keys", "accounts", "pools", "groups", "requests", "audit"):
        listed = await root(f"GET /{name}", limit=1)
        assert set(listed) == {"data", "next_cursor", "has_more"}
        assert len(listed["data"]) <= 1 and listed["has_more"] == (listed["next_cursor"] is not None)
