"""Captured prompts and answers over HTTP: owners turn them on and read them, and each look is in the audit log."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from admin.resources import Resources
from gateway.core.ids import new_id
from gateway.core.services import captures
from gateway.core.services.captures import Content, Side
from tests.admin.conftest import Api, Tenant

ON = {"enabled": True, "retention_days": 30, "redact": [r"\d{4}"], "max_bytes": 2048}


async def test_owners_turn_it_on(north: Tenant, root: Api):
    owner = north.as_("owner")
    path = f"/tenants/{north.id}"
    assert (await owner(f"GET {path}"))["capture"] is None
    assert (await owner(f"PATCH {path}", {"capture": ON}))["capture"] == ON
    assert (await north.as_("viewer")(f"GET {path}"))["capture"] == ON
    changed = await owner(f"PATCH {path}", {"capture": {"enabled": False}})
    assert changed["capture"] == {"enabled": False, "retention_days": 7, "redact": [], "max_bytes": 65536}
    assert (await owner(f"PATCH {path}", {"capture": None}))["capture"] is None
    noted = (await root("GET /audit", target=north.id, action="tenants.change"))["data"]
    actors = {row["actor"] for row in noted}
    assert [row["after"]["capture"] for row in noted] == [None, changed["capture"], ON]
    assert len(actors) == 1


async def test_and_nothing_else(north: Tenant, south: Tenant):
    owner = north.as_("owner")
    for field, value in (("name", "x"), ("limits", []), ("enabled", False), ("public_lists", True)):
        problem = await owner(f"PATCH /tenants/{north.id}", {"capture": ON, field: value}, expect=403)
        assert [error["field"] for error in problem["errors"]] == [field]
    assert (await owner(f"GET /tenants/{north.id}"))["capture"] is None
    await owner(f"PATCH /tenants/{south.id}", {"capture": ON}, expect=404)
    await owner("POST /tenants", {"name": "mine"}, expect=403)
    await owner(f"DELETE /tenants/{north.id}", expect=403)
    for role in ("operator", "viewer", "member"):
        await north.as_(role)(f"PATCH /tenants/{north.id}", {"capture": ON}, expect=403)


@pytest.mark.parametrize(
    ("capture", "field"),
    [
        ({"redact": ["("]}, "capture.redact[0]"),
        ({"redact": ["a", "b" * 201]}, "capture.redact[1]"),
        ({"retention_days": 400}, "capture.retention_days"),
        ({"max_bytes": 1}, "capture.max_bytes"),
        ({"enabled": 1}, "capture.enabled"),
        ({"colour": 1}, "capture.colour"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(north: Tenant, root: Api, capture: dict[str, Any], field: str):
    for act, name in ((f"PATCH /tenants/{north.id}", {}), ("POST /tenants", {"name": "never made"})):
        problem = await root(act, {**name, "capture": capture}, expect=400)
        assert [error["field"] for error in problem["errors"]] == [field]


async def keep(resources: Resources, tenant: Tenant, **more: Any) -> str:
    identifier, now = new_id("req"), datetime.now(UTC)
    content = Content(Side("what was asked", 14, False), Side("what was answered", 9000, True))
    values = {"request_id": identifier, "tenant_id": tenant.id, "key_id": new_id("key"), "received_at": now}
    values |= {
        "content": captures.sealed(content, resources.sealer, identifier),
        "expires_at": now + timedelta(days=1),
    }
    async with resources.database.begin() as session:
        await captures.store(session, [{**values, **more}])
    return identifier


async def test_owners_read_it_and_it_is_noted(north: Tenant, south: Tenant, root: Api, resources: Resources):
    identifier = await keep(resources, north)
    act = f"GET /requests/{identifier}/capture"
    shown = await north.as_("owner")(act)
    assert (shown["request_id"], shown["tenant_id"]) == (identifier, north.id)
    assert shown["request"] == {"text": "what was asked", "bytes": 14, "truncated": False}
    assert shown["answer"] == {"text": "what was answered", "bytes": 9000, "truncated": True}
    assert await root(act) == shown
    for role in ("operator", "viewer", "member"):
        await north.as_(role)(act, expect=403)
    await south.as_("owner")(act, expect=404)
    noted = (await root("GET /audit", target=identifier))["data"]
    assert [(row["action"], row["tenant_id"]) for row in noted] == [("captures.read", north.id)] * 2
    assert "what was" not in str(noted)


async def test_what_is_not_there(north: Tenant, resources: Resources):
    owner = north.as_("owner")
    over = await keep(resources, north, expires_at=datetime.now(UTC))
    for identifier in (over, new_id("req"), "req_1"):
        await owner(f"GET /requests/{identifier}/capture", expect=404)


async def test_sealed_with_a_key_that_is_gone(north: Tenant, resources: Resources, root: Api):
    identifier = await keep(resources, north, content=b"\x01" + bytes(60))
    await north.as_("owner")(f"GET /requests/{identifier}/capture", expect=409)
    assert (await root("GET /audit", target=identifier))["data"] == []
