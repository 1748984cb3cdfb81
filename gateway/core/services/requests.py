"""Reading the ledger."""

from datetime import UTC, datetime

from msgspec import Struct
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.ids import milliseconds_of, uuid_of
from gateway.core.services import rows
from gateway.core.services.reach import Reach

_R = m.Request


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
    """Newest first. The order is (received_at, request_id), so every page is a range of an index."""
    found = select(_R).where(reach.over(_R.tenant_id, _R.user_id), *_conditions(asked))
    count = None
    if window.exact:
        count = (await session.execute(select(func.count()).select_from(found.subquery()))).scalar_one()
    if window.cursor is not None:
        after = rows.filter_id(window.cursor, "req", "cursor")
        moment = received_at(after)
        found = found.where(_R.received_at <= moment, or_(_R.received_at < moment, _R.request_id < after))
    found = found.order_by(_R.received_at.desc(), _R.request_id.desc()).limit(window.limit + 1)
    read = list((await session.execute(found)).scalars())
    more = len(read) > window.limit
    read = read[: window.limit]
    return rows.Slice(read, read[-1].request_id if more else None, count)


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
