"""Webhooks: URLs and secrets are sealed for their row, and events must exist."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import changes
from gateway.core import models as m
from gateway.core.messages import signing_key
from gateway.core.sealing import Sealer
from gateway.core.services import webhooks
from gateway.core.services.failures import Conflict, Invalid, Missing
from gateway.core.services.reach import Reach
from gateway.core.services.rows import Window

ROOT = Reach(everything=True)
SEALER = Sealer((bytes(32),))
URL = "https://user.example:8443/services/T0/B0/canary?key=canary"
NAMES = iter(range(1000))


async def made(
    database: AsyncSession, tenant: str, kind: str = "plain", secret: str | None = None, **more: Any
) -> tuple[m.Webhook, str | None]:
    values = {"name": f"w{next(NAMES)}", "kind": kind, **more}
    webhook, shown = await webhooks.create(database, SEALER, tenant, values, URL, secret)
    return webhook, shown and shown.reveal()


async def test_what_is_secret_is_sealed(database: AsyncSession, default: str):
    webhook, shown = await made(database, default)
    assert shown is not None
    assert signing_key(shown)
    assert webhooks.opened(webhook, SEALER) == (URL, shown)
    assert webhook.host == "user.example:8443"
    assert (webhook.events, webhook.enabled) == (["*"], True)
    assert b"canary" not in webhook.url + (webhook.secret or b"")
    other, _ = await made(database, default)
    other.url, other.secret = webhook.url, webhook.secret
    with pytest.raises(Conflict):
        webhooks.opened(other, SEALER)


@pytest.mark.parametrize(("kind", "secret"), [("plain", "whsec_" + "A" * 32), ("feishu", "s"), ("dingtalk", "SECs")])
async def test_a_given_secret_is_not_shown(database: AsyncSession, default: str, kind: str, secret: str):
    webhook, shown = await made(database, default, kind, secret)
    assert shown is None
    assert webhooks.opened(webhook, SEALER)[1] == secret


@pytest.mark.parametrize(
    ("kind", "secret", "more", "field"),
    [
        ("plain", "secret", {}, "secret"),
        ("slack", "secret", {}, "secret"),
        ("teams", None, {}, "kind"),
        ("slack", None, {"events": ["account.*", "key.*"]}, "events[1]"),
    ],
)
async def test_what_cannot_be(
    database: AsyncSession, default: str, kind: str, secret: str | None, more: dict[str, Any], field: str
):
    with pytest.raises(Invalid) as raised:
        await made(database, default, kind, secret, **more)
    assert raised.value.field == field


async def test_changes(database: AsyncSession, default: str):
    webhook, first = await made(database, default)
    before = await changes.current(database)
    assert await webhooks.change(database, SEALER, webhook, {"events": ["account.disabled"]}, None) is None
    assert webhooks.opened(webhook, SEALER) == (URL, first)
    assert [webhooks.asks_for(webhook, one) for one in ("account.trouble", "account.disabled")] == [False, True]
    again = await webhooks.change(database, SEALER, webhook, {"secret": None, "events": None}, "https://b.example/x")
    assert again is not None
    assert webhooks.opened(webhook, SEALER) == ("https://b.example/x", again.reveal())
    assert again.reveal() != first
    assert (webhook.host, webhook.events) == ("b.example", ["*"])
    assert await changes.current(database) == before + 2
    with pytest.raises(Invalid):
        await webhooks.change(database, SEALER, webhook, {"name": None}, None)
    chat, _ = await made(database, default, "feishu", "s")
    assert await webhooks.change(database, SEALER, chat, {"secret": None}, None) is None
    assert webhooks.opened(chat, SEALER) == (URL, None)


async def test_found_within_reach_and_deleted(database: AsyncSession, default: str):
    webhook, _ = await made(database, default)
    assert (await webhooks.find(database, ROOT, webhook.id)).id == webhook.id
    assert webhook.id in [one.id for one in (await webhooks.listing(database, ROOT, Window(), q=webhook.name)).rows]
    assert (await webhooks.listing(database, ROOT, Window(), tenant_id=default)).rows
    with pytest.raises(Missing):
        await webhooks.find(database, Reach(), webhook.id)
    await webhooks.delete(database, webhook)
    await database.flush()
    assert (await database.execute(select(m.Webhook).where(m.Webhook.id == webhook.id))).first() is None
