"""Proxy keys: issued once, found by digest, narrowed by permissions, rotated, switched off, deleted for 30 days."""

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis
from sqlalchemy import delete as delete_rows
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import limits, names
from gateway.core import models as m
from gateway.core.domain import Limit, LimitScope
from gateway.core.ids import new_id
from gateway.core.keys import Peppers, new_key
from gateway.core.secret import Secret
from gateway.core.services import pools, prices, rows, teams
from gateway.core.services.failures import Conflict, Invalid
from gateway.core.services.reach import Reach

RESTORE_WINDOW = timedelta(days=30)
_CUTS = "poolgate.cuts"

#: What a field is when it was never given; null in a change means this. The others cannot be null.
DEFAULTS: Mapping[str, Any] = {
    "user_id": None,
    "groups": ["*"],
    "limits": [],
    "pools": [],
    "account_id": None,
    "allowed_ips": [],
    "allowed_clients": [],
    "mcp_servers": [],
    "expires_at": None,
    "on_disconnect": None,
    "price_multiplier": Decimal(1),
    "debug": False,
    "metadata": {},
    "tags": [],
    "enabled": True,
}


class KeyFilter(Struct, frozen=True):
    tenant_id: str | None = None
    user_id: str | None = None
    enabled: bool | None = None
    tag: str | None = None
    deleted: bool = False
    """Only deleted keys that can still be restored."""
    q: str | None = None


async def listing(session: AsyncSession, reach: Reach, window: rows.Window, asked: KeyFilter) -> rows.Slice[m.Key]:
    """`q` looks into names, prefixes and last characters."""
    found = select(m.Key).where(
        reach.over(m.Key.tenant_id, m.Key.user_id),
        m.Key.deleted_at.is_not(None) if asked.deleted else m.Key.deleted_at.is_(None),
        *rows.matching(asked.q, m.Key.name, m.Key.prefix, m.Key.last_four),
    )
    if asked.tenant_id is not None:
        found = found.where(m.Key.tenant_id == rows.filter_id(asked.tenant_id, "ten", "tenant_id"))
    if asked.user_id is not None:
        found = found.where(m.Key.user_id == rows.filter_id(asked.user_id, "usr", "user_id"))
    if asked.enabled is not None:
        found = found.where(m.Key.enabled == asked.enabled)
    if asked.tag is not None:
        found = found.where(m.Key.tags.contains([asked.tag]))
    return await rows.page(session, found, m.Key.id, "key", window)


async def find(session: AsyncSession, reach: Reach, key_id: str, *, lock: bool = False, deleted: bool = False) -> m.Key:
    found = select(m.Key).where(
        reach.over(m.Key.tenant_id, m.Key.user_id),
        m.Key.id == rows.identity(key_id, "key", "key"),
        m.Key.deleted_at.is_not(None) if deleted else m.Key.deleted_at.is_(None),
    )
    return await rows.one(session, found, "key", lock=lock)


async def issue(
    session: AsyncSession, peppers: Peppers, tenant_id: str, values: Mapping[str, Any]
) -> tuple[m.Key, Secret]:
    """The key and its secret, which is kept only as a digest."""
    secret = new_key()
    key = m.Key(
        id=new_id("key"),
        tenant_id=tenant_id,
        prefix=secret[:7],
        last_four=secret[-4:],
        **await _checked(session, tenant_id, {"name": "", **values}),
    )
    session.add(key)
    await session.flush()
    session.add(m.KeySecret(digest=peppers.digest(secret), key_id=key.id, pepper_id=peppers.newest_id()))
    await rows.announce(session, "key", key.id)
    return key, Secret(secret)


async def change(session: AsyncSession, key: m.Key, values: Mapping[str, Any]) -> None:
    rows.update(key, await _checked(session, key.tenant_id, rows.cleared(values, DEFAULTS)))
    await rows.announce(session, "key", key.id)


async def rotate(session: AsyncSession, peppers: Peppers, key: m.Key, overlap: timedelta) -> Secret:
    """A new secret; the old ones work until the overlap ends (an earlier end of theirs stays)."""
    secret = new_key()
    old = m.KeySecret.key_id == key.id
    if overlap > timedelta(0):
        end = datetime.now(UTC) + overlap
        later = m.KeySecret.expires_at.is_(None) | (m.KeySecret.expires_at > end)
        await session.execute(update(m.KeySecret).where(old, later).values(expires_at=end))
    else:
        await session.execute(delete_rows(m.KeySecret).where(old))
    session.add(m.KeySecret(digest=peppers.digest(secret), key_id=key.id, pepper_id=peppers.newest_id()))
    rows.update(key, {"prefix": secret[:7], "last_four": secret[-4:]})
    await rows.announce(session, "key", key.id)
    return Secret(secret)


