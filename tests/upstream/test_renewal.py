"""Renewals on real stores: sharing, the lock between processes, and what happens when a store fails in between."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.core import db
from gateway.core import models as m
from gateway.core.domain import Account
from gateway.core.names import tenant_prefix
from gateway.core.redis import client
from gateway.core.sealing import Sealer
from gateway.core.secret import Secret
from gateway.core.services import accounts, configuration, tenants
from gateway.local.sandbox import Rule, Running, running
from gateway.local.sandbox.oauth import MODEL
from gateway.platforms import PLATFORMS
from gateway.platforms.platform import NotRenewed
from gateway.upstream import Egress, Upstream, renewal
from gateway.upstream.renewal import RefusedAgain, Renewals, due, renewable

SEALER = Sealer((bytes(32),))


class Scene:
    def __init__(self, stack: AsyncExitStack, sessions: db.Sessions, redis: Redis, sandbox: Running) -> None:
        self.stack = stack
        self.sessions = sessions
        self.redis = redis
        self.sandbox = sandbox
        self.changes = 0

    async def process(self, sessions: db.Sessions | None = None) -> Renewals:
        """What a process has of its own."""
        upstream = await self.stack.enter_async_context(Upstream(Egress(["127.0.0.0/8"])))
        made = Renewals(sessions or self.sessions, SEALER, self.redis, upstream, self._changed)
        return await self.stack.enter_async_context(made)

    async def _changed(self) -> None:
        self.changes += 1

    async def account(self, name: str, ends: float | None = 1.0) -> Account:
        held = {"access_token": f"at-{name}", "refresh_token": f"rt-{name}", "expires_at": ends}
        options = {"token_url": self.sandbox.url + "/oauth/token"}
        values = {"platform": "claude-official", "provider": "x", "name": name, "options": options}
        async with self.sessions.begin() as session:
            tenant = await tenants.create(session, {"name": f"t{time.time_ns()}"})
            row = await accounts.create(session, SEALER, tenant.id, values, held)
        return await self.read(row.id)

    async def read(self, account_id: str) -> Account:
        async with self.sessions() as session:
            return configuration.opened(await session.get_one(m.Account, account_id), SEALER, None, ())

    async def write(self, account: Account, held: Mapping[str, Any]) -> None:
        """As an operator does."""
        async with self.sessions.begin() as session:
            row = await session.get_one(m.Account, account.id)
            await accounts.change(session, SEALER, row, {}, held)

    def asked(self) -> int:
        return len(self.sandbox.requests())

    async def until_asked(self) -> None:
        async with asyncio.timeout(5):
            while not self.asked():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def scene(database_url: str, redis_url: str) -> AsyncGenerator[Scene]:
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(running())
        engine = await stack.enter_async_context(db.engine(database_url, size=3))
        redis = await stack.enter_async_context(client(redis_url))
        yield Scene(stack, db.sessions(engine), redis, sandbox)


def slow(it: Scene, script: str = "stall-300ms") -> None:
    it.sandbox.rules([Rule(script=script, match=MODEL)])


def token(account: Account) -> str:
    return account.credentials["access_token"].reveal()


async def test_all_of_a_process_share_one(database_url: str, redis_url: str) -> None:
    async with scene(database_url, redis_url) as it:
        renewals, account = await it.process(), await it.account("shared")
        slow(it)
        got = await asyncio.gather(*(renewals.fresh(account) for _ in range(20)))
        assert it.asked() == it.changes == 1
        assert {token(one) for one in got} == {token(await it.read(account.id))} != {"at-shared"}


async def test_processes_wait_for_each_other_and_read_what_was_got(database_url: str, redis_url: str) -> None:
    async with scene(database_url, redis_url) as it:
        processes = [await it.process() for _ in range(4)]
        account = await it.account("processes")
        slow(it)
        got = await asyncio.gather(*(one.fresh(account, refused=True) for one in processes))
        assert it.asked() == 1
        assert it.changes == 4
        assert len({token(one) for one in got}) == 1
        # Nobody holds the lock any longer.
        assert not await it.redis.keys(tenant_prefix(account.tenant_id) + "renew:*")


async def test_what_another_has_got_is_taken_without_asking(database_url: str, redis_url: str) -> None:
    async with scene(database_url, redis_url) as it:
        renewals, account = await it.process(), await it.account("another")
        first = await renewals.fresh(account)
        assert (
            token(await renewals.fresh(account)) == token(await renewals.fresh(account, refused=True)) == token(first)
        )
        assert it.asked() == 1


async def test_refusals_cannot_make_it_ask_again_and_again(database_url: str, redis_url: str) -> None:
    async with scene(database_url, redis_url) as it:
        renewals, account = await it.process(), await it.account("again")
        first = await renewals.fresh(account, refused=True)
        with pytest.raises(RefusedAgain):
            await renewals.fresh(first, refused=True)
        assert it.asked() == 1


async def test_how_long_before_the_end(database_url: str, redis_url: str) -> None:
    async with scene(database_url, redis_url) as it:
        renewals, account = await it.process(), await it.account("early", time.time() + 50)
        assert token(await renewals.fresh(account)) == "at-early"
        assert token(await renewals.fresh(account, within=60)) != "at-early"


async def test_a_failure_is_everybodys_and_the_next_may_try_again(database_url: str, redis_url: str) -> None:
    async with scene(database_url, redis_url) as it:
        renewals, account = await it.process(), await it.account("failing")
        it.sandbox.rules([Rule(script="error-400", match=MODEL, times=1)])
        got = await asyncio.gather(*(renewals.fresh(account) for _ in range(5)), return_exceptions=True)
        assert {type(one) for one in got} == {NotRenewed}
        assert {one.revoked for one in got if isinstance(one, NotRenewed)} == {True}
        assert token(await renewals.fresh(account)) != "at-failing"


async def test_what_an_operator_writes_meanwhile_stays(database_url: str, redis_url: str) -> None:
    async with scene(database_url, redis_url) as it:
        renewals, account = await it.process(), await it.account("operator")
        slow(it)
        asking = asyncio.get_running_loop().create_task(renewals.fresh(account))
        await it.until_asked()
        await it.write(account, {"access_token": "at-new", "refresh_token": "rt-new", "expires_at": None})
        assert token(await asking) == "at-new"
        assert (await it.read(account.id)).credentials["refresh_token"].reveal() == "rt-new"


async def test_a_row_that_cannot_be_written_is_tried_again(database_url: str, redis_url: str) -> None:
    """Somebody holds the row for longer than a statement may wait."""
    async with scene(database_url, redis_url) as it, db.engine(database_url, size=2, statement_timeout=0.2) as hasty:
        renewals, account = await it.process(db.sessions(hasty)), await it.account("held")
        async with it.sessions.begin() as session:
            await session.get_one(m.Account, account.id, with_for_update=True)
            asking = asyncio.get_running_loop().create_task(renewals.fresh(account))
            await it.until_asked()
            await asyncio.sleep(0.5)
            assert not asking.done()
        assert token(await asking) == token(await it.read(account.id)) != "at-held"
        assert it.asked() == 1


async def test_a_client_that_leaves_cuts_nothing(database_url: str, redis_url: str) -> None:
    async with scene(database_url, redis_url) as it:
        renewals, account = await it.process(), await it.account("left")
        slow(it)
        asking = asyncio.get_running_loop().create_task(renewals.fresh(account))
        await it.until_asked()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert token(await renewals.fresh(account)) == token(await it.read(account.id)) != "at-left"
        assert it.asked() == 1


async def test_going_down_waits_for_what_was_asked(database_url: str, redis_url: str) -> None:
    async with scene(database_url, redis_url) as it, Upstream(Egress(["127.0.0.0/8"])) as upstream:
        account = await it.account("down")
        slow(it)
        async with Renewals(it.sessions, SEALER, it.redis, upstream) as renewals:
            asking = asyncio.get_running_loop().create_task(renewals.fresh(account))
            await it.until_asked()
        assert token(await asking) == token(await it.read(account.id)) != "at-down"


async def test_going_down_does_not_wait_for_ever(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "_GOODBYE", 0.1)
    async with scene(database_url, redis_url) as it, Upstream(Egress(["127.0.0.0/8"])) as upstream:
        account = await it.account("hanging")
        slow(it, "stall-9")
        async with asyncio.timeout(5):
            async with Renewals(it.sessions, SEALER, it.redis, upstream) as renewals:
                asking = asyncio.get_running_loop().create_task(renewals.fresh(account))
                await it.until_asked()
            with pytest.raises(NotRenewed):
                await asking


async def test_a_lock_that_nobody_gives_back_is_waited_for_only_so_long(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "_WAIT", 0.3)
    async with scene(database_url, redis_url) as it:
        renewals, account = await it.process(), await it.account("locked")
        await it.redis.set(tenant_prefix(account.tenant_id) + "renew:" + account.id, "another")
        with pytest.raises(NotRenewed) as raised:
            await renewals.fresh(account)
        assert not raised.value.revoked
        assert it.asked() == 0


async def test_without_redis_nothing_is_renewed_nor_revoked(database_url: str, redis_url: str) -> None:
    async with (
        scene(database_url, redis_url) as it,
        client("redis://127.0.0.1:9/0") as gone,
        Upstream(Egress(["127.0.0.0/8"])) as upstream,
    ):
        account = await it.account("no-redis")
        async with Renewals(it.sessions, SEALER, gone, upstream) as renewals:
            with pytest.raises(NotRenewed) as raised:
                await renewals.fresh(account)
        assert not raised.value.revoked
        assert it.asked() == 0


async def test_an_account_that_is_gone(database_url: str, redis_url: str) -> None:
    async with scene(database_url, redis_url) as it:
        renewals, account = await it.process(), await it.account("gone")
        async with it.sessions.begin() as session:
            await accounts.delete(session, SEALER, await session.get_one(m.Account, account.id))
        with pytest.raises(NotRenewed) as raised:
            await renewals.fresh(account)
        assert not raised.value.revoked


@pytest.mark.parametrize(
    ("platform", "held", "can", "is_due"),
    [
        ("claude-official", {"api_key": "k"}, False, False),
        ("claude-official", {"access_token": "t", "expires_at": "1"}, False, False),
        ("claude-official", {"access_token": "t", "refresh_token": "r"}, True, False),
        ("claude-official", {"access_token": "t", "refresh_token": "r", "expires_at": "100"}, True, True),
        ("claude-official", {"access_token": "t", "refresh_token": "r", "expires_at": "101"}, True, False),
        ("gemini", {"api_key": "k"}, False, False),
        ("gemini", {"service_account": "{}"}, True, True),
        ("gemini", {"service_account": "{}", "access_token": "t", "expires_at": "101"}, True, False),
        ("openai", {"api_key": "k"}, False, False),
    ],
)
def test_what_can_be_renewed_and_when(platform, held, can, is_due) -> None:
    secrets = {name: Secret(value) for name, value in held.items()}
    account = Account(id="a", tenant_id="t", name="a", platform=platform, base_url="", credentials=secrets)
    assert platform in PLATFORMS
    assert (renewable(account), due(account, 100.0)) == (can, is_due)
