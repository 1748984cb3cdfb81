"""Refusals over HTTP: counts of what has no row."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from admin.resources import Resources
from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.refusals import NO_KEY, NO_TENANT
from tests.admin.conftest import Api, Tenant

SPAN: dict[str, Any] = {"from": "2026-03-01T10:59:00Z", "to": "2026-03-03"}
START = datetime(2026, 3, 1, 10, tzinfo=UTC)
KEY = new_id("key")


@pytest.fixture(scope="module", autouse=True)
async def counted(north: Tenant, south: Tenant, resources: Resources) -> None:
    def one(hours: int, count: int, **more: Any) -> m.Refusal:
        values = {"tenant_id": north.id, "key_id": KEY, "code": "rate_limited", "status": 429, **more}
        return m.Refusal(hour=START + timedelta(hours=hours), count=count, **values)

    async with resources.database.begin() as session:
        session.add_all([one(0, 3), one(1, 4), one(20, 5, code="key_disabled", status=401)])
        session.add_all([one(0, 9, tenant_id=south.id), one(0, 8, tenant_id=NO_TENANT, key_id=NO_KEY)])


async def test_counts_by_what_is_asked(north: Tenant):
    viewer = north.as_("viewer")
    shown = await viewer("GET /usage/refusals", **SPAN)
    assert shown == {
        "from": "2026-03-01T10:59:00.000Z",
        "to": "2026-03-03T00:00:00.000Z",
        "data": [{"code": "key_disabled", "count": 5}, {"code": "rate_limited", "count": 7}],
        "has_more": False,
    }
    hours = await viewer("GET /usage/refusals", group_by="key,hour,status", limit=1, **SPAN)
    assert (hours["data"], hours["has_more"]) == (
        [{"key_id": KEY, "hour": "2026-03-01T10:00:00.000Z", "status": 429, "count": 3}],
        True,
    )
    days = await viewer("GET /usage/refusals", group_by="day", code="rate_limited", key_id=KEY, status=429, **SPAN)
    assert days["data"] == [{"day": "2026-03-01", "count": 7}]


async def test_each_sees_its_own(north: Tenant, south: Tenant, root: Api):
    sums = await south.as_("owner")("GET /usage/refusals", group_by="tenant", **SPAN)
    assert sums["data"] == [{"tenant_id": south.id, "count": 9}]
    assert (await north.as_("member")("GET /usage/refusals", group_by="code", **SPAN))["data"] == []
    everything = (await root("GET /usage/refusals", group_by="tenant,key", **SPAN))["data"]
    assert {"tenant_id": None, "key_id": None, "count": 8} in everything


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"group_by": "model"}, "group_by"),
        ({"from": "yesterday"}, "from"),
        ({"key_id": "x"}, "key_id"),
        ({"limit": 0}, "limit"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(north: Tenant, params: dict[str, Any], field: str):
    problem = await north.as_("viewer")("GET /usage/refusals", expect=400, **params)
    assert [error["field"] for error in problem["errors"]] == [field]
