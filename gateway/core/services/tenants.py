"""Tenants: what everything else belongs to."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import capture, limits
from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.services import prices, rows
from gateway.core.services.failures import Conflict, Invalid, Missing
from gateway.core.services.reach import Reach

#: The tenant that a new installation has.
DEFAULT = "default"
DEFAULTS: Mapping[str, Any] = {
    "limits": [],
    "enabled": True,
    "public_lists": False,
    "capture": None,
    "price_multiplier": Decimal(1),
    "ollama_key_id": None,
}


async def listing(
    session: AsyncSession, reach: Reach, window: rows.Window, q: str | None = None
) -> rows.Slice[m.Tenant]:
    found = select(m.Tenant).where(
        reach.over(m.Tenant.id), m.Tenant.deleted_at.is_(None), *rows.matching(q, m.Tenant.name)
    )
    return await rows.page(session, found, m.Tenant.id, "ten", window)


async def find(session: AsyncSession, reach: Reach, tenant_id: str, *, lock: bool = False) -> m.Tenant:
    found = select(m.Tenant).where(
        reach.over(m.Tenant.id), m.Tenant.deleted_at.is_(None), m.Tenant.id == rows.identity(tenant_id, "ten", "tenant")
    )
    return await rows.one(session, found, "tenant", lock=lock)


async def home(session: AsyncSession, reach: Reach, tenant_id: str | None, roles: Mapping[str, str]) -> str:
    """The tenant of a new thing: the given one, else the caller's own, else for root the default one.

    Raises Missing for one out of reach and Invalid when the caller has several and named none.
    """
    if tenant_id is not None:
        identifier = rows.identity(tenant_id, "ten", "tenant")
        known = select(m.Tenant.id).where(m.Tenant.id == identifier, m.Tenant.deleted_at.is_(None))
        if not reach.covers(identifier) or (await session.execute(known)).first() is None:
            raise Missing("no such tenant", "tenant_id")
        return identifier
    mine = [tenant for tenant in roles if reach.covers(tenant)]
    if len(mine) == 1:
        return mine[0]
    if reach.everything and not mine:
        return (await session.execute(select(m.Tenant.id).where(m.Tenant.name == DEFAULT))).scalar_one()
    raise Invalid("you have several tenants: say which", "tenant_id")


async def create(session: AsyncSession, values: Mapping[str, Any]) -> m.Tenant:
    tenant = m.Tenant(id=new_id("ten"), **_checked(values))
    session.add(tenant)
    await rows.announce(session, "tenant", tenant.id)
    return tenant


async def change(session: AsyncSession, tenant: m.Tenant, values: Mapping[str, Any]) -> None:
    if tenant.name == DEFAULT and values.get("name", DEFAULT) != DEFAULT:
        raise Conflict("the default tenant keeps its name", "name")
    meant = _checked(rows.cleared(values, DEFAULTS))
    if meant.get("ollama_key_id") is not None:
        meant["ollama_key_id"] = await _key_of(session, tenant, meant["ollama_key_id"])
    rows.update(tenant, meant)
    await rows.announce(session, "tenant", tenant.id)


async def delete(session: AsyncSession, tenant: m.Tenant) -> None:
    """Raises Conflict while it has keys, accounts or users. The name is free again; the ledger keeps the id."""
    if tenant.name == DEFAULT:
        raise Conflict("the default tenant stays")
    for model, what in ((m.Key, "keys"), (m.Account, "accounts")):
        if (
            await session.execute(
                select(model.id).where(model.tenant_id == tenant.id, model.deleted_at.is_(None)).limit(1)
            )
        ).first():
            raise Conflict(f"the tenant still has {what}")
    if (await session.execute(select(m.UserRole.user_id).where(m.UserRole.tenant_id == tenant.id).limit(1))).first():
        raise Conflict("the tenant still has users")
    rows.update(
        tenant, {"deleted_at": datetime.now(UTC), "enabled": False, "name": f"{tenant.name} (deleted {tenant.id})"}
    )
    await rows.announce(session, "tenant", tenant.id)


async def _key_of(session: AsyncSession, tenant: m.Tenant, key_id: str) -> str:
    """The id of the tenant's key that Ollama's clients use without presenting it. Raises Invalid."""
    if tenant.name != DEFAULT:
        raise Invalid("only the default tenant has a key for Ollama's clients", "ollama_key_id")
    identifier = rows.filter_id(key_id, "key", "ollama_key_id")
    known = select(m.Key.id).where(m.Key.id == identifier, m.Key.tenant_id == tenant.id, m.Key.deleted_at.is_(None))
    if (await session.execute(known)).first() is None:
        raise Invalid("the tenant has no such key", "ollama_key_id")
    return identifier


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    if "limits" in values:
        try:
            limits.parse(values["limits"], scope="tenant")
        except limits.InvalidLimit as error:
            raise Invalid(error.message, error.field) from None
    stored = dict(values)
    if stored.get("price_multiplier") is not None:
        stored["price_multiplier"] = prices.multiplier(stored["price_multiplier"])
    if stored.get("capture") is not None:
        try:
            stored["capture"] = msgspec.to_builtins(capture.parse(stored["capture"]))
        except capture.InvalidCapture as error:
            raise Invalid(error.message, error.field) from None
    return stored
