"""Webhooks: where trouble with accounts is told, and what is still to be told."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, func, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.core.db import PublicId
from gateway.core.models.base import Dated, Model


class Webhook(Dated, Model):
    __tablename__ = "webhooks"
    __table_args__ = (Index("uq_webhooks_tenant_id_name", "tenant_id", "name", unique=True),)

    id: Mapped[str] = mapped_column(PublicId("whk"), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(PublicId("ten"), ForeignKey("tenants.id"))
    name: Mapped[str]
    kind: Mapped[str]
    """plain, slack, feishu, dingtalk."""
    url: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed: those of chat services hold a token."""
    host: Mapped[str]
    """Of the URL, to be shown."""
    secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed: what deliveries are signed with."""
    events: Mapped[list[str]]
    enabled: Mapped[bool] = mapped_column(server_default="true")


class Delivery(Model):
    """One event for one webhook, until it is delivered or given up."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("ix_deliveries_webhook_id_created_at", "webhook_id", text("created_at DESC")),
        Index("ix_deliveries_next_at", "next_at", postgresql_where=text("next_at IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(PublicId("dlv"), primary_key=True)
    """Made of the event's id, so that one that is read twice is written once."""
    webhook_id: Mapped[str] = mapped_column(PublicId("whk"), ForeignKey("webhooks.id", ondelete="CASCADE"))
    subject: Mapped[str]
    """ACCOUNT|SCOPE: what the event is about."""
    event: Mapped[dict[str, Any]]
    attempts: Mapped[int] = mapped_column(server_default="0")
    first_at: Mapped[datetime]
    """When it was to be tried first: later than it was created when one like it had just been sent."""
    next_at: Mapped[datetime | None]
    """When it is tried next; null when it was delivered or given up."""
    delivered_at: Mapped[datetime | None]
    status: Mapped[int | None]
    """The receiver's last answer."""
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
