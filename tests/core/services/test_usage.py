"""Sums of the roll-up: by every dimension, in UTC, and nobody else's."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.services import usage
from gateway.core.services.failures import Invalid
from gateway.core.services.reach import Reach
from gateway.core.services.usage import DIMENSIONS, MEASURES, NO_ACCOUNT, UsageFilter

ROOT = Reach(everything=True)
START = datetime(2026, 1, 31, 22, tzinfo=UTC)
A, B, ME, KEY, OTHER, ACCOUNT = (new_id(prefix) for prefix in ("ten", "ten", "usr", "key", "key", "acct"))
SPAN = UsageFilter(since=START, until=START + timedelta(days=2))


def hour(hours: int, **more: Any) -> m.UsageHour:
    values: dict[str, Any] = {"tenant_id": A, "key_id": KEY, "account_id": ACCOUNT, "platform": "openai"}
    counted = {name: 1 for name in MEASURES if name != "cost"}
    cost = Decimal("0.000000001")
    at = START + timedelta(hours=hours)
    return m.UsageHour(hour=at, **{**values, "model": "gpt", "cost": cost, **counted, **more})


@pytest.fixture
async def used(database: AsyncSession) -> AsyncSession:
    """22, 23 and 24 o'clock of a month's last day, and three odd ones."""
    database.add_all([hour(0), hour(1, requests=2**40), hour(2, user_id=ME, cost=Decimal("123456.5"))])
    database.add_all([hour(3, account_id=NO_ACCOUNT, key_id=OTHER), hour(4, platform="gemini", model="flash")])
    database.add(hour(5, tenant_id=B))
    await database.flush()
    return database


async def sums(session: AsyncSession, *words: str, reach: Reach = ROOT, **more: Any) -> list[dict[str, Any]]:
    span: dict[str, Any] = {"since": SPAN.since, "until": SPAN.until}
    asked = UsageFilter(**{**span, **more})
    return await usage.sums(session, reach, asked, words, 100)


async def test_every_measure_is_summed_exactly(used: AsyncSession):
    (whole,) = await sums(used)
    assert set(whole) == set(MEASURES)
    assert (whole["requests"], whole["cost"]) == (2**40 + 5, Decimal("123456.500000005"))
    (nothing,) = await sums(used, model="unknown")
    assert set(nothing.values()) == {0}


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        (("month",), [("2026-01", 2**40 + 1), ("2026-02", 4)]),
        (("day",), [("2026-01-31", 2**40 + 1), ("2026-02-01", 4)]),
        (("model",), [("flash", 1), ("gpt", 2**40 + 4)]),
        (("platform",), [("gemini", 1), ("openai", 2**40 + 4)]),
        (("day", "platform"), [("2026-01-31", "openai", 2**40 + 1), ("2026-02-01", "gemini", 1)]),
    ],
)
async def test_groups_come_in_order(used: AsyncSession, words: tuple[str, ...], groups: list[tuple[Any, ...]]):
    await used.execute(text("SET LOCAL TIME ZONE 'Pacific/Auckland'"))
    found = [(*(group[DIMENSIONS[word][0]] for word in words), group["requests"]) for group in await sums(used, *words)]
    assert found[: len(groups)] == groups, "days are UTC, whatever the session's zone"


async def test_usage_without_an_account_is_nobodys(used: AsyncSession):
    found = {group["account_id"]: group["requests"] for group in await sums(used, "account")}
    assert found == {ACCOUNT: 2**40 + 4, None: 1}
    assert {group["user_id"] for group in await sums(used, "user")} == {ME, None}


@pytest.mark.parametrize(
    ("more", "hours"),
    [
        ({}, 6),
        ({"tenant_id": A}, 5),
        ({"user_id": ME}, 1),
        ({"key_id": OTHER}, 1),
        ({"account_id": ACCOUNT}, 5),
        ({"platform": "gemini"}, 1),
        ({"model": "gpt"}, 5),
        ({"since": START + timedelta(minutes=59)}, 6),
        ({"since": START + timedelta(minutes=60)}, 5),
        ({"until": START + timedelta(hours=1)}, 1),
        ({"until": START + timedelta(hours=1, seconds=1)}, 2),
    ],
)
async def test_filters(used: AsyncSession, more: dict[str, Any], hours: int):
    assert len(await sums(used, "hour", **more)) == hours


async def test_nobody_elses(used: AsyncSession):
    for reach, hours in (
        (Reach(), 0),
        (Reach(tenants=frozenset({B})), 1),
        (Reach(own=frozenset({A}), user_id=ME), 1),
        (Reach(tenants=frozenset({A, B})), 6),
    ):
        assert len(await sums(used, "hour", reach=reach)) == hours
    assert len(await usage.sums(used, ROOT, SPAN, ["hour"], 2)) == 2


async def test_totals_of_keys(used: AsyncSession):
    found = await usage.totals_of_keys(used, [KEY, OTHER, new_id("key")])
    assert {name: totals["requests"] for name, totals in found.items()} == {KEY: 2**40 + 4, OTHER: 1}
    assert set(found[OTHER]) == set(MEASURES)
    assert await usage.totals_of_keys(used, []) == {}


def test_dimensions():
    assert usage.dimensions("") == []
    assert usage.dimensions(" day, model,,day ") == ["day", "model"]
    assert usage.dimensions(",".join(DIMENSIONS)) == list(DIMENSIONS)
    with pytest.raises(Invalid) as raised:
        usage.dimensions("day,colour")
    assert raised.value.field == "group_by"
