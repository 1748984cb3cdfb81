"""Counts of refusals, as they are shown."""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from admin.schemas.page import at


class RefusalGroup(Struct, frozen=True, kw_only=True):
    """The members of the dimensions that were asked for, and how often. A key of null was unknown or absent."""

    tenant_id: str | UnsetType | None = UNSET
    key_id: str | UnsetType | None = UNSET
    code: str | UnsetType = UNSET
    status: int | UnsetType = UNSET
    hour: str | UnsetType = UNSET
    day: str | UnsetType = UNSET
    count: int


class RefusalsView(Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    since: str
    until: str
    data: list[RefusalGroup]
    has_more: bool


def refusal_group(counted: Mapping[str, Any]) -> RefusalGroup:
    shown = dict(counted)
    if "hour" in shown:
        shown["hour"] = at(shown["hour"])
    return RefusalGroup(**shown)
