"""The queue of deliveries: nothing twice, no floods, in order about one thing, none in another's way."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.sealing import Sealer
from gateway.core.services import deliveries, webhooks
from gateway.core.services.rows import Window

SEALER = Sealer((bytes(32),))
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ACCOUNT = "acct_1|account"


class Queue:
    """One webhook's, at a clock of its own."""

    def __init__(self, session: AsyncSession, webhook: m.Webhook) -> None:
        self.session = session
        self.webhook = webhook
        self.now = NOW

    async def put(self, kind: str, reason: str = "limit", subject: str = ACCOUNT, at: float | None = None) -> bool:
        self.now = self.now if at is None else NOW + timedelta(seconds=at)
        event = {"type": f"account.{kind}", "timestamp": "t", "data": {"reason": reason}}
        return await deliveries.enqueue(self.session, self.webhook.id, new_id("dlv"), subject, event, self.now)

    async def take(self, at: float | None = None, busy: tuple[str, ...] = (), most: int = 9) -> list[deliveries.Due]:
        self.now = self.now if at is None else NOW + timedelta(seconds=at)
        found = await deliveries.claim(self.session, busy, most, self.now)
        return [due for due in found if due.webhook.id == self.webhook.id]

    async def tell(self, at: float | None = None) -> list[str]:
        """All that is due, delivered."""
        told: list[str] = []
        while due := await self.take(at):
            told += [f"{one.delivery.event['type'][8:]} {one.delivery.event['data']['reason']}" for one in due]
            for one in due:
                await deliveries.delivered(self.session, one, 200, self.now)
        return told

    async def waiting(self) -> int:
        found = select(func.count()).where(m.Delivery.webhook_id == self.webhook.id, m.Delivery.next_at.is_not(None))
        return (await self.session.execute(found)).scalar_one()


async def webhook(database: AsyncSession, tenant: str, **more: Any) -> m.Webhook:
    values = {"name": new_id("whk"), "kind": "slack", **more}
    return (await webhooks.create(database, SEALER, tenant, values, "https://x.example/y", None))[0]


@pytest.fixture
async def queue(database: AsyncSession, default: str) -> Queue:
    return Queue(database, await webhook(database, default))


async def test_an_event_is_sent_once(queue: Queue):
    assert await queue.put("trouble")
    (due,) = await queue.take()
    assert (due.delivery.attempts, due.webhook.id) == (1, queue.webhook.id)
    await deliveries.delivered(queue.session, due, 204, queue.now)
    assert await queue.take() == []
    (row,) = (await deliveries.listing(queue.session, queue.webhook.id, Window())).rows
    await queue.session.refresh(row)
    assert (row.delivered_at, row.status, row.error, row.next_at) == (NOW, 204, None, None)


async def test_one_that_is_read_again_is_not_written_again(queue: Queue):
    event = {"type": "account.trouble", "timestamp": "t", "data": {"reason": "limit"}}
    identity = new_id("dlv")
    for written in (True, False):
        put = await deliveries.enqueue(queue.session, queue.webhook.id, identity, ACCOUNT, event, NOW)
        assert put is written
    assert await queue.waiting() == 1


async def test_an_account_that_flaps_sends_its_latest_state(queue: Queue):
    assert await queue.put("trouble", at=0)
    assert await queue.tell() == ["trouble limit"]
    assert await queue.put("recovered", at=1)
    assert await queue.tell() == ["recovered limit"]
    for second in range(2, 50, 2):
        assert await queue.put("trouble", at=second)
        assert not await queue.put("recovered", at=second + 1), "as it was told"
        assert await queue.waiting() == 0
    assert await queue.put("trouble", at=50)
    assert await queue.tell(at=59) == []
    assert await queue.tell(at=60) == ["trouble limit"]
    assert await queue.put("recovered", at=61.5)
    assert await queue.tell() == ["recovered limit"]


async def test_what_waits_is_overtaken(queue: Queue):
    """Trouble that changed its reason meanwhile is told with the last one."""
    await queue.put("trouble", "limit", at=0)
    assert await queue.tell() == ["trouble limit"]
    for at, reason in enumerate(("overloaded", "network", "overloaded"), 1):
        assert await queue.put("trouble", reason, at=at)
    assert await queue.waiting() == 1
    assert await queue.tell(at=60) == ["trouble overloaded"]


