"""Reading the ledger."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.db import Sessions
from gateway.core.ids import milliseconds_of, uuid_of
from gateway.core.services import rows, usage
from gateway.core.services.reach import Reach

_R = m.Request
_PAGE = 1000


class RequestFilter(Struct, frozen=True):
    """`model` is the name asked for or the one used. `since` is inside, `until` is not."""

    tenant_id: str | None = None
    key_id: str | None = None
    account_id: str | None = None
    user_id: str | None = None
    model: str | None = None
    status: int | None = None
    ending: str | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def received_at(request_id: str) -> datetime:
    """The millisecond inside the id: what the ledger is partitioned by."""
    return datetime.fromtimestamp(milliseconds_of(uuid_of(request_id, "req")) / 1000, UTC)


async def listing(
    session: AsyncSession, reach: Reach, window: rows.Window, asked: RequestFilter
) -> rows.Slice[m.Request]:
    """Newest first."""
    found = _found(reach, asked)
    count = None
    if window.exact:
        count = (await session.execute(select(func.count()).select_from(found.subquery()))).scalar_one()
    if window.cursor is not None:
        after = rows.filter_id(window.cursor, "req", "cursor")
        moment = received_at(after)
        found = found.where(_R.received_at <= moment, or_(_R.received_at < moment, _R.request_id < after))
    found = found.order_by(*(column.desc() for column in _order(reach, asked))).limit(window.limit + 1)
    read = list((await session.execute(found)).scalars())
    more = len(read) > window.limit
    read = read[: window.limit]
    return rows.Slice(read, read[-1].request_id if more else None, count)


def _found(reach: Reach, asked: RequestFilter) -> Select[m.Request]:
    return select(_R).where(reach.over(_R.tenant_id, _R.user_id), *_conditions(asked))


def _order(reach: Reach, asked: RequestFilter) -> tuple[Any, ...]:
    """By time, so that every page is a range of an index: the id begins with the moment, and alone is an index's order
    where no tenant, key or account is asked for."""
    narrow = asked.tenant_id or asked.key_id or asked.account_id or not reach.everything
    return (_R.received_at, _R.request_id) if narrow else (_R.request_id,)


async def export(sessions: Sessions, reach: Reach, asked: RequestFilter) -> AsyncIterator[Sequence[m.Request]]:
    """All rows, oldest first, by pages. Each page is a transaction of its own, so that whoever reads slowly holds none.

    Raises Invalid naming the parameter.
    """
    found = _found(reach, asked).where(_R.received_at < datetime.now(UTC)).order_by(*_order(reach, asked)).limit(_PAGE)
    after: m.Request | None = None
    while True:
        part = found
        if after is not None:
            part = found.where(_R.received_at >= after.received_at, _R.request_id > after.request_id)
        async with sessions() as session:
            page = list((await session.execute(part)).scalars())
        if page:
            yield page
        if len(page) < _PAGE:
            return
        after = page[-1]


async def expected(session: AsyncSession, reach: Reach, asked: RequestFilter) -> int | None:
    """About how many rows there are, by the roll-ups; None where they cannot say. What retention has dropped is in."""
    if (asked.model, asked.status, asked.ending, asked.request_id) != (None, None, None, None):
        return None
    span = usage.UsageFilter(
        since=asked.since or datetime.fromtimestamp(0, UTC),
        until=asked.until or datetime.now(UTC),
        tenant_id=asked.tenant_id,
        key_id=asked.key_id,
        account_id=asked.account_id,
        user_id=asked.user_id,
    )
    return int((await usage.sums(session, reach, span, [], 1))[0]["requests"])


async def find(session: AsyncSession, reach: Reach, request_id: str) -> m.Request:
    identifier = rows.identity(request_id, "req", "request")
    found = select(_R).where(
        reach.over(_R.tenant_id, _R.user_id),
        _R.request_id == identifier,
        _R.received_at == received_at(identifier),
    )
    return await rows.one(session, found, "request")


def _conditions(asked: RequestFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for prefix, field in (("ten", "tenant_id"), ("key", "key_id"), ("acct", "account_id"), ("usr", "user_id")):
        value = getattr(asked, field)
        if value is not None:
            conditions.append(getattr(_R, field) == rows.filter_id(value, prefix, field))
    if asked.request_id is not None:
        identifier = rows.filter_id(asked.request_id, "req", "request_id")
        conditions += [_R.request_id == identifier, _R.received_at == received_at(identifier)]
    if asked.model is not None:
        conditions.append(or_(_R.model_asked == asked.model, _R.model_used == asked.model))
    if asked.status is not None:
        conditions.append(_R.status == asked.status)
    if asked.ending is not None:
        conditions.append(_R.ending == asked.ending)
    if asked.since is not None:
        conditions.append(_R.received_at >= asked.since)
    if asked.until is not None:
        conditions.append(_R.received_at < asked.until)
    return conditions
