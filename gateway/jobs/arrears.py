"""What a request costs is sometimes known later than the request: then the budgets that it fell under are charged.

By today's limits: those that stood when it ran are not kept.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg
from redis.asyncio import Redis
from sqlalchemy import select

from gateway.core import models as m
from gateway.core.counters import Charge, counter, written
from gateway.core.db import Sessions
from gateway.core.domain import Limit
from gateway.core.limits import all_of
from gateway.core.names import tag_of
from gateway.core.services import keys
from gateway.jobs import charges, ledger
from gateway.jobs.pricing import Priced
from gateway.routing.authorise import concerns


class Arrears:
    """Called inside the transaction that writes the prices (gateway.jobs.pricing.OnPriced). `untold`: the tags of which
    Redis is to be told, by `ledger.tell_again`."""

    def __init__(self, sessions: Sessions, redis: Redis, connection: asyncpg.Connection) -> None:
        self._sessions = sessions
        self._redis = redis
        self._connection = connection
        self.untold: set[int] = set()

    async def charge(self, rows: Sequence[Priced]) -> None:
        """Raises RedisError when what Redis was to be told before cannot be told: the rows get their price later."""
        by_tag: dict[int, list[Charge]] = {}
        known: dict[str, tuple[Limit, ...]] = {}
        for row in rows:
            limits = await self._limits(known, row)
            by_tag.setdefault(tag_of(row.tenant_id), []).extend(_charges(row, limits))
        for tag, found in by_tag.items():
            if found:
                # First what was to be told before: a tag keeps its last batch alone.
                await ledger.tell_again(self._redis, self._connection, tag)
                merged = charges.merged(found)
                await charges.add(self._connection, tag, merged)
                await charges.batch(self._connection, tag, written(merged))
                self.untold.add(tag)

    async def _limits(self, known: dict[str, tuple[Limit, ...]], row: Priced) -> tuple[Limit, ...]:
        """The budgets of the key, its user, team and tenant, and of the account."""
        for name in (row.key_id, row.account_id):
            if name is not None and name not in known:
                async with self._sessions() as session:
                    known[name] = await (_of_key if name == row.key_id else _of_account)(session, name)
        found = (*known[row.key_id], *(known[row.account_id] if row.account_id else ()))
        return tuple(one for one in found if one.type == "budget" and concerns(one, row.model_asked, (row.platform,)))


async def _of_key(session: Any, key_id: str) -> tuple[Limit, ...]:
    key = await session.get(m.Key, key_id)
    return await keys.limits_of(session, key) if key is not None else ()


async def _of_account(session: Any, account_id: str) -> tuple[Limit, ...]:
    limits = (await session.execute(select(m.Account.limits).where(m.Account.id == account_id))).scalar_one_or_none()
    return all_of([("account", account_id, limits or [])])


def _charges(row: Priced, limits: Sequence[Limit]) -> list[Charge]:
    at = int(row.received_at * 1000)
    found: list[Charge] = []
    for limit in limits:
        one, amount = counter(limit, row.received_at), row.base_cost if limit.scope == "account" else row.cost
        if amount:
            found.append(Charge(one.kind, one.name, one.span, at, amount))
    return found
