"""What an explanation puts first is who serves: one installation, a gateway and a control plane on the same stores."""

import time
from collections.abc import AsyncGenerator
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from admin.bootstrap import OWNER, bootstrap
from admin.resources import open_resources
from gateway.core.services import pools
from gateway.relay import learning
from gateway.routing import strategies
from gateway.routing.latency import SAMPLES
from tests.admin.conftest import Api, token_of
from tests.admin.conftest import serving as controlled
from tests.relay.world import World
from tests.support.installation import Site, installation


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    async with installation(database_url, redis_url) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def root(site: Site) -> AsyncGenerator[Api]:
    assert await bootstrap(site.settings) is not None
    async with open_resources(site.settings) as resources:
        token = await token_of(resources, OWNER)
    async with controlled(site.settings) as url, Api(url, token) as api:
        yield api


class Asking:
    """A key of a tenant of its own, whose requests are explained and then made."""

    def __init__(self, world: World, root: Api, key_id: str, key: str) -> None:
        self.world, self.root, self.key_id, self.key = world, root, key_id, key

    async def explained(self, model: str) -> list[dict[str, Any]]:
        asked = {"key_id": self.key_id, "path": "/v1/messages", "model": model, "stream": False}
        return (await self.root("POST /route:explain", asked))["candidates"]

    async def served(self, model: str) -> str:
        answer = await self.world.ask(self.key, model)
        assert answer.status_code == 200, answer.text
        await self.world.site.settled()
        return answer.headers["x-poolgate-account"]


async def asking(site: Site, root: Api, strategy: str, random: Random) -> Asking:
    """With accounts of its own in one pool, some of them better than others."""
    world = await World.make(site)
    async with site.sessions.begin() as session:
        pool = await pools.create(session, world.tenant_id, {"name": "p", "strategy": strategy})
    await site.reload()
    for _ in range(random.randint(2, 5)):
        await world.account(
            pools=[pool.id],
            priority=random.choice((1, 1, 2)),
            weight=random.randint(1, 9),
            max_concurrency=random.choice((None, 1, 5)),
        )
    return Asking(world, root, *await world.new_key(debug=True, pools=[pool.id]))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("strategy", ["least_busy", "round_robin", "weighted", "random", "latency"])
async def test_the_first_candidate_serves(
    site: Site, root: Api, monkeypatch: pytest.MonkeyPatch, strategy: str, seed: int
) -> None:
    monkeypatch.setattr(strategies, "LOOK_AROUND", 0.0)
    random = Random(f"{strategy} {seed}")
    by = await asking(site, root, strategy, random)
    for at in range(5):
        # Weights take turns within a gateway, by model: the first turn is the one that an explanation knows.
        model = f"sandbox-tokens-{at + 1}" if strategy == "weighted" else "sandbox-echo"
        told = await by.explained(model)
        served = await by.served(model)
        if strategy == "random":
            assert served in [one["account_id"] for one in told if one["tier"] == told[0]["tier"]]
        else:
            assert served == told[0]["account_id"], told
        await learning.tell(site.gate)
        await site.gate.scripts.command("PING")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("strategy", ["least_busy", "latency"])
async def test_with_slow_accounts_too(
    site: Site, root: Api, monkeypatch: pytest.MonkeyPatch, strategy: str, seed: int
) -> None:
    monkeypatch.setattr(strategies, "LOOK_AROUND", 0.0)
    random = Random(f"slow {strategy} {seed}")
    by = await asking(site, root, strategy, random)
    gate, model, now = site.gate, f"sandbox-tokens-{random.randint(1, 9)}", time.time()
    kind = (by.world.tenant_id, model, "generate", False)
    accounts = gate.snapshot.by_tenant[by.world.tenant_id]
    for account in accounts:
        seconds = random.choice((0.2, 0.3, 0.4, 9.0))
        for step in range(SAMPLES + 1):
            gate.states.latencies.add(kind, account, seconds, now - SAMPLES + step)
    peers = gate.states.latencies.of(kind)
    assert peers is not None
    for _ in range(3):
        await learning.tell(gate)
        await gate.scripts.command("PING")
        slow = peers.slow
        told = await by.explained(model)
        assert {one["account_id"] for one in told if one["tier"] > 1000} == slow
        assert await by.served(model) == told[0]["account_id"], told
