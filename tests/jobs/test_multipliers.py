"""What prices are multiplied with: the key's own and its tenant's, read once."""

from uuid import UUID

import asyncpg
import pytest_asyncio

from gateway.core.ids import uuid7
from gateway.jobs.leader import connect
from gateway.jobs.multipliers import multipliers


@pytest_asyncio.fixture(loop_scope="session")
async def connection(database_url: str):
    made = await connect(database_url)
    try:
        yield made
    finally:
        await made.close()


async def insert(connection: asyncpg.Connection, of_tenant: str, of_key: str) -> UUID:
    tenant, key = uuid7(), uuid7()
    await connection.execute(
        "INSERT INTO tenants (id, name, price_multiplier) VALUES ($1, $2, $3)", tenant, str(tenant), of_tenant
    )
    await connection.execute(
        "INSERT INTO keys (id, tenant_id, name, prefix, last_four, platforms, models, price_multiplier)"
        " VALUES ($1, $2, '', '', '', '{}', '{}', $3)",
        key, tenant, of_key,
    )  # fmt: skip
    return key


async def test_the_product_of_key_and_tenant(connection: asyncpg.Connection) -> None:
    first, second, gone = await insert(connection, "0.5", "3"), await insert(connection, "1", "0.1"), uuid7()
    assert await multipliers(connection, {first, second, gone}) == {first: "1.5", second: "0.1"}
    assert await multipliers(connection, ()) == {}
