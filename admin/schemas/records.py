"""The ledger and the audit log, as they are shown."""

from typing import Any

from msgspec import Struct

from admin.schemas.page import at, stamp
from admin.schemas.usage import money
from gateway.core import models as m


class RequestView(Struct, frozen=True, kw_only=True):
    request_id: str
    client_request_id: str | None
    tenant_id: str
    user_id: str | None
    key_id: str
    account_id: str | None
    platform: str | None
    provider: str | None
    protocol: str
    path: str
    model_asked: str
    model_used: str | None
    stream: bool
    status: int | None
    error_code: str | None
    ending: str
    usage_source: str
    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    audio_tokens: int
    image_tokens: int
    server_tool_calls: int
    cost: str | None
    currency: str
    price_version: str | None
    unpriced: bool
    received_at: str
    first_byte_at: str | None
    ended_at: str | None
    overhead_us: int | None
    attempts: list[dict[str, Any]]
    client_ip: str | None
    user_agent: str | None
    session_id: str | None


class AuditView(Struct, frozen=True, kw_only=True):
    id: str
    at: str
    tenant_id: str | None
    actor: str
    action: str
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    address: str | None
    request_id: str | None


_SHOWN_AS_IS = tuple(
    name for name in RequestView.__struct_fields__ if name not in {"cost", "received_at", "first_byte_at", "ended_at"}
)


def request_view(row: m.Request) -> RequestView:
    return RequestView(
        **{name: getattr(row, name) for name in _SHOWN_AS_IS},
        cost=None if row.cost is None else money(row.cost),
        received_at=at(row.received_at),
        first_byte_at=stamp(row.first_byte_at),
        ended_at=stamp(row.ended_at),
    )


def audit_view(row: m.Audit) -> AuditView:
    return AuditView(
        id=row.id,
        at=at(row.at),
        tenant_id=row.tenant_id,
        actor=row.actor,
        action=row.action,
        target=row.target,
        before=row.before,
        after=row.after,
        address=row.address,
        request_id=row.request_id,
    )
