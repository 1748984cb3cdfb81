"""Sums of the roll-up: by every dimension, in UTC, and nobody else's."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import db
from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.services import usage
from gateway.core.services.failures import Invalid
from gateway.core.services.reach import Reach
from gateway.core.services.usage import DIMENSIONS, MEASURES, NO_ACCOUNT, NO_USER, UsageFilter
from gateway.jobs import rollups

ROOT = Reach(everything=True)
START = datetime(2026, 1, 31, 22, tzinfo=UTC)
A, B, ME, KEY, OTHER, ACCOUNT = (new_id(prefix) for prefix in ("ten", "ten", "usr", "key", "key", "acct"))
#: What the leader writes beside the hours.
DAYS, MONTHS = (
    f"""INSERT INTO {table} ({period}, {", ".join((*rollups.DIMENSIONS, *MEASURES))})
SELECT {value}, {", ".join(rollups.DIMENSIONS)}, {", ".join(f"sum({name})" for name in MEASURES)} FROM usage_hours
GROUP BY {value}, {", ".join(rollups.DIMENSIONS)}"""
    for table, period, value in (("usage_days", "day", rollups.DAY), ("usage_months", "month", rollups.MONTH))
)
SPAN = UsageFilter(since=START, until=START + timedelta(days=2))


def hour(hours: int, **more: Any) -> m.UsageHour:
    values: dict[str, Any] = {"tenant_id": A, "key_id": KEY, "account_id": ACCOUNT, "platform": "openai"}
    values |= {"user_id": NO_USER, "provider": "openai"}
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
    await database.execute(text(DAYS))
    await database.execute(text(MONTHS))
    return database


async def sums(
    session: AsyncSession, *words: str, reach: Reach = ROOT, sort: str | None = None, **more: Any
) -> list[dict[str, Any]]:
    span: dict[str, Any] = {"since": SPAN.since, "until": SPAN.until}
    asked = UsageFilter(**{**span, **more})
    return await usage.sums(session, reach, asked, words, 1000, sort)


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
    found = [(*(group[DIMENSIONS[word]] for word in words), group["requests"]) for group in await sums(used, *words)]
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


async def test_a_team_is_who_is_in_it_now(used: AsyncSession):
    team = m.Team(id=new_id("team"), tenant_id=A, name="blue")
    used.add(m.Tenant(id=A, name="of the test"))
    used.add(m.User(id=ME, email="me@team.test"))
    await used.flush()
    used.add_all([m.UserRole(user_id=ME, tenant_id=A, role="member"), team])
    await used.flush()
    assert {group["team_id"] for group in await sums(used, "team")} == {None}
    used.add(m.TeamMember(tenant_id=A, user_id=ME, team_id=team.id))
    await used.flush()
    found = {group["team_id"]: (group["requests"], group["cost"]) for group in await sums(used, "team")}
    assert found == {team.id: (1, Decimal("123456.5")), None: (2**40 + 4, Decimal("0.000000005"))}
    assert [group["team_id"] for group in await sums(used, "team", sort="cost")] == [team.id, None]
    assert (await sums(used, team_id=team.id))[0]["requests"] == 1
    assert (await sums(used, team_id=new_id("team")))[0]["requests"] == 0


async def test_the_largest_come_first(used: AsyncSession):
    found = [group["hour"].hour for group in await sums(used, "hour", sort="cost")]
    assert found[0] == 0
    assert next(group["hour"].hour for group in await sums(used, "hour", sort="requests")) == 23
    assert usage.measure("errors") == "errors" and usage.measure(None) is None
    with pytest.raises(Invalid) as raised:
        usage.measure("colour")
    assert raised.value.field == "sort"


async def test_a_group_from_which_all_was_taken_again_is_none(used: AsyncSession):
    await used.execute(text("UPDATE usage_months SET requests = 0 WHERE month = '2026-01-01'"))
    whole = {"since": datetime(2026, 1, 1, tzinfo=UTC), "until": datetime(2026, 3, 1, tzinfo=UTC)}
    assert [group["month"] for group in await sums(used, "month", **whole)] == ["2026-02"]


HOURS, DAYS_, MONTHS_ = m.UsageHour, m.UsageDay, m.UsageMonth
PARTS = [
    ("2026-01-05T00", "2026-01-06T00", (), ["day 2026-01-05T00 2026-01-06T00"]),
    ("2026-01-05T00", "2026-01-06T00", ("hour",), ["hour 2026-01-05T00 2026-01-06T00"]),
    ("2026-01-05T01", "2026-01-06T23", (), ["hour 2026-01-05T01 2026-01-06T23"]),
    ("2026-01-05T01", "2026-01-07T01", (),
     ["hour 2026-01-05T01 2026-01-06T00", "day 2026-01-06T00 2026-01-07T00", "hour 2026-01-07T00 2026-01-07T01"]),
    ("2026-01-01T00", "2026-03-01T00", (), ["month 2026-01-01T00 2026-03-01T00"]),
    ("2026-01-01T00", "2026-03-01T00", ("day",), ["day 2026-01-01T00 2026-03-01T00"]),
    ("2025-12-30T22", "2026-03-02T01", ("key", "month"),
     ["hour 2025-12-30T22 2025-12-31T00", "day 2025-12-31T00 2026-01-01T00", "month 2026-01-01T00 2026-03-01T00",
      "day 2026-03-01T00 2026-03-02T00", "hour 2026-03-02T00 2026-03-02T01"]),
    ("2026-01-06T00", "2026-01-05T00", (), ["hour 2026-01-06T00 2026-01-05T00"]),
]  # fmt: skip


@pytest.mark.parametrize(("since", "until", "group_by", "parts"), PARTS)
def test_the_coarsest_sums_are_read(since: str, until: str, group_by: tuple[str, ...], parts: list[str]):
    span = [datetime.fromisoformat(f"{text}:00:00+00:00") for text in (since, until)]
    names = {HOURS: "hour", DAYS_: "day", MONTHS_: "month"}
    found = usage._parts(UsageFilter(*span), group_by)
    assert [f"{names[table]} {begin:%Y-%m-%dT%H} {end:%Y-%m-%dT%H}" for table, begin, end in found] == parts


def test_to_now_the_present_day_and_month_are_whole():
    now = datetime.now(UTC)
    (part,) = usage._parts(UsageFilter(now.replace(day=1, hour=0, minute=0, second=0, microsecond=0), now), ())
    assert part[0] is m.UsageMonth and part[1] <= now < part[2]
    (part,) = usage._parts(UsageFilter(now.replace(hour=0, minute=0, second=0, microsecond=0), now), ("day",))
    assert part[0] is m.UsageDay and part[1] <= now < part[2]
    *_, last = usage._parts(UsageFilter(now - timedelta(days=40), now - timedelta(hours=1)), ("day",))
    assert last[2] <= now


@pytest.mark.parametrize("seed", range(8))
async def test_it_is_what_the_hours_say(database: AsyncSession, seed: int):
    """Over random spans and groups, whichever tables were read."""
    source = random.Random(seed)
    key, accounts = new_id("key"), [new_id("acct"), NO_ACCOUNT]
    for at in source.sample(range(-24 * 45, 24 * 45), 120):
        database.add(hour(at, key_id=key, account_id=source.choice(accounts), requests=source.randrange(1, 99)))
    await database.flush()
    await database.execute(text(DAYS))
    await database.execute(text(MONTHS))
    for _ in range(20):
        first, last = sorted(source.sample(range(-24 * 50, 24 * 50), 2))
        span = {"since": START + timedelta(hours=first), "until": START + timedelta(hours=last), "key_id": key}
        for words in ((), ("account",), ("day", "account"), ("month",)):
            found = await sums(database, *words, **span)
            assert sum(group["requests"] for group in found) == sum(
                group["requests"] for group in await sums(database, "hour", *words, **span)
            )


async def test_an_export_has_every_group(services_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(usage, "_PAGE", 7)
    async with db.engine(services_url) as engine:
        opening = db.sessions(engine)
        key = new_id("key")
        async with opening.begin() as session:
            session.add_all([hour(at, key_id=key) for at in range(30)])
        asked = UsageFilter(since=START, until=START + timedelta(days=2), key_id=key)
        pages = [page async for page in usage.export(opening, usage.query(ROOT, asked, ["hour"]))]
        assert [len(page) for page in pages] == [7, 7, 7, 7, 2]
        assert [group["hour"] for page in pages for group in page] == [START + timedelta(hours=at) for at in range(30)]
        monkeypatch.setattr(usage, "_EXPORT_WITHIN", -1.0)
        with pytest.raises(TimeoutError):
            await anext(usage.export(opening, usage.query(ROOT, asked, ["hour"])))
        async with opening.begin() as session:
            await session.execute(delete(m.UsageHour).where(m.UsageHour.key_id == key))


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
