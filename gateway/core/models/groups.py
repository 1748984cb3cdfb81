"""Groups: a path prefix of a tenant with its own aliases and rules. See gateway.core.groups."""

from typing import Any

from sqlalchemy import Double, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import Mapped, mapped_column

from gateway.core.db import PublicId
from gateway.core.models.base import Dated, Model


class Group(Dated, Model):
    """Two names that differ in the case of letters alone would be taken for each other."""

    __tablename__ = "groups"
    __table_args__ = (Index("uq_groups_tenant_id_name", "tenant_id", text("lower(name)"), unique=True),)

    id: Mapped[str] = mapped_column(PublicId("grp"), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(PublicId("ten"), ForeignKey("tenants.id"))
    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    enabled: Mapped[bool] = mapped_column(server_default="true")
    aliases: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    prompt: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    temperature_ratio: Mapped[float] = mapped_column(Double, server_default="1")
    tools_removed: Mapped[list[str]] = mapped_column(server_default="{}")
    tool_mode: Mapped[str] = mapped_column(server_default="auto")
    # Not JSONB, which sorts members: a model that answers by a schema follows its order.
    params_default: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    params_override: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    headers: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
