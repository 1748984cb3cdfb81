"""Rounds of renewals on real stores, against the sandbox's token endpoint."""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from redis.asyncio import Redis

from gateway.core import db
from gateway.core import models as m
from gateway.core.names import tenant_prefix
from gateway.core.redis import client
from gateway.core.sealing import Sealer
from gateway.core.services import accounts, tenants
from gateway.core.settings import Settings
from gateway.core.state import FOR_EVER
from gateway.jobs import renewals
from gateway.jobs.renewals import EARLY, Rounds
from gateway.local.sandbox import Rule, Running, running
from gateway.local.sandbox.oauth import MODEL
from gateway.upstream import Egress, Upstream
from gateway.upstream.renewal import Renewals


class Scene:
    def __init__(self, sessions: db.Sessions, redis: Redis, sandbox: Running, rounds: Rounds, tenant_id: str) -> None:
        self.sessions = sessions
        self.redis = redis
        self.sandbox = sandbox
        self.rounds = rounds
        self.tenant_id = tenant_id

    async def account(self, name: str, ends: float | None, **fields: Any) -> str:
        held: dict[str, Any] = {"access_token": f"at-{name}", "refresh_token": f"rt-{name}", "expires_at": ends}
        values = {
            "platform": "claude-official",
            "provider": "claude-official",
            "name": name,
            "options": {"token_url": self.sandbox.url + "/oauth/token"},
            **fields,
        }
        async with self.sessions.begin() as session:
            return (await accounts.create(session, SEALER, self.tenant_id, values, held)).id

    async def held(self, account_id: str) -> dict[str, str]:
        async with self.sessions() as session:
            row = await session.get_one(m.Account, account_id)
        return {name: value.reveal() for name, value in SEALER.open_renewed(row.renewed, row.id).items()}

    async def state(self, account_id: str) -> dict[str, Any] | None:
        text = await self.redis.hget(tenant_prefix(self.tenant_id) + "state", f"{account_id}|account")
        return msgspec.json.decode(text) if text else None

    def asked(self) -> int:
        return len(self.sandbox.requests())


SEALER = Sealer((bytes(32),))


@asynccontextmanager
async def scene(database_url: str, redis_url: str) -> AsyncGenerator[Scene]:
    async with (
        running() as sandbox,
        db.engine(database_url, size=2) as engine,
        client(redis_url) as redis,
        Upstream(Egress(["127.0.0.0/8"])) as upstream,
    ):
        sessions = db.sessions(engine)
        async with Renewals(sessions, SEALER, redis, upstream) as lent:
            async with sessions.begin() as session:
                tenant = await tenants.create(session, {"name": f"t{time.time_ns()}"})
            yield Scene(sessions, redis, sandbox, Rounds(sessions, SEALER, redis, lent), tenant.id)


async def test_what_ends_soon_is_renewed_and_the_rest_is_left(database_url: str, redis_url: str) -> None:
    async with scene(database_url, redis_url) as it:
        now = time.time()
        soon = await it.account("soon", now + EARLY - 5)
        past = await it.account("past", now - 100)
        later = await it.account("later", now + EARLY + 60)
        unsaid = await it.account("unsaid", None)
        off = await it.account("off", now, enabled=False)
        assert await it.rounds.go() == 2
        for account_id in (soon, past):
            assert (await it.held(account_id))["refresh_token"].startswith("rt-")
        for account_id in (later, unsaid, off):
            assert await it.held(account_id) == {}
        assert it.asked() == 2
        # The next round sees what this one has stored.
        assert await it.rounds.go() == 0
        assert it.asked() == 2


async def test_a_revoked_authorisation_is_marked_once(database_url: str, redis_url: str) -> None:
    async with scene(database_url, redis_url) as it:
        account_id = await it.account("revoked", time.time())
        assert await it.rounds.go() == 0
        state = await it.state(account_id)
        assert state is not None
        assert (state["reason"], state["until"]) == ("re-authorise", FOR_EVER)
        history = await it.redis.zrange(f"{tenant_prefix(it.tenant_id)}h:{account_id}:account", 0, -1)
        assert [msgspec.json.decode(one)["state"]["reason"] for one in history] == ["re-authorise"]
        it.rounds._failed.clear()  # its pause is over
        assert await it.rounds.go() == 0
        assert it.asked() == 1


async def test_trouble_is_tried_again_after_a_pause_that_grows(database_url: str, redis_url: str) -> None:
    async with scene(database_url, redis_url) as it:
        account_id = await it.account("trouble", time.time() + 20)
        it.sandbox.rules([Rule(script="error-500", match=MODEL)])
        pauses: list[float] = []
        for _ in range(6):
            assert await it.rounds.go() == 0
            assert await it.rounds.go() == 0  # within the pause
            before, pause = it.rounds._failed[account_id]
            pauses.append(pause)
            it.rounds._failed[account_id] = (before - pause - 1, pause)
        assert pauses == [30, 60, 120, 240, 300, 300]
        assert it.asked() == 6
        assert await it.state(account_id) is None
        it.sandbox.rules([])
        assert await it.rounds.go() == 1
        assert account_id not in it.rounds._failed


async def test_more_than_at_once(database_url: str, redis_url: str) -> None:
    async with scene(database_url, redis_url) as it:
        made = [await it.account(f"many-{number}", time.time()) for number in range(12)]
        assert await it.rounds.go() == 12
        got = {(await it.held(account_id))["access_token"] for account_id in made}
        assert len(got) == 12


async def test_it_keeps_on_by_itself(database_url: str, redis_url: str) -> None:
    """The first round comes at once."""
    async with scene(database_url, redis_url) as it:
        account_id = await it.account("kept", time.time())
        settings = Settings.from_environ(
            {
                "POOLGATE_DATABASE_URL": database_url,
                "POOLGATE_REDIS_URL": redis_url,
                "POOLGATE_MASTER_KEYS": base64.b64encode(bytes(32)).decode(),
                "POOLGATE_KEY_PEPPERS": base64.b64encode(bytes(32)).decode(),
                "POOLGATE_EGRESS_ALLOW": "127.0.0.0/8",
            }
        )
        task = asyncio.get_running_loop().create_task(renewals.keep(settings, it.sessions, SEALER, it.redis))
        try:
            async with asyncio.timeout(8):
                while not await it.held(account_id):
                    await asyncio.sleep(0.02)
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
