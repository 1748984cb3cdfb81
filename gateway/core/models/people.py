"""Tenants, users, their roles, admin tokens."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column, relationship

from gateway.core.db import PublicId
from gateway.core.models.base import Dated, Model


class Tenant(Dated, Model):
    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(PublicId("ten"), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    enabled: Mapped[bool] = mapped_column(server_default="true")
    public_lists: Mapped[bool] = mapped_column(server_default="false")
    limits: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    capture: Mapped[dict[str, Any] | None]
    """See gateway.core.capture; null is off."""
    price_multiplier: Mapped[str] = mapped_column(server_default="1")
    """Besides that of the key."""
    active_group_id: Mapped[str | None] = mapped_column(
        PublicId("grp"), ForeignKey("groups.id", ondelete="SET NULL", use_alter=True)
    )
    """What `/switch/…` stands for."""
    ollama_key_id: Mapped[str | None] = mapped_column(PublicId("key"))
    """Stands for the key of Ollama's clients on this machine, which have none; of the tenant `default` alone."""
    deleted_at: Mapped[datetime | None]


class UserRole(Model):
    __tablename__ = "user_roles"

    user_id: Mapped[str] = mapped_column(PublicId("usr"), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(
        PublicId("ten"), ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    role: Mapped[str]


class User(Dated, Model):
    __tablename__ = "users"

    id: Mapped[str] = mapped_column(PublicId("usr"), primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    """Lower case."""
    name: Mapped[str] = mapped_column(server_default="")
    password_hash: Mapped[str | None]
    """argon2id, in its own text form."""
    one_time: Mapped[bool] = mapped_column(server_default="true")
    """The password was made by poolgate and must be changed at the first log-in."""
    root: Mapped[bool] = mapped_column(server_default="false")
    enabled: Mapped[bool] = mapped_column(server_default="true")
    totp_secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed."""
    limits: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    last_login_at: Mapped[datetime | None]
    roles: Mapped[list[UserRole]] = relationship(lazy="selectin", cascade="all, delete-orphan")


class Token(Dated, Model):
    """An admin token: acts for a user, narrowed by scopes. Kept as a keyed digest."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(PublicId("tok"), primary_key=True)
    user_id: Mapped[str] = mapped_column(PublicId("usr"), ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    prefix: Mapped[str]
    last_four: Mapped[str]
    scopes: Mapped[list[str]]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
