"""Upstream accounts. Credentials go in and are sealed; nothing here gives them out again but `opened`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import limits
from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.sealing import SealBroken, Sealer
from gateway.core.services import pools, proxies, rows
from gateway.core.services.failures import Conflict, Invalid
from gateway.core.services.reach import Reach

#: What a field is when it was never given; null in a change means this. The others cannot be null.
DEFAULTS: Mapping[str, Any] = {
    "base_url": None,
    "options": {},
    "models": None,
    "model_map": {},
    "pools": [],
    "priority": 50,
    "weight": 1,
    "max_concurrency": None,
    "limits": [],
    "enabled": True,
    "proxy_id": None,
    "probe": None,
    "timeouts": {},
    "notes": "",
    "expires_at": None,
    "explicit_only": False,
}


class AccountFilter(Struct, frozen=True):
    tenant_id: str | None = None
    platform: str | None = None
    provider: str | None = None
    pool_id: str | None = None
    enabled: bool | None = None
    q: str | None = None


async def listing(
    session: AsyncSession, reach: Reach, window: rows.Window, asked: AccountFilter
) -> rows.Slice[m.Account]:
    """`q` looks into names and notes."""
    found = select(m.Account).where(
        reach.over(m.Account.tenant_id),
        m.Account.deleted_at.is_(None),
        *rows.matching(asked.q, m.Account.name, m.Account.notes),
    )
    if asked.tenant_id is not None:
        found = found.where(m.Account.tenant_id == rows.filter_id(asked.tenant_id, "ten", "tenant_id"))
    if asked.pool_id is not None:
        named = rows.filter_id(asked.pool_id, "pool", "pool_id")
        found = found.where(m.Account.pools.contains([named]))
    for column, value in (
        (m.Account.platform, asked.platform),
        (m.Account.provider, asked.provider),
        (m.Account.enabled, asked.enabled),
    ):
        if value is not None:
            found = found.where(column == value)
    return await rows.page(session, found, m.Account.id, "acct", window)


async def find(session: AsyncSession, reach: Reach, account_id: str, *, lock: bool = False) -> m.Account:
    found = select(m.Account).where(
        reach.over(m.Account.tenant_id),
        m.Account.deleted_at.is_(None),
        m.Account.id == rows.identity(account_id, "acct", "account"),
    )
    return await rows.one(session, found, "account", lock=lock)


async def create(
    session: AsyncSession, sealer: Sealer, tenant_id: str, values: Mapping[str, Any], credentials: Mapping[str, Any]
) -> m.Account:
    """`values` and `credentials` were checked against the platform by the caller, which knows the platforms."""
    account = m.Account(id=new_id("acct"), tenant_id=tenant_id, **await _checked(session, tenant_id, values))
    _seal(account, sealer, credentials)
    session.add(account)
    await rows.announce(session, "account", account.id)
    return account


async def change(
    session: AsyncSession,
    sealer: Sealer,
    account: m.Account,
    values: Mapping[str, Any],
    credentials: Mapping[str, Any] | None = None,
) -> None:
    """Credentials, when given, replace the old ones as a whole."""
    rows.update(account, await _checked(session, account.tenant_id, values))
    if credentials is not None:
        _seal(account, sealer, credentials)
    await rows.announce(session, "account", account.id)


async def keep_renewed(session: AsyncSession, sealer: Sealer, account: m.Account, renewed: Mapping[str, Any]) -> None:
    """What a renewal got, beside the credentials that the operator wrote; the gateways read it at once."""
    account.renewed = sealer.seal_renewed(renewed, account.id)
    await rows.announce(session, "account", account.id)


async def switch(session: AsyncSession, account: m.Account, *, enabled: bool, draining: bool = False) -> None:
    """The operator's switch. The automatic state is apart and never turns it. `draining`: on, but only for what is
    bound to the account."""
    rows.update(account, {"enabled": enabled, "draining": draining})
    await rows.announce(session, "account", account.id)


async def delete(session: AsyncSession, sealer: Sealer, account: m.Account) -> None:
    """The row stays for the ledger's sake; its credentials do not, nor its hold on a proxy."""
    _seal(account, sealer, {})
    rows.update(account, {"deleted_at": datetime.now(UTC), "enabled": False, "proxy_id": None})
    await rows.announce(session, "account", account.id)


async def recent_model(session: AsyncSession, account: m.Account) -> str | None:
    """The upstream model that the account served last, as the ledger has it."""
    served = (
        select(m.Request.model_used)
        .where(m.Request.account_id == account.id, m.Request.status == 200, m.Request.model_used.is_not(None))
        .order_by(m.Request.received_at.desc())
        .limit(1)
    )
    return (await session.execute(served)).scalar_one_or_none()


def credentials(account: m.Account, sealer: Sealer) -> dict[str, Any]:
    """In clear, for a check against changed options. Raises Conflict when they do not open."""
    try:
        held = sealer.open(account.credentials, f"accounts/{account.id}/credentials")
    except SealBroken:
        raise Conflict("the stored credentials do not open: give them again", "credentials") from None
    return msgspec.json.decode(held, type=dict[str, Any])


def _seal(account: m.Account, sealer: Sealer, credentials: Mapping[str, Any]) -> None:
    account.renewed = None
    account.credentials = sealer.seal_credentials(credentials, account.id)
    account.credential_fields = sorted(name for name, value in credentials.items() if value is not None)


async def _checked(session: AsyncSession, tenant_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they are stored. Raises Invalid naming the field."""
    stored = dict(values)
    if stored.get("proxy_id") is not None:
        stored["proxy_id"] = await proxies.resolve(session, tenant_id, stored["proxy_id"])
    if "limits" in stored:
        _parsed_limits(stored["limits"])
    if "pools" in stored:
        stored["pools"] = await pools.resolve(session, tenant_id, stored["pools"])
    return stored


def _parsed_limits(items: Any) -> None:
    try:
        limits.parse(items, scope="account")
    except limits.InvalidLimit as error:
        raise Invalid(error.message, error.field) from None
