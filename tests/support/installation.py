"""A whole poolgate in the test's own loop: gateways on real sockets, the jobs, the sandbox upstream, real stores.

    async with installation(database_url, redis_url) as site:
        key = await site.key(limits=[…])
        await site.account("claude-console", name="a")
        answer = await site.http.post("/v1/messages", headers={"x-api-key": key}, json={…})
        row = await site.row(answer.headers["x-request-id"])

Keys and accounts go through the services that the admin API uses, and hold at once: the gateways are told directly.
"""

import asyncio
import base64
import os
import socket
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from sqlalchemy import select

from gateway.app import create_app
from gateway.core import db
from gateway.core import models as m
from gateway.core.sealing import Sealer
from gateway.core.services import accounts, keys
from gateway.core.settings import Settings
from gateway.jobs.main import keep_leading
from gateway.local.sandbox import Running, running
from gateway.relay import background
from gateway.relay.gate import Gate
from gateway.web.connection import ClientConnection
from gateway.web.server import Server

#: What a sandbox account of each platform has for an address, below the sandbox's own.
BASES = {
    "claude-official": "",
    "claude-console": "",
    "claude-ccr": "",
    "openai": "",
    "openai-responses": "/v1",
    "gemini": "",
}
#: Of platforms whose answers have a form of their own: for tests that ask for them.
FORMS = {"ollama": "/ollama"}


class Gateway:
    """One gateway process's worth, in this loop."""

    def __init__(self, server: Server, url: str) -> None:
        self.server = server
        self.url = url

    @property
    def gate(self) -> Gate:
        assert self.server.gate is not None
        return self.server.gate


class Site:
    def __init__(self, settings: Settings, sessions: db.Sessions, sandbox: Running, stack: AsyncExitStack) -> None:
        self.settings = settings
        self.sessions = sessions
        self.sandbox = sandbox
        self.gateways: list[Gateway] = []
        self.http: httpx.AsyncClient
        self._stack = stack
        self._jobs: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return self.gateways[0].url

    @property
    def gate(self) -> Gate:
        return self.gateways[0].gate

    async def start_gateway(self, **changed: str) -> Gateway:
        settings = Settings.from_environ({**environ_of(self.settings), **changed}) if changed else self.settings
        gateway = await self._stack.enter_async_context(serving(settings))
        self.gateways.append(gateway)
        return gateway

    async def start_jobs(self) -> None:
        self._jobs = asyncio.get_running_loop().create_task(keep_leading(self.settings))
        self._stack.push_async_callback(self.stop_jobs)
        server: Any = await self.gate.redis.info("server")
        for tag in range(16):
            await self.gate.redis.set(f"{{pg:{tag:02d}}}:epoch", f"{server['run_id']}:{os.urandom(8).hex()}", nx=True)

    async def stop_jobs(self) -> None:
        if self._jobs is not None:
            self._jobs.cancel()
            await asyncio.gather(self._jobs, return_exceptions=True)
            self._jobs = None

    async def tenant(self, name: str = "default") -> str:
        async with self.sessions() as session:
            return (await session.execute(select(m.Tenant.id).where(m.Tenant.name == name))).scalar_one()

    async def key(self, **fields: Any) -> str:
        """A new key's secret. `platforms` and `models` are everything unless given."""
        return (await self.new_key(**fields))[1]

    async def new_key(self, **fields: Any) -> tuple[str, str]:
        """(id, secret)."""
        values = {"name": "test", "platforms": ["*"], "models": ["*"], **fields}
        tenant = values.pop("tenant_id", None) or await self.tenant()
        async with self.sessions.begin() as session:
            key, secret = await keys.issue(session, self.settings.peppers, tenant, values)
        await self.reload()
        return key.id, secret.reveal()

    async def account(self, platform: str, *, secret: str = "sk-upstream-0001", **fields: Any) -> str:
        """A new account at the sandbox; returns its id."""
        values = {
            "platform": platform,
            "name": f"{platform} {os.urandom(4).hex()}",
            "base_url": self.sandbox.url + (BASES | FORMS).get(platform, ""),
            "models": ["*"],
            **fields,
        }
        values.setdefault("provider", platform)
        credentials = values.pop("credentials", {"api_key": secret})
        tenant = values.pop("tenant_id", None) or await self.tenant()
        async with self.sessions.begin() as session:
            account = await accounts.create(
                session, Sealer(self.settings.master_key_bytes), tenant, values, credentials
            )
        await self.reload()
        return account.id

    async def reload(self) -> None:
        """The gateways read the configuration now, instead of within a second."""
        for gateway in self.gateways:
            await background.follow(gateway.gate)

    async def row(self, request_id: str, seconds: float = 5) -> m.Request:
        """The ledger's row, which the jobs commit within a moment of the end."""
        async with asyncio.timeout(seconds):
            while True:
                async with self.sessions() as session:
                    found = (
                        await session.execute(select(m.Request).where(m.Request.request_id == request_id))
                    ).scalar_one_or_none()
                if found is not None and found.ending != "gateway_lost":
                    return found
                await asyncio.sleep(0.05)

    async def settled(self, seconds: float = 5) -> None:
        """Until every gateway's journal is committed and no request runs."""
        async with asyncio.timeout(seconds):
            while any(one.gate.exchanges or one.gate.journal.waiting for one in self.gateways):
                await asyncio.sleep(0.05)


