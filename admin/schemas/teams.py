"""Teams, as they are written and as they are shown."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from admin.schemas.page import Name, Word, at
from admin.schemas.people import Limits
from gateway.core import models as m
from gateway.core.limits import written

Members = Annotated[list[Word], Meta(max_length=1000)]


class TeamDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    tenant_id: str | None = None
    user_ids: Members | None = None
    limits: Limits | None = None


class TeamPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`user_ids` replaces the members."""

    name: Name | UnsetType | None = UNSET
    user_ids: Members | UnsetType | None = UNSET
    limits: Limits | UnsetType | None = UNSET


class TeamView(Struct, frozen=True, kw_only=True):
    id: str
    tenant_id: str
    name: str
    user_ids: list[str]
    limits: Limits
    created_at: str
    updated_at: str


def team_view(team: m.Team) -> TeamView:
    return TeamView(
        id=team.id,
        tenant_id=team.tenant_id,
        name=team.name,
        user_ids=sorted(member.user_id for member in team.members),
        limits=written(team.limits),
        created_at=at(team.created_at),
        updated_at=at(team.updated_at),
    )
