"""Prices, as they are written and as they are shown. Amounts are decimal strings, for a million tokens."""

from typing import Annotated

from msgspec import Meta, Struct

from admin.schemas.page import Moment, at
from gateway.core import models as m
from gateway.core.litellm import Same, Skipped
from gateway.core.prices import Price

VersionName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:+-]{0,99}\Z")]


class PriceDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `effective_at` the prices are in force from now on, and without `version` it is named by that moment."""

    prices: list[Price]
    version: VersionName | None = None
    effective_at: Moment | None = None
    currency: str | None = None


class PriceVersionView(Struct, frozen=True, kw_only=True):
    """`prices`: how many."""

    id: str
    version: str
    effective_at: str
    currency: str
    source: str
    prices: int
    created_at: str


class PriceVersionWhole(Struct, frozen=True, kw_only=True):
    """The shipped one has no moments of its own: each of its prices has a day."""

    id: str
    version: str
    effective_at: str | None
    currency: str
    source: str
    prices: list[Price]
    created_at: str | None


class PriceEntry(Struct, frozen=True, kw_only=True):
    """What a model costs from `since` on. `id` is null for the shipped prices."""

    since: str
    version: str
    id: str | None
    source: str
    price: Price


class InForceView(Struct, frozen=True, kw_only=True):
    """`in_force`: what a request of that moment costs; null when it is unpriced. `history`: all that the model ever
    cost and will cost, newest first."""

    platform: str
    model: str
    at: str
    currency: str
    in_force: PriceEntry | None
    max_output: int | None
    history: list[PriceEntry]


class InForceList(Struct, frozen=True):
    data: list[InForceView]


class UnpricedView(Struct, frozen=True, kw_only=True):
    """`since` and `until`: the hours of the first and the last request that waits for a price."""

    platform: str
    model: str
    requests: int
    since: str
    until: str


class UnpricedList(Struct, frozen=True):
    data: list[UnpricedView]
    has_more: bool


class ImportView(Struct, frozen=True, kw_only=True):
    """`version` is null in a dry run. Every one of the `entries` is in `imported`, in `same` or in `skipped`; `unused`:
    members with amounts that poolgate does not count by, and in how many entries."""

    version: PriceVersionView | None
    effective_at: str
    dry_run: bool
    entries: int
    imported: int
    same: list[Same]
    skipped: list[Skipped]
    unused: dict[str, int]


def version_view(row: m.PriceVersion) -> PriceVersionView:
    return PriceVersionView(
        id=row.id,
        version=row.version,
        effective_at=at(row.effective_at),
        currency=row.currency,
        source=row.source,
        prices=len(row.prices),
        created_at=at(row.created_at),
    )
