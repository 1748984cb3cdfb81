"""Webhooks: where a tenant is told of its accounts' trouble. They hold secrets, so they are the owner's."""

import time
from typing import Any

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET

from admin import checks, trail
from admin.deps import Asking, Database, Holding, Part, Within
from admin.resources import Resources
from admin.schemas.page import Page, given, named, page
from admin.schemas.webhooks import (
    DeliveryView,
    WebhookDraft,
    WebhookPatch,
    WebhookTested,
    WebhookView,
    delivery_view,
    webhook_view,
)
from gateway.core.ids import new_id
from gateway.core.messages import TEST, Event, message
from gateway.core.secret import Secret
from gateway.core.services import deliveries, tenants, webhooks
from gateway.core.services.reach import Reach
from gateway.core.state import rfc3339
from gateway.upstream.notify import tell

_APART = frozenset({"tenant_id", "url", "secret"})


class WebhookController(Controller):
    path = "/webhooks"
    tags = ("webhooks",)

    @get(opt={"permission": "webhooks:read"})
    async def listing(
        self,
        session: Database,
        reach: Within,
        window: Part,
        tenant_id: FromQuery[str | None] = None,
        q: FromQuery[str | None] = None,
    ) -> Page[WebhookView]:
        return page(await webhooks.listing(session, reach, window, tenant_id=tenant_id, q=q), webhook_view)

    @post(opt={"permission": "webhooks:write"})
    async def create(
        self, session: Database, caller: Asking, reach: Within, resources: Holding, data: JSONBody[WebhookDraft]
    ) -> WebhookView:
        """A secret that was made here is in this answer and nowhere else."""
        tenant_id = await tenants.home(session, reach, data.tenant_id, caller.roles)
        checks.webhook_url(data.url)
        values = named(given(data, leaving=_APART))
        webhook, made = await webhooks.create(session, resources.sealer, tenant_id, values, data.url, data.secret)
        shown = webhook_view(webhook)
        await trail.note(session, caller, "webhooks.create", webhook.id, tenant_id=tenant_id, after=shown)
        return _with(shown, made)

    @get("/{webhook_id:str}", opt={"permission": "webhooks:read"})
    async def read(self, session: Database, reach: Within, webhook_id: FromPath[str]) -> WebhookView:
        return webhook_view(await webhooks.find(session, reach, webhook_id))

    @patch("/{webhook_id:str}", opt={"permission": "webhooks:write"})
    async def change(
        self,
        session: Database,
        caller: Asking,
        reach: Within,
        resources: Holding,
        webhook_id: FromPath[str],
        data: JSONBody[WebhookPatch],
    ) -> WebhookView:
        """What waits for a webhook that is switched off is given up."""
        webhook = await webhooks.find(session, reach, webhook_id, lock=True)
        before = webhook_view(webhook)
        url = None if data.url is UNSET else data.url
        if url is not None:
            checks.webhook_url(url)
        values = given(data, leaving=frozenset({"url"}))
        made = await webhooks.change(session, resources.sealer, webhook, values, url)
        shown = webhook_view(webhook)
        action = "webhooks.change_secrets" if url is not None or "secret" in values else "webhooks.change"
        await trail.note(session, caller, action, webhook.id, tenant_id=webhook.tenant_id, before=before, after=shown)
        return _with(shown, made)

    @delete("/{webhook_id:str}", opt={"permission": "webhooks:write"})
    async def remove(self, session: Database, caller: Asking, reach: Within, webhook_id: FromPath[str]) -> None:
        """Its deliveries go with it, also those that wait."""
        webhook = await webhooks.find(session, reach, webhook_id, lock=True)
        before = webhook_view(webhook)
        await trail.note(session, caller, "webhooks.delete", webhook.id, tenant_id=webhook.tenant_id, before=before)
        await webhooks.delete(session, webhook)

    @post("/{webhook_id:str}/test", opt={"permission": "webhooks:write"}, status_code=200)
    async def test(self, reach: Within, resources: Holding, webhook_id: FromPath[str]) -> WebhookTested:
        """One real message, now, whether it is enabled or not. The receiver's words are cut, without secrets."""
        return await _tested(resources, reach, webhook_id)

    @get("/{webhook_id:str}/deliveries", opt={"permission": "webhooks:read"})
    async def deliveries(
        self, session: Database, reach: Within, window: Part, webhook_id: FromPath[str]
    ) -> Page[DeliveryView]:
        """Of the last seven days, newest first."""
        webhook = await webhooks.find(session, reach, webhook_id)
        return page(await deliveries.listing(session, webhook.id, window), delivery_view)


def _with(shown: WebhookView, made: Secret | None) -> WebhookView:
    return shown if made is None else msgspec.structs.replace(shown, secret=made.reveal())


async def _tested(resources: Resources, reach: Reach, webhook_id: str) -> WebhookTested:
    """No transaction is open while the receiver is asked."""
    async with resources.database() as session:
        webhook = await webhooks.find(session, reach, webhook_id)
    url, secret = webhooks.opened(webhook, resources.sealer)
    now = time.time()
    data: dict[str, Any] = {"webhook": {"id": webhook.id, "name": webhook.name}}
    post = message(webhook.kind, url, secret, new_id("dlv"), Event(TEST, rfc3339(now), data), now)
    told = await tell(resources.upstream, webhook.id, webhook.kind, post, secret)
    return WebhookTested(
        ok=told.error is None,
        status=told.status,
        latency_ms=told.milliseconds,
        error=told.error,
        message=told.words,
    )
