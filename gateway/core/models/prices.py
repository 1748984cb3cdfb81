"""Prices that an operator has put on top of the shipped ones."""

from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from gateway.core.db import PublicId
from gateway.core.models.base import Model


class PriceVersion(Model):
    """Written once and never changed; one that is not in force yet may be deleted."""

    __tablename__ = "price_versions"

    id: Mapped[str] = mapped_column(PublicId("prv"), primary_key=True)
    version: Mapped[str] = mapped_column(unique=True)
    """What rows of the ledger name."""
    effective_at: Mapped[datetime]
    currency: Mapped[str]
    source: Mapped[str]
    """manual, litellm."""
    prices: Mapped[list[dict[str, Any]]]
    """gateway.core.prices.Price, amounts as strings."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
