"""Keys, accounts and the pools that bind them."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from gateway.core.db import PublicId
from gateway.core.models.base import Dated, Model


class Key(Dated, Model):
    __tablename__ = "keys"
    __table_args__ = (Index("ix_keys_tenant_id_created_at", "tenant_id", text("created_at DESC")),)

    id: Mapped[str] = mapped_column(PublicId("key"), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(PublicId("ten"), ForeignKey("tenants.id"))
    user_id: Mapped[str | None] = mapped_column(PublicId("usr"), ForeignKey("users.id"), index=True)
    name: Mapped[str]
    prefix: Mapped[str]
    last_four: Mapped[str]
    platforms: Mapped[list[str]]
    models: Mapped[list[str]]
    groups: Mapped[list[str]] = mapped_column(server_default="{*}")
    limits: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    pools: Mapped[list[str]] = mapped_column(ARRAY(PublicId("pool")), server_default="{}")
    account_id: Mapped[str | None] = mapped_column(PublicId("acct"))
    allowed_ips: Mapped[list[str]] = mapped_column(server_default="{}")
    allowed_clients: Mapped[list[str]] = mapped_column(server_default="{}")
    mcp_servers: Mapped[list[str]] = mapped_column(server_default="{}")
    on_disconnect: Mapped[str | None]
    price_multiplier: Mapped[str] = mapped_column(server_default="1")
    debug: Mapped[bool] = mapped_column(server_default="false")
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", server_default="{}")
    tags: Mapped[list[str]] = mapped_column(server_default="{}")
    enabled: Mapped[bool] = mapped_column(server_default="true")
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class KeySecret(Model):
    """The digests by which a key is found: the current one, and after a rotation the old one until its overlap ends."""

    __tablename__ = "key_secrets"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    key_id: Mapped[str] = mapped_column(PublicId("key"), ForeignKey("keys.id", ondelete="CASCADE"), index=True)
    pepper_id: Mapped[str]
    expires_at: Mapped[datetime | None]


class Pool(Dated, Model):
    __tablename__ = "pools"
    __table_args__ = (Index("uq_pools_tenant_id_name", "tenant_id", "name", unique=True),)

    id: Mapped[str] = mapped_column(PublicId("pool"), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(PublicId("ten"), ForeignKey("tenants.id"))
    name: Mapped[str]
    strategy: Mapped[str] = mapped_column(server_default="least_busy")


class Proxy(Dated, Model):
    """A way out that accounts of the tenant may be sent through. The URL may hold a password, so it is sealed."""

    __tablename__ = "proxies"
    __table_args__ = (Index("uq_proxies_tenant_id_name", "tenant_id", "name", unique=True),)

    id: Mapped[str] = mapped_column(PublicId("prx"), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(PublicId("ten"), ForeignKey("tenants.id"))
    name: Mapped[str]
    url: Mapped[bytes] = mapped_column(LargeBinary)


class Account(Dated, Model):
    __tablename__ = "accounts"
    __table_args__ = (
        Index(
            "uq_accounts_tenant_id_name",
            "tenant_id",
            "name",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(PublicId("acct"), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(PublicId("ten"), ForeignKey("tenants.id"))
    name: Mapped[str]
    platform: Mapped[str]
    """The registry's name, checked at the edge: a new platform needs no migration."""
    provider: Mapped[str]
    base_url: Mapped[str | None]
    options: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    credentials: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed; see gateway.core.sealing. What an operator wrote."""
    renewed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed: what renewals have got since (access token, its end, a rotated refresh token). Goes when credentials are
    written anew."""
    credential_fields: Mapped[list[str]]
    models: Mapped[list[str] | None]
    model_map: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    pools: Mapped[list[str]] = mapped_column(ARRAY(PublicId("pool")), server_default="{}")
    priority: Mapped[int] = mapped_column(server_default="50")
    weight: Mapped[int] = mapped_column(server_default="1")
    max_concurrency: Mapped[int | None]
    limits: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    proxy_id: Mapped[str | None] = mapped_column(PublicId("prx"), ForeignKey("proxies.id"))
    probe: Mapped[dict[str, Any] | None]
    timeouts: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    enabled: Mapped[bool] = mapped_column(server_default="true")
    draining: Mapped[bool] = mapped_column(server_default="false")
    explicit_only: Mapped[bool] = mapped_column(server_default="false")
    notes: Mapped[str] = mapped_column(server_default="")
    expires_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
