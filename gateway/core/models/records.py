"""What is written down: the ledger, its roll-up, the audit log, the versions of the configuration."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Index, Numeric, SmallInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.core.db import PublicId
from gateway.core.models.base import Model

Money = Numeric(20, 9)


class Request(Model):
    """One row for each admitted request. Partitioned by month on `received_at`, the millisecond inside the id."""

    __tablename__ = "requests"
    __table_args__ = (
        Index("ix_requests_tenant_id_received_at", "tenant_id", text("received_at DESC")),
        Index("ix_requests_key_id_received_at", "key_id", text("received_at DESC")),
        Index("ix_requests_account_id_received_at", "account_id", text("received_at DESC")),
        {"postgresql_partition_by": "RANGE (received_at)"},
    )

    request_id: Mapped[str] = mapped_column(PublicId("req"), primary_key=True)
    received_at: Mapped[datetime] = mapped_column(primary_key=True)
    client_request_id: Mapped[str | None]
    tenant_id: Mapped[str] = mapped_column(PublicId("ten"))
    user_id: Mapped[str | None] = mapped_column(PublicId("usr"))
    key_id: Mapped[str] = mapped_column(PublicId("key"))
    account_id: Mapped[str | None] = mapped_column(PublicId("acct"))
    platform: Mapped[str | None]
    provider: Mapped[str | None]
    protocol: Mapped[str]
    path: Mapped[str]
    model_asked: Mapped[str]
    model_used: Mapped[str | None]
    stream: Mapped[bool]
    status: Mapped[int | None] = mapped_column(SmallInteger)
    error_code: Mapped[str | None]
    ending: Mapped[str]
    usage_source: Mapped[str]
    input_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cache_read_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cache_write_5m_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cache_write_1h_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    output_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    reasoning_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    audio_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    image_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    server_tool_calls: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cost: Mapped[Decimal | None] = mapped_column(Money)
    base_cost: Mapped[Decimal | None] = mapped_column(Money)
    """Before the multiplier of the key and its tenant; null where that changes nothing."""
    currency: Mapped[str] = mapped_column(server_default="USD")
    price_version: Mapped[str | None]
    unpriced: Mapped[bool] = mapped_column(server_default="false")
    first_byte_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    overhead_us: Mapped[int | None]
    attempts: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    client_ip: Mapped[str | None]
    user_agent: Mapped[str | None]
    session_id: Mapped[str | None]


class Journal(Model):
    """How far a gateway's journal is committed, for each of its tags. A row already counted is never counted again."""

    __tablename__ = "journals"

    instance: Mapped[str] = mapped_column(primary_key=True)
    tag: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    committed: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class _Usage:
    """Sums of the ledger, applied in the transaction that wrote the rows, by each of its dimensions.

    What a row does not have is the nil UUID or the empty string here: a primary key holds no null. The user and the
    provider are part of it, since a key may be given to another user and an account to another provider.
    """

    tenant_id: Mapped[str] = mapped_column(PublicId("ten"), primary_key=True)
    key_id: Mapped[str] = mapped_column(PublicId("key"), primary_key=True)
    user_id: Mapped[str] = mapped_column(PublicId("usr"), primary_key=True)
    account_id: Mapped[str] = mapped_column(PublicId("acct"), primary_key=True)
    platform: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger, server_default="0")
    errors: Mapped[int] = mapped_column(BigInteger, server_default="0")
    unpriced: Mapped[int] = mapped_column(BigInteger, server_default="0")
    input_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cache_read_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cache_write_5m_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cache_write_1h_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    output_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    reasoning_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cost: Mapped[Decimal] = mapped_column(Money, server_default="0")


class UsageHour(_Usage, Model):
    """By hour."""

    __tablename__ = "usage_hours"
    __table_args__ = (
        Index("ix_usage_hours_tenant_id_hour", "tenant_id", "hour"),
        Index("ix_usage_hours_key_id_hour", "key_id", "hour"),
        Index("ix_usage_hours_unpriced", "hour", "key_id", postgresql_where=text("unpriced > 0")),
    )

    hour: Mapped[datetime] = mapped_column(primary_key=True)


class UsageDay(_Usage, Model):
    """By day of UTC: always the sums of its hours."""

    __tablename__ = "usage_days"
    __table_args__ = (
        Index("ix_usage_days_tenant_id_day", "tenant_id", "day"),
        Index("ix_usage_days_key_id_day", "key_id", "day"),
    )

    day: Mapped[date] = mapped_column(primary_key=True)


class UsageMonth(_Usage, Model):
    """By month of UTC, named by its first day: what long spans are read from."""

    __tablename__ = "usage_months"

    month: Mapped[date] = mapped_column(primary_key=True)


class Audit(Model):
    """Append-only: who changed what, with the secrets removed. A trigger refuses updates and deletes."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_tenant_id_at", "tenant_id", text("at DESC")),)

    id: Mapped[str] = mapped_column(PublicId("aud"), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    tenant_id: Mapped[str | None] = mapped_column(PublicId("ten"))
    actor: Mapped[str]
    """The id of a user or token, or `system`."""
    action: Mapped[str]
    target: Mapped[str]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    address: Mapped[str | None]
    request_id: Mapped[str | None]


class Change(Model):
    """What changed in the configuration, in the order in which it was committed."""

    __tablename__ = "changes"

    version: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    kind: Mapped[str]
    id: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class Configuration(Model):
    """One row: the version of the configuration that is committed."""

    __tablename__ = "configuration"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(BigInteger)
