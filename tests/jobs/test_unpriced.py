"""Models without a price are told once a day, to those who use them and ask for it."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_asyncio
from sqlalchemy import delete, select
from structlog.testing import capture_logs

from gateway.core import db
from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.messages import UNPRICED, Event, words
from gateway.core.sealing import Sealer
from gateway.core.services import tenants, webhooks
from gateway.jobs.unpriced import Alarm

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Bell:
    def __init__(self, sessions: db.Sessions) -> None:
        self.sessions = sessions
        self.alarm = Alarm(sessions)

    async def tenant(self, *events: list[str], enabled: bool = True) -> str:
        """With a webhook for each list of events."""
        async with self.sessions.begin() as session:
            tenant = await tenants.create(session, {"name": new_id("t")})
            for listed in events:
                values = {"name": new_id("w"), "kind": "plain", "events": listed, "enabled": enabled}
                sealer = Sealer((bytes(32),))
                await webhooks.create(session, sealer, tenant.id, values, "https://example.com/x", None)
            return tenant.id

    async def used(self, tenant: str, model: str = "new", hours: float = 0, unpriced: int = 2) -> None:
        async with self.sessions.begin() as session:
            session.add(
                m.UsageHour(
                    hour=NOON + timedelta(hours=hours),
                    tenant_id=tenant,
                    key_id=new_id("key"),
                    user_id=new_id("usr"),
                    account_id=new_id("acct"),
                    platform="openai",
                    provider="p",
                    model=model,
                    unpriced=unpriced,
                )
            )

    async def ring(self, hours: float = 0) -> int:
        return await self.alarm.ring((NOON + timedelta(hours=hours)).timestamp())

    async def told(self, tenant: str) -> list[Any]:
        async with self.sessions() as session:
            found = select(m.Delivery.event).join(m.Webhook).where(m.Webhook.tenant_id == tenant)
            return list((await session.execute(found.order_by(m.Delivery.id))).scalars())


@pytest_asyncio.fixture(loop_scope="session")
async def bell(database_url: str) -> AsyncGenerator[Bell]:
    async with db.engine(database_url) as engine:
        sessions = db.sessions(engine)
        async with sessions.begin() as session:
            for table in (m.UsageHour, m.Webhook):
                await session.execute(delete(table))
        yield Bell(sessions)


async def test_it_is_told_once_a_day(bell: Bell):
    tenant = await bell.tenant(["*"])
    await bell.used(tenant, hours=-2)
    await bell.used(tenant)
    with capture_logs() as logs:
        assert [await bell.ring(), await bell.ring(1 / 60), await bell.ring(11.9)] == [1, 0, 0]
    assert [(one["model"], one["requests"]) for one in logs] == [("new", 4)]
    assert await bell.told(tenant) == [
        {
            "type": "model.unpriced",
            "timestamp": "2026-03-01T12:00:00.000Z",
            "data": {"platform": "openai", "model": "new", "requests": 4, "since": "2026-03-01T10:00:00.000Z"},
        }
    ]
    assert await Bell(bell.sessions).ring(11.9) == 0  # another leader
    assert await bell.ring(12) == 0  # nobody has used it on the next day
    await bell.used(tenant, hours=13)
    assert await bell.ring(13) == 1
    # What was not delivered yet is overtaken.
    assert [one["data"]["since"] for one in await bell.told(tenant)] == ["2026-03-02T01:00:00.000Z"]


async def test_each_model_is_told_by_itself(bell: Bell):
    tenant = await bell.tenant(["*"])
    await bell.used(tenant, "one")
    assert await bell.ring() == 1
    await bell.used(tenant, "two")
    assert await bell.ring(0.1) == 1
    # Both may be of the same moment: no order is promised.
    assert sorted(one["data"]["model"] for one in await bell.told(tenant)) == ["one", "two"]


async def test_what_has_its_price_is_not_told(bell: Bell):
    tenant = await bell.tenant(["*"])
    await bell.used(tenant, unpriced=0)
    assert await bell.ring() == 0


async def test_only_those_who_use_it_and_ask_for_it(bell: Bell):
    tenant = await bell.tenant([UNPRICED], ["account.*"], ["model.*"])
    other, off = await bell.tenant(["*"]), await bell.tenant(["*"], enabled=False)
    await bell.used(tenant)
    await bell.used(off)
    assert await bell.ring() == 2
    assert [len(await bell.told(one)) for one in (tenant, other, off)] == [2, 0, 0]


def test_its_words():
    data = {"platform": "openai", "model": "<!channel> x", "requests": 4, "since": "2026-03-01T10:00:00.000Z"}
    title, lines = words(Event(UNPRICED, "2026-03-01T12:00:00.000Z", data))
    assert title == "poolgate: model ＜!channel＞ x has no price"
    assert lines == [
        "platform: openai", "requests: 4", "since: 2026-03-01T10:00:00.000Z", "at: 2026-03-01T12:00:00.000Z"
    ]  # fmt: skip
