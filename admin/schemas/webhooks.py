"""Webhooks, as they are written and as they are shown. URL and secret are written only."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from admin.schemas.page import Name, Word, at, stamp
from gateway.core import models as m
from gateway.core.messages import WebhookKind

Url = Annotated[str, Meta(min_length=8, max_length=2000)]
Key = Annotated[str, Meta(min_length=1, max_length=500)]
Globs = Annotated[list[Word], Meta(min_length=1, max_length=20)]


class WebhookDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `plain` one without a secret gets one, which is returned once."""

    name: Name
    kind: WebhookKind
    url: Url
    tenant_id: str | None = None
    secret: Key | None = None
    events: Globs | None = None
    enabled: bool | None = None


class WebhookPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Absent: as it was. `secret` null: a new one for a `plain` webhook, none for the others."""

    name: Name | UnsetType | None = UNSET
    url: Url | UnsetType = UNSET
    secret: Key | UnsetType | None = UNSET
    events: Globs | UnsetType | None = UNSET
    enabled: bool | UnsetType | None = UNSET


class WebhookView(Struct, frozen=True, kw_only=True):
    """`host` is what is shown of the URL."""

    id: str
    tenant_id: str
    name: str
    kind: str
    host: str
    signed: bool
    events: list[str]
    enabled: bool
    created_at: str
    updated_at: str
    secret: str | UnsetType = UNSET
    """Only in the answer to the request that had it made."""


class WebhookTested(Struct, frozen=True, kw_only=True):
    """`status` is the receiver's; null when no answer came."""

    ok: bool
    status: int | None
    latency_ms: int
    error: str | None
    message: str


class DeliveryView(Struct, frozen=True, kw_only=True):
    """`id` is what receivers are told as `webhook-id`. `state`: `waiting`, `delivered`, `given_up`."""

    id: str
    event: dict[str, Any]
    state: str
    attempts: int
    status: int | None
    error: str | None
    created_at: str
    next_at: str | None
    delivered_at: str | None


def webhook_view(webhook: m.Webhook) -> WebhookView:
    return WebhookView(
        id=webhook.id,
        tenant_id=webhook.tenant_id,
        name=webhook.name,
        kind=webhook.kind,
        host=webhook.host,
        signed=webhook.secret is not None,
        events=webhook.events,
        enabled=webhook.enabled,
        created_at=at(webhook.created_at),
        updated_at=at(webhook.updated_at),
    )


def delivery_view(delivery: m.Delivery) -> DeliveryView:
    open_state = "waiting" if delivery.next_at is not None else "given_up"
    return DeliveryView(
        id=delivery.id,
        event=delivery.event,
        state=open_state if delivery.delivered_at is None else "delivered",
        attempts=delivery.attempts,
        status=delivery.status,
        error=delivery.error,
        created_at=at(delivery.created_at),
        next_at=stamp(delivery.next_at),
        delivered_at=stamp(delivery.delivered_at),
    )
