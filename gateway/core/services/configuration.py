"""Reading the configuration for a gateway: the snapshot of everything, and one caller by the digest of a key."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import changes, limits, snapshot
from gateway.core import models as m
from gateway.core.domain import Account, Caller, Pool, Probe, Tenant, Timeouts
from gateway.core.sealing import SealBroken, Sealer

log = structlog.get_logger()


async def load(session: AsyncSession, sealer: Sealer, defaults: Mapping[str, Any]) -> snapshot.Snapshot:
    """The snapshot as of one committed version. `defaults`: platform name → its record (base URL, models).

    An account whose secrets do not open is left out and logged: one broken row must not stop the others.
    """
    version = await changes.current(session)
    tenants = (await session.execute(select(m.Tenant).where(m.Tenant.deleted_at.is_(None)))).scalars()
    pools = (await session.execute(select(m.Pool))).scalars()
    accounts = (await session.execute(select(m.Account).where(m.Account.deleted_at.is_(None)))).scalars()
    return snapshot.build(
        version,
        [Tenant(row.id, row.name, row.enabled, row.public_lists) for row in tenants],
        [Pool(row.id, row.tenant_id, row.name, row.strategy) for row in pools],  # type: ignore[arg-type]
        [account for row in accounts if (account := _account(row, sealer, defaults))],
    )


def _account(row: m.Account, sealer: Sealer, defaults: Mapping[str, Any]) -> Account | None:
    platform = defaults.get(row.platform)
    if platform is None:
        log.warning("account of an unknown platform is left out", account=row.id, platform=row.platform)
        return None
    try:
        return opened(row, sealer, platform.base_url, platform.models)
    except (SealBroken, msgspec.MsgspecError) as error:
        log.error("account is left out: it cannot be read", account=row.id, reason=str(error))
        return None


def opened(row: m.Account, sealer: Sealer, base_url: str | None, models: Sequence[str]) -> Account:
    """The account as the gateway uses it; the platform's `base_url` and `models` stand in where the row has none.

    Raises SealBroken when its secrets do not open, MsgspecError when a stored value is not of its form.
    """
    return Account(
        id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        platform=row.platform,
        provider=row.provider,
        base_url=row.base_url or base_url or "",
        credentials=sealer.open_credentials(row.credentials, row.id) | sealer.open_renewed(row.renewed, row.id),
        options=row.options,
        models=tuple(models if row.models is None else row.models),
        model_map=row.model_map,
        pools=tuple(row.pools),
        priority=row.priority,
        weight=row.weight,
        max_concurrency=row.max_concurrency,
        enabled=row.enabled,
        explicit_only=row.explicit_only,
        expires_at=row.expires_at.timestamp() if row.expires_at else None,
        created_at=row.created_at.timestamp(),
        timeouts=msgspec.convert(row.timeouts, Timeouts),
        limits=limits.all_of([("account", row.id, row.limits)]),
        draining=row.draining,
        probe=msgspec.convert(row.probe, Probe | None),
    )


async def find_caller(session: AsyncSession, digests: Sequence[bytes]) -> tuple[Caller, bytes] | None:
    """The owner of a key, by its digests under every pepper, and the digest that is stored.

    None for unknown and deleted keys alike.
    """
    found = (
        await session.execute(
            select(m.Key, m.KeySecret, m.User, m.Tenant)
            .join(m.KeySecret, m.KeySecret.key_id == m.Key.id)
            .join(m.Tenant, m.Tenant.id == m.Key.tenant_id)
            .outerjoin(m.User, m.User.id == m.Key.user_id)
            .where(m.KeySecret.digest.in_(digests), m.Key.deleted_at.is_(None), m.Tenant.deleted_at.is_(None))
            .limit(1)
        )
    ).first()
    if found is None:
        return None
    key, secret, tenant = found[0], found[1], found[3]
    user = cast(m.User | None, found[2])
    groups = [("key", key.id, key.limits), ("tenant", tenant.id, tenant.limits)]
    if user is not None:
        groups.insert(1, ("user", user.id, user.limits))
    caller = Caller(
        key_id=key.id,
        tenant_id=key.tenant_id,
        name=key.name,
        user_id=key.user_id,
        platforms=tuple(key.platforms),
        models=tuple(key.models),
        groups=tuple(key.groups),
        pools=tuple(key.pools),
        account_id=key.account_id,
        allowed_ips=tuple(key.allowed_ips),
        allowed_clients=tuple(key.allowed_clients),
        expires_at=key.expires_at.timestamp() if key.expires_at else None,
        secret_expires_at=secret.expires_at.timestamp() if secret.expires_at else None,
        enabled=key.enabled and tenant.enabled and (user is None or user.enabled),
        limits=limits.all_of(groups),  # type: ignore[arg-type]
        on_disconnect=key.on_disconnect,  # type: ignore[arg-type]
        price_multiplier=key.price_multiplier,
        debug=key.debug,
    )
    return caller, secret.digest


async def redigest(session: AsyncSession, old: bytes, new: bytes, pepper_id: str) -> None:
    """A key that was found by an older pepper is kept under the newest from now on. The caller commits."""
    stored = update(m.KeySecret).where(m.KeySecret.digest == old)
    await session.execute(stored.values(digest=new, pepper_id=pepper_id))
