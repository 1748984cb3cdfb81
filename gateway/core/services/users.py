"""Users and their roles. Password hashes come in ready: hashing is slow and belongs to the shell's thread."""

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, exists, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import limits
from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.secret import Secret
from gateway.core.services import rows
from gateway.core.services.failures import Conflict, Denied, Invalid
from gateway.core.services.reach import Reach

DEFAULTS: Mapping[str, Any] = {"name": "", "limits": [], "enabled": True}
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,190}")


class Role(Struct, frozen=True):
    tenant_id: str
    role: str


def visible(reach: Reach) -> ColumnElement[bool]:
    """Users who have a role in a tenant that is reached; all of them, also those without a role, for root."""
    if reach.everything:
        return true()
    return exists().where(m.UserRole.user_id == m.User.id, reach.over(m.UserRole.tenant_id))


async def listing(
    session: AsyncSession, reach: Reach, window: rows.Window, *, tenant_id: str | None = None, q: str | None = None
) -> rows.Slice[m.User]:
    found = select(m.User).where(visible(reach), *rows.matching(q, m.User.email, m.User.name))
    if tenant_id is not None:
        identifier = rows.filter_id(tenant_id, "ten", "tenant_id")
        found = found.where(exists().where(m.UserRole.user_id == m.User.id, m.UserRole.tenant_id == identifier))
    return await rows.page(session, found, m.User.id, "usr", window)


async def find(session: AsyncSession, reach: Reach, user_id: str, *, lock: bool = False) -> m.User:
    found = select(m.User).where(visible(reach), m.User.id == rows.identity(user_id, "usr", "user"))
    return await rows.one(session, found, "user", lock=lock)


async def by_id(session: AsyncSession, user_id: str) -> m.User | None:
    return (await session.execute(select(m.User).where(m.User.id == user_id))).scalar_one_or_none()


async def by_email(session: AsyncSession, email: str) -> m.User | None:
    return (await session.execute(select(m.User).where(m.User.email == email.lower()))).scalar_one_or_none()


async def any_exists(session: AsyncSession) -> bool:
    return (await session.execute(select(m.User.id).limit(1))).first() is not None


def one_time_password() -> Secret:
    """128 random bits, easy to copy."""
    return Secret(secrets.token_urlsafe(16))


async def create(
    session: AsyncSession, values: Mapping[str, Any], roles: Sequence[Role], password_hash: str, *, one_time: bool
) -> m.User:
    user = m.User(id=new_id("usr"), password_hash=password_hash, one_time=one_time, **_checked(values))
    user.roles = await _assigned(session, roles)
    session.add(user)
    await rows.announce(session, "user", user.id)
    return user


def require_control(reach: Reach, user: m.User) -> None:
    """What concerns the whole user (name, password, switch) is changed by root, or by the owner of all its tenants."""
    if reach.everything:
        return
    if user.root or any(role.tenant_id not in reach.tenants for role in user.roles):
        raise Denied("this user also belongs to others: only root may change this")


async def change(session: AsyncSession, user: m.User, values: Mapping[str, Any]) -> None:
    """Raises Conflict rather than leave the installation without a root user."""
    values = rows.cleared(values, DEFAULTS)
    if user.root and user.enabled and not (values.get("root", True) and values.get("enabled", True)):
        await _require_another_root(session, user)
    rows.update(user, _checked(values))
    await rows.announce(session, "user", user.id)


async def assign(session: AsyncSession, reach: Reach, user: m.User, roles: Sequence[Role]) -> None:
    """Replaces the user's roles in the tenants that are reached; those elsewhere stay."""
    kept = [role for role in user.roles if not reach.covers(role.tenant_id)]
    wanted = {role.tenant_id: role.role for role in roles}
    present = {role.tenant_id: role for role in user.roles if reach.covers(role.tenant_id)}
    for tenant_id, role in present.items():
        if tenant_id in wanted:
            role.role = wanted[tenant_id]
            kept.append(role)
    kept += await _assigned(session, [role for role in roles if role.tenant_id not in present])
    user.roles = kept
    rows.update(user, {})
    await rows.announce(session, "user", user.id)


async def set_password(session: AsyncSession, user: m.User, password_hash: str, *, one_time: bool) -> None:
    """Ends the user's sessions: each of them remembers the hash it was made under."""
    rows.update(user, {"password_hash": password_hash, "one_time": one_time})
    await rows.announce(session, "user", user.id)


async def set_totp(session: AsyncSession, user: m.User, sealed: bytes | None) -> None:
    rows.update(user, {"totp_secret": sealed})
    await rows.announce(session, "user", user.id)


async def delete(session: AsyncSession, user: m.User) -> None:
    """Raises Conflict while keys name the user: switch it off instead, so that they stay accounted for."""
    if user.root:
        await _require_another_root(session, user)
    if (await session.execute(select(m.Key.id).where(m.Key.user_id == user.id).limit(1))).first():
        raise Conflict("keys belong to this user: disable the user instead")
    await session.delete(user)
    await rows.announce(session, "user", user.id)


async def _require_another_root(session: AsyncSession, user: m.User) -> None:
    others = select(func.count()).where(m.User.root, m.User.enabled, m.User.id != user.id)
    if not (await session.execute(others)).scalar_one():
        raise Conflict("this is the last root user")


async def _assigned(session: AsyncSession, roles: Sequence[Role]) -> list[m.UserRole]:
    if len({role.tenant_id for role in roles}) != len(roles):
        raise Invalid("a tenant is named twice", "roles")
    return [m.UserRole(tenant_id=role.tenant_id, role=role.role) for role in roles]


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    stored = dict(values)
    if "email" in stored:
        if not _EMAIL.fullmatch(stored["email"]):
            raise Invalid("not an e-mail address", "email")
        stored["email"] = stored["email"].lower()
    if "limits" in stored:
        try:
            limits.parse(stored["limits"], scope="user")
        except limits.InvalidLimit as error:
            raise Invalid(error.message, error.field) from None
    return stored
