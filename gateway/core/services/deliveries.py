"""What webhooks are still to be told, and what they were told: a queue in the table of deliveries.

An event about the same account and scope is sent to a webhook at most once a minute for each kind. A second one waits
until then, and is overtaken by whatever comes meanwhile: an account that flaps sends its latest state, not its history.
Of parts of accounts (clients name the models) a webhook hears 60 times a minute at most. About one subject a webhook
hears in order: what is newer waits until the older is delivered or given up.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import and_, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from gateway.core import models as m
from gateway.core.services import rows

APART = timedelta(minutes=1)
"""Between two messages of one kind about one subject."""
PARTS_A_MINUTE = 60
PAUSES = (10.0, 30.0, 120.0, 600.0, 3600.0, 21600.0)
"""Seconds after each failed attempt; after the seventh it is given up."""
LEASE = timedelta(seconds=20)
"""For which an attempt has a delivery to itself; then another may make it, its process having died."""
KEPT = timedelta(days=7)
_D = m.Delivery


class Due(Struct, frozen=True, eq=False):
    """One attempt to be made now."""

    delivery: m.Delivery
    webhook: m.Webhook


async def listing(session: AsyncSession, webhook_id: str, window: rows.Window) -> rows.Slice[m.Delivery]:
    return await rows.page(session, select(_D).where(_D.webhook_id == webhook_id), _D.id, "dlv", window)


async def enqueue(
    session: AsyncSession, webhook_id: str, identity: str, subject: str, event: Mapping[str, Any], now: datetime
) -> bool:
    """Whether it will be sent. One that is already there is left as it is. `event`: `type`, `timestamp`, `data`."""
    if await session.get(_D, identity) is not None:
        return False
    same = and_(_D.webhook_id == webhook_id, _D.subject == subject)
    overtaken = or_(_D.first_at > now, _D.created_at < now - APART)
    await session.execute(delete(_D).where(same, _D.next_at.is_not(None), _D.attempts == 0, overtaken))
    recent = select(_D).where(same, _D.first_at > now - APART).order_by(_D.id.desc())
    told = list((await session.execute(recent)).scalars())
    if told and _says(told[0].event) == _says(event):
        return False
    if not subject.endswith("|account") and await _heard(session, webhook_id, now) >= PARTS_A_MINUTE:
        return False
    alike = [one.first_at for one in told if one.event["type"] == event["type"]]
    first = max(alike) + APART if alike else now
    made = _D(id=identity, webhook_id=webhook_id, subject=subject, event=dict(event), attempts=0)
    made.first_at = made.next_at = first
    made.created_at = now
    session.add(made)
    await session.flush()
    return True


def _says(event: Mapping[str, Any]) -> tuple[Any, Any]:
    return event["type"], event["data"].get("reason")


async def _heard(session: AsyncSession, webhook_id: str, now: datetime) -> int:
    found = select(func.count()).where(_D.webhook_id == webhook_id, _D.created_at > now - timedelta(minutes=1))
    return (await session.execute(found)).scalar_one()


async def claim(session: AsyncSession, busy: Collection[str], most: int, now: datetime) -> Sequence[Due]:
    """The next attempt of each webhook that is not busy, `most` in all. They are ours for `LEASE`, also against another
    process that believes to lead."""
    older = aliased(_D)
    before = exists().where(
        older.webhook_id == _D.webhook_id, older.subject == _D.subject, older.id < _D.id, older.next_at.is_not(None)
    )
    turn = func.row_number().over(partition_by=_D.webhook_id, order_by=(_D.next_at, _D.id))
    first = (
        select(_D.id, _D.next_at, turn.label("turn"))
        .join(m.Webhook)
        .where(_D.next_at <= now, m.Webhook.enabled, _D.webhook_id.not_in(busy), ~before)
        .subquery()
    )
    due = select(first.c.id).where(first.c.turn == 1).order_by(first.c.next_at).limit(most)
    taken = (
        update(_D)
        .where(_D.id.in_(due), _D.next_at <= now)
        .values(attempts=_D.attempts + 1, next_at=now + LEASE, error=None)
        .returning(_D)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    claimed = {row.webhook_id: row for row in (await session.execute(taken)).scalars()}
    webhooks = select(m.Webhook).where(m.Webhook.id.in_(claimed))
    return [Due(claimed[row.id], row) for row in (await session.execute(webhooks)).scalars()]


async def delivered(session: AsyncSession, due: Due, status: int | None, now: datetime) -> None:
    await _settle(session, due, delivered_at=now, next_at=None, status=status, error=None)


async def failed(session: AsyncSession, due: Due, status: int | None, error: str, again: datetime | None) -> None:
    """`again`: when it is tried once more; None: it is given up."""
    await _settle(session, due, next_at=again, status=status, error=error)


async def _settle(session: AsyncSession, due: Due, **values: Any) -> None:
    # Not when its lease ran out and someone else has it, or it was given up meanwhile.
    ours = (_D.id == due.delivery.id, _D.attempts == due.delivery.attempts, _D.next_at.is_not(None))
    await session.execute(update(_D).where(*ours).values(**values).execution_options(synchronize_session=False))


async def prune(session: AsyncSession, now: datetime) -> None:
    await session.execute(delete(_D).where(_D.created_at < now - KEPT))
