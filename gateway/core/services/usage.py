"""Sums of the ledger's hourly roll-up, by any of its dimensions."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Text, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
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
_U = m.UsageHour
#: What usage can be grouped by: the word, the member it appears as, the column behind it.
DIMENSIONS: Mapping[str, tuple[str, Any]] = {
    "tenant": ("tenant_id", _U.tenant_id),
    "user": ("user_id", _U.user_id),
    "key": ("key_id", _U.key_id),
    "account": ("account_id", _U.account_id),
    "platform": ("platform", _U.platform),
    "model": ("model", _U.model),
    "hour": ("hour", _U.hour),
    "day": ("day", literal_column("to_char(usage_hours.hour AT TIME ZONE 'UTC', 'YYYY-MM-DD')", Text)),
    "month": ("month", literal_column("to_char(usage_hours.hour AT TIME ZONE 'UTC', 'YYYY-MM')", Text)),
}
NO_ACCOUNT = "acct_00000000-0000-0000-0000-000000000000"


class UsageFilter(Struct, frozen=True):
    """Whole hours: that of `since` is inside, and so is the one that `until` falls into."""

    since: datetime
    until: datetime
    tenant_id: str | None = None
    user_id: str | None = None
    key_id: str | None = None
    account_id: str | None = None
    platform: str | None = None
    model: str | None = None


def dimensions(asked: str) -> list[str]:
    """The words of a comma list. Raises Invalid naming the parameter."""
    words = list(dict.fromkeys(word.strip() for word in asked.split(",") if word.strip()))
    for word in words:
        if word not in DIMENSIONS:
            raise Invalid(f"cannot group by this: use {', '.join(DIMENSIONS)}", "group_by")
    return words


async def sums(
    session: AsyncSession, reach: Reach, asked: UsageFilter, group_by: Sequence[str], limit: int
) -> list[dict[str, Any]]:
    """One mapping a group: the dimensions, then the measures. Ordered by the dimensions."""
    columns = [DIMENSIONS[word][1] for word in group_by]
    keys = [DIMENSIONS[word][1].label(DIMENSIONS[word][0]) for word in group_by]
    totals = [func.coalesce(func.sum(getattr(_U, name)), 0).label(name) for name in MEASURES]
    found = select(*keys, *totals).where(reach.over(_U.tenant_id, _U.user_id), *_conditions(asked))
    if columns:
        found = found.group_by(*columns).order_by(*columns)
    groups = [dict(row) for row in (await session.execute(found.limit(limit))).mappings()]
    for group in groups:
        if group.get("account_id") == NO_ACCOUNT:
            group["account_id"] = None
    return groups


def _conditions(asked: UsageFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        _U.hour >= asked.since.replace(minute=0, second=0, microsecond=0),
        _U.hour < asked.until,
    ]
    for prefix, field in (("ten", "tenant_id"), ("usr", "user_id"), ("key", "key_id"), ("acct", "account_id")):
        value = getattr(asked, field)
        if value is not None:
            conditions.append(getattr(_U, field) == rows.filter_id(value, prefix, field))
    if asked.platform is not None:
        conditions.append(_U.platform == asked.platform)
    if asked.model is not None:
        conditions.append(_U.model == asked.model)
    return conditions


async def totals_of_keys(session: AsyncSession, key_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """All that the keys ever used, by key id; a key without use is absent."""
    if not key_ids:
        return {}
    sums_of = [func.sum(getattr(_U, name)).label(name) for name in MEASURES]
    found = select(_U.key_id.label("key_id"), *sums_of).where(_U.key_id.in_(key_ids)).group_by(_U.key_id)
    return {row.key_id: {name: getattr(row, name) for name in MEASURES} for row in await session.execute(found)}
