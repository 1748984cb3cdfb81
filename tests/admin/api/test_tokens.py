"""Admin tokens: a user's own, and never more than the user."""

from typing import Any

import pytest

from admin.resources import Resources
from tests.admin.conftest import Api, Tenant


async def test_a_token_is_shown_once_and_narrows(north: Tenant, url: str, resources: Resources):
    operator = north.as_("operator")
    made = await operator("POST /tokens", {"name": "ci", "scopes": ["keys:read"]}, expect=201)
    assert made["secret"].startswith("pgadm_") and made["secret"].startswith(made["prefix"])
    assert made["user_id"] == north.users["operator"]["id"]
    shown = (await operator("GET /tokens"))["data"]
    assert made["id"] in [token["id"] for token in shown]
    assert not any("secret" in token for token in shown)
    narrow = Api(url, made["secret"])
    await narrow("GET /keys")
    await narrow("POST /keys", {"platforms": ["*"], "models": ["*"]}, expect=403)
    await narrow("GET /accounts", expect=403)
    await narrow("POST /tokens", {"name": "wider", "scopes": ["keys:write"]}, expect=403)
    assert (await operator(f"GET /tokens/{made['id']}"))["last_used_at"] is not None
    await operator(f"DELETE /tokens/{made['id']}", expect=204)
    await narrow("GET /keys", expect=401)
    await narrow.http.aclose()


async def test_a_token_cannot_make_a_wider_one(north: Tenant, url: str):
    operator = north.as_("operator")
    made = await operator("POST /tokens", {"name": "t", "scopes": ["tokens:*", "keys:read"]}, expect=201)
    narrow = Api(url, made["secret"])
    await narrow("POST /tokens", {"name": "same", "scopes": ["keys:read"]}, expect=201)
    for scope in ("*:*", "keys:*", "*:read", "accounts:read"):
        problem = await narrow("POST /tokens", {"name": "wider", "scopes": ["keys:read", scope]}, expect=403)
        assert problem["errors"][0]["field"] == "scopes[1]"
    await narrow.http.aclose()


async def test_nobody_makes_a_token_of_what_they_lack(north: Tenant):
    problem = await north.as_("member")("POST /tokens", {"name": "t", "scopes": ["accounts:write"]}, expect=403)
    assert problem["errors"][0]["field"] == "scopes[0]"


async def test_tokens_end_with_their_time_and_their_user(root: Api, north: Tenant, url: str):
    viewer = north.as_("viewer")
    old = await viewer(
        "POST /tokens", {"name": "o", "scopes": ["*:*"], "expires_at": "2020-01-01T00:00:00Z"}, expect=201
    )
    new = await viewer(
        "POST /tokens", {"name": "n", "scopes": ["*:*"], "expires_at": "2099-01-01T00:00:00Z"}, expect=201
    )
    expired, live = Api(url, old["secret"]), Api(url, new["secret"])
    await expired("GET /me", expect=401)
    await live("GET /me")
    await root(f"PATCH /users/{north.users['viewer']['id']}", {"enabled": False})
    await live("GET /me", expect=401)
    await root(f"PATCH /users/{north.users['viewer']['id']}", {"enabled": True})
    await live("GET /me")
    for api in (expired, live):
        await api.http.aclose()


async def test_tokens_of_others_do_not_exist(north: Tenant, root: Api):
    made = await north.as_("owner")("POST /tokens", {"name": "mine", "scopes": ["*:read"]}, expect=201)
    await north.as_("operator")(f"GET /tokens/{made['id']}", expect=404)
    await north.as_("operator")(f"DELETE /tokens/{made['id']}", expect=404)
    await root(f"GET /tokens/{made['id']}")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["*:*"]}, "name"),
        ({"name": "t"}, "scopes"),
        ({"name": "t", "scopes": []}, "scopes"),
        ({"name": "t", "scopes": ["keys"]}, "scopes[0]"),
        ({"name": "t", "scopes": ["keys:drop"]}, "scopes[0]"),
        ({"name": "t", "scopes": ["*:*"], "user_id": "usr_x"}, "user_id"),
        ({"name": "t", "scopes": ["*:*"], "expires_at": "soon"}, "expires_at"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(root: Api, body: dict[str, Any], field: str):
    assert (await root("POST /tokens", body, expect=400))["errors"][0]["field"] == field
