"""Sums of the ledger's roll-ups, by any of their dimensions: whole months by month, their edges by day and hour."""

import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import TIMESTAMP, ColumnElement, Date, Select, and_, cast, func, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.db import Sessions
from gateway.core.services import rows
from gateway.core.services.failures import Invalid
from gateway.core.services.reach import Reach

MEASURES = (
    "requests",
    "errors",
    "unpriced",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost",
)
#: What usage can be grouped by: the word, and the member it appears as.
DIMENSIONS: Mapping[str, str] = {
    "tenant": "tenant_id",
    "team": "team_id",
    "user": "user_id",
    "key": "key_id",
    "account": "account_id",
    "platform": "platform",
    "provider": "provider",
    "model": "model",
    "hour": "hour",
    "day": "day",
    "month": "month",
}
NO_ACCOUNT = "acct_00000000-0000-0000-0000-000000000000"
NO_USER = "usr_00000000-0000-0000-0000-000000000000"
#: What stands in a roll-up where the ledger has a null.
_NULLS = {"account_id": NO_ACCOUNT, "user_id": NO_USER, "platform": "", "provider": ""}
_DAY, _YEAR = timedelta(days=1), timedelta(days=366)
_PAGE = 1000
_EXPORT_IDLE = 60
_EXPORT_WITHIN = 900.0

Groups = Select[*tuple[Any, ...]]
Table = type[m.UsageHour] | type[m.UsageDay] | type[m.UsageMonth]
Part = tuple[Table, datetime, datetime]


class UsageFilter(Struct, frozen=True):
    """Whole hours: that of `since` is inside, and so is the one that `until` falls into."""

    since: datetime
    until: datetime
    tenant_id: str | None = None
    team_id: str | None = None
    user_id: str | None = None
    key_id: str | None = None
    account_id: str | None = None
    platform: str | None = None
    provider: str | None = None
    model: str | None = None


def dimensions(asked: str) -> list[str]:
    """The words of a comma list. Raises Invalid naming the parameter."""
    words = list(dict.fromkeys(word.strip() for word in asked.split(",") if word.strip()))
    for word in words:
        if word not in DIMENSIONS:
            raise Invalid(f"cannot group by this: use {', '.join(DIMENSIONS)}", "group_by")
    return words


def measure(asked: str | None) -> str | None:
    """What the largest groups are found by. Raises Invalid naming the parameter."""
    if asked is not None and asked not in MEASURES:
        raise Invalid(f"cannot sort by this: use {', '.join(MEASURES)}", "sort")
    return asked


def query(reach: Reach, asked: UsageFilter, group_by: Sequence[str], sort: str | None = None) -> Groups:
    """One row a group: the dimensions, then the measures. Ordered by the dimensions, or the largest of a measure first.

    Raises Invalid naming the parameter.
    """
    read = [_part(table, span, reach, asked, group_by) for table, *span in _parts(asked, group_by)]
    part = (union_all(*read) if len(read) > 1 else read[0]).subquery()
    keys = [part.c[DIMENSIONS[word]] for word in group_by]
    totals = {name: func.coalesce(func.sum(part.c[name]), 0).label(name) for name in MEASURES}
    found = select(*keys, *totals.values())
    if keys:  # a group from which all was taken again is none
        found = found.group_by(*keys).having(func.sum(part.c.requests) > 0)
    first = [totals[sort].desc()] if sort else []
    return found.order_by(*first, *keys)


async def sums(
    session: AsyncSession,
    reach: Reach,
    asked: UsageFilter,
    group_by: Sequence[str],
    limit: int,
    sort: str | None = None,
) -> list[dict[str, Any]]:
    """The first groups of the query, each as a mapping."""
    found = await session.execute(query(reach, asked, group_by, sort).limit(limit))
    return [_shown(row) for row in found.mappings()]


async def export(sessions: Sessions, found: Groups) -> AsyncIterator[list[dict[str, Any]]]:
    """All groups of a query, by pages: they are never all in memory. Raises TimeoutError, or what PostgreSQL says, for
    a reader who is too slow: meanwhile it keeps a transaction, and with it what is to be vacuumed."""
    end = time.monotonic() + _EXPORT_WITHIN
    async with sessions() as session:
        await session.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{_EXPORT_IDLE}s'"))
        result = await session.stream(found, execution_options={"yield_per": _PAGE})
        async for page in result.mappings().partitions():
            if time.monotonic() > end:
                raise TimeoutError
            yield [_shown(row) for row in page]


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    group: dict[str, Any] = {name: None if _NULLS.get(name) == value else value for name, value in row.items()}
    for name, length in (("day", 10), ("month", 7)):
        if name in group:
            group[name] = group[name].isoformat()[:length]
    return group


