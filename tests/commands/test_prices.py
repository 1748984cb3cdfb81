"""Prices from a file to the ledger: an unknown model is unpriced, then priced later, and at once from then on."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from admin.bootstrap import bootstrap
from admin.resources import open_resources
from gateway.core import models as m
from gateway.core.prices import shipped
from tests.admin.conftest import serving, token_of
from tests.commands.conftest import Commands
from tests.support.installation import Site, installation

GOLDEN = Path(__file__).parents[1] / "goldens" / "litellm.json"
MODEL = "sandbox-tokens-5"


class Shop:
    def __init__(self, site: Site, commands: Commands) -> None:
        self.site, self.commands = site, commands

    async def ask(self, secret: str) -> str:
        body = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
        answer: httpx.Response = await self.site.http.post("/v1/messages", headers={"x-api-key": secret}, json=body)
        assert answer.status_code == 200, answer.text
        return answer.headers["x-request-id"]

    async def priced(self, request_id: str, seconds: float = 10) -> m.Request:
        async with asyncio.timeout(seconds):
            while (row := await self.site.row(request_id)).cost is None:
                await asyncio.sleep(0.1)
        return row


@pytest.fixture(scope="module")
async def shop(database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    home: Path = tmp_path_factory.mktemp("home")
    async with installation(database_url, redis_url) as site:
        owner = await bootstrap(site.settings)
        assert owner is not None
        async with open_resources(site.settings) as resources:
            token = await token_of(resources, owner[0])
        async with serving(site.settings) as url:
            yield Shop(site, Commands(url, token, home))


def listed(path: Path, **entries: Any) -> Path:
    path.write_text(json.dumps(entries))
    return path


async def test_from_unpriced_to_priced(shop: Shop, tmp_path: Path):
    site, commands = shop.site, shop.commands
    await site.account("claude-console")
    key = await site.key(price_multiplier=Decimal("1.5"))
    first = await shop.ask(key)
    row = await site.row(first)
    assert (row.unpriced, row.cost, row.price_version) == (True, None, None)
    (waits,) = (await commands.json("prices unpriced"))["data"]
    assert (waits["platform"], waits["model"], waits["requests"]) == ("claude-console", MODEL, 1)
    assert f"claude-console\t{MODEL}\t1\t" in (await commands("prices unpriced")).stdout

    rates = {"input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6}
    file = listed(tmp_path / "prices.json", **{MODEL: {**rates, "litellm_provider": "anthropic", "mode": "chat"}})
    done = await commands.json(["prices", "import", str(file), "--name", "house-1"])
    assert (done["imported"], done["version"]["version"], done["dry_run"]) == (1, "house-1", False)

    # At once from then on: every gateway knows it within two seconds.
    started = time.monotonic()
    while site.gate.prices.version != "house-1":
        assert time.monotonic() - started < 2
        await asyncio.sleep(0.02)
    second = await shop.ask(key)
    now = await site.row(second)
    exact = (now.input_tokens * Decimal("0.000001") + now.output_tokens * Decimal("0.000004")) * Decimal("1.5")
    assert (now.cost, now.price_version, now.unpriced) == (exact, "house-1", False)

    # And what waited has got it, the multiplier in it once.
    then = await shop.priced(first)
    assert (then.cost, then.price_version, then.unpriced) == (exact, "house-1", False)
    (sums,) = (await commands.json("usage --by model"))["data"]
    assert (sums["requests"], sums["unpriced"], Decimal(sums["cost"])) == (2, 0, 2 * exact)
    assert (await commands.json("prices unpriced"))["data"] == []


async def test_a_plan_and_an_import(shop: Shop):
    commands = shop.commands
    before = await commands.json("prices list")
    plan = await commands(["prices", "import", str(GOLDEN), "--dry-run"])
    assert "dry_run\tyes\n" in plan.stdout
    assert "\nnobody\tno platform for the provider nothing\n" in plan.stdout
    assert "poolgate: not imported: " in plan.stderr
    assert "poolgate: amounts that are not counted by: input_cost_per_token_batches, " in plan.stderr
    assert await commands.json("prices list") == before
    done = await commands(["prices", "import", str(GOLDEN), "--effective", "2099-01-01", "--name", "future"])
    assert "version\tfuture\neffective_at\t2099-01-01T00:00:00.000Z\ndry_run\tno\n" in done.stdout
    (made,) = [one for one in await commands.json("prices list") if one["version"] == "future"]
    lines = (await commands("prices list")).stdout.splitlines()
    assert lines[0] == "id\tversion\teffective_at\tsource\tprices\tcreated_at"
    assert lines[1].startswith(f"{made['id']}\tfuture\t2099-01-01T00:00:00.000Z\tlitellm\t")
    assert lines[-1].startswith(f"shipped\t{shipped().version}\t-\tshipped\t")
    shown = (await commands("prices show gpt-4o --platform openai")).stdout.splitlines()
    assert [line.split("\t")[:4] for line in shown[1:]] == [
        ["openai", "2099-01-01T00:00:00.000Z", "no", "future"],
        ["openai", "2000-01-01T00:00:00.000Z", "yes", shipped().version],
    ]
    then = await commands.json("prices show gpt-4o --platform openai --at 2099-06-01")
    assert then["data"][0]["in_force"]["version"] == "future"
    assert "is deleted" in (await commands(f"prices delete {made['id']}")).stderr
    assert await commands.json("prices list") == before


async def test_what_is_said_when_it_cannot_be(shop: Shop, tmp_path: Path):
    commands = shop.commands
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    assert "this is not JSON" in (await commands(["prices", "import", str(broken)], expect=1)).stderr
    refused = await commands(["prices", "import", str(GOLDEN), "--effective", "soon"], expect=1)
    assert "effective_at: expected a time" in refused.stderr
    assert "does not exist" in (await commands("prices import /nowhere", expect=2)).stderr
    assert "nothing-like-it has no price" in (await commands("prices show nothing-like-it")).stderr
