"""A control plane on a real socket, in the test's own loop, with a real database and Redis behind it."""

import asyncio
import base64
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
import uvicorn

from admin.bootstrap import bootstrap
from admin.resources import Resources, open_resources
from admin.serve import config
from gateway.core.services import tokens, users
from gateway.core.settings import Settings

BOOTSTRAP = "bootstrap-token-of-the-tests-0123456789"


def make_settings(database_url: str, redis_url: str, **more: str) -> Settings:
    key = base64.b64encode(os.urandom(32)).decode()
    return Settings.from_environ(
        {
            "POOLGATE_DATABASE_URL": database_url,
            "POOLGATE_REDIS_URL": redis_url,
            "POOLGATE_MASTER_KEYS": key,
            "POOLGATE_KEY_PEPPERS": key,
            "POOLGATE_BOOTSTRAP_TOKEN": BOOTSTRAP,
            "POOLGATE_ADMIN_PORT": "0",
            "POOLGATE_EGRESS_ALLOW": "127.0.0.0/8",
            "POOLGATE_HOME": str(Path("/tmp/unused")),
            **more,
        }
    )


@asynccontextmanager
async def serving(settings: Settings) -> AsyncGenerator[str]:
    """The URL of a running control plane."""
    server = uvicorn.Server(config(settings))
    listening = socket.create_server(("127.0.0.1", 0))
    running = asyncio.ensure_future(server.serve(sockets=[listening]))
    try:
        while not server.started:
            assert not running.done(), "the control plane did not start"
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


class Api:
    """A client that says what it expected. `act` is a verb and a path below /admin/v1."""

    def __init__(self, url: str, token: str | None = None) -> None:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self.http = httpx.AsyncClient(base_url=f"{url}/admin/v1", headers=headers, trust_env=False, timeout=20)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def __call__(self, act: str, body: Any = None, *, expect: int = 200, **params: Any) -> Any:
        method, path = act.split()
        content = {} if body is None else {"json": body}
        answer = await self.http.request(method, path, params=params or None, **content)
        assert answer.status_code == expect, f"{act}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None


@pytest.fixture(scope="module")
def settings(database_url: str, redis_url: str) -> Settings:
    return make_settings(database_url, redis_url)


@pytest.fixture(scope="module")
async def owner(settings: Settings) -> tuple[str, str]:
    made = await bootstrap(settings)
    assert made is not None
    return made


@pytest.fixture(scope="module")
async def url(settings: Settings, owner: tuple[str, str]) -> AsyncIterator[str]:
    async with serving(settings) as running:
        yield running


@pytest.fixture(scope="module")
async def resources(settings: Settings) -> AsyncIterator[Resources]:
    async with open_resources(settings) as opened:
        yield opened


@pytest.fixture(scope="module")
async def root(url: str, resources: Resources) -> AsyncIterator[Api]:
    async with Api(url, await token_of(resources, "owner@localhost")) as api:
        yield api


class Tenant:
    """A tenant with a user of each role; `as_("viewer")` acts as one of them by a token of everything."""

    def __init__(self, identifier: str, users: Mapping[str, Mapping[str, Any]], apis: Mapping[str, Api]) -> None:
        self.id = identifier
        self.users = users
        self.apis = apis

    def as_(self, role: str) -> Api:
        return self.apis[role]


ROLES = ("owner", "operator", "viewer", "member")


async def token_of(resources: Resources, email: str) -> str:
    """A token of everything that the user may do."""
    async with resources.database.begin() as session:
        user = await users.by_email(session, email)
        assert user is not None
        values = {"name": "test", "scopes": ["*:*"], "expires_at": None}
        _, secret = await tokens.issue(session, resources.peppers, user.id, values)
    return secret.reveal()


@asynccontextmanager
async def made_tenant(root: Api, url: str, resources: Resources, name: str) -> AsyncGenerator[Tenant]:
    tenant = await root("POST /tenants", {"name": name}, expect=201)
    made: dict[str, Any] = {}
    apis: dict[str, Api] = {}
    for role in ROLES:
        email = f"{role}@{name}.test"
        async with resources.database.begin() as session:
            user = await users.create(session, {"email": email}, [users.Role(tenant["id"], role)], "-", one_time=False)
        made[role] = await root(f"GET /users/{user.id}")
        apis[role] = Api(url, await token_of(resources, email))
    yield Tenant(tenant["id"], made, apis)
    for api in apis.values():
        await api.http.aclose()


@pytest.fixture(scope="module")
async def north(root: Api, url: str, resources: Resources) -> AsyncIterator[Tenant]:
    async with made_tenant(root, url, resources, "north") as tenant:
        yield tenant


@pytest.fixture(scope="module")
async def south(root: Api, url: str, resources: Resources) -> AsyncIterator[Tenant]:
    async with made_tenant(root, url, resources, "south") as tenant:
        yield tenant
