"""The audit log: the tenant's own, by what is asked, and without another door."""

from typing import Any

from tests.admin.conftest import Api, Tenant

FIELDS = ["id", "at", "tenant_id", "actor", "action", "target", "before", "after", "address", "request_id"]


async def test_the_audit_log_is_the_tenants_own_and_has_no_other_door(root: Api, north: Tenant, south: Tenant):
    await north.as_("operator")("POST /pools", {"name": "audited"}, expect=201)
    mine = (await north.as_("owner")("GET /audit", action="pools.create"))["data"]
    assert [(one["tenant_id"], one["after"]["name"]) for one in mine] == [(north.id, "audited")]
    assert (await south.as_("owner")("GET /audit", action="pools.create"))["data"] == []
    await north.as_("operator")("GET /audit", expect=403)
    for method in ("POST", "PATCH", "DELETE", "PUT"):
        await root(f"{method} /audit", expect=405)


async def test_it_is_read_by_what_is_asked(root: Api, south: Tenant):
    operator, user = south.as_("operator"), south.users["operator"]
    made = await operator("POST /pools", {"name": "filtered"}, expect=201)
    await operator(f"PATCH /pools/{made['id']}", {"name": "again"})
    await operator(f"DELETE /pools/{made['id']}", expect=204)
    rows = (await south.as_("owner")("GET /audit", target=made["id"]))["data"]
    assert [row["action"] for row in rows] == ["pools.delete", "pools.change", "pools.create"]
    assert [list(row) for row in rows] == [FIELDS] * 3
    deleted, changed, created = rows
    assert (created["before"], deleted["after"]) == (None, None)
    assert (changed["before"]["name"], changed["after"]["name"]) == ("filtered", "again")
    assert changed["address"] == "127.0.0.1" and changed["request_id"].startswith("req_")
    actor = (await operator("GET /me"))["actor"]
    assert {row["actor"] for row in rows} == {actor} and actor.startswith("tok_") and user["id"] != actor
    cases: tuple[tuple[dict[str, Any], list[Any]], ...] = (
        ({"action": "pools.change"}, [changed]),
        ({"from": changed["at"], "to": "2999-01-01"}, [deleted, changed]),
        ({"to": created["at"]}, []),
        ({"tenant_id": south.id, "actor": actor}, rows),
        ({"actor": "bootstrap"}, []),
        ({"limit": 1}, [deleted]),
    )
    for params, found in cases:
        assert (await root("GET /audit", target=made["id"], **params))["data"] == found, params
    for field, given in (("from", "soon"), ("to", "13:00"), ("tenant_id", "x"), ("cursor", "x")):
        problem = await root("GET /audit", expect=400, **{field: given})
        assert problem["errors"][0]["field"] == field
