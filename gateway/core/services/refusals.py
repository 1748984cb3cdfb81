"""How often requests were refused before they were admitted, by any of the dimensions of the counts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Text, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.refusals import NO_KEY, NO_TENANT
from gateway.core.services import rows
from gateway.core.services.failures import Invalid
from gateway.core.services.reach import Reach

_R = m.Refusal
#: What refusals can be grouped by: the word, the member it appears as, the column behind it.
DIMENSIONS: Mapping[str, tuple[str, Any]] = {
    "tenant": ("tenant_id", _R.tenant_id),
    "key": ("key_id", _R.key_id),
    "code": ("code", _R.code),
    "status": ("status", _R.status),
    "hour": ("hour", _R.hour),
    "day": ("day", literal_column("to_char(refusals.hour AT TIME ZONE 'UTC', 'YYYY-MM-DD')", Text)),
}
_NOBODY = {"tenant_id": NO_TENANT, "key_id": NO_KEY}


class RefusalFilter(Struct, frozen=True):
    """Whole hours: that of `since` is inside, and so is the one that `until` falls into."""

    since: datetime
    until: datetime
    tenant_id: str | None = None
    key_id: str | None = None
    code: str | None = None
    status: int | None = None


def dimensions(asked: str) -> list[str]:
    """The words of a comma list. Raises Invalid naming the parameter."""
    words = list(dict.fromkeys(word.strip() for word in asked.split(",") if word.strip()))
    for word in words:
        if word not in DIMENSIONS:
            raise Invalid(f"cannot group by this: use {', '.join(DIMENSIONS)}", "group_by")
    return words


async def counts(
    session: AsyncSession, reach: Reach, asked: RefusalFilter, group_by: Sequence[str], limit: int
) -> list[dict[str, Any]]:
    """One mapping a group: the dimensions, then `count`. Ordered by the dimensions. A key or tenant that is None was
    not known. Of a member are the refusals of the keys that are the member's now."""
    columns = [DIMENSIONS[word][1] for word in group_by]
    keys = [DIMENSIONS[word][1].label(DIMENSIONS[word][0]) for word in group_by]
    found = select(*keys, func.coalesce(func.sum(_R.count), 0).label("count")).where(
        reach.over(_R.tenant_id, _owner()), *_conditions(asked)
    )
    if columns:
        found = found.group_by(*columns).order_by(*columns)
    groups = [dict(row) for row in (await session.execute(found.limit(limit))).mappings()]
    for group in groups:
        group["count"] = int(group["count"])
        for name, nobody in _NOBODY.items():
            if group.get(name) == nobody:
                group[name] = None
    return groups


def _owner() -> Any:
    return select(m.Key.user_id).where(m.Key.id == _R.key_id).scalar_subquery()


def _conditions(asked: RefusalFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        _R.hour >= asked.since.replace(minute=0, second=0, microsecond=0),
        _R.hour < asked.until,
    ]
    for prefix, field in (("ten", "tenant_id"), ("key", "key_id")):
        value = getattr(asked, field)
        if value is not None:
            conditions.append(getattr(_R, field) == rows.filter_id(value, prefix, field))
    if asked.code is not None:
        conditions.append(_R.code == asked.code)
    if asked.status is not None:
        conditions.append(_R.status == asked.status)
    return conditions
