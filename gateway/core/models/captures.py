"""Prompts and answers of tenants that have turned their capture on."""

from datetime import datetime

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from gateway.core.db import PublicId
from gateway.core.models.base import Model


class Capture(Model):
    """One request's, redacted and sealed, until `expires_at`."""

    __tablename__ = "captures"

    request_id: Mapped[str] = mapped_column(PublicId("req"), primary_key=True)
    received_at: Mapped[datetime]
    tenant_id: Mapped[str] = mapped_column(PublicId("ten"))
    key_id: Mapped[str] = mapped_column(PublicId("key"))
    content: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed JSON: `request` and `answer`, each with `text`, `bytes` as there were, and `truncated`."""
    expires_at: Mapped[datetime] = mapped_column(index=True)
