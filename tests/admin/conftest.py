"""A control plane on a real socket, in the test's own loop, with a real database and Redis behind it.

site          session   for all modules together: a module that needs one of its own overrides this fixture
north, south  module    tenants with a user of each role
browser       function  a client without a token: logs in
"""

import asyncio
import base64
import os
import secrets
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from msgspec import Struct

from admin.attempts import PER_ACCOUNT, Attempts
from admin.bootstrap import OWNER, bootstrap
from admin.problem import Problem
from admin.resources import Resources, open_resources
from admin.serve import config
from admin.sessions import COOKIE
from gateway.core.services import tokens, users
from gateway.core.settings import Settings
from tests.support.servers import Databases

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


class Server(uvicorn.Server):
    """Leaves the signals to pytest."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def serving(settings: Settings) -> AsyncGenerator[str]:
    """The URL of a running control plane."""
    server = Server(config(settings))
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


class Site(Struct, frozen=True, eq=False):
    """A control plane that runs, what is behind it, and its first user by a token of everything."""

    settings: Settings
    url: str
    resources: Resources
    root: Api


@asynccontextmanager
async def installed(settings: Settings) -> AsyncGenerator[Site]:
    """A site on a database without users."""
    assert await bootstrap(settings) is not None
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(settings))
        resources = await stack.enter_async_context(open_resources(settings))
        root = await stack.enter_async_context(Api(url, await token_of(resources, OWNER)))
        yield Site(settings, url, resources, root)


async def raw(url: str, *lines: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and content: for what clients would not send."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode() + body)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    head, _, content = answer.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    headers = dict(field.lower().split(": ", 1) for field in fields)
    return int(status.split()[1]), headers, content


@pytest.fixture(scope="session")
async def site(migrated: Databases, redis_server: str) -> AsyncIterator[Site]:
    """One for all: a module that counts or shows everything puts one of its own in its place."""
    with migrated.clone() as database_url:
        async with installed(make_settings(database_url, redis_server)) as made:
            yield made


@pytest.fixture(scope="module")
def settings(site: Site) -> Settings:
    return site.settings


@pytest.fixture(scope="module")
def url(site: Site) -> str:
    return site.url


@pytest.fixture(scope="module")
def resources(site: Site) -> Resources:
    return site.resources


@pytest.fixture(scope="module")
def root(site: Site) -> Api:
    return site.root


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
async def made_tenant(site: Site, name: str) -> AsyncGenerator[Tenant]:
    name = f"{name}-{secrets.token_hex(4)}"
    tenant = await site.root("POST /tenants", {"name": name}, expect=201)
    made: dict[str, Any] = {}
    apis: dict[str, Api] = {}
    async with AsyncExitStack() as stack:
        for role in ROLES:
            email = f"{role}@{name}.test"
            async with site.resources.database.begin() as session:
                roles = [users.Role(tenant["id"], role)]
                user = await users.create(session, {"email": email}, roles, "-", one_time=False)
            made[role] = await site.root(f"GET /users/{user.id}")
            apis[role] = await stack.enter_async_context(Api(site.url, await token_of(site.resources, email)))
        yield Tenant(tenant["id"], made, apis)


@pytest.fixture(scope="module")
async def north(site: Site) -> AsyncIterator[Tenant]:
    """The module's own, as `south` is: nothing of other modules is in them."""
    async with made_tenant(site, "north") as tenant:
        yield tenant


@pytest.fixture(scope="module")
async def south(site: Site) -> AsyncIterator[Tenant]:
    async with made_tenant(site, "south") as tenant:
        yield tenant


PASSWORD = "a password of the tests"


@pytest.fixture(scope="session")
async def password_hash(site: Site) -> str:
    """Of PASSWORD: made once, since it costs a tenth of a second."""
    return await site.resources.passwords.hash(PASSWORD)


class Browser:
    """A client with a cookie jar, and users who log in with PASSWORD."""

    def __init__(self, site: Site, http: httpx.AsyncClient, password_hash: str) -> None:
        self._site = site
        self._hash = password_hash
        self.http = http

    async def user(self, email: str, **more: Any) -> str:
        """A new user's id. What `more` says is as the table has it."""
        one_time = bool(more.pop("one_time", False))
        async with self._site.resources.database.begin() as session:
            return (await users.create(session, {"email": email, **more}, [], self._hash, one_time=one_time)).id

    async def log_in(self, email: str, password: str = PASSWORD, **more: Any) -> httpx.Response:
        return await self.http.post("/session", json={"email": email, "password": password, **more})

    async def enter(self, email: str) -> None:
        """Without the log-in: a session of the user's, its cookie and its CSRF token."""
        async with self._site.resources.database() as database:
            user = await users.by_email(database, email)
        assert user is not None and user.password_hash is not None
        cookie, session = await self._site.resources.sessions.open(user.id, user.password_hash)
        self.http.cookies.set(COOKIE, cookie)
        self.http.headers["x-csrf-token"] = session.csrf

    async def exhaust(self, email: str) -> None:
        """As many log-ins as an account may try."""
        attempts = Attempts(self._site.resources.redis)
        with suppress(Problem):
            for at in range(PER_ACCOUNT + 1):
                await attempts.admit(email, f"198.51.100.{at}")


@pytest.fixture
async def browser(site: Site, password_hash: str) -> AsyncIterator[Browser]:
    async with httpx.AsyncClient(base_url=f"{site.url}/admin/v1", trust_env=False) as client:
        yield Browser(site, client, password_hash)


@pytest.fixture
async def no_attempts_yet(site: Site) -> None:
    """Of log-ins."""
    async for name in site.resources.redis.scan_iter("pg:login:*"):
        await site.resources.redis.delete(name)
