"""Reading the configuration for a gateway: the snapshot of everything, and one caller by the digest of a key."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import raiseload

from gateway.core import changes, limits, prices, snapshot
from gateway.core import models as m
from gateway.core.domain import Account, Caller, Capture, LimitScope, Pool, Probe, Proxy, Tenant, Timeouts
from gateway.core.groups import Group
from gateway.core.sealing import SealBroken, Sealer
from gateway.core.services import groups, proxies, teams

log = structlog.get_logger()


async def load(
    session: AsyncSession, sealer: Sealer, defaults: Mapping[str, Any], *, tenant_id: str | None = None
) -> snapshot.Snapshot:
    """The snapshot as of one committed version. `defaults`: platform name → its record (base URL, models).
    `tenant_id`: with the accounts and groups of one tenant only.

    An account whose secrets do not open is left out and logged, as is a group that cannot be read: one broken row must
    not stop the others.
    """
    version = await changes.current(session)
    tenants = (await session.execute(select(m.Tenant).where(m.Tenant.deleted_at.is_(None)))).scalars()
    pools = (await session.execute(select(m.Pool))).scalars()
    wanted, grouped = select(m.Account).where(m.Account.deleted_at.is_(None)), select(m.Group)
    if tenant_id is not None:
        wanted = wanted.where(m.Account.tenant_id == tenant_id)
        grouped = grouped.where(m.Group.tenant_id == tenant_id)
    known = list((await session.execute(grouped)).scalars())
    named = {row.id: row.name for row in known}
    accounts = (await session.execute(wanted)).scalars()
    ways = _proxies((await session.execute(select(m.Proxy))).scalars(), sealer)
    return snapshot.build(
        version,
        [_tenant(row, named) for row in tenants],
        [Pool(row.id, row.tenant_id, row.name, row.strategy) for row in pools],  # type: ignore[arg-type]
        [account for row in accounts if (account := _account(row, sealer, defaults, ways))],
        [group for row in known if (group := _group(row))],
    )


def _tenant(row: m.Tenant, named: Mapping[str, str]) -> Tenant:
    """`named`: the groups' names by their ids."""
    active = None if row.active_group_id is None else named.get(row.active_group_id)
    return Tenant(
        row.id,
        row.name,
        row.enabled,
        row.public_lists,
        capture=_capture(row),
        ollama_key_id=row.ollama_key_id,
        active_group=active,
    )


def _group(row: m.Group) -> Group | None:
    """None for one that cannot be read, as if there were none."""
    try:
        return groups.opened(row)
    except msgspec.ValidationError as error:
        log.error("group is left out: it cannot be read", group=row.id, reason=str(error))
        return None


def _capture(row: m.Tenant) -> Capture | None:
    """None while it is off, and when it cannot be read: then nothing is kept."""
    try:
        capture = msgspec.convert(row.capture, Capture | None)
    except msgspec.ValidationError as error:
        log.error("a tenant's capture is off: it cannot be read", tenant=row.id, reason=str(error))
        return None
    return capture if capture is not None and capture.enabled else None


def _proxies(found: Iterable[m.Proxy], sealer: Sealer) -> dict[str, Proxy]:
    """By id; without those that cannot be read, and then the accounts that name one are left out too."""
    known: dict[str, Proxy] = {}
    for row in found:
        try:
            known[row.id] = proxies.opened(row, sealer)
        except SealBroken as error:
            log.error("proxy is left out: it cannot be read", proxy=row.id, reason=str(error))
    return known


def _account(row: m.Account, sealer: Sealer, defaults: Mapping[str, Any], ways: Mapping[str, Proxy]) -> Account | None:
    platform = defaults.get(row.platform)
    if platform is None:
        log.warning("account of an unknown platform is left out", account=row.id, platform=row.platform)
        return None
    try:
        way = ways.get(row.proxy_id) if row.proxy_id else None
        return opened(row, sealer, platform.base_url, platform.models, way)
    except (SealBroken, msgspec.MsgspecError) as error:
        log.error("account is left out: it cannot be read", account=row.id, reason=str(error))
        return None


def opened(
    row: m.Account, sealer: Sealer, base_url: str | None, models: Sequence[str], proxy: Proxy | None = None
) -> Account:
    """The account as the gateway uses it; the platform's `base_url` and `models` stand in where the row has none.

    `proxy` is the one that the row names (`proxies.of_account`). Raises SealBroken when the secrets do not open or
    the proxy is missing: such an account never goes out directly. MsgspecError: a stored value is not of its form.
    """
    if row.proxy_id != (proxy.id if proxy else None):
        raise SealBroken("the account's proxy cannot be read")
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
        proxy=proxy,
        probe=msgspec.convert(row.probe, Probe | None),
    )


async def find_caller(session: AsyncSession, digests: Sequence[bytes]) -> tuple[Caller, bytes] | None:
    """The owner of a key, by its digests under every pepper, and the digest that is stored.

    None for unknown and deleted keys alike.
    """
    found = (await session.execute(_CALLERS.where(m.KeySecret.digest.in_(digests)).limit(1))).first()
    if found is None:
        return None
    return _caller(*found), found[1].digest


async def caller_of(session: AsyncSession, key: m.Key) -> Caller | None:
    """Who presents the key's newest secret; None when its tenant is deleted."""
    return await caller_named(session, key.id)


async def caller_named(session: AsyncSession, key_id: str) -> Caller | None:
    """Who presents the newest secret of this key; None when it is unknown or deleted, or its tenant is."""
    newest = _CALLERS.where(m.Key.id == key_id).order_by(m.KeySecret.expires_at.desc().nulls_first()).limit(1)
    found = (await session.execute(newest)).first()
    return _caller(*found) if found is not None else None


_CALLERS = (
    select(m.Key, m.KeySecret, m.User, m.Team, m.Tenant)
    .options(raiseload(m.Team.members))  # nobody asks who else is in it
    .join(m.KeySecret, m.KeySecret.key_id == m.Key.id)
    .join(m.Tenant, m.Tenant.id == m.Key.tenant_id)
    .outerjoin(m.User, m.User.id == m.Key.user_id)
    .outerjoin(m.TeamMember, teams.membership(m.Key))
    .outerjoin(m.Team, m.Team.id == m.TeamMember.team_id)
    .where(m.Key.deleted_at.is_(None), m.Tenant.deleted_at.is_(None))
)


def _caller(key: m.Key, secret: m.KeySecret, user: m.User | None, team: m.Team | None, tenant: m.Tenant) -> Caller:
    owners: list[tuple[LimitScope, str, Any]] = [("key", key.id, key.limits)]
    if user is not None:
        owners.append(("user", limits.of_user(user.id, tenant.id), user.limits))
    if team is not None:
        owners.append(("team", team.id, team.limits))
    owners.append(("tenant", tenant.id, tenant.limits))
    return Caller(
        key_id=key.id,
        tenant_id=key.tenant_id,
        name=key.name,
        user_id=key.user_id,
        team_id=team.id if team else None,
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
        limits=limits.all_of(owners),
        on_disconnect=key.on_disconnect,  # type: ignore[arg-type]
        price_multiplier=prices.product(key.price_multiplier, tenant.price_multiplier),
        debug=key.debug,
    )


async def redigest(session: AsyncSession, old: bytes, new: bytes, pepper_id: str) -> None:
    """A key that was found by an older pepper is kept under the newest from now on. The caller commits."""
    stored = update(m.KeySecret).where(m.KeySecret.digest == old)
    await session.execute(stored.values(digest=new, pepper_id=pepper_id))
