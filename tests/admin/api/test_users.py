"""Users: who may make whom, and what nobody can grant."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from gateway.core.services import users
from tests.admin.conftest import Api, Site, Tenant, installed, make_settings, token_of


def role(tenant: Tenant, name: str) -> dict[str, str]:
    return {"tenant_id": tenant.id, "role": name}


async def test_an_owner_makes_users_of_the_tenant(north: Tenant, url: str):
    owner = north.as_("owner")
    made = await owner("POST /users", {"email": "new@north.test", "roles": [role(north, "viewer")]}, expect=201)
    assert made["roles"] == [role(north, "viewer")] and made["root"] is False
    assert len(made["password"]) >= 20
    assert "password" not in await owner(f"GET /users/{made['id']}")
    async with httpx.AsyncClient(base_url=f"{url}/admin/v1", trust_env=False) as browser:
        answer = await browser.post("/session", json={"email": "new@north.test", "password": made["password"]})
        assert answer.json()["must_change_password"] is True


async def test_nobody_grants_what_they_lack(north: Tenant, south: Tenant):
    owner = north.as_("owner")
    email = "grant@north.test"
    problem = await owner("POST /users", {"email": email, "roles": [role(north, "viewer")], "root": True}, expect=403)
    assert problem["errors"][0]["field"] == "root"
    foreign = await owner("POST /users", {"email": email, "roles": [role(south, "viewer")]}, expect=400)
    assert [error["field"] for error in foreign["errors"]] == ["roles[0].tenant_id"]
    assert (await owner("POST /users", {"email": email}, expect=400))["errors"][0]["field"] == "roles"
    me = north.users["owner"]["id"]
    await owner(f"PATCH /users/{me}", {"root": True}, expect=403)
    foreign = await owner(f"PATCH /users/{me}", {"roles": [role(north, "owner"), role(south, "owner")]}, expect=400)
    assert [error["field"] for error in foreign["errors"]] == ["roles[1].tenant_id"]
    await north.as_("operator")(f"PATCH /users/{me}", {"name": "x"}, expect=403)
    await north.as_("member")("GET /users", expect=403)


async def test_users_of_other_tenants_do_not_exist(north: Tenant, south: Tenant):
    theirs = south.users["viewer"]["id"]
    owner = north.as_("owner")
    await owner(f"GET /users/{theirs}", expect=404)
    await owner(f"PATCH /users/{theirs}", {"name": "x"}, expect=404)
    await owner(f"DELETE /users/{theirs}", expect=404)
    assert theirs not in [user["id"] for user in (await owner("GET /users", limit=200))["data"]]


async def test_a_user_of_two_tenants_is_changed_as_a_whole_by_root_only(root: Api, north: Tenant, south: Tenant):
    both = await root(
        "POST /users", {"email": "both@x.test", "roles": [role(north, "viewer"), role(south, "viewer")]}, expect=201
    )
    owner, path = north.as_("owner"), f"/users/{both['id']}"
    assert (await owner(f"GET {path}"))["roles"] == [role(north, "viewer")]
    for body in ({"enabled": False}, {"email": "mine@x.test"}, {"password": "a password of mine"}):
        await owner(f"PATCH {path}", body, expect=403)
    await owner(f"DELETE {path}", expect=403)
    await owner(f"PATCH {path}", {"roles": [role(north, "operator")]})
    found = await root(f"GET {path}")
    assert sorted(entry["role"] for entry in found["roles"]) == ["operator", "viewer"]
    await owner(f"PATCH {path}", {"roles": []})
    assert (await root(f"GET {path}"))["roles"] == [role(south, "viewer")]
    await owner(f"GET {path}", expect=404)


async def test_a_password_is_reset_to_one_that_works_once(root: Api, north: Tenant):
    user = north.users["viewer"]
    assert user["must_change_password"] is False
    again = await north.as_("owner")(f"PATCH /users/{user['id']}", {"password": None})
    assert again["must_change_password"] is True and len(again["password"]) >= 20
    set_ = await root(f"PATCH /users/{user['id']}", {"password": "chosen by root"})
    assert set_["must_change_password"] is False and "password" not in set_
    mine = north.users["owner"]["id"]
    await north.as_("owner")(f"PATCH /users/{mine}", {"password": "without the old"}, expect=403)


async def test_nobody_writes_their_own_limits(root: Api, north: Tenant):
    limits = [{"type": "requests", "per": "minute", "max": 5}]
    owner, me = north.as_("owner"), north.users["owner"]["id"]
    second = await root("POST /users", {"email": "second@north.test", "roles": [role(north, "owner")]}, expect=201)
    problem = await owner(f"PATCH /users/{me}", {"name": "x", "limits": limits}, expect=403)
    assert problem["errors"][0]["field"] == "limits"
    assert (await owner(f"PATCH /users/{second['id']}", {"limits": limits}))["limits"] == limits
    assert (await root(f"PATCH /users/{me}", {"limits": limits}))["limits"] == limits
    await owner(f"PATCH /users/{me}", {"limits": None}, expect=403)
    assert (await owner(f"PATCH /users/{me}", {"name": "x"}))["limits"] == limits
    assert (await root(f"PATCH /users/{me}", {"limits": None}))["limits"] == []
    for api in (north.as_("operator"), north.as_("member")):
        await api(f"PATCH /users/{me}", {"limits": []}, expect=403)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "no at sign"}, "email"),
        ({"email": "a@b", "roles": [{"tenant_id": "x", "role": "king"}]}, "roles[0].role"),
        ({"email": "a@b", "password": "short"}, "password"),
        ({"email": "a@b", "limits": [{"type": "requests", "per": "minute", "max": -1}]}, "limits[0].max"),
        ({"email": "a@b", "password_hash": "x"}, "password_hash"),
        ({"name": "x"}, "email"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(root: Api, body: dict[str, Any], field: str):
    assert (await root("POST /users", body, expect=400))["errors"][0]["field"] == field


async def test_an_address_belongs_to_one_user(root: Api):
    await root("POST /users", {"email": "twice@x.test"}, expect=201)
    problem = await root("POST /users", {"email": "Twice@X.test"}, expect=409)
    assert (problem["code"], problem["errors"][0]["field"]) == ("conflict", "email")


@pytest.fixture
async def own(new_database: Callable[[], str], redis_server: str) -> AsyncIterator[Site]:
    async with installed(make_settings(new_database(), redis_server)) as made:
        yield made


async def test_a_root_user_always_remains(own: Site):
    root, resources, url = own.root, own.resources, own.url
    async with resources.database() as session:
        last = await users.by_email(session, "owner@localhost")
    assert last is not None
    for act, body in (
        (f"PATCH /users/{last.id}", {"enabled": False}),
        (f"PATCH /users/{last.id}", {"root": False}),
        (f"DELETE /users/{last.id}", None),
    ):
        await root(act, body, expect=409)
    await root("POST /users", {"email": "other-root@x.test", "root": True}, expect=201)
    other = Api(url, await token_of(resources, "other-root@x.test"))
    await other(f"PATCH /users/{last.id}", {"enabled": False})
    await root("GET /me", expect=401)
    await other(f"PATCH /users/{last.id}", {"enabled": True})
    await other.http.aclose()


async def test_a_user_with_keys_is_switched_off_not_deleted(root: Api, north: Tenant):
    user = await root("POST /users", {"email": "keys@x.test", "roles": [role(north, "member")]}, expect=201)
    draft = {"platforms": ["*"], "models": ["*"], "tenant_id": north.id, "user_id": user["id"]}
    await root("POST /keys", draft, expect=201)
    await root(f"DELETE /users/{user['id']}", expect=409)
    lonely = await root("POST /users", {"email": "lonely@x.test"}, expect=201)
    await root(f"DELETE /users/{lonely['id']}", expect=204)
    await root(f"GET /users/{lonely['id']}", expect=404)


async def test_tenants_see_only_themselves(root: Api, north: Tenant, south: Tenant):
    owner = north.as_("owner")
    assert [tenant["id"] for tenant in (await owner("GET /tenants"))["data"]] == [north.id]
    await owner(f"GET /tenants/{south.id}", expect=404)
    await owner("POST /tenants", {"name": "mine"}, expect=403)
    await owner(f"PATCH /tenants/{north.id}", {"limits": []}, expect=403)
    assert len((await root("GET /tenants"))["data"]) >= 3
