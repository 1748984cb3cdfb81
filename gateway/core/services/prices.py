"""The operator's prices in versions: written once, in force from a moment on, on top of the shipped ones."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core import prices
from gateway.core.ids import new_id
from gateway.core.prices import ALWAYS, InvalidPrice, Price, Table, Tier
from gateway.core.services import rows
from gateway.core.services.failures import Conflict, Invalid
from gateway.core.services.reach import Reach

MOST = 20_000
"""Prices in one version."""
_MULTIPLIER_DECIMALS = 9
_V = m.PriceVersion
_U = m.UsageHour
log = structlog.get_logger()


async def table(session: AsyncSession, known: Table | None = None) -> Table:
    """All prices as they are stored now; `known` itself when it is that already.

    A version that cannot be read has no prices, and is logged: the one beneath it counts.
    """
    known = known or prices.shipped()
    *above, base = prices.layers(known)
    ids = list((await session.execute(select(_V.id).order_by(_V.effective_at, _V.id))).scalars())
    if ids == [layer.id for layer in reversed(above)]:
        return known
    read = {layer.id: layer for layer in above}
    missing = select(_V).where(_V.id.in_([one for one in ids if one not in read]))
    for row in (await session.execute(missing)).scalars():
        read[row.id] = _read(row)
    return prices.stacked(base, [read[one] for one in ids if one in read])


def _read(row: m.PriceVersion) -> Table:
    try:
        listed = msgspec.convert(row.prices, tuple[Price, ...])
    except msgspec.ValidationError as error:
        log.error("a version of prices is left out: it cannot be read", version=row.id, reason=str(error))
        listed = ()
    return Table(row.version, row.currency, listed, row.id, row.effective_at.timestamp(), row.source)


async def listing(session: AsyncSession, window: rows.Window) -> rows.Slice[m.PriceVersion]:
    """The operator's; newest made first."""
    return await rows.page(session, select(_V), _V.id, "prv", window)


async def find(session: AsyncSession, version_id: str, *, lock: bool = False) -> m.PriceVersion:
    identifier = rows.identity(version_id, "prv", "version of prices")
    return await rows.one(session, select(_V).where(_V.id == identifier), "version of prices", lock=lock)


def draft(
    listed: Iterable[Price],
    *,
    source: str = "manual",
    version: str | None = None,
    effective_at: datetime | None = None,
    currency: str | None = None,
) -> m.PriceVersion:
    """In force from `effective_at` on, by default from now; not stored yet. Raises Invalid naming the field."""
    base = prices.shipped()
    effective = effective_at or datetime.now(UTC)
    if currency not in (None, base.currency):
        raise Invalid(f"an installation has one currency: {base.currency}", "currency")
    if version == base.version:
        raise Invalid("this is the version of the shipped prices", "version")
    return _V(
        id=new_id("prv"),
        version=version or f"{source}-{effective:%Y%m%dT%H%M%S}Z",
        effective_at=effective,
        currency=base.currency,
        source=source,
        prices=_checked(list(listed)),
        created_at=datetime.now(UTC),
    )


async def create(session: AsyncSession, row: m.PriceVersion) -> None:
    """What has a price in the ledger keeps it, also when the version holds from a moment that is past."""
    session.add(row)
    await rows.announce(session, "prices", row.id)


async def delete(session: AsyncSession, row: m.PriceVersion) -> None:
    """Raises Conflict for one that is in force: rows of the ledger name it."""
    if row.effective_at <= datetime.now(UTC):
        raise Conflict("this version is in force: put another on top of it")
    await session.delete(row)
    await rows.announce(session, "prices", row.id)


def _checked(listed: list[Price]) -> list[dict[str, Any]]:
    """As they are stored."""
    if not 1 <= len(listed) <= MOST:
        raise Invalid(f"expected 1 to {MOST} prices", "prices")
    seen: set[tuple[str, str]] = set()
    for at, price in enumerate(listed):
        try:
            prices.check(price)
        except InvalidPrice as error:
            raise Invalid(error.message, f"prices[{at}].{error.field}") from None
        if price.since != ALWAYS:
            raise Invalid("a version has one moment from which on it holds: effective_at", f"prices[{at}].since")
        for platform in price.platforms:
            if (price.model, platform) in seen:
                raise Invalid(f"{price.model} of {platform} is there twice", f"prices[{at}].model")
            seen.add((price.model, platform))
    return [_written(price) for price in listed]


def _written(price: Price) -> dict[str, Any]:
    """Amounts without exponents; what is as by default is left out."""
    stored = _plain(price)
    if price.tiers:
        stored["tiers"] = [_plain(tier) for tier in price.tiers]
    return stored


def _plain(rates: Price | Tier) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(rates, builtin_types=(Decimal,))
    return {name: prices.plain(value) if isinstance(value, Decimal) else value for name, value in found.items()}


def multiplier(value: Decimal) -> str:
    """As it is stored. Raises Invalid."""
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or not 0 <= value <= 1000:
        raise Invalid("expected a number from 0 to 1000", "price_multiplier")
    if exponent < -_MULTIPLIER_DECIMALS:
        raise Invalid(f"expected at most {_MULTIPLIER_DECIMALS} decimals", "price_multiplier")
    return prices.plain(value)


async def unpriced(session: AsyncSession, reach: Reach, limit: int) -> list[dict[str, Any]]:
    """Models without a price, by platform: how many requests wait for one, and the hours of the first and the last."""
    found = (
        select(
            _U.platform.label("platform"),
            _U.model.label("model"),
            func.sum(_U.unpriced).label("requests"),
            func.min(_U.hour).label("since"),
            func.max(_U.hour).label("until"),
        )
        .where(_U.unpriced > 0, reach.over(_U.tenant_id))
        .group_by(_U.platform, _U.model)
        .order_by(func.sum(_U.unpriced).desc(), _U.platform, _U.model)
        .limit(limit)
    )
    return [dict(row) for row in (await session.execute(found)).mappings()]
