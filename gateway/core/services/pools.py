"""Pools: named sets of accounts of one tenant."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.domain import Strategy
from gateway.core.ids import new_id
from gateway.core.services import rows
from gateway.core.services.failures import Conflict, Invalid
from gateway.core.services.reach import Reach

DEFAULTS: Mapping[str, Any] = {"strategy": "least_busy"}


async def listing(
    session: AsyncSession, reach: Reach, window: rows.Window, *, tenant_id: str | None = None, q: str | None = None
) -> rows.Slice[m.Pool]:
    found = select(m.Pool).where(reach.over(m.Pool.tenant_id), *rows.matching(q, m.Pool.name))
    if tenant_id is not None:
        found = found.where(m.Pool.tenant_id == rows.filter_id(tenant_id, "ten", "tenant_id"))
    return await rows.page(session, found, m.Pool.id, "pool", window)


async def find(session: AsyncSession, reach: Reach, pool_id: str, *, lock: bool = False) -> m.Pool:
    identifier = rows.identity(pool_id, "pool", "pool")
    found = select(m.Pool).where(reach.over(m.Pool.tenant_id), m.Pool.id == identifier)
    return await rows.one(session, found, "pool", lock=lock)


async def create(session: AsyncSession, tenant_id: str, values: Mapping[str, Any]) -> m.Pool:
    pool = m.Pool(id=new_id("pool"), tenant_id=tenant_id, **_checked(values))
    session.add(pool)
    await rows.announce(session, "pool", pool.id)
    return pool


async def change(session: AsyncSession, pool: m.Pool, values: Mapping[str, Any]) -> None:
    rows.update(pool, _checked(rows.cleared(values, DEFAULTS)))
    await rows.announce(session, "pool", pool.id)


async def delete(session: AsyncSession, pool: m.Pool) -> None:
    """Raises Conflict while accounts, keys or aliases name it: what is bound to a pool never falls back to the rest."""
    for model in (m.Account, m.Key):
        used = select(model.id).where(model.pools.contains([pool.id]), model.deleted_at.is_(None)).limit(1)
        holder = (await session.execute(used)).scalar_one_or_none()
        if holder is not None:
            raise Conflict(f"the pool is named by {holder}")
    aimed = m.Group.aliases.contains([{"targets": [{"pool_id": pool.id}]}])
    aiming = select(m.Group.id).where(m.Group.tenant_id == pool.tenant_id, aimed).limit(1)
    group = (await session.execute(aiming)).scalar_one_or_none()
    if group is not None:
        raise Conflict(f"the pool is named by an alias of {group}")
    await session.delete(pool)
    await rows.announce(session, "pool", pool.id)


async def resolve(session: AsyncSession, tenant_id: str, named: Sequence[str]) -> list[str]:
    """The ids of pools given by id or name. Raises Invalid for one that the tenant does not have."""
    if not named:
        return []
    known = await names(session, tenant_id)
    for at, name in enumerate(named):
        if name not in known:
            raise Invalid("no such pool in this tenant", f"pools[{at}]")
    return list(dict.fromkeys(known[name] for name in named))


async def names(session: AsyncSession, tenant_id: str) -> dict[str, str]:
    """Whatever a pool of the tenant may be called by, its name or its id → its id."""
    found = await session.execute(select(m.Pool.id, m.Pool.name).where(m.Pool.tenant_id == tenant_id))
    known: dict[str, str] = {}
    for identifier, name in found.all():
        known.setdefault(name, identifier)
        known[identifier] = identifier
    return known


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    if "strategy" in values and values["strategy"] not in get_args(Strategy):
        raise Invalid(f"expected one of {', '.join(get_args(Strategy))}", "strategy")
    return dict(values)
