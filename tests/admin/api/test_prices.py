"""Prices: root writes versions, who looks on asks what is in force; LiteLLM's list goes in as it is."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import delete

from admin.resources import Resources
from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.prices import shipped
from tests.admin.conftest import Api, Tenant

GOLDEN = (Path(__file__).parents[2] / "goldens" / "litellm.json").read_bytes()
SHIPPED = shipped()
PRICE = {"model": "house-model", "platforms": ["openai"], "input": "1.50", "output": "1E+1", "reasoning": "12"}


@pytest.fixture(autouse=True)
async def none_yet(resources: Resources) -> None:
    async with resources.database.begin() as session:
        await session.execute(delete(m.PriceVersion))


def ahead(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


async def send(api: Api, data: bytes, *, expect: int = 200, **params: Any) -> Any:
    headers = {"content-type": "application/json"}
    answer = await api.http.post("/prices/import", content=data, params=params, headers=headers)
    assert answer.status_code == expect, answer.text
    return answer.json()


async def test_a_version_from_its_beginning_to_its_end(root: Api, north: Tenant):
    draft = {"prices": [PRICE], "version": "house-1", "effective_at": ahead(1)}
    made = await root("POST /prices", draft, expect=201)
    assert (made["version"], made["prices"], made["source"], made["currency"]) == ("house-1", 1, "manual", "USD")
    for role in ("owner", "operator", "viewer"):
        api = north.as_(role)
        assert (await api("GET /prices"))["data"] == [made]
        whole = await api(f"GET /prices/{made['id']}")
        assert whole == {**made, "prices": [{**PRICE, "input": "1.5", "output": "10"}]}
        await api("POST /prices", draft, expect=403)
        await api(f"DELETE /prices/{made['id']}", expect=403)
        await send(api, GOLDEN, expect=403)
    await north.as_("member")("GET /prices", expect=403)
    taken = await root("POST /prices", draft, expect=409)
    assert taken["errors"][0]["field"] == "version"
    await root(f"DELETE /prices/{made['id']}", expect=204)
    await root(f"GET /prices/{made['id']}", expect=404)
    actions = [one["action"] for one in (await root("GET /audit", target=made["id"]))["data"]]
    assert actions == ["prices.delete", "prices.create"]


async def test_one_in_force_is_not_deleted(root: Api):
    made = await root("POST /prices", {"prices": [PRICE]}, expect=201)
    assert made["version"].startswith("manual-")
    await root(f"DELETE /prices/{made['id']}", expect=409)


async def test_why_it_costs_that(root: Api, north: Tenant):
    viewer = north.as_("viewer")
    past = await root("POST /prices", {"prices": [PRICE], "effective_at": "2026-01-01T00:00:00Z"}, expect=201)
    later = {"prices": [{**PRICE, "input": "2", "max_output": 99}], "effective_at": ahead(1)}
    coming = await root("POST /prices", later, expect=201)
    (found,) = (await viewer("GET /prices/in-force", model="house-model", platform="openai"))["data"]
    assert found["in_force"] == {
        "since": "2026-01-01T00:00:00.000Z", "version": past["version"], "id": past["id"], "source": "manual",
        "price": {**PRICE, "input": "1.5", "output": "10"},
    }  # fmt: skip
    assert [one["version"] for one in found["history"]] == [coming["version"], past["version"]]
    assert (found["max_output"], found["currency"]) == (99, "USD")
    (before,) = (await viewer("GET /prices/in-force", model="house-model", platform="openai", at="2025-12-31"))["data"]
    assert before["in_force"] is None
    (after,) = (await viewer("GET /prices/in-force", model="house-model", at=ahead(2)))["data"]
    assert (after["platform"], after["in_force"]["price"]["input"]) == ("openai", "2")
    assert (await viewer("GET /prices/in-force", model="no-such-model"))["data"] == []
    (nothing,) = (await viewer("GET /prices/in-force", model="no-such-model", platform="openai"))["data"]
    assert (nothing["in_force"], nothing["history"], nothing["max_output"]) == (None, [], None)


async def test_the_shipped_prices(root: Api):
    whole = await root("GET /prices/shipped")
    assert (whole["version"], len(whole["prices"])) == (SHIPPED.version, len(SHIPPED.prices))
    found = (await root("GET /prices/in-force", model="gpt-4o"))["data"]
    assert {one["platform"] for one in found} == {"azure-openai", "openai", "openai-responses"}
    assert {(one["in_force"]["version"], one["in_force"]["id"]) for one in found} == {(SHIPPED.version, None)}
    assert {one["max_output"] for one in found} == {16_384}


async def test_an_import(root: Api):
    planned = await send(root, GOLDEN, dry_run=True, version="list-1")
    assert (planned["version"], planned["dry_run"]) == (None, True)
    assert (await root("GET /prices"))["data"] == []
    done = await send(root, GOLDEN, version="list-1", effective_at="2026-02-03")
    assert {**done, "version": None, "dry_run": True, "effective_at": planned["effective_at"]} == planned
    assert done["version"]["version"] == "list-1"
    assert done["version"]["effective_at"] == done["effective_at"] == "2026-02-03T00:00:00.000Z"
    assert done["version"]["prices"] == done["imported"] > 20
    assert {"model": "nobody", "reason": "no platform for the provider nothing"} in done["skipped"]
    assert {"model": "gemini-2.5-pro", "as": "gemini/gemini-2.5-pro"} in done["same"]
    (found,) = (await root("GET /prices/in-force", model="qwen-plus"))["data"]
    assert found["in_force"]["price"]["tiers"] == [{"above": 256000, "input": "1.2", "output": "3.6", "reasoning": "4"}]
    actions = [one["action"] for one in (await root("GET /audit", target=done["version"]["id"]))["data"]]
    assert actions == ["prices.import"]


async def test_a_long_list_goes_in_and_a_longer_one_does_not(root: Api):
    entry = {"litellm_provider": "openai", "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6, "x": "y" * 900}
    listed = {f"model-{n}": entry for n in range(2500)}
    assert len(json.dumps(listed)) > 2 << 20
    assert (await send(root, json.dumps(listed).encode()))["imported"] == 2500
    await send(root, b" " * (17 << 20), expect=413)


@pytest.mark.parametrize(
    ("data", "params", "field"),
    [
        (b"[]", {}, None),
        (b"{", {}, None),
        (b'{"a": 1}', {}, None),
        (GOLDEN, {"effective_at": "soon"}, "effective_at"),
        (GOLDEN, {"version": "a b"}, "version"),
        (GOLDEN, {"version": SHIPPED.version}, "version"),
    ],
)
async def test_an_import_that_cannot_be(root: Api, data: bytes, params: dict[str, Any], field: str | None):
    refused = await send(root, data, expect=400, **params)
    assert [error["field"] for error in refused.get("errors", [])] == ([field] if field else [])


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        ({}, "prices"),
        ({"prices": []}, "prices"),
        ({"prices": [{**PRICE, "input": "-1"}]}, "prices[0].input"),
        ({"prices": [{**PRICE, "input": "x"}]}, "prices[0].input"),
        ({"prices": [{**PRICE, "tiers": [{"above": 0, "input": "1", "output": "1"}]}]}, "prices[0].tiers"),
        ({"prices": [{**PRICE, "color": 1}]}, "prices[0].color"),
        ({"prices": [PRICE], "currency": "EUR"}, "currency"),
        ({"prices": [PRICE], "version": "a/b"}, "version"),
        ({"prices": [PRICE], "effective_at": "2026-01-01"}, "effective_at"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(root: Api, draft: dict[str, Any], field: str):
    refused = await root("POST /prices", draft, expect=400)
    assert refused["errors"][0]["field"] == field


async def test_a_price_as_a_number_is_exact(root: Api):
    """JSON's own number: it is read as it is written."""
    raw = b'{"prices": [{"model": "m", "input": 0.1234567890123456e-2, "output": 3}]}'
    answer: httpx.Response = await root.http.post("/prices", content=raw, headers={"content-type": "application/json"})
    assert answer.status_code == 201, answer.text
    whole = await root(f"GET /prices/{answer.json()['id']}")
    assert Decimal(whole["prices"][0]["input"]) == Decimal("0.001234567890123456")


async def test_what_waits_for_a_price(root: Api, north: Tenant, resources: Resources):
    hour = datetime(2026, 3, 1, 10, tzinfo=UTC)
    async with resources.database.begin() as session:
        session.add(
            m.UsageHour(
                hour=hour, tenant_id=north.id, key_id=new_id("key"), user_id=new_id("usr"), account_id=new_id("acct"),
                platform="openai", provider="p", model="unheard-of", requests=3, unpriced=2,
            )
        )  # fmt: skip
    expected = {
        "platform": "openai", "model": "unheard-of", "requests": 2, "since": "2026-03-01T10:00:00.000Z",
        "until": "2026-03-01T10:00:00.000Z",
    }  # fmt: skip
    assert (await north.as_("viewer")("GET /prices/unpriced")) == {"data": [expected], "has_more": False}
    assert expected in (await root("GET /prices/unpriced"))["data"]
    await north.as_("member")("GET /prices/unpriced", expect=403)


async def test_the_other_tenant_does_not_see_it(south: Tenant):
    assert (await south.as_("owner")("GET /prices/unpriced"))["data"] == []
