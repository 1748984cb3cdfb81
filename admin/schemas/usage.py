"""Sums of usage, as they are shown. Money is a decimal string."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from admin.schemas.page import at

#: One currency an installation.
CURRENCY = "USD"


class Totals(Struct, frozen=True, kw_only=True):
    requests: int = 0
    errors: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost: str = "0"


class Group(Totals, frozen=True, kw_only=True):
    """The members of the dimensions that were asked for, and the sums."""

    tenant_id: str | UnsetType = UNSET
    team_id: str | UnsetType | None = UNSET
    user_id: str | UnsetType | None = UNSET
    key_id: str | UnsetType = UNSET
    account_id: str | UnsetType | None = UNSET
    platform: str | UnsetType | None = UNSET
    provider: str | UnsetType | None = UNSET
    model: str | UnsetType = UNSET
    hour: str | UnsetType = UNSET
    day: str | UnsetType = UNSET
    month: str | UnsetType = UNSET


class UsageView(Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    since: str
    until: str
    currency: str
    data: list[Group]
    has_more: bool


def money(amount: Decimal) -> str:
    return format(amount.normalize(), "f")


def totals(sums: Mapping[str, Any]) -> Totals:
    return Totals(**_plain(sums))


def group(sums: Mapping[str, Any]) -> Group:
    shown = _plain(sums)
    if "hour" in shown:
        shown["hour"] = at(shown["hour"])
    return Group(**shown)


def _plain(sums: Mapping[str, Any]) -> dict[str, Any]:
    """PostgreSQL sums bigints into numerics."""
    return {
        name: money(value) if name == "cost" else int(value) if isinstance(value, Decimal) else value
        for name, value in sums.items()
    }
