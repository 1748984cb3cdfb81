"""The ledger: what is shown of it, to whom, in which order."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from admin.resources import Resources
from gateway.core import models as m
from gateway.core.ids import new_id, uuid7
from gateway.core.services import requests
from gateway.core.services.requests import received_at
from tests.admin.conftest import Tenant

FIELDS = [
    *("request_id", "client_request_id", "tenant_id", "user_id", "key_id", "account_id", "platform", "provider"),
    *("protocol", "path", "model_asked", "model_used", "stream", "status", "error_code", "ending", "usage_source"),
    *("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens"),
    *("reasoning_tokens", "audio_tokens", "image_tokens", "server_tool_calls"),
    *("cost", "currency", "price_version", "unpriced", "received_at", "first_byte_at"),
    *("ended_at", "overhead_us", "attempts", "client_ip", "user_agent", "session_id"),
]
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
    async with resources.database.begin() as session:
        session.add_all([*rows, foreign])
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
    await member(f"GET /requests/{ledger[0]}")
    await member(f"GET /requests/{ledger[1]}", expect=404)


async def test_an_export_is_the_ledger_oldest_first(north: Tenant, ledger: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(requests, "_PAGE", 2)
    viewer = north.as_("viewer")
    shown = (await viewer("GET /requests", limit=50))["data"]
    got = await viewer.http.get("/requests/export", params={"format": "jsonl"})
    assert [msgspec.json.decode(line) for line in got.content.splitlines()] == shown[::-1]
    assert [one["request_id"] for one in shown] == ledger
    assert got.headers["x-poolgate-rows"] == "0"  # no sums were made of these
    got = await viewer.http.get("/requests/export", params={"format": "csv", "status": 500})
    head, line = csv.reader(io.StringIO(got.text, newline=""))
    assert (head, line[head.index("request_id")]) == (FIELDS, ledger[0])
    assert "x-poolgate-rows" not in got.headers
    assert got.headers["content-disposition"] == 'attachment; filename="requests.csv"'
    got = await viewer.http.get("/requests/export", params={"format": "jsonl", "to": "2026-03-01T10:32:00Z"})
    assert len(got.content.splitlines()) == 2


async def test_an_export_is_of_what_the_caller_may_see(north: Tenant, south: Tenant, ledger: list[str]):
    for caller, lines in ((north.as_("member"), 1), (south.as_("viewer"), 1), (north.as_("owner"), 6)):
        got = await caller.http.get("/requests/export", params={"format": "jsonl"})
        assert len(got.content.splitlines()) == lines
    problem = await north.as_("viewer")("GET /requests/export", expect=400, format="csv", key_id="x")
    assert [error["field"] for error in problem["errors"]] == ["key_id"]
