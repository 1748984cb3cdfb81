"""Pools of accounts."""

from typing import Any

import pytest

from tests.admin.conftest import Api, Tenant


async def test_a_pool_from_its_beginning_to_its_end(north: Tenant):
    operator = north.as_("operator")
    pool = await operator("POST /pools", {"name": "fast", "strategy": "round_robin"}, expect=201)
    assert (pool["tenant_id"], pool["strategy"]) == (north.id, "round_robin")
    assert (await operator(f"PATCH /pools/{pool['id']}", {"strategy": None}))["strategy"] == "least_busy"
    key = await operator("POST /keys", {"platforms": ["*"], "models": ["*"], "pools": ["fast"]}, expect=201)
    assert key["pools"] == [pool["id"]]
    await operator(f"DELETE /pools/{pool['id']}", expect=409)
    await operator(f"PATCH /keys/{key['id']}", {"pools": None})
    await operator(f"DELETE /pools/{pool['id']}", expect=204)
    await operator(f"GET /pools/{pool['id']}", expect=404)


async def test_a_name_is_taken_once_in_a_tenant(north: Tenant, south: Tenant):
    await north.as_("owner")("POST /pools", {"name": "one"}, expect=201)
    assert (await north.as_("owner")("POST /pools", {"name": "one"}, expect=409))["errors"][0]["field"] == "name"
    foreign = await south.as_("owner")("POST /pools", {"name": "one"}, expect=201)
    await north.as_("owner")(f"GET /pools/{foreign['id']}", expect=404)
    await north.as_("owner")(f"PATCH /pools/{foreign['id']}", {"name": "x"}, expect=404)
    assert [pool["name"] for pool in (await south.as_("viewer")("GET /pools", q="ON"))["data"]] == ["one"]


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "name"), ({"name": "x", "strategy": "luck"}, "strategy"), ({"name": "x", "a": 1}, "a")],
)
async def test_what_cannot_be_is_refused_by_its_name(root: Api, body: dict[str, Any], field: str):
    assert (await root("POST /pools", body, expect=400))["errors"][0]["field"] == field