def _parts(asked: UsageFilter, group_by: Sequence[str]) -> list[Part]:
    """Which table is read from when to when: hours serve only the edges of days, and days those of months."""
    now = datetime.now(UTC)
    start, end = _floor(asked.since.astimezone(UTC), m.UsageHour), min(asked.until.astimezone(UTC), now + _YEAR)
    coarse: tuple[Table, ...] = (m.UsageMonth, m.UsageDay)
    tables = () if "hour" in group_by else coarse[1:] if "day" in group_by else coarse
    # Up to now, and nothing is later: what this day and this month hold is what is asked for.
    open_ended = _floor(now, m.UsageHour) < end < now + _DAY
    return _split(start, end, tables, open_ended=open_ended) or [(m.UsageHour, start, end)]


def _split(start: datetime, end: datetime, tables: Sequence[Table], *, open_ended: bool) -> list[Part]:
    if start >= end:
        return []
    if not tables:
        return [(m.UsageHour, start, end)]
    table, *finer = tables
    first, last = _ceiling(start, table), (_ceiling if open_ended else _floor)(end, table)
    if first >= last:
        return _split(start, end, finer, open_ended=open_ended)
    return [
        *_split(start, first, finer, open_ended=False),
        (table, first, last),
        *_split(last, end, finer, open_ended=open_ended),
    ]


def _floor(moment: datetime, table: Table) -> datetime:
    whole = moment.replace(minute=0, second=0, microsecond=0)
    if table is not m.UsageHour:
        whole = whole.replace(hour=0)
    return whole.replace(day=1) if table is m.UsageMonth else whole


def _ceiling(moment: datetime, table: Table) -> datetime:
    whole = _floor(moment, table)
    return whole if whole == moment else _floor(whole + (32 if table is m.UsageMonth else 1) * _DAY, table)


def _part(table: Table, span: Sequence[datetime], reach: Reach, asked: UsageFilter, group_by: Sequence[str]) -> Groups:
    columns = [_column(table, word).label(DIMENSIONS[word]) for word in group_by]
    part = select(*columns, *(getattr(table, name) for name in MEASURES))
    if "team" in group_by or asked.team_id is not None:
        member = m.TeamMember
        part = part.outerjoin(
            member, and_(member.tenant_id == table.tenant_id, member.user_id == table.user_id)
        ).select_from(table)
    return part.where(*_between(table, *span), reach.over(table.tenant_id, table.user_id), *_conditions(table, asked))


def _between(table: Table, since: datetime, until: datetime) -> list[ColumnElement[bool]]:
    if table is m.UsageHour:
        return [m.UsageHour.hour >= since, m.UsageHour.hour < until]
    begin = m.UsageDay.day if table is m.UsageDay else m.UsageMonth.month
    return [begin >= since.date(), begin < until.date()]


def _column(table: Table, word: str) -> Any:
    if word == "team":
        return m.TeamMember.team_id
    if word == "day":
        return m.UsageDay.day if table is m.UsageDay else cast(func.timezone("UTC", m.UsageHour.hour), Date)
    if word == "month":
        return m.UsageMonth.month if table is m.UsageMonth else cast(func.date_trunc("month", _moment(table)), Date)
    return getattr(table, DIMENSIONS[word])


def _moment(table: Table) -> Any:
    """Without a zone, whatever the session's is."""
    return func.timezone("UTC", m.UsageHour.hour) if table is m.UsageHour else cast(m.UsageDay.day, TIMESTAMP)


def _conditions(table: Table, asked: UsageFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for prefix, field in (("ten", "tenant_id"), ("usr", "user_id"), ("key", "key_id"), ("acct", "account_id")):
        value = getattr(asked, field)
        if value is not None:
            conditions.append(getattr(table, field) == rows.filter_id(value, prefix, field))
    if asked.team_id is not None:
        conditions.append(m.TeamMember.team_id == rows.filter_id(asked.team_id, "team", "team_id"))
    for field in ("platform", "provider", "model"):
        value = getattr(asked, field)
        if value is not None:
            conditions.append(getattr(table, field) == value)
    return conditions


async def totals_of_keys(session: AsyncSession, key_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """All that the keys ever used, by key id; a key without use is absent."""
    if not key_ids:
        return {}
    months = m.UsageMonth
    sums_of = [func.sum(getattr(months, name)).label(name) for name in MEASURES]
    found = select(months.key_id.label("key_id"), *sums_of).where(months.key_id.in_(key_ids)).group_by(months.key_id)
    return {row.key_id: {name: getattr(row, name) for name in MEASURES} for row in await session.execute(found)}
