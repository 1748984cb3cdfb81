"""Tenants."""

from typing import Any

import pytest

from tests.admin.conftest import Api, Tenant


async def test_a_tenant_from_its_beginning_to_its_end(root: Api):
    limits = [{"type": "concurrency", "max": 3}]
    tenant = await root("POST /tenants", {"name": "short-lived", "limits": limits}, expect=201)
    assert tenant["id"].startswith("ten_") and tenant["limits"] == limits
    changed = await root(f"PATCH /tenants/{tenant['id']}", {"name": "renamed", "limits": None, "enabled": False})
    assert (changed["name"], changed["limits"], changed["enabled"]) == ("renamed", [], False)
    key = await root("POST /keys", {"platforms": [], "models": [], "tenant_id": tenant["id"]}, expect=201)
    await root(f"DELETE /tenants/{tenant['id']}", expect=409)
    await root(f"DELETE /keys/{key['id']}", expect=204)
    await root(f"DELETE /tenants/{tenant['id']}", expect=204)
    await root(f"GET /tenants/{tenant['id']}", expect=404)
    await root("POST /tenants", {"name": "renamed"}, expect=201)
    actions = [row["action"] for row in (await root("GET /audit", target=tenant["id"]))["data"]]
    assert actions == ["tenants.delete", "tenants.change", "tenants.create"]


async def test_the_multiplier_is_roots(root: Api, north: Tenant):
    assert (await north.as_("owner")(f"GET /tenants/{north.id}"))["price_multiplier"] == "1"
    refused = await north.as_("owner")(f"PATCH /tenants/{north.id}", {"price_multiplier": "0.5"}, expect=403)
    assert refused["errors"][0]["field"] == "price_multiplier"
    for given, shown in (("0.50", "0.5"), ("0", "0"), (None, "1")):
        changed = await root(f"PATCH /tenants/{north.id}", {"price_multiplier": given})
        assert changed["price_multiplier"] == shown
    for wrong in ("-1", "1000.1", "NaN", "0.1234567891"):
        refused = await root(f"PATCH /tenants/{north.id}", {"price_multiplier": wrong}, expect=400)
        assert refused["errors"][0]["field"] == "price_multiplier"
    made = await root("POST /tenants", {"name": f"dear to {north.id}", "price_multiplier": "2"}, expect=201)
    assert made["price_multiplier"] == "2"


async def test_the_key_of_ollamas_clients_is_one_of_the_default_tenant(root: Api, north: Tenant):
    default = (await root("GET /tenants", q="default"))["data"][0]
    assert default["ollama_key_id"] is None
    path = f"PATCH /tenants/{default['id']}"
    key = await root("POST /keys", {"platforms": ["*"], "models": ["*"], "tenant_id": default["id"]}, expect=201)
    foreign = await root("POST /keys", {"platforms": ["*"], "models": ["*"], "tenant_id": north.id}, expect=201)
    for given in (key["id"], None, key["id"]):
        assert (await root(path, {"ollama_key_id": given}))["ollama_key_id"] == given
    for wrong in (foreign["id"], "key_nothing", default["id"], ""):
        refused = await root(path, {"ollama_key_id": wrong}, expect=400)
        assert refused["errors"][0]["field"] == "ollama_key_id"
    refused = await root(f"PATCH /tenants/{north.id}", {"ollama_key_id": foreign["id"]}, expect=400)
    assert refused["errors"][0]["field"] == "ollama_key_id"
    refused = await north.as_("owner")(f"PATCH /tenants/{north.id}", {"ollama_key_id": foreign["id"]}, expect=403)
    assert refused["errors"][0]["field"] == "ollama_key_id"
    assert (await root("POST /tenants", {"name": "x", "ollama_key_id": None}, expect=400))["errors"]
    await root(f"DELETE /keys/{key['id']}", expect=204)
    assert (await root(path, {"ollama_key_id": key["id"]}, expect=400))["errors"][0]["field"] == "ollama_key_id"
    assert (await root(path, {"ollama_key_id": None}))["ollama_key_id"] is None


async def test_a_name_is_taken_once(root: Api):
    problem = await root("POST /tenants", {"name": "default"}, expect=409)
    assert problem["errors"][0]["field"] == "name"


async def test_the_default_tenant_stays(root: Api):
    default = (await root("GET /tenants", q="default"))["data"][0]
    await root(f"DELETE /tenants/{default['id']}", expect=409)
    await root(f"PATCH /tenants/{default['id']}", {"name": "other"}, expect=409)


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "name"), ({"name": ""}, "name"), ({"name": "x", "limits": {}}, "limits"), ({"name": "x", "a": 1}, "a")],
)
async def test_what_cannot_be_is_refused_by_its_name(root: Api, body: dict[str, Any], field: str):
    assert (await root("POST /tenants", body, expect=400))["errors"][0]["field"] == field