async def switch(session: AsyncSession, key: m.Key, *, enabled: bool, cut: bool = False) -> None:
    """With `cut` the gateways are told to end the key's running requests: see `announce_cuts`."""
    rows.update(key, {"enabled": enabled})
    if cut:
        # Recorded too: an announcement that a gateway misses must not leave its requests running.
        await rows.announce(session, "cut", key.id)
        session.info.setdefault(_CUTS, []).append(key.id)
    await rows.announce(session, "key", key.id)


async def announce_cuts(session: AsyncSession, redis: Redis) -> None:
    """After the commit only. Raises what Redis raises: the one who asked must know that nothing was cut."""
    for key_id in session.info.pop(_CUTS, []):
        await redis.publish(names.CUT_CHANNEL, key_id)


async def delete(session: AsyncSession, key: m.Key) -> None:
    """It stops working everywhere; its row, history and limits stay for `restore`."""
    rows.update(key, {"deleted_at": datetime.now(UTC)})
    await rows.announce(session, "key", key.id)


async def restore(session: AsyncSession, key: m.Key) -> None:
    if key.deleted_at is None or datetime.now(UTC) - key.deleted_at > RESTORE_WINDOW:
        raise Conflict("the key was deleted more than 30 days ago")
    rows.update(key, {"deleted_at": None})
    await rows.announce(session, "key", key.id)


async def limits_of(session: AsyncSession, key: m.Key) -> tuple[Limit, ...]:
    """Everything that a request of the key must pass: its own limits, its user's, the user's team's, its tenant's."""
    groups: list[tuple[LimitScope, str, Any]] = [("key", key.id, key.limits)]
    if key.user_id is not None:
        user = (await session.execute(select(m.User.limits).where(m.User.id == key.user_id))).scalar_one()
        groups.append(("user", limits.of_user(key.user_id, key.tenant_id), user))
        team = await teams.of(session, key)
        if team is not None:
            groups.append(("team", team.id, team.limits))
    tenant = (await session.execute(select(m.Tenant.limits).where(m.Tenant.id == key.tenant_id))).scalar_one()
    groups.append(("tenant", key.tenant_id, tenant))
    return limits.all_of(groups)


async def _checked(session: AsyncSession, tenant_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they are stored. Raises Invalid naming the field."""
    stored = dict(values)
    if "limits" in stored:
        _parsed_limits(stored["limits"])
    if "allowed_ips" in stored:
        stored["allowed_ips"] = [_network(text, f"allowed_ips[{at}]") for at, text in enumerate(stored["allowed_ips"])]
    if "price_multiplier" in stored:
        stored["price_multiplier"] = prices.multiplier(stored["price_multiplier"])
    if "metadata" in stored:
        stored["metadata_"] = stored.pop("metadata")
    if "pools" in stored:
        stored["pools"] = await pools.resolve(session, tenant_id, stored["pools"])
    if stored.get("account_id") is not None:
        stored["account_id"] = await _account_of(session, tenant_id, stored["account_id"])
    if stored.get("user_id") is not None:
        stored["user_id"] = await _user_of(session, tenant_id, stored["user_id"])
    return stored


def _parsed_limits(items: Any) -> None:
    try:
        limits.parse(items)
    except limits.InvalidLimit as error:
        raise Invalid(error.message, error.field) from None


def _network(text: str, field: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise Invalid("expected an address or a network such as 10.0.0.0/8", field) from None


async def _account_of(session: AsyncSession, tenant_id: str, account_id: str) -> str:
    identifier = rows.filter_id(account_id, "acct", "account_id")
    found = select(m.Account.id).where(
        m.Account.id == identifier, m.Account.tenant_id == tenant_id, m.Account.deleted_at.is_(None)
    )
    if (await session.execute(found)).scalar_one_or_none() is None:
        raise Invalid("no such account in this tenant", "account_id")
    return identifier


async def _user_of(session: AsyncSession, tenant_id: str, user_id: str) -> str:
    identifier = rows.filter_id(user_id, "usr", "user_id")
    found = select(m.UserRole.user_id).where(m.UserRole.user_id == identifier, m.UserRole.tenant_id == tenant_id)
    if (await session.execute(found)).scalar_one_or_none() is None:
        raise Invalid("no such user in this tenant", "user_id")
    return identifier
