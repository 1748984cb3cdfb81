"""Forms that all resources share: a page of a list, a moment, what a PATCH really said."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import fields

from gateway.core.limits import written
from gateway.core.services.failures import Invalid
from gateway.core.services.rows import Slice

T = TypeVar("T")
R = TypeVar("R")

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Moment = Annotated[datetime, Meta(tz=True)]
Text = Annotated[str, Meta(max_length=10_000)]
Word = Annotated[str, Meta(min_length=1, max_length=500)]


class Page(Struct, Generic[T], frozen=True):
    """`count` is there only when `count=exact` was asked for."""

    data: list[T]
    next_cursor: str | None
    has_more: bool
    count: int | UnsetType = UNSET


def page(found: Slice[R], view: Callable[[R], T]) -> Page[T]:
    return Page(
        data=[view(row) for row in found.rows],
        next_cursor=found.next_cursor,
        has_more=found.next_cursor is not None,
        count=UNSET if found.count is None else found.count,
    )


def stamp(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds."""
    return None if moment is None else at(moment)


def at(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def given(body: Struct, *, leaving: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The members that a body has, by name; limits as they are stored."""
    read = {info.name: getattr(body, info.name) for info in fields(body)}
    values = {name: value for name, value in read.items() if value is not UNSET and name not in leaving}
    if values.get("limits") is not None:
        values["limits"] = written(values["limits"])
    return values


def named(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of a body that creates: null means the default, as if the member were absent."""
    return {name: value for name, value in values.items() if value is not None}


def moment(text: str | None, field: str) -> datetime | None:
    """RFC 3339, or a date: its first moment in UTC. Raises Invalid naming the parameter."""
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid("expected a time such as 2026-01-31T12:00:00Z, or a date", field) from None
