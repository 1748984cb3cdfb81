"""Accounts are probed by real requests to the sandbox, and their state follows."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from gateway.core import models as m
from gateway.core.inspection import read_state
from gateway.core.names import tenant_prefix
from gateway.core.sealing import Sealer
from gateway.core.services import accounts
from gateway.core.state import State, encode
from gateway.jobs import probes
from gateway.jobs.aims import Last
from tests.support.installation import Site, installation

LONG_AGO = msgspec.json.encode(Last(1.0, True, 200, 1, "m", ""))


class Scene:
    def __init__(self, site: Site, tenant: str) -> None:
        self.site = site
        self.tenant = tenant
        self.prefix = tenant_prefix(tenant)
        self.redis = site.gate.redis

    async def account(self, model: str, *, due: bool = True, **more: Any) -> str:
        """Probed every minute, now when `due`."""
        probe = {"every_minutes": 1, "model": model}
        made = await self.site.account("openai", probe=probe, **more)
        await self.redis.hset(self.prefix + "probed", made, LONG_AGO if due else encoded(time.time()))
        return made

    async def hold(self, account: str, ahead: float, reason: str = "rate_limited", scope: str = "account") -> State:
        state = State(reason, time.time() + ahead, time.time() - 1, "req_1", 429)
        await self.redis.hset(self.prefix + "state", f"{account}|{scope}", encode(state))
        return state

    async def held(self, account: str, scope: str = "account") -> State | None:
        text = await self.redis.hget(self.prefix + "state", f"{account}|{scope}")
        return text and msgspec.json.decode(text, type=State)

    async def shown(self, account: str) -> dict[str, Any]:
        return await read_state(self.redis, self.tenant, account)

    async def probed(self, account: str) -> bool:
        found = await self.shown(account)
        return found["probe"] is not None and found["probe"]["at"] > "2000" and found["probe"]["latency_ms"] >= 0

    def asked(self) -> list[Any]:
        return self.site.sandbox.requests()

    async def asked_since(self, count: int) -> bool:
        return len(self.asked()) > count

    async def gone(self, account: str) -> bool:
        return await self.held(account) is None


def encoded(at: float) -> bytes:
    return msgspec.json.encode(Last(at, True, 200, 1, "m", ""))


@pytest.fixture(scope="module")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    async with installation(database_url, redis_url, jobs=False) as made:
        sealer = Sealer(made.settings.master_key_bytes)
        task = asyncio.get_running_loop().create_task(
            probes.keep(made.settings, made.sessions, sealer, made.gate.redis)
        )
        yield made
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def scene(site: Site) -> Scene:
    return Scene(site, await site.tenant())


async def until(true: Callable[[], Awaitable[object]], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(0.05)


async def test_an_account_is_probed_and_that_is_shown(scene: Scene):
    good = await scene.account("gpt-sandbox-tokens-1")
    bad = await scene.account("gpt-sandbox-error-401")
    idle = await scene.account("gpt-sandbox-tokens-1", due=False)
    off = await scene.account("gpt-sandbox-tokens-1", enabled=False)
    await until(lambda: scene.probed(good))
    await until(lambda: scene.held(bad))
    shown = (await scene.shown(good))["probe"]
    assert (shown["ok"], shown["status"], shown["model"], shown["message"]) == (True, 200, "gpt-sandbox-tokens-1", "")
    found = await scene.shown(bad)
    assert (found["usable"], found["reason"], found["source"]) == (
        False, "credentials", {"request_id": "probe", "status": 401},
    )  # fmt: skip
    assert (found["probe"]["ok"], found["probe"]["status"]) == (False, 401)
    assert found["probe"]["message"]
    assert "sk-upstream-0001" not in found["probe"]["message"]
    assert found["recent"][0]["source"]["request_id"] == "probe"
    told = [fields["a"] for _, fields in await scene.redis.xrange(scene.prefix + "e")]
    assert told == [bad]
    for other in (idle, off):
        assert not (await scene.shown(other))["probe"] or (await scene.shown(other))["probe"]["latency_ms"] == 1
    async with scene.site.sessions() as session:
        assert await session.get(m.Account, good)
    await scene.site.settled()
    assert not scene.site.gate.exchanges, "no lease, no row, no limit"


async def test_before_its_end_an_account_that_works_is_back(scene: Scene):
    one = await scene.account("gpt-sandbox-tokens-1", due=False)
    begun = len(scene.asked())
    state = await scene.hold(one, 4)
    await until(lambda: scene.asked_since(begun))
    assert time.time() < state.until + 0.5
    await until(lambda: scene.gone(one))
    assert (await scene.shown(one))["recent"][0]["reason"] == "recovered"


async def test_before_its_end_an_account_that_fails_stays_out(scene: Scene):
    fails = {name: await scene.account(f"gpt-sandbox-{name}", due=False) for name in ("error-500", "error-429", "drop")}
    begun = len(scene.asked())
    until_then = {
        name: (await scene.hold(one, 2, scope=f"family:gpt-sandbox-{name}")).until for name, one in fails.items()
    }

    async def prolonged() -> bool:
        """What the upstream says of the organisation is the whole account's."""
        for name, one in fails.items():
            held = [await scene.held(one, each) for each in (f"family:gpt-sandbox-{name}", "account")]
            if not any(each is not None and each.until >= until_then[name] + 29 for each in held):
                return False
        return True

    await until(prolonged)
    news = [fields["a"] for _, fields in await scene.redis.xrange(scene.prefix + "e") if fields["a"] in fails.values()]
    assert news == [fails["error-429"]], "the same trouble once more is no news"
    await asyncio.sleep(1.5)
    assert len(scene.asked()) == begun + 3, "one probe for one end"


async def test_a_slow_probe_keeps_traffic_away(scene: Scene):
    one = await scene.account("gpt-sandbox-stall-2-tokens-1", due=False)
    state = await scene.hold(one, 2)

    async def longer() -> bool:
        held = await scene.held(one)
        return held is not None and held.until > state.until

    await until(longer)
    assert time.time() < state.until + 0.5
    await until(lambda: scene.gone(one))


async def test_without_an_answer_to_judge_nothing_changes(scene: Scene):
    """Accounts without a model that is known say so, where operators look."""
    one = await scene.site.account("openai", probe={"every_minutes": 1}, models=["gpt-*"])
    await scene.redis.hset(scene.prefix + "probed", one, LONG_AGO)
    nobody = await scene.account("gpt-x", base_url="http://127.0.0.1:9")
    await until(lambda: scene.probed(nobody))
    found = await scene.shown(nobody)
    assert (found["usable"], found["probe"]["ok"], found["probe"]["status"]) == (True, False, None)
    assert "refused" in found["probe"]["message"]
    assert (await scene.shown(one))["probe"]["latency_ms"] == 1, "nothing to ask for"


async def test_an_account_that_is_probed_no_more_is_forgotten(scene: Scene):
    one = await scene.account("gpt-sandbox-tokens-1")
    await until(lambda: scene.probed(one))
    async with scene.site.sessions.begin() as session:
        row = await session.get(m.Account, one)
        assert row is not None
        await accounts.change(session, Sealer(scene.site.settings.master_key_bytes), row, {"probe": None})

    async def forgotten() -> bool:
        return not await scene.redis.hexists(scene.prefix + "probed", one)

    await until(forgotten)
