"""Teams: named groups of a tenant's users, with limits that they share."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from gateway.core.db import PublicId
from gateway.core.models.base import Dated, Model


class TeamMember(Model):
    """The primary key says it: a user has at most one team in a tenant. Who loses the role there leaves the team."""

    __tablename__ = "team_members"
    __table_args__ = (
        ForeignKeyConstraint(
            ["user_id", "tenant_id"], ["user_roles.user_id", "user_roles.tenant_id"], ondelete="CASCADE"
        ),
    )
    # The role may go, and this row with it, while a change of the team runs: to find it gone then is no trouble.
    __mapper_args__: Mapping[str, Any] = {"confirm_deleted_rows": False}

    tenant_id: Mapped[str] = mapped_column(PublicId("ten"), primary_key=True)
    user_id: Mapped[str] = mapped_column(PublicId("usr"), primary_key=True)
    team_id: Mapped[str] = mapped_column(PublicId("team"), ForeignKey("teams.id", ondelete="CASCADE"), index=True)


class Team(Dated, Model):
    __tablename__ = "teams"
    __table_args__ = (Index("uq_teams_tenant_id_name", "tenant_id", "name", unique=True),)

    id: Mapped[str] = mapped_column(PublicId("team"), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(PublicId("ten"), ForeignKey("tenants.id"))
    name: Mapped[str]
    limits: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    members: Mapped[list[TeamMember]] = relationship(lazy="selectin", cascade="all, delete-orphan")
