"""A poolgate of real processes: its own PostgreSQL and Redis, gateways, jobs and a sandbox, each killed and started
again by its own handle.

    async with works(gateways=2) as plant:
        key = await plant.site.key()
        await plant.site.account("claude-console")
        plant.gateways[0].kill()

Accounts and keys are made through the services; a gateway that runs sees them within two seconds.
"""

import asyncio
import base64
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import redis

from gateway.core import db
from gateway.core.migrate import upgrade
from gateway.core.settings import Settings
from gateway.jobs.leader import connect
from gateway.local.listening import Port, free_port
from gateway.local.postgres import postgres
from gateway.local.redis import redis as redis_server
from gateway.local.servers import Server
from gateway.local.supervisor import Program, stopping
from tests.support.installation import Site
from tests.support.servers import home_directory

PYTHON = (sys.executable, "-P", "-m")
LEASE = 3.0


class Process(Program):
    """One process of poolgate. Its log is `log`."""

    url = ""

    def kill(self) -> None:
        """SIGKILL, and it is gone when this returns."""
        self.send(signal.SIGKILL)
        assert self.ended_by(time.monotonic() + 10)

    def end(self, seconds: float = 10) -> float:
        """SIGTERM; returns how long it took. Fails when it took longer than `seconds`."""
        began = time.monotonic()
        self.send(signal.SIGTERM)
        assert self.ended_by(began + seconds), f"{self.title} did not end"
        return time.monotonic() - began


class Plant:
    def __init__(self, home: Path, environ: Mapping[str, str], postgres: Server, redis: Server) -> None:
        self.home = home
        self.environ = dict(environ)
        self.postgres = postgres
        self.redis = redis
        self.site: Site
        self.gateways: list[Process] = []
        self.jobs: Process
        self.sandbox: Process

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    def crash(self, server: Server) -> None:
        """SIGKILL for a server, and no new start."""
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        server.stop()

    async def query(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        connection = await connect(self.environ["POOLGATE_DATABASE_URL"])
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close(timeout=2)

    def redis_client(self) -> "redis.Redis[str]":
        return redis.Redis.from_url(self.environ["POOLGATE_REDIS_URL"], decode_responses=True)

    async def bill(self) -> list[dict[str, Any]]:
        async with httpx.AsyncClient() as http:
            return (await http.get(f"{self.sandbox.url}/_bill")).json()["requests"]

    def unsettled(self) -> int:
        """Requests that hold a lease, and rows that are in a stream."""
        with self.redis_client() as client:
            pipeline = client.pipeline(transaction=False)
            for tag in range(16):
                pipeline.zcard(f"{{pg:{tag:02d}}}:l").xlen(f"{{pg:{tag:02d}}}:u")
            return sum(pipeline.execute())

    def held(self) -> int:
        """Slots and concurrency leases."""
        with self.redis_client() as client:
            names = [*client.scan_iter("{pg:*}:s:*"), *client.scan_iter("{pg:*}:c:*")]
            now = int(client.time()[0]) * 1000
            return sum(client.zcount(name, now, "+inf") for name in names)

    async def answers(self, gateway: Process, seconds: float = 60) -> None:
        async with httpx.AsyncClient() as http:
            await until(lambda: _answers(http, gateway.url), seconds)


async def _answers(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(f"{url}/health", timeout=2)).status_code == 200
    except httpx.HTTPError:
        return False


async def until(true: Callable[[], Any], seconds: float = 10, what: str = "") -> None:
    """Waits until it is; it may be a coroutine function. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = true()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        assert time.monotonic() < deadline, what or "it did not happen"
        await asyncio.sleep(0.05)


class _Place:
    """Where the sandbox is (tests.support.installation.Site asks for its address only)."""

    def __init__(self, url: str) -> None:
        self.url = url


@asynccontextmanager
async def works(*, gateways: int = 1, jobs: bool = True, lease: float = LEASE, **changed: str) -> AsyncGenerator[Plant]:
    """All of it, running. Redis keeps nothing over a restart. `lease`: seconds of a request's lease."""
    async with AsyncExitStack() as stack:
        home = stack.enter_context(home_directory())
        database = stack.enter_context(postgres(home, durable=False))
        cache = stack.enter_context(redis_server(home, durable=False))
        secret = base64.b64encode(os.urandom(32)).decode()
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("POOLGATE_")},
            "POOLGATE_DATABASE_URL": database.url,
            "POOLGATE_REDIS_URL": cache.url,
            "POOLGATE_HOME": str(home),
            "POOLGATE_GATEWAY_PORT": "0",
            "POOLGATE_ADMIN_PORT": "0",
            "POOLGATE_WORKERS": str(gateways),
            "POOLGATE_MASTER_KEYS": secret,
            "POOLGATE_KEY_PEPPERS": secret,
            "POOLGATE_EGRESS_ALLOW": "127.0.0.1/32",
            "POOLGATE_DRAIN_GRACE": "0",
            "POOLGATE_DRAIN_TIMEOUT": "2",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **changed,
        }
        plant = Plant(home, environ, database, cache)
        settings = Settings.from_environ(environ)
        await upgrade(settings.database_url)
        engine = await stack.enter_async_context(db.engine(settings.database_url, size=1))
        port = free_port("127.0.0.1", 0, "a free port")
        plant.sandbox = _process(plant, "sandbox", (*PYTHON, "gateway.cli", "sandbox", "--port", str(port)))
        plant.sandbox.url = f"http://127.0.0.1:{port}"
        plant.site = Site(settings, db.sessions(engine), _Place(plant.sandbox.url), stack)  # type: ignore[arg-type]
        plant.jobs = _process(plant, "jobs", (*PYTHON, "gateway.cli", "jobs"))
        for number in range(gateways):
            plant.gateways.append(_gateway(plant, number + 1, lease, stack))
        stack.enter_context(stopping([*plant.gateways, plant.jobs, plant.sandbox], 3))
        for process in (plant.sandbox, *([plant.jobs] if jobs else []), *plant.gateways):
            process.start()
        for gateway in plant.gateways:
            await plant.answers(gateway)
        if jobs:
            with plant.redis_client() as client:
                await until(lambda: client.exists("{pg:15}:epoch"), 20, "the jobs did not start")
        yield plant


def _process(plant: Plant, title: str, command: tuple[str, ...], port: Port | None = None) -> Process:
    return Process(title, command, plant.environ, plant.logs / f"{title}.log", port=port)


def _gateway(plant: Plant, number: int, lease: float, stack: AsyncExitStack) -> Process:
    """It inherits its listening socket, as under `poolgate up`: clients wait in it while the process starts again."""
    port = Port("127.0.0.1", 0, 1, "a free port")
    stack.callback(port.close)
    command = (*PYTHON, "tests.support.gateway_process", str(lease))
    made = _process(plant, f"gateway-{number}", command, port)
    made.url = f"http://127.0.0.1:{port.number}"
    return made
