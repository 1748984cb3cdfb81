"""Requests that were refused before they were admitted: they have no row in the ledger, only these counts."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from gateway.core.db import PublicId
from gateway.core.models.base import Model


class Refusal(Model):
    """How often in an hour. The nil UUIDs stand for an unknown key, and so no tenant."""

    __tablename__ = "refusals"
    __table_args__ = (
        Index("ix_refusals_tenant_id_hour", "tenant_id", "hour"),
        Index("ix_refusals_key_id_hour", "key_id", "hour"),
    )

    hour: Mapped[datetime] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(PublicId("ten"), primary_key=True)
    key_id: Mapped[str] = mapped_column(PublicId("key"), primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(BigInteger)
