"""Prices: what tokens cost from when on. Root writes them, for the whole installation; who looks on reads them."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from admin import trail
from admin.deps import Asking, Database, Part, Within
from admin.schemas.page import Page, at, moment, page
from admin.schemas.prices import (
    ImportView,
    InForceList,
    InForceView,
    PriceDraft,
    PriceEntry,
    PriceVersionView,
    PriceVersionWhole,
    UnpricedList,
    UnpricedView,
    VersionName,
    version_view,
)
from gateway.core import litellm, prices
from gateway.core import models as m
from gateway.core.prices import Entry, Price, Table
from gateway.core.services import prices as versions
from gateway.core.services.failures import Invalid
from gateway.platforms import PLATFORMS

IMPORT_LIMIT = 16 << 20
"""LiteLLM's list is 1.6 MB in 2026."""


class PriceController(Controller):
    path = "/prices"
    tags = ("prices",)

    @get(opt={"permission": "prices:read"})
    async def listing(self, session: Database, window: Part) -> Page[PriceVersionView]:
        """The versions on top of the shipped prices, newest made first."""
        return page(await versions.listing(session, window), version_view)

    @post(opt={"permission": "prices:write"})
    async def create(self, session: Database, caller: Asking, data: JSONBody[PriceDraft]) -> PriceVersionView:
        """What the version names wins over older versions and over the shipped prices. What already has a price in the
        ledger keeps it; what waits for one gets it."""
        row = versions.draft(data.prices, version=data.version, effective_at=data.effective_at, currency=data.currency)
        await versions.create(session, row)
        shown = version_view(row)
        await trail.note(session, caller, "prices.create", row.id, after=shown)
        return shown

    @get("/in-force", opt={"permission": "prices:read"})
    async def in_force(
        self,
        session: Database,
        model: FromQuery[str],
        platform: FromQuery[str | None] = None,
        at: FromQuery[str | None] = None,
    ) -> InForceList:
        """What a model costs at a moment, by default now, and which version says so: at one platform, or at each that
        has a price for it."""
        asked, table = moment(at, "at") or datetime.now(UTC), await versions.table(session)
        found = [_in_force(table, name, model, asked) for name in ([platform] if platform else PLATFORMS)]
        return InForceList([one for one in found if platform or one.history])

    @get("/unpriced", opt={"permission": "prices:read"})
    async def unpriced(
        self, session: Database, reach: Within, limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 200
    ) -> UnpricedList:
        """The models that are used and have no price, most used first."""
        found = await versions.unpriced(session, reach, limit + 1)
        shown = [
            UnpricedView(
                platform=one["platform"],
                model=one["model"],
                requests=int(one["requests"]),
                since=at(one["since"]),
                until=at(one["until"]),
            )
            for one in found[:limit]
        ]
        return UnpricedList(shown, len(found) > limit)

    @post(
        "/import",
        opt={"permission": "prices:write", "reads": "LiteLLM's model_prices_and_context_window.json"},
        status_code=200,
        request_max_body_size=IMPORT_LIMIT,
    )
    async def take(
        self,
        session: Database,
        caller: Asking,
        request: Request[Any, Any, Any],
        dry_run: FromQuery[bool] = False,
        effective_at: FromQuery[str | None] = None,
        version: FromQuery[str | None] = None,
    ) -> ImportView:
        """The body is LiteLLM's model_prices_and_context_window.json. A dry run changes nothing."""
        effective = moment(effective_at, "effective_at") or datetime.now(UTC)
        name = _version_name(version)
        try:
            found = await asyncio.to_thread(litellm.read, await request.body())
        except litellm.InvalidFile as error:
            raise Invalid(str(error)) from None
        if dry_run and not found.prices:
            return _imported(found, None, effective)
        if not found.prices:
            raise Invalid("the file has no price that could be imported: a dry run shows why")
        row = versions.draft(
            found.prices, source="litellm", version=name, effective_at=effective, currency=litellm.CURRENCY
        )
        if dry_run:
            return _imported(found, None, effective)
        await versions.create(session, row)
        shown = version_view(row)
        await trail.note(session, caller, "prices.import", row.id, after=shown)
        return _imported(found, shown, effective)

    @get("/{version_id:str}", opt={"permission": "prices:read"})
    async def read(self, session: Database, version_id: FromPath[str]) -> PriceVersionWhole:
        """With all its prices; `shipped` is the one beneath all others."""
        return _whole(None if version_id == "shipped" else await versions.find(session, version_id))

    @delete("/{version_id:str}", opt={"permission": "prices:write"})
    async def remove(self, session: Database, caller: Asking, version_id: FromPath[str]) -> None:
        """Only one that is not in force yet."""
        row = await versions.find(session, version_id, lock=True)
        before = version_view(row)
        await versions.delete(session, row)
        await trail.note(session, caller, "prices.delete", row.id, before=before)


def _version_name(given: str | None) -> str | None:
    try:
        return msgspec.convert(given, VersionName | None)
    except msgspec.ValidationError:
        raise Invalid("expected letters, digits and . _ : + -, 100 at most", "version") from None


def _imported(found: litellm.Imported, version: PriceVersionView | None, effective: datetime) -> ImportView:
    return ImportView(
        version=version,
        effective_at=at(effective),
        dry_run=version is None,
        entries=found.entries,
        imported=len(found.prices),
        same=list(found.same),
        skipped=list(found.skipped),
        unused=dict(found.unused),
    )


def _whole(row: m.PriceVersion | None) -> PriceVersionWhole:
    if row is None:
        table = prices.shipped()
        return PriceVersionWhole(
            id="shipped",
            version=table.version,
            effective_at=None,
            currency=table.currency,
            source=table.source,
            prices=list(table.prices),
            created_at=None,
        )
    return PriceVersionWhole(
        id=row.id,
        version=row.version,
        effective_at=at(row.effective_at),
        currency=row.currency,
        source=row.source,
        prices=msgspec.convert(row.prices, list[Price]),
        created_at=at(row.created_at),
    )


def _in_force(table: Table, platform: str, model: str, asked: datetime) -> InForceView:
    history = prices.history(table, platform, model)
    found = next((one for one in history if one.since <= asked.timestamp()), None)
    return InForceView(
        platform=platform,
        model=model,
        at=at(asked),
        currency=table.currency,
        in_force=_entry(found) if found else None,
        max_output=prices.max_output(table, platform, model),
        history=[_entry(one) for one in history],
    )


def _entry(entry: Entry) -> PriceEntry:
    return PriceEntry(
        since=at(datetime.fromtimestamp(entry.since, UTC)),
        version=entry.table.version,
        id=entry.table.id or None,
        source=entry.table.source,
        price=entry.price,
    )