def environ_of(settings: Settings) -> dict[str, str]:
    return {
        "POOLGATE_DATABASE_URL": settings.database_url,
        "POOLGATE_REDIS_URL": settings.redis_url,
        "POOLGATE_HOME": str(settings.home),
        "POOLGATE_GATEWAY_PORT": "0",
        "POOLGATE_ADMIN_PORT": "0",
        "POOLGATE_WORKERS": "1",
        "POOLGATE_MASTER_KEYS": ",".join(key.reveal() for key in settings.master_keys),
        "POOLGATE_KEY_PEPPERS": ",".join(key.reveal() for key in settings.key_peppers),
        "POOLGATE_EGRESS_ALLOW": ",".join(settings.egress_allow),
        "POOLGATE_DRAIN_GRACE": "0",
        "POOLGATE_DRAIN_TIMEOUT": "2",
    }


@asynccontextmanager
async def serving(settings: Settings) -> AsyncGenerator[Gateway]:
    """One gateway on a free port, until the context ends; it goes down as on SIGTERM."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # As a supervisor gives it to each of several workers.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(("127.0.0.1", 0))
    app = create_app(settings)
    config = uvicorn.Config(
        app, http=ClientConnection, ws="none", access_log=False, proxy_headers=False, server_header=False,
        date_header=False, log_config=None, lifespan="on", timeout_keep_alive=75,
    )  # fmt: skip
    server = Server(config, settings, app)
    # Not `serve`, which takes over the signals of the test's process.
    task = asyncio.get_running_loop().create_task(server._serve([listening]))
    try:
        async with asyncio.timeout(20):
            while not server.started:
                if task.done():
                    task.result()
                    raise RuntimeError("the gateway did not start")
                await asyncio.sleep(0.01)
        yield Gateway(server, f"http://127.0.0.1:{listening.getsockname()[1]}")
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def installation(
    database_url: str, redis_url: str, *, jobs: bool = True, environ: Mapping[str, str] | None = None
) -> AsyncGenerator[Site]:
    """One gateway (more by `start_gateway`), the jobs unless told otherwise, and a sandbox. `site.http` talks to the
    first gateway."""
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pg-site-")))
        sandbox = await stack.enter_async_context(running())
        secret = base64.b64encode(os.urandom(32)).decode()
        settings = Settings.from_environ(
            {
                "POOLGATE_DATABASE_URL": database_url,
                "POOLGATE_REDIS_URL": redis_url,
                "POOLGATE_HOME": str(home),
                "POOLGATE_GATEWAY_PORT": "0",
                "POOLGATE_ADMIN_PORT": "0",
                "POOLGATE_WORKERS": "1",
                "POOLGATE_MASTER_KEYS": secret,
                "POOLGATE_KEY_PEPPERS": secret,
                "POOLGATE_EGRESS_ALLOW": "127.0.0.1/32",
                "POOLGATE_DRAIN_GRACE": "0",
                "POOLGATE_DRAIN_TIMEOUT": "2",
                **(environ or {}),
            }
        )
        engine = await stack.enter_async_context(db.engine(database_url, size=2))
        site = Site(settings, db.sessions(engine), sandbox, stack)
        await site.start_gateway()
        site.http = await stack.enter_async_context(httpx.AsyncClient(base_url=site.url, timeout=30))
        if jobs:
            await site.start_jobs()
        yield site


__all__ = ["BASES", "Gateway", "Site", "installation", "serving"]
