"""Webhooks of a tenant. URLs and secrets go in and are sealed; only `opened` gives them out, to send with them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, get_args

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.messages import EVENTS, WebhookKind, new_secret, signing_key
from gateway.core.sealing import SealBroken, Sealer
from gateway.core.secret import Secret
from gateway.core.services import rows
from gateway.core.services.failures import Conflict, Invalid
from gateway.core.services.reach import Reach

DEFAULTS: Mapping[str, Any] = {"events": ["*"], "enabled": True}


async def listing(
    session: AsyncSession, reach: Reach, window: rows.Window, *, tenant_id: str | None = None, q: str | None = None
) -> rows.Slice[m.Webhook]:
    found = select(m.Webhook).where(reach.over(m.Webhook.tenant_id), *rows.matching(q, m.Webhook.name))
    if tenant_id is not None:
        found = found.where(m.Webhook.tenant_id == rows.filter_id(tenant_id, "ten", "tenant_id"))
    return await rows.page(session, found, m.Webhook.id, "whk", window)


async def find(session: AsyncSession, reach: Reach, webhook_id: str, *, lock: bool = False) -> m.Webhook:
    identifier = rows.identity(webhook_id, "whk", "webhook")
    found = select(m.Webhook).where(reach.over(m.Webhook.tenant_id), m.Webhook.id == identifier)
    return await rows.one(session, found, "webhook", lock=lock)


async def create(
    session: AsyncSession, sealer: Sealer, tenant_id: str, values: Mapping[str, Any], url: str, secret: str | None
) -> tuple[m.Webhook, Secret | None]:
    """The second is a secret that was made here, to be shown this once. `url` was checked by the caller."""
    kind = values["kind"]
    if kind not in get_args(WebhookKind):
        raise Invalid(f"expected one of {', '.join(get_args(WebhookKind))}", "kind")
    webhook = m.Webhook(id=new_id("whk"), tenant_id=tenant_id, **{**DEFAULTS, **_checked(values)})
    made = _seal_secret(webhook, sealer, secret)
    _seal_url(webhook, sealer, url)
    session.add(webhook)
    await rows.announce(session, "webhook", webhook.id)
    return webhook, made


async def change(
    session: AsyncSession, sealer: Sealer, webhook: m.Webhook, values: Mapping[str, Any], url: str | None
) -> Secret | None:
    """`secret` among the values: a new one; null is a newly made one where the kind needs one, else none. Returns the
    one that was made. What waits for a webhook that is switched off is given up."""
    changed = dict(values)
    made = _seal_secret(webhook, sealer, changed.pop("secret")) if "secret" in changed else None
    if url is not None:
        _seal_url(webhook, sealer, url)
    rows.update(webhook, _checked(rows.cleared(changed, DEFAULTS)))
    if not webhook.enabled:
        waiting = update(m.Delivery).where(m.Delivery.webhook_id == webhook.id, m.Delivery.next_at.is_not(None))
        await session.execute(waiting.values(next_at=None, error="the webhook was switched off"))
    await rows.announce(session, "webhook", webhook.id)
    return made


async def delete(session: AsyncSession, webhook: m.Webhook) -> None:
    """Its deliveries go with it."""
    await session.delete(webhook)
    await rows.announce(session, "webhook", webhook.id)


def opened(webhook: m.Webhook, sealer: Sealer) -> tuple[str, str | None]:
    """URL and secret in clear. Raises Conflict when they do not open."""
    try:
        url = sealer.open(webhook.url, f"webhooks/{webhook.id}/url").decode()
        if webhook.secret is None:
            return url, None
        return url, sealer.open(webhook.secret, f"webhooks/{webhook.id}/secret").decode()
    except SealBroken:
        raise Conflict("the stored URL or secret does not open: give it again", "url") from None


def asks_for(webhook: m.Webhook, event: str) -> bool:
    return any(fnmatchcase(event, glob) for glob in webhook.events)


def _seal_url(webhook: m.Webhook, sealer: Sealer, url: str) -> None:
    webhook.url = sealer.seal(url.encode(), f"webhooks/{webhook.id}/url")
    webhook.host = url.partition("://")[2].partition("/")[0].partition("?")[0]
    webhook.updated_at = datetime.now(UTC)


def _seal_secret(webhook: m.Webhook, sealer: Sealer, secret: str | None) -> Secret | None:
    """Returns the secret when it was made here. Raises Invalid."""
    made = secret is None and webhook.kind == "plain"
    if made:
        secret = new_secret()
    if secret is None:
        webhook.secret = None
        return None
    if webhook.kind == "slack":
        raise Invalid("Slack's webhooks are not signed: its URL is the secret", "secret")
    if webhook.kind == "plain":
        try:
            signing_key(secret)
        except ValueError as error:
            raise Invalid(str(error), "secret") from None
    webhook.secret = sealer.seal(secret.encode(), f"webhooks/{webhook.id}/secret")
    return Secret(secret) if made else None


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    for at, glob in enumerate(values.get("events", ())):
        if not any(fnmatchcase(event, glob) for event in EVENTS):
            raise Invalid(f"names no event; known: {', '.join(EVENTS)}", f"events[{at}]")
    return dict(values)
