"""Events of accounts out of Redis into the deliveries of webhooks, and the deliveries out to their receivers.

An event leaves its stream when its deliveries are committed, whose ids are made of its own: whatever ends this process
in between, it is read again and nothing is written twice. A receiver may hear one twice, by the same id.
"""

import asyncio
import hashlib
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.db import Sessions
from gateway.core.ids import uuid_of
from gateway.core.messages import DISABLED, RECOVERED, TROUBLE, Event, message
from gateway.core.names import TAGS, prefix
from gateway.core.pause import pause
from gateway.core.sealing import Sealer
from gateway.core.services import deliveries, webhooks
from gateway.core.services.failures import ServiceError
from gateway.core.settings import Settings
from gateway.core.state import FOR_EVER, State, rfc3339
from gateway.upstream import Egress, Upstream
from gateway.upstream.notify import Told, tell

BATCH = 100
AT_ONCE = 16
"""Deliveries that run; one a webhook, so that one that hangs delays only itself."""
_EVERY = 0.5
_PRUNE_EVERY = 3600.0
_GONE = 410
_JITTER = 0.2
log = structlog.get_logger()


class News(Struct, frozen=True):
    """One entry of a stream of events: a state that began (`new`), or one that ended (`old` alone)."""

    id: str
    owner: str
    """An account, or a proxy: then it is the news of every account that goes through it."""
    scope: str
    old: State | None
    new: State | None
    request_id: str | None

    @property
    def at(self) -> float:
        return int(self.id.partition("-")[0]) / 1000


def read(identity: str, fields: Mapping[str, str]) -> News | None:
    """None for what cannot be read: it is skipped, never in the way of the others."""
    try:
        owner, scope = fields["a"], fields["s"]
        uuid_of(owner, "prx" if owner.startswith("prx_") else "acct")
        old, new = (msgspec.json.decode(fields[name], type=State) if fields[name] else None for name in "on")
        entry = msgspec.json.decode(fields["h"], type=dict[str, Any]) if fields["h"] else {}
    except (KeyError, ValueError):  # MsgspecError is one
        return None
    request = entry.get("request_id")
    # Clients name models, and PostgreSQL has no NUL.
    scope = scope.replace("\0", "\ufffd")
    return News(identity, owner, scope, old, new, request if request and isinstance(request, str) else None)


def scope_of(news: News) -> str:
    """What is out: "account", "family:…", "model:…", or "proxy"."""
    return "proxy" if news.owner.startswith("prx_") else news.scope


def event_of(news: News, account: m.Account) -> Event:
    """As receivers see it. `reason` of a recovery is that of what is over; `until` null: until a person acts."""
    state = news.new or news.old
    lasting = news.new is not None and news.new.until < FOR_EVER
    kind = RECOVERED if news.new is None else TROUBLE if lasting else DISABLED
    source = {"request_id": news.request_id, "status": None}
    if news.new is not None:
        source = {"request_id": news.new.request_id, "status": news.new.status or None}
    data = {
        "account": {"id": account.id, "name": account.name, "platform": account.platform},
        "scope": scope_of(news),
        "reason": state.reason if state else None,
        "until": rfc3339(news.new.until) if news.new is not None and lasting else None,
        "source": source,
    }
    return Event(kind, rfc3339(news.at), data)


def identity_of(news: News, tag: int, account_id: str, webhook_id: str) -> str:
    """The same for the same event, and sorted as events came: a UUIDv7 of its millisecond and number."""
    milliseconds, _, number = news.id.partition("-")
    text = f"{tag} {news.id} {account_id} {webhook_id}"
    noise = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 2
    high = int(milliseconds) << 16 | 0x7000 | min(int(number), 0xFFF)
    return f"dlv_{UUID(int=high << 64 | 0x8000_0000_0000_0000 | noise)}"


async def collect(redis: Redis, sessions: Sessions) -> int:
    """All that the streams hold now. Returns the number of deliveries that were written."""
    async with redis.pipeline(transaction=False) as pipeline:
        for tag in range(TAGS):
            pipeline.xrange(prefix(tag) + "e", count=BATCH)
        found: Any = await pipeline.execute()
    written = 0
    for tag, entries in enumerate(found):
        if entries:
            news = [one for identity, fields in entries if (one := read(identity, fields))]
            async with sessions.begin() as session:
                written += await _spread(session, tag, news)
            await redis.xdel(prefix(tag) + "e", *(identity for identity, _ in entries))
    return written


async def _spread(session: AsyncSession, tag: int, news: Sequence[News]) -> int:
    owners = {one.owner for one in news}
    by_id = m.Account.id.in_([owner for owner in owners if owner.startswith("acct_")])
    by_proxy = m.Account.proxy_id.in_([owner for owner in owners if owner.startswith("prx_")])
    rows = select(m.Account).where(or_(by_id, by_proxy), m.Account.deleted_at.is_(None))
    accounts = list((await session.execute(rows)).scalars())
    tenants = {account.tenant_id for account in accounts}
    asked = select(m.Webhook).where(m.Webhook.tenant_id.in_(tenants), m.Webhook.enabled).with_for_update(read=True)
    receivers = list((await session.execute(asked)).scalars()) if tenants else []
    written = 0
    for one in news:
        for account in accounts:
            if one.owner in (account.id, account.proxy_id):
                written += await _tell(session, tag, one, account, receivers)
    return written


