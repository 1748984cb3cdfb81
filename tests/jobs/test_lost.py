"""What a request of a killed gateway is taken to have cost."""

from collections.abc import AsyncGenerator
from decimal import Decimal

import pytest
import pytest_asyncio

from gateway.core.ids import new_id
from gateway.core.ledger import Row, new_request
from gateway.core.prices import priced, shipped
from gateway.jobs.leader import connect
from gateway.jobs.lost import appraise
from tests.support.installation import Site, installation

pytestmark = pytest.mark.asyncio(loop_scope="session")
MODEL = "claude-sonnet-4-5"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    async with installation(database_url, redis_url) as made:
        yield made


def swept(key_id: str, account_id: str | None, model: str) -> Row:
    request_id, at = new_request()
    return Row(
        request_id, at, new_id("ten"), key_id, "anthropic", "/v1/messages", model, True,
        account_id=account_id, usage_source="estimated", input_tokens=1000,
    )  # fmt: skip


async def test_the_prompt_at_the_price_of_its_account(site: Site) -> None:
    account_id = await site.account("claude-official", model_map={"ours": MODEL}, provider="anthropic")
    key_id, _ = await site.new_key(price_multiplier=Decimal(2))
    connection = await connect(site.settings.database_url)
    try:
        rows = [swept(key_id, account_id, "ours"), swept(key_id, account_id, "nobody-knows"), swept(key_id, None, "x")]
        await appraise(connection, rows, shipped())
    finally:
        await connection.close()
    known, unknown, nowhere = rows
    assert (known.platform, known.provider, known.model_used) == ("claude-official", "anthropic", MODEL)
    assert (known.cost, known.price_version) == priced(
        shipped(), "claude-official", (MODEL,), known.received_at, known, "2"
    )
    assert known.cost == 2 * 3_000_000
    assert (unknown.model_used, unknown.cost, unknown.unpriced) == ("nobody-knows", None, True)
    assert known.base_cost == 3_000_000
    assert (nowhere.platform, nowhere.cost, nowhere.unpriced) == (None, None, False)


async def test_the_counting_of_tokens_costs_nothing(site: Site) -> None:
    account_id = await site.account("claude-official", model_map={"ours": MODEL})
    key_id, _ = await site.new_key()
    connection = await connect(site.settings.database_url)
    try:
        rows = [swept(key_id, account_id, name) for name in ("ours", "nobody-knows")]
        for row in rows:
            row.usage_source = "none"
        await appraise(connection, rows, shipped())
    finally:
        await connection.close()
    assert [(row.cost, row.unpriced, row.platform) for row in rows] == [(0, False, "claude-official")] * 2
