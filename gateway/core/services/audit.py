"""The audit log: who changed what, written in the transaction of the change. Append-only, by a trigger too."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.services import rows
from gateway.core.services.reach import Reach

#: Names of members that hold secrets, wherever they are met.
_SECRET = re.compile(r"secret|passw|api_?key|credentials|authorization|cookie|(^|_)token$|^url$", re.IGNORECASE)
REMOVED = "[secret]"


class Actor(Struct, frozen=True):
    """Who acts: the id of a user or token, `bootstrap` or `system`; from where; in which request."""

    id: str
    address: str | None = None
    request_id: str | None = None


async def record(
    session: AsyncSession,
    actor: Actor,
    action: str,
    target: str,
    *,
    tenant_id: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """`before` and `after` are the resource as it is shown; members that could hold a secret are removed again here."""
    session.add(
        m.Audit(
            id=new_id("aud"),
            tenant_id=tenant_id,
            actor=actor.id,
            action=action,
            target=target,
            before=None if before is None else without_secrets(dict(before)),
            after=None if after is None else without_secrets(dict(after)),
            address=actor.address,
            request_id=actor.request_id,
        )
    )


def without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {name: _shown(name, held) for name, held in members.items()}
    if isinstance(value, list):
        return [without_secrets(item) for item in cast("list[Any]", value)]
    return value


def _shown(name: str, held: Any) -> Any:
    """Whether a secret is there may be told, never which."""
    if _SECRET.search(name) and held is not None and not isinstance(held, bool):
        return REMOVED
    return without_secrets(held)


class AuditFilter(Struct, frozen=True):
    tenant_id: str | None = None
    actor: str | None = None
    action: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def listing(session: AsyncSession, reach: Reach, window: rows.Window, asked: AuditFilter) -> rows.Slice[m.Audit]:
    found = select(m.Audit).where(reach.over(m.Audit.tenant_id))
    for column, value in (
        (m.Audit.tenant_id, asked.tenant_id and rows.filter_id(asked.tenant_id, "ten", "tenant_id")),
        (m.Audit.actor, asked.actor),
        (m.Audit.action, asked.action),
        (m.Audit.target, asked.target),
    ):
        if value is not None:
            found = found.where(column == value)
    if asked.since is not None:
        found = found.where(m.Audit.at >= asked.since)
    if asked.until is not None:
        found = found.where(m.Audit.at < asked.until)
    return await rows.page(session, found, m.Audit.id, "aud", window)


async def happened(session: AsyncSession, action: str) -> bool:
    return (await session.execute(select(m.Audit.id).where(m.Audit.action == action).limit(1))).first() is not None
