"""What every service does with rows: read a page of them, find one, change one, tell the gateways."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from gateway.core import changes
from gateway.core.ids import uuid_of
from gateway.core.models.base import Dated
from gateway.core.services.failures import Invalid, Missing

T = TypeVar("T")


class Window(Struct, frozen=True):
    """Which part of a list is asked for. `cursor` is the id after which to go on; newest first."""

    cursor: str | None = None
    limit: int = 50
    exact: bool = False


class Slice(Struct, Generic[T], frozen=True):
    rows: list[T]
    next_cursor: str | None
    count: int | None
    """Of all that match, only when `exact` was asked for."""


def identity(value: str, prefix: str, what: str) -> str:
    """A public id in its one spelling. Raises Missing when it cannot name anything."""
    try:
        return f"{prefix}_{uuid_of(value, prefix)}"
    except ValueError:
        raise Missing(f"no such {what}") from None


def filter_id(value: str, prefix: str, field: str) -> str:
    """An id given to filter by. Raises Invalid naming the parameter."""
    try:
        return f"{prefix}_{uuid_of(value, prefix)}"
    except ValueError:
        raise Invalid(f"not {'an' if prefix[0] == 'a' else 'a'} {prefix}_… id", field) from None


def matching(q: str | None, *columns: InstrumentedAttribute[str]) -> list[ColumnElement[bool]]:
    """The condition of a search; % and _ mean themselves."""
    return [or_(*(column.icontains(q, autoescape=True) for column in columns))] if q else []


async def page(
    session: AsyncSession, found: Select[T], key: InstrumentedAttribute[str], prefix: str, window: Window
) -> Slice[T]:
    """One page of the query, by descending id (ids sort by time), with one row more to know whether there is more."""
    count = None
    if window.exact:
        count = (await session.execute(select(func.count()).select_from(found.subquery()))).scalar_one()
    if window.cursor is not None:
        found = found.where(key < filter_id(window.cursor, prefix, "cursor"))
    rows = list((await session.execute(found.order_by(key.desc()).limit(window.limit + 1))).scalars())
    more = len(rows) > window.limit
    rows = rows[: window.limit]
    return Slice(rows, str(getattr(rows[-1], key.key)) if more else None, count)


async def one(session: AsyncSession, found: Select[T], what: str, *, lock: bool = False) -> T:
    """The row that the query names, locked until the end of the transaction on request. Raises Missing."""
    row = (await session.execute(found.with_for_update() if lock else found)).scalar_one_or_none()
    if row is None:
        raise Missing(f"no such {what}")
    return row


def update(row: Dated, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    row.version = row.version + 1
    row.updated_at = datetime.now(UTC)


async def announce(session: AsyncSession, kind: str, identifier: str) -> None:
    """Writes what is pending, then records the change: the lock on the configuration is always taken last."""
    await session.flush()
    await changes.record(session, kind, identifier)


def cleared(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a PATCH, each null replaced by what the field is when it was never given. Raises Invalid."""
    meant: dict[str, Any] = {}
    for name, value in values.items():
        if value is None:
            if name not in defaults:
                raise Invalid("this field cannot be null", name)
            default = defaults[name]
            value = cast("Any", default.copy() if isinstance(default, (list, dict)) else default)
        meant[name] = value
    return meant