async def test_another_account_or_part_does_not_wait(queue: Queue):
    for subject in (ACCOUNT, "acct_2|account", "acct_1|family:opus", "acct_1|model:x"):
        assert await queue.put("trouble", subject=subject)
    assert await queue.put("disabled", "money"), "neither does another kind"
    assert len(await queue.tell()) == 5


async def test_parts_that_clients_name_are_bounded(queue: Queue):
    put = [await queue.put("trouble", subject=f"acct_1|model:{n}") for n in range(80)]
    assert put == [True] * deliveries.PARTS_A_MINUTE + [False] * 20
    assert await queue.put("trouble"), "the account itself is told all the same"
    assert await queue.put("trouble", subject="acct_1|model:later", at=61)


async def test_about_one_thing_it_is_told_in_order(queue: Queue):
    await queue.put("trouble")
    (failed,) = await queue.take()
    await deliveries.failed(queue.session, failed, 500, "HTTP 500", NOW + timedelta(seconds=10))
    await queue.put("recovered", at=1)
    await queue.put("trouble", subject="acct_2|account")
    assert [one.delivery.subject for one in await queue.take(at=2)] == ["acct_2|account"]
    assert await queue.tell(at=10) == ["trouble limit", "recovered limit"]


async def test_behind_a_receiver_that_is_down_only_the_newest_waits(queue: Queue):
    await queue.put("trouble", at=0)
    for hour in range(5):
        (due,) = await queue.take(at=hour * 3600)
        await deliveries.failed(queue.session, due, None, "refused", queue.now + timedelta(hours=1))
        for minute in range(2, 40, 5):
            await queue.put("recovered", at=hour * 3600 + minute * 60)
            await queue.put("trouble", at=hour * 3600 + minute * 60 + 61)
    assert await queue.waiting() <= 3


async def test_an_attempt_has_it_to_itself_until_its_lease_is_over(queue: Queue):
    await queue.put("trouble")
    (lost,) = await queue.take()
    assert await queue.take(at=19) == []
    (again,) = await queue.take(at=20)
    assert again.delivery.id == lost.delivery.id
    await queue.session.refresh(again.delivery)
    assert again.delivery.attempts == 2


async def test_whose_lease_is_over_changes_nothing(queue: Queue, database: AsyncSession):
    await queue.put("trouble")
    (late,) = await queue.take()
    database.expunge(late.delivery)
    (again,) = await queue.take(at=20)
    database.expunge(again.delivery)
    await deliveries.failed(queue.session, late, 500, "late", None)
    await deliveries.delivered(queue.session, again, 200, queue.now)
    await deliveries.failed(queue.session, again, 500, "late", None)
    (row,) = (await deliveries.listing(queue.session, queue.webhook.id, Window())).rows
    assert (row.status, row.error, row.attempts) == (200, None, 2)


async def test_one_attempt_a_webhook_and_so_many_in_all(queue: Queue, database: AsyncSession, default: str):
    others = [Queue(database, await webhook(database, default)) for _ in range(3)]
    for one in (queue, *others):
        for n in range(3):
            await one.put("trouble", subject=f"acct_{n}|account")
    taken = await deliveries.claim(database, (queue.webhook.id,), 2, NOW)
    assert len({one.webhook.id for one in taken} - {queue.webhook.id}) == len(taken) == 2
    rest = await deliveries.claim(database, [one.webhook.id for one in taken], 9, NOW)
    assert len({one.webhook.id for one in rest}) == 2


async def test_switched_off_it_is_given_up(queue: Queue, database: AsyncSession):
    await queue.put("trouble")
    queue.webhook.enabled = False
    await database.flush()
    assert await queue.take() == []
    await webhooks.change(database, SEALER, queue.webhook, {"enabled": False}, None)
    assert await queue.waiting() == 0
    (row,) = (await deliveries.listing(database, queue.webhook.id, Window())).rows
    assert row.error == "the webhook was switched off"


async def test_after_seven_days_it_is_forgotten_and_with_its_webhook(queue: Queue, database: AsyncSession):
    await queue.put("trouble")
    await queue.put("trouble", subject="acct_2|account", at=3600)
    await deliveries.prune(database, NOW + timedelta(days=7, minutes=30))
    (row,) = (await deliveries.listing(database, queue.webhook.id, Window())).rows
    assert row.subject == "acct_2|account"
    await database.execute(update(m.Delivery).values(attempts=1))
    await webhooks.delete(database, queue.webhook)
    await database.flush()
    assert (await deliveries.listing(database, queue.webhook.id, Window())).rows == []
