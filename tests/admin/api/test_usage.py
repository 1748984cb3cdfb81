"""Usage: the sums of what is asked, of what the caller may see."""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from admin.resources import Resources
from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.services.usage import NO_ACCOUNT, NO_USER
from tests.admin.conftest import Tenant
from tests.core.services.test_usage import DAYS, MONTHS

SPAN: dict[str, Any] = {"from": "2026-03-01T10:59:00Z", "to": "2026-03-03"}
START = datetime(2026, 3, 1, 10, tzinfo=UTC)


def hour(tenant: Tenant, hours: int, key: str, **more: Any) -> m.UsageHour:
    values: dict[str, Any] = {"key_id": key, "account_id": new_id("acct"), "platform": "openai", "model": "gpt"}
    values |= {"user_id": NO_USER, "provider": "deepseek"}
    counted = {"requests": 2, "input_tokens": 10, "output_tokens": 3, "cost": Decimal("0.25")}
    return m.UsageHour(hour=START + timedelta(hours=hours), tenant_id=tenant.id, **{**values, **counted, **more})


@pytest.fixture(scope="module", autouse=True)
async def used(north: Tenant, south: Tenant, resources: Resources) -> None:
    mine, key = north.users["member"]["id"], new_id("key")
    async with resources.database.begin() as session:
        session.add_all(
            [
                hour(north, 0, key),
                hour(north, 1, key, user_id=mine),
                hour(north, 2, key, account_id=NO_ACCOUNT, requests=1, cost=Decimal(0)),
                hour(north, 20, key, model="claude"),
                hour(south, 0, new_id("key")),
            ]
        )
        await session.flush()
        await session.execute(text(DAYS))
        await session.execute(text(MONTHS))


async def test_usage_is_summed_by_what_is_asked(north: Tenant):
    viewer = north.as_("viewer")
    whole = (await viewer("GET /usage", group_by="", **SPAN))["data"]
    assert [(one["requests"], one["input_tokens"], one["cost"]) for one in whole] == [(7, 40, "0.75")]
    days = await viewer("GET /usage", group_by="day,model", **SPAN)
    assert [(one["day"], one["model"], one["requests"]) for one in days["data"]] == [
        ("2026-03-01", "gpt", 5),
        ("2026-03-02", "claude", 2),
    ]
    assert (days["currency"], days["from"], days["to"]) == (
        "USD",
        "2026-03-01T10:59:00.000Z",
        "2026-03-03T00:00:00.000Z",
    )
    hours = (await viewer("GET /usage", group_by="hour", **SPAN))["data"]
    assert hours[0]["hour"] == "2026-03-01T10:00:00.000Z" and len(hours) == 4
    assert None in [one["account_id"] for one in (await viewer("GET /usage", group_by="account", **SPAN))["data"]]
    assert [one["month"] for one in (await viewer("GET /usage", group_by="month", **SPAN))["data"]] == ["2026-03"]
    part = await viewer("GET /usage", group_by="hour", limit=1, **SPAN)
    assert (len(part["data"]), part["has_more"]) == (1, True)


async def test_members_see_their_own(north: Tenant):
    sums = await north.as_("member")("GET /usage", group_by="user", **SPAN)
    assert [(one["user_id"], one["requests"]) for one in sums["data"]] == [(north.users["member"]["id"], 2)]


async def test_tenants_see_their_own(north: Tenant, south: Tenant):
    owner = south.as_("owner")
    sums = await owner("GET /usage", group_by="tenant", **SPAN)
    assert [(one["tenant_id"], one["requests"]) for one in sums["data"]] == [(south.id, 2)]
    assert (await owner("GET /usage", group_by="tenant", tenant_id=north.id, **SPAN))["data"] == []


async def test_without_a_span_it_is_today_and_thirty_days_before(north: Tenant):
    shown = await north.as_("viewer")("GET /usage")
    start, end = (datetime.fromisoformat(shown[name]) for name in ("from", "to"))
    assert start == (end - timedelta(days=30)).replace(hour=0, minute=0, second=0, microsecond=0) and abs(
        datetime.now(UTC) - end
    ) < timedelta(minutes=1)
    assert shown["has_more"] is False


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"group_by": "colour"}, "group_by"),
        ({"from": "yesterday"}, "from"),
        ({"to": "9999-99-99"}, "to"),
        ({"to": "0001-01-02"}, "to"),
        ({"sort": "colour"}, "sort"),
        ({"team_id": "usr_1"}, "team_id"),
        ({"key_id": "x"}, "key_id"),
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(north: Tenant, params: dict[str, Any], field: str):
    problem = await north.as_("viewer")("GET /usage", expect=400, **params)
    assert [error["field"] for error in problem["errors"]] == [field]


async def test_an_export_is_the_same_sums(north: Tenant):
    viewer = north.as_("viewer")
    asked: dict[str, Any] = {"group_by": "day,model,provider", **SPAN}
    shown = (await viewer("GET /usage", **asked))["data"]
    got = await viewer.http.get("/usage/export", params={"format": "jsonl", **asked})
    assert [msgspec.json.decode(line) for line in got.content.splitlines()] == shown
    assert len(shown) == 2 and shown[0]["provider"] == "deepseek"
    got = await viewer.http.get("/usage/export", params={"format": "csv", **asked})
    assert got.headers["content-type"] == "text/csv; header=present; charset=utf-8"
    head, *lines = csv.reader(io.StringIO(got.text, newline=""))
    assert [dict(zip(head, line, strict=True)) for line in lines] == [
        {name: str(value) for name, value in one.items()} for one in shown
    ]
    for params, field in (
        ({"format": "xls"}, "format"),
        ({"format": "csv", "group_by": "x"}, "group_by"),
    ):
        problem = await viewer("GET /usage/export", expect=400, **params)
        assert [error["field"] for error in problem["errors"]] == [field]


async def test_an_export_is_of_what_the_caller_may_see(north: Tenant, south: Tenant):
    for caller, lines in ((north.as_("member"), 1), (south.as_("owner"), 1), (north.as_("owner"), 3)):
        got = await caller.http.get("/usage/export", params={"format": "jsonl", "group_by": "tenant,hour,user", **SPAN})
        assert len(got.content.splitlines()) == lines + (caller is north.as_("owner"))
