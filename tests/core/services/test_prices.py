"""Versions of prices: written once, read as a stack, deleted only before they hold; and what waits for a price."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from gateway.core import changes, prices
from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.prices import ALWAYS, Price, Tier, layers, shipped
from gateway.core.services import prices as versions
from gateway.core.services.failures import Conflict, Invalid, Missing
from gateway.core.services.reach import Reach
from gateway.core.services.rows import Window
from gateway.protocols.codec import Usage

NOW = datetime.now(UTC)
SHIPPED = shipped()


def price(model: str = "a", amount: str = "1", **more: Any) -> Price:
    return Price(model, Decimal(amount), Decimal(amount), **more)


async def put(database: AsyncSession, *listed: Price, hours: float = 0, **more: Any) -> m.PriceVersion:
    row = versions.draft(listed, effective_at=NOW + timedelta(hours=hours), **{"version": new_id("v"), **more})
    await versions.create(database, row)
    return row


async def test_without_versions_it_is_the_shipped_table(database: AsyncSession):
    assert await versions.table(database, SHIPPED) is SHIPPED
    assert [layer.version for layer in layers(await versions.table(database))] == [SHIPPED.version]


async def test_versions_lie_in_the_order_in_which_they_become_effective(database: AsyncSession):
    late, early = await put(database, price(), hours=2), await put(database, price(), hours=-2)
    between = await put(database, price(), hours=1)
    stack = await versions.table(database, SHIPPED)
    assert [layer.id for layer in layers(stack)] == [late.id, between.id, early.id, ""]
    assert [layer.effective_at for layer in layers(stack)][:3] == [
        one.effective_at.timestamp() for one in (late, between, early)
    ]
    assert await versions.table(database, stack) is stack
    top = await put(database, price(), hours=3)
    higher = await versions.table(database, stack)
    assert [layer.id for layer in layers(higher)] == [top.id, late.id, between.id, early.id, ""]
    await versions.delete(database, late)
    lower = await versions.table(database, higher)
    assert [layer.id for layer in layers(lower)] == [top.id, between.id, early.id, ""]
    assert next(layers(lower)).prices == next(layers(higher)).prices


async def test_of_two_at_once_the_one_made_later_wins(database: AsyncSession):
    await put(database, price("a", "1"))
    second = await put(database, price("a", "2"))
    stack = await versions.table(database)
    at = NOW.timestamp() + 1
    assert prices.priced(stack, "p", ("a",), at, Usage(input_tokens=1)) == (2000, second.version)


async def test_what_is_read_is_what_was_written(database: AsyncSession):
    tier = Tier(5, Decimal("1E+1"), Decimal(2), reasoning=Decimal("0.10"))
    written = price(
        "m*", "1E+2", platforms=("openai", "azure-*"), cache_read=Decimal("0.000000000000000001"), tiers=(tier,),
        reasoning=Decimal("3.50"), per_request=Decimal("0.005"), max_output=7,
    )  # fmt: skip
    row = await put(database, written)
    await database.flush()
    stored = (await database.execute(text("SELECT prices::text FROM price_versions WHERE id = :id"), {
        "id": row.id.partition("_")[2]
    })).scalar_one()  # fmt: skip
    assert "E" not in stored.replace("max_output", "")
    assert '"100"' in stored
    read = next(layers(await versions.table(database)))
    assert read.prices == (written,)
    assert (read.version, read.currency, read.source) == (row.version, "USD", "manual")


async def test_a_change_is_told(database: AsyncSession):
    before = await changes.current(database)
    row = await put(database, price(), hours=1)
    await versions.delete(database, row)
    found = await changes.since(database, before)
    assert [(one.kind, one.id) for one in found] == [("prices", row.id)] * 2


async def test_one_in_force_stays(database: AsyncSession):
    row = await put(database, price())
    with pytest.raises(Conflict):
        await versions.delete(database, row)
    assert (await versions.find(database, row.id)).id == row.id
    for unknown in (new_id("prv"), "prv_x", new_id("key")):
        with pytest.raises(Missing):
            await versions.find(database, unknown)


async def test_they_are_listed_newest_first(database: AsyncSession):
    made = [(await put(database, price(), hours=hours)).id for hours in (3, 1, 2)]
    found = await versions.listing(database, Window(limit=2))
    assert [row.id for row in found.rows] == made[:0:-1]
    assert [row.id for row in (await versions.listing(database, Window(cursor=found.next_cursor))).rows] == made[:1]


def test_a_version_has_a_name_and_a_moment_by_itself():
    row = versions.draft([price()], source="litellm", effective_at=datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert row.version == "litellm-20270102T030405Z"
    assert abs(versions.draft([price()]).effective_at - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("listed", "more", "field"),
    [
        ([], {}, "prices"),
        ([price()], {"currency": "EUR"}, "currency"),
        ([price()], {"version": SHIPPED.version}, "version"),
        ([price("a"), price("")], {}, "prices[1].model"),
        ([price("a"), price("b", tiers=(Tier(0, Decimal(1), Decimal(1)),))], {}, "prices[1].tiers"),
        ([price("a"), price("a", platforms=("*", "x"))], {}, "prices[1].model"),
        ([price("a", since=ALWAYS + timedelta(days=1))], {}, "prices[0].since"),
        ([price()] * 20_001, {}, "prices"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(listed: list[Price], more: dict[str, Any], field: str):
    with pytest.raises(Invalid) as refused:
        versions.draft(listed, **more)
    assert refused.value.field == field


async def test_a_version_that_cannot_be_read_has_no_prices(database: AsyncSession):
    broken, good = await put(database, price("a"), hours=2), await put(database, price("a"), hours=1)
    await database.flush()
    await database.execute(update(m.PriceVersion).where(m.PriceVersion.id == broken.id).values(prices=[{"model": 1}]))
    database.expire_all()
    with capture_logs() as logs:
        stack = await versions.table(database)
    assert [(layer.id, len(layer.prices)) for layer in layers(stack)][:2] == [(broken.id, 0), (good.id, 1)]
    assert [one["version"] for one in logs] == [broken.id]


@pytest.mark.parametrize(
    ("value", "stored"),
    [("1", "1"), ("1.50", "1.5"), ("0", "0"), ("1E+3", "1000"), ("0.123456789", "0.123456789"), ("1000", "1000")],
)
def test_a_multiplier_is_stored_plainly(value: str, stored: str):
    assert versions.multiplier(Decimal(value)) == stored


@pytest.mark.parametrize("value", ["-0.1", "1000.1", "NaN", "Infinity", "0.1234567891", "1E-999999", "1E+999999"])
def test_a_multiplier_that_cannot_be(value: str):
    with pytest.raises(Invalid) as refused:
        versions.multiplier(Decimal(value))
    assert refused.value.field == "price_multiplier"


async def test_what_waits_for_a_price(database: AsyncSession):
    hour = datetime(2026, 3, 1, 10, tzinfo=UTC)
    north, south = new_id("ten"), new_id("ten")

    def used(tenant: str, model: str, hours: int, unpriced: int, platform: str = "openai") -> m.UsageHour:
        return m.UsageHour(
            hour=hour + timedelta(hours=hours), tenant_id=tenant, key_id=new_id("key"), user_id=new_id("usr"),
            account_id=new_id("acct"), platform=platform, provider="p", model=model, requests=9, unpriced=unpriced,
        )  # fmt: skip

    await database.execute(delete(m.UsageHour))
    database.add_all(
        [
            *(used(north, "x", hours, 2) for hours in (3, 1)),
            used(south, "x", 5, 1),
            used(north, "x", 9, 4, "gemini"),
            used(north, "y", 0, 0),
        ]
    )
    await database.flush()
    everything = await versions.unpriced(database, Reach(everything=True), 10)
    assert [(one["platform"], one["model"], one["requests"]) for one in everything] == [
        ("openai", "x", 5), ("gemini", "x", 4),
    ]  # fmt: skip
    assert (everything[0]["since"], everything[0]["until"]) == (hour + timedelta(hours=1), hour + timedelta(hours=5))
    mine = await versions.unpriced(database, Reach(tenants=frozenset({south})), 10)
    assert [(one["model"], one["requests"]) for one in mine] == [("x", 1)]
    assert len(await versions.unpriced(database, Reach(everything=True), 1)) == 1
