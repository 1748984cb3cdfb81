"""Teams of a tenant: their limits are shared by all keys of their users. A user has at most one in a tenant."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import limits
from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.services import rows
from gateway.core.services.failures import Conflict, Invalid
from gateway.core.services.reach import Reach

DEFAULTS: Mapping[str, Any] = {"user_ids": [], "limits": []}


def membership(owned: Any) -> ColumnElement[bool]:
    """Joins `TeamMember` to whatever has a `tenant_id` and a `user_id`: a key, the ledger, its roll-ups. It finds one
    row or none, so sums over a join never count twice; and it is the team of today, whenever the row was written."""
    return and_(m.TeamMember.tenant_id == owned.tenant_id, m.TeamMember.user_id == owned.user_id)


async def listing(
    session: AsyncSession,
    reach: Reach,
    window: rows.Window,
    *,
    tenant_id: str | None = None,
    user_id: str | None = None,
    q: str | None = None,
) -> rows.Slice[m.Team]:
    """`user_id`: the teams that have this user."""
    found = select(m.Team).where(reach.over(m.Team.tenant_id), *rows.matching(q, m.Team.name))
    if tenant_id is not None:
        found = found.where(m.Team.tenant_id == rows.filter_id(tenant_id, "ten", "tenant_id"))
    if user_id is not None:
        found = found.where(m.Team.members.any(m.TeamMember.user_id == rows.filter_id(user_id, "usr", "user_id")))
    return await rows.page(session, found, m.Team.id, "team", window)


async def find(session: AsyncSession, reach: Reach, team_id: str, *, lock: bool = False) -> m.Team:
    identifier = rows.identity(team_id, "team", "team")
    found = select(m.Team).where(reach.over(m.Team.tenant_id), m.Team.id == identifier)
    return await rows.one(session, found, "team", lock=lock)


async def of(session: AsyncSession, key: m.Key) -> m.Team | None:
    """The team whose limits the key must pass."""
    found = select(m.Team).join(m.Team.members).where(membership(key))
    return (await session.execute(found)).scalar_one_or_none()


async def create(session: AsyncSession, tenant_id: str, values: Mapping[str, Any]) -> m.Team:
    """`values`: name, user_ids, limits. Raises Invalid, and Conflict naming the user who is in another team."""
    stored = _checked(values)
    named = stored.pop("user_ids", [])
    team = m.Team(id=new_id("team"), tenant_id=tenant_id, members=[], **stored)
    joined = await _seat(session, team, named)
    session.add(team)
    await _announce(session, team, joined)
    return team


async def change(session: AsyncSession, team: m.Team, values: Mapping[str, Any]) -> None:
    """`user_ids` replaces the members. Raises what `create` raises."""
    stored = _checked(rows.cleared(values, DEFAULTS))
    joined = await _seat(session, team, stored.pop("user_ids")) if "user_ids" in stored else []
    rows.update(team, stored)
    await _announce(session, team, joined)


async def delete(session: AsyncSession, team: m.Team) -> None:
    """Its users stay, and so does what they used: the ledger names users, never teams."""
    await session.delete(team)
    await _announce(session, team, [])


async def _seat(session: AsyncSession, team: m.Team, named: Sequence[str]) -> list[str]:
    """Makes the named users the team's members, and nobody else. Returns those who were not."""
    wanted = [rows.filter_id(user_id, "usr", f"user_ids[{at}]") for at, user_id in enumerate(named)]
    # One after another in a tenant: two teams that take the same user would each find the user free.
    await session.execute(select(m.Tenant.id).where(m.Tenant.id == team.tenant_id).with_for_update(key_share=True))
    known = (
        select(m.UserRole.user_id, m.TeamMember.team_id)
        .outerjoin(m.TeamMember, membership(m.UserRole))
        .where(m.UserRole.tenant_id == team.tenant_id, m.UserRole.user_id.in_(wanted))
    )
    team_of = {row.user_id: row.team_id for row in await session.execute(known)}
    for at, user_id in enumerate(wanted):
        field = f"user_ids[{at}]"
        if user_id not in team_of:
            raise Invalid("no such user in this tenant", field)
        if team_of[user_id] not in (None, team.id):
            raise Conflict(f"{user_id} is in {team_of[user_id]} already, and a user has one team", field)
    seated = {member.user_id: member for member in team.members}
    joined = [user_id for user_id in dict.fromkeys(wanted) if user_id not in seated]
    new = [m.TeamMember(tenant_id=team.tenant_id, user_id=user_id) for user_id in joined]
    team.members = [seated[user_id] for user_id in seated if user_id in team_of] + new
    return joined


async def _announce(session: AsyncSession, team: m.Team, joined: Sequence[str]) -> None:
    """Gateways know the team of those who were in it, but not of those who join."""
    await rows.announce(session, "team", team.id)
    for user_id in joined:
        await rows.announce(session, "user", user_id)


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    if "limits" in values:
        try:
            limits.parse(values["limits"], scope="team")
        except limits.InvalidLimit as error:
            raise Invalid(error.message, error.field) from None
    return dict(values)
