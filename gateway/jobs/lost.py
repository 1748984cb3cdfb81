"""What a request of a killed gateway is taken to have cost: its prompt, as it was estimated, at its account's price."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

import asyncpg

from gateway.core.ledger import Row
from gateway.core.prices import Table, priced
from gateway.jobs.multipliers import multipliers

_ACCOUNTS = """
SELECT id, asked, platform, provider, model_map ->> asked AS upstream
FROM accounts JOIN unnest($1::uuid[], $2::text[]) AS reached(account, asked) ON id = account
"""


async def appraise(connection: asyncpg.Connection, rows: Sequence[Row], table: Table) -> None:
    """Completes rows that the sweep has made: what admission knew of their account, and the price."""
    reached = [row for row in rows if row.account_id is not None]
    if not reached:
        return
    names = {(_uuid(row.account_id), row.model_asked) for row in reached}
    found = cast(list[Any], await connection.fetch(_ACCOUNTS, *map(list, zip(*names, strict=True))))
    accounts = {(one["id"], one["asked"]): one for one in found}
    factors = await multipliers(connection, {_uuid(row.key_id) for row in reached})
    for row in reached:
        account = accounts.get((_uuid(row.account_id), row.model_asked))
        if account is None:
            continue
        platform: str = account["platform"]
        model: str = account["upstream"] or row.model_asked
        row.platform, row.provider, row.model_used = platform, account["provider"], model
        row.currency = table.currency
        if row.usage_source == "none":
            row.cost = 0  # it asked for nothing that anybody pays for
            continue
        factor, names_of_it = factors.get(_uuid(row.key_id), "1"), (model, row.model_asked)
        price = priced(table, platform, names_of_it, row.received_at, row, factor)
        base = priced(table, platform, names_of_it, row.received_at, row) if factor != "1" else None
        row.cost, row.price_version = price or (None, None)
        row.base_cost, row.unpriced = base[0] if base else None, price is None


def _uuid(public_id: str | None) -> UUID:
    return UUID((public_id or "").partition("_")[2])
