"""The ledger, its sums and the audit log: what is shown, to whom, in which order."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from admin.resources import Resources
from gateway.core import models as m
from gateway.core.ids import new_id, uuid7
from gateway.core.services.requests import received_at
from tests.admin.conftest import Api, Tenant

FIELDS = [
    *("request_id", "client_request_id", "tenant_id", "user_id", "key_id", "account_id", "platform", "provider"),
    *("protocol", "path", "model_asked", "model_used", "stream", "status", "error_code", "ending", "usage_source"),
    *("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens"),
    *("reasoning_tokens", "cost", "currency", "price_version", "unpriced", "received_at", "first_byte_at"),
    *("ended_at", "overhead_us", "attempts", "client_ip", "user_agent", "session_id"),
]
SPAN: dict[str, Any] = {"from": "2026-03-01", "to": "2026-03-03"}
START = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)


def row(tenant: Tenant, minutes: int, **more: Any) -> m.Request:
    identifier = f"req_{uuid7(int((START + timedelta(minutes=minutes)).timestamp() * 1000))}"
    values: dict[str, Any] = {
        "key_id": new_id("key"),
        "protocol": "anthropic",
        "path": "/v1/messages",
        "model_asked": "claude-a",
        "model_used": "claude-b",
        "stream": True,
        "status": 200,
        "ending": "complete",
        "usage_source": "provider",
        "input_tokens": 5,
        "cost": Decimal("0.001500000"),
        "attempts": [{"account_id": None, "status": 200}],
    }
    return m.Request(
        request_id=identifier, received_at=received_at(identifier), tenant_id=tenant.id, **{**values, **more}
    )


@pytest.fixture(scope="module")
async def ledger(north: Tenant, south: Tenant, resources: Resources) -> AsyncIterator[list[str]]:
    mine = north.users["member"]["id"]
    rows = [row(north, at) for at in range(5)]
    rows.append(row(north, 5, user_id=mine, status=500, ending="upstream_error", model_asked="gpt", model_used=None))
    foreign = row(south, 6)
    key = new_id("key")

    def hour(tenant: Tenant, hours: int, **more: Any) -> m.UsageHour:
        values: dict[str, Any] = {"key_id": key, "account_id": new_id("acct"), "platform": "openai", "model": "gpt"}
        counted = {"requests": 2, "input_tokens": 10, "output_tokens": 3, "cost": Decimal("0.25")}
        at = START.replace(minute=0) + timedelta(hours=hours)
        return m.UsageHour(hour=at, tenant_id=tenant.id, **{**values, **counted, **more})

    async with resources.database.begin() as session:
        session.add_all([*rows, foreign])
        session.add_all([hour(north, 0), hour(north, 1, user_id=mine), hour(north, 20, model="claude"), hour(south, 0)])
        session.add(hour(north, 2, account_id="acct_00000000-0000-0000-0000-000000000000", requests=1, cost=Decimal(0)))
    yield [one.request_id for one in reversed(rows)]


async def test_the_ledger_is_shown_newest_first(north: Tenant, ledger: list[str]):
    viewer = north.as_("viewer")
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        place: dict[str, Any] = {"cursor": cursor} if cursor else {}
        part = await viewer("GET /requests", limit=4, **place)
        seen += [one["request_id"] for one in part["data"]]
        cursor = part["next_cursor"]
    assert seen == ledger
    one = (await viewer("GET /requests", limit=1, count="exact"))["data"][0]
    assert list(one) == FIELDS
    assert (one["received_at"], one["cost"]) == ("2026-03-01T10:35:00.000Z", "0.0015")
    assert (await viewer(f"GET /requests/{one['request_id']}")) == one


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"status": 500}, 1),
        ({"ending": "complete"}, 5),
        ({"model": "claude-b"}, 5),
        ({"model": "gpt"}, 1),
        ({"from": "2026-03-01T10:32:00Z"}, 4),
        ({"to": "2026-03-01T10:32:00Z"}, 2),
        ({"from": "2026-03-02"}, 0),
        ({"key_id": "key_00000000-0000-0000-0000-000000000000"}, 0),
    ],
)
async def test_the_ledgers_filters(north: Tenant, ledger: list[str], params: dict[str, Any], found: int):
    assert len((await north.as_("viewer")("GET /requests", **params))["data"]) == found


async def test_one_by_its_id_and_foreign_ones_not_at_all(north: Tenant, south: Tenant, ledger: list[str]):
    listed = await north.as_("viewer")("GET /requests", request_id=ledger[0])
    assert [one["request_id"] for one in listed["data"]] == ledger[:1]
    await south.as_("owner")(f"GET /requests/{ledger[0]}", expect=404)
    assert (await south.as_("owner")("GET /requests", tenant_id=north.id))["data"] == []
    assert (await south.as_("owner")("GET /requests", request_id="x", expect=400))["errors"][0]["field"] == "request_id"


async def test_members_see_their_own(north: Tenant, ledger: list[str]):
    member = north.as_("member")
    assert [one["status"] for one in (await member("GET /requests"))["data"]] == [500]
    sums = await member("GET /usage", group_by="user", **SPAN)
    assert [(one["user_id"], one["requests"]) for one in sums["data"]] == [(north.users["member"]["id"], 2)]


async def test_usage_is_summed_by_what_is_asked(north: Tenant, ledger: list[str]):
    viewer = north.as_("viewer")
    span: dict[str, Any] = {"from": "2026-03-01T10:59:00Z", "to": "2026-03-03"}
    whole = (await viewer("GET /usage", group_by="", **span))["data"]
    assert [(one["requests"], one["input_tokens"], one["cost"]) for one in whole] == [(7, 40, "0.75")]
    days = await viewer("GET /usage", group_by="day,model", **span)
    assert [(one["day"], one["model"], one["requests"]) for one in days["data"]] == [
        ("2026-03-01", "gpt", 5),
        ("2026-03-02", "claude", 2),
    ]
    assert (days["currency"], days["from"], days["to"]) == (
        "USD",
        "2026-03-01T10:59:00.000Z",
        "2026-03-03T00:00:00.000Z",
    )
    hours = (await viewer("GET /usage", group_by="hour", **span))["data"]
    assert hours[0]["hour"] == "2026-03-01T10:00:00.000Z" and len(hours) == 4
    assert None in [one["account_id"] for one in (await viewer("GET /usage", group_by="account", **span))["data"]]
    assert [one["month"] for one in (await viewer("GET /usage", group_by="month", **span))["data"]] == ["2026-03"]
    part = await viewer("GET /usage", group_by="hour", limit=1, **span)
    assert (len(part["data"]), part["has_more"]) == (1, True)


async def test_the_audit_log_is_the_tenants_own_and_has_no_other_door(root: Api, north: Tenant, south: Tenant):
    await north.as_("operator")("POST /pools", {"name": "audited"}, expect=201)
    mine = (await north.as_("owner")("GET /audit", action="pools.create"))["data"]
    assert [(one["tenant_id"], one["after"]["name"]) for one in mine] == [(north.id, "audited")]
    assert (await south.as_("owner")("GET /audit", action="pools.create"))["data"] == []
    await north.as_("operator")("GET /audit", expect=403)
    for method in ("POST", "PATCH", "DELETE", "PUT"):
        await root(f"{method} /audit", expect=405)