async def _tell(session: AsyncSession, tag: int, news: News, account: m.Account, receivers: Iterable[m.Webhook]) -> int:
    event, written = event_of(news, account), 0
    subject, now = f"{account.id}|{scope_of(news)}", datetime.now(UTC)
    for webhook in receivers:
        if webhook.tenant_id == account.tenant_id and webhooks.asks_for(webhook, event.type):
            identity = identity_of(news, tag, account.id, webhook.id)
            told = msgspec.to_builtins(event)
            written += await deliveries.enqueue(session, webhook.id, identity, subject, told, now)
    return written


async def keep(settings: Settings, sessions: Sessions, sealer: Sealer, redis: Redis) -> None:
    """Runs as long as this process leads."""
    egress = Egress(settings.egress_allow, own_ports=[settings.gateway_port, settings.admin_port])
    async with Upstream(egress) as upstream, asyncio.TaskGroup() as tasks:
        sender = Sender(sessions, sealer, upstream)
        tasks.create_task(sender.run())
        tasks.create_task(_collecting(redis, sessions, sender))


async def _collecting(redis: Redis, sessions: Sessions, sender: "Sender") -> None:
    pruned = 0.0
    while True:
        try:
            if await collect(redis, sessions):
                sender.wake.set()
            if time.monotonic() - pruned > _PRUNE_EVERY:
                async with sessions.begin() as session:
                    await deliveries.prune(session, datetime.now(UTC))
                pruned = time.monotonic()
        except (OSError, RedisError, SQLAlchemyError) as error:
            log.warning("events of accounts wait for a store", reason=type(error).__name__)
        except Exception:
            log.exception("events of accounts were not taken")
        await pause(_EVERY)


class Sender:
    """Makes attempts, several at once. `wake` is set when there may be something new to send."""

    def __init__(self, sessions: Sessions, sealer: Sealer, upstream: Upstream) -> None:
        self.wake = asyncio.Event()
        self._sessions = sessions
        self._sealer = sealer
        self._upstream = upstream
        self._busy: set[str] = set()

    async def run(self) -> None:
        """Until it is cancelled, and the attempts that run with it: they are made again when their lease is over."""
        async with asyncio.TaskGroup() as attempts:
            while True:
                self.wake.clear()
                try:
                    for due in await self._claimed():
                        self._busy.add(due.webhook.id)
                        attempts.create_task(self._attempt(due))
                except (OSError, SQLAlchemyError) as error:
                    log.warning("webhooks wait for the database", reason=type(error).__name__)
                await pause(0)
                await _set_within(self.wake, 1.0)

    async def _claimed(self) -> Sequence[deliveries.Due]:
        free = AT_ONCE - len(self._busy)
        if not free:
            return ()
        async with self._sessions.begin() as session:
            return await deliveries.claim(session, self._busy, free, datetime.now(UTC))

    async def _attempt(self, due: deliveries.Due) -> None:
        try:
            told = await self._told(due)
            async with self._sessions.begin() as session:
                await _settled(session, due, told)
        except (OSError, SQLAlchemyError) as error:
            log.warning("a delivery was not noted, and is made again", reason=type(error).__name__)
        except Exception:
            log.exception("a delivery failed", delivery=due.delivery.id)
        finally:
            self._busy.discard(due.webhook.id)
            self.wake.set()

    async def _told(self, due: deliveries.Due) -> Told | None:
        """None when the URL cannot be read any more."""
        webhook, now = due.webhook, datetime.now(UTC).timestamp()
        try:
            url, secret = webhooks.opened(webhook, self._sealer)
        except ServiceError:
            return None
        event = msgspec.convert(due.delivery.event, Event)
        post = message(webhook.kind, url, secret, due.delivery.id, event, now)
        return await tell(self._upstream, webhook.id, webhook.kind, post, secret)


async def _settled(session: AsyncSession, due: deliveries.Due, told: Told | None) -> None:
    now = datetime.now(UTC)
    if told is None:
        await deliveries.failed(session, due, None, "the stored URL or secret does not open", None)
    elif told.error is None:
        await deliveries.delivered(session, due, told.status, now)
    else:
        error = f"{told.error}: {told.words}" if told.words else told.error
        again = again_at(due.delivery.attempts, told, now, random.random())  # noqa: S311  # jitter
        await deliveries.failed(session, due, told.status, error, again)
        log.info("a delivery failed", delivery=due.delivery.id, status=told.status, attempt=due.delivery.attempts)


def again_at(attempts: int, told: Told, now: datetime, chance: float) -> datetime | None:
    """When attempt `attempts` + 1 is made: after its pause ± 20 % by `chance` (0 to 1), or when the receiver asks for
    more, then. None when it is given up."""
    if attempts > len(deliveries.PAUSES) or told.status == _GONE:
        return None
    wait = deliveries.PAUSES[attempts - 1] * (1 + _JITTER * (2 * chance - 1))
    asked = told.not_before - now.timestamp() if told.not_before is not None else 0.0
    return now + timedelta(seconds=max(wait, asked))


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
