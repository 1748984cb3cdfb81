"""Models that are used and have no price: told to the webhooks of the tenants that use them, once a day for each."""

import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.db import Sessions
from gateway.core.messages import UNPRICED, Event
from gateway.core.services import deliveries, webhooks
from gateway.core.state import rfc3339

EVERY = 60.0
MOST = 200
"""Models that are told of at once, those that are used most: clients name them."""
_U = m.UsageHour
log = structlog.get_logger()


class Unpriced(Struct, frozen=True):
    """`requests` of the day wait for a price, the first since that hour."""

    tenant_id: str
    platform: str
    model: str
    requests: int
    since: datetime


class Alarm:
    """Remembers what it has logged; what it has told is known by the deliveries themselves."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._logged: set[tuple[datetime, str, str]] = set()

    async def ring(self, now: float | None = None) -> int:
        """Returns the number of deliveries that were written. `now`: epoch seconds."""
        moment = datetime.fromtimestamp(time.time() if now is None else now, UTC)
        day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        async with self._sessions.begin() as session:
            found = await _found(session, day)
            written = await _tell(session, found, day, moment) if found else 0
        self._logged = {one for one in self._logged if one[0] == day}
        for one in found:
            name = (day, one.platform, one.model)
            if name not in self._logged:
                self._logged.add(name)
                log.warning("a model has no price", platform=one.platform, model=one.model, requests=one.requests)
        return written


async def _found(session: AsyncSession, day: datetime) -> list[Unpriced]:
    waiting = func.sum(_U.unpriced)
    found = (
        select(_U.tenant_id, _U.platform, _U.model, waiting, func.min(_U.hour))
        .where(_U.unpriced > 0, _U.hour >= day)
        .group_by(_U.tenant_id, _U.platform, _U.model)
        .order_by(waiting.desc(), _U.tenant_id, _U.platform, _U.model)
        .limit(MOST)
    )
    return [Unpriced(row[0], row[1], row[2], int(row[3]), row[4]) for row in await session.execute(found)]


async def _tell(session: AsyncSession, found: Sequence[Unpriced], day: datetime, now: datetime) -> int:
    tenants = {one.tenant_id for one in found}
    asked = select(m.Webhook).where(m.Webhook.tenant_id.in_(tenants), m.Webhook.enabled).with_for_update(read=True)
    receivers = [one for one in (await session.execute(asked)).scalars() if webhooks.asks_for(one, UNPRICED)]
    written = 0
    for one in found:
        event = msgspec.to_builtins(event_of(one, now))
        for webhook in receivers:
            if webhook.tenant_id == one.tenant_id:
                identity = identity_of(one, day, webhook.id)
                subject = f"unpriced|{one.platform}|{one.model}"
                written += await deliveries.enqueue(session, webhook.id, identity, subject, event, now)
    return written


def event_of(one: Unpriced, now: datetime) -> Event:
    data: dict[str, Any] = {
        "platform": one.platform,
        "model": one.model,
        "requests": one.requests,
        "since": rfc3339(one.since.timestamp()),
    }
    return Event(UNPRICED, rfc3339(now.timestamp()), data)


def identity_of(one: Unpriced, day: datetime, webhook_id: str) -> str:
    """The same all day: a UUIDv7 of its beginning."""
    text = f"{one.tenant_id} {one.platform} {one.model} {webhook_id}"
    noise = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 2
    high = int(day.timestamp() * 1000) << 16 | 0x7000
    return f"dlv_{UUID(int=high << 64 | 0x8000_0000_0000_0000 | noise)}"
