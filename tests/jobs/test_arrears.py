"""A price that comes later is charged to the budgets that the request fell under, once, in both databases."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from gateway.core.prices import Price
from gateway.core.services import prices as versions
from gateway.jobs.leader import connect
from tests.support.installation import Site, installation

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    async with installation(database_url, redis_url) as made:
        yield made


async def used(site: Site, key: str) -> list[Any]:
    got = await site.http.get("/v1/key", headers={"x-api-key": key})
    return [one["used"] for one in got.json()["limits"]]


async def test_budgets_are_charged_when_the_price_comes(site: Site) -> None:
    budget = {"type": "budget", "max": "5"}
    limits = [
        budget | {"per": "day"},
        budget | {"per": {"rolling": "5h"}},
        budget | {"per": "month", "models": ["other-*"]},
        budget | {"per": "total", "platforms": ["openai"]},
        {"type": "requests", "per": "day", "max": 99},
    ]
    account_id = await site.account("claude-console", limits=[budget | {"per": "day"}])
    _, key = await site.new_key(limits=limits, price_multiplier=Decimal(3))
    body = {"model": "sandbox-tokens-10", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
    answers = [await site.http.post("/v1/messages", json=body, headers={"x-api-key": key}) for _ in range(4)]
    rows = [await site.row(answer.headers["x-request-id"]) for answer in answers]
    assert all(row.unpriced for row in rows)
    assert await used(site, key) == ["0", "0", "0", "0", 4]

    async with site.sessions.begin() as session:
        price = Price("sandbox-tokens-10", Decimal(1000), Decimal(2000), ("claude-console",))
        made = versions.draft([price], version="late", effective_at=datetime.now(UTC) - timedelta(hours=1))
        await versions.create(session, made)
    tokens = answers[0].json()["usage"]
    each = 3 * (Decimal(tokens["input_tokens"]) / 1000 + Decimal(tokens["output_tokens"]) / 500)
    owed = f"{(4 * each).normalize():f}"
    async with asyncio.timeout(10):
        while await used(site, key) != [owed, owed, "0", "0", 4]:
            await asyncio.sleep(0.1)
    connection: Any = await connect(site.settings.database_url)
    try:
        kept = await connection.fetch(
            "SELECT name, sum(amount) AS amount FROM counters WHERE name LIKE '%budget%' GROUP BY 1"
        )
    finally:
        await connection.close()
    # The account's own budget is about what the provider asks for: the key's multiplier is not in it.
    amounts = {int(one["amount"]) for one in kept if account_id not in one["name"]}
    assert amounts == {int(4 * each * 10**9)}
    assert [int(one["amount"]) for one in kept if account_id in one["name"]] == [int(4 * each * 10**9) // 3]
    assert len(kept) == 3
    priced = [await site.row(answer.headers["x-request-id"]) for answer in answers]
    assert [(row.cost, row.base_cost) for row in priced] == [(each, each / 3)] * 4
