"""What the prices of a key are multiplied with."""

from collections.abc import Iterable
from typing import Any, cast
from uuid import UUID

import asyncpg

from gateway.core import prices

_MULTIPLIERS = """
SELECT keys.id, keys.price_multiplier, tenants.price_multiplier FROM keys
JOIN tenants ON tenants.id = keys.tenant_id WHERE keys.id = ANY($1)
"""


async def multipliers(connection: asyncpg.Connection, key_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Of each key, its tenant's multiplier in it. A key that is gone is absent."""
    found = cast(list[Any], await connection.fetch(_MULTIPLIERS, list(key_ids)))
    return {row[0]: prices.product(row[1], row[2]) for row in found}
