"""Teams: written by owners and operators, of users of the tenant, each in one."""

from typing import Any

import pytest

from tests.admin.conftest import Api, Tenant

LIMITS: list[dict[str, Any]] = [
    {"type": "requests", "per": "minute", "max": 60},
    {"type": "concurrency", "max": 5},
]


def field(problem: dict[str, Any]) -> str:
    return problem["errors"][0]["field"]


def ids(tenant: Tenant, *roles: str) -> list[str]:
    return [tenant.users[role]["id"] for role in roles]


async def test_a_team_from_its_beginning_to_its_end(root: Api, north: Tenant):
    owner, operator = north.as_("owner"), north.as_("operator")
    two = sorted(ids(north, "member", "viewer"))
    team = await operator("POST /teams", {"name": "research", "user_ids": two, "limits": LIMITS}, expect=201)
    assert {**team, "created_at": "", "updated_at": ""} == {
        "id": team["id"], "tenant_id": north.id, "name": "research", "user_ids": two, "limits": LIMITS,
        "created_at": "", "updated_at": "",
    }  # fmt: skip
    assert team["id"].startswith("team_")
    for role in ("owner", "viewer"):
        assert await north.as_(role)(f"GET /teams/{team['id']}") == team
    changed = await owner(f"PATCH /teams/{team['id']}", {"name": "writing"})
    assert (changed["name"], changed["user_ids"], changed["limits"]) == ("writing", two, LIMITS), "absent is kept"
    changed = await owner(f"PATCH /teams/{team['id']}", {"user_ids": two[:1], "limits": LIMITS[:1]})
    assert (changed["user_ids"], changed["limits"]) == (two[:1], LIMITS[:1])
    cleared = await owner(f"PATCH /teams/{team['id']}", {"user_ids": None, "limits": None})
    assert (cleared["user_ids"], cleared["limits"]) == ([], []), "null is cleared"
    await operator(f"DELETE /teams/{team['id']}", expect=204)
    await owner(f"GET /teams/{team['id']}", expect=404)
    assert (await owner(f"GET /users/{two[0]}"))["id"] == two[0], "its users stay"
    told = (await root("GET /audit", target=team["id"]))["data"]
    assert [one["action"] for one in told] == ["teams.delete", *["teams.change"] * 3, "teams.create"]
    assert (told[3]["before"]["name"], told[3]["after"]["name"]) == ("research", "writing")
    assert told[2]["after"]["user_ids"] == two[:1]


async def test_a_user_has_one_team(north: Tenant):
    owner = north.as_("owner")
    user = north.users["viewer"]["id"]
    one = await owner("POST /teams", {"name": "first", "user_ids": [user]}, expect=201)
    others = ids(north, "owner", "operator")
    problem = await owner("POST /teams", {"name": "second", "user_ids": [*others, user]}, expect=409)
    assert field(problem) == "user_ids[2]"
    assert user in problem["detail"]
    assert one["id"] in problem["detail"]
    two = await owner("POST /teams", {"name": "second", "user_ids": others}, expect=201)
    assert field(await owner(f"PATCH /teams/{two['id']}", {"user_ids": [user]}, expect=409)) == "user_ids[0]"
    assert (await owner(f"GET /teams/{two['id']}"))["user_ids"] == sorted(others), "nothing of it is done"
    await owner(f"DELETE /teams/{one['id']}", expect=204)
    assert (await owner(f"PATCH /teams/{two['id']}", {"user_ids": [user]}))["user_ids"] == [user]
    listed = (await owner("GET /teams", user_id=user))["data"]
    assert [team["id"] for team in listed] == [two["id"]]
    await owner(f"DELETE /teams/{two['id']}", expect=204)


async def test_pages_and_counts(south: Tenant):
    owner = south.as_("owner")
    for at in range(3):
        await owner("POST /teams", {"name": f"page {at}"}, expect=201)
    assert field(await owner("POST /teams", {"name": "page 0"}, expect=409)) == "name"
    first = await owner("GET /teams", limit=2, count="exact", q="PAGE")
    assert ([team["name"] for team in first["data"]], first["has_more"], first["count"]) == (
        ["page 2", "page 1"], True, 3,
    )  # fmt: skip
    rest = await owner("GET /teams", limit=2, cursor=first["next_cursor"], q="PAGE")
    assert ([team["name"] for team in rest["data"]], rest["has_more"]) == (["page 0"], False)
    assert "count" not in rest
    assert field(await owner("GET /teams", cursor="page", expect=400)) == "cursor"
    assert field(await owner("GET /teams", user_id="me", expect=400)) == "user_id"


async def test_a_tenants_teams_are_its_own(root: Api, north: Tenant, south: Tenant):
    foreign = await root("POST /teams", {"name": "far", "tenant_id": south.id}, expect=201)
    owner = north.as_("owner")
    for act, body in (("GET", None), ("PATCH", {"name": "mine"}), ("DELETE", None)):
        await owner(f"{act} /teams/{foreign['id']}", body, expect=404)
    await owner("GET /teams/team_nonsense", expect=404)
    assert foreign["id"] not in [team["id"] for team in (await owner("GET /teams"))["data"]]
    await owner("POST /teams", {"name": "x", "tenant_id": south.id}, expect=404)
    stranger = ids(south, "member")
    for api, body in ((owner, {}), (root, {"tenant_id": north.id})):
        problem = await api("POST /teams", {"name": "x", "user_ids": stranger, **body}, expect=400)
        assert field(problem) == "user_ids[0]", "a user who is not of the tenant might as well not exist"
    await owner("POST /teams", {"name": "far"}, expect=201)
    for role, act in (("viewer", "POST /teams"), ("member", "POST /teams"), ("member", "GET /teams")):
        await north.as_(role)(act, {"name": "x"} if act.startswith("POST") else None, expect=403)


async def test_its_limits_are_shown_with_those_of_its_users_keys(root: Api, north: Tenant):
    owner, (member,) = north.as_("owner"), ids(north, "member")
    await root(f"PATCH /tenants/{north.id}", {"limits": [{**LIMITS[0], "max": 1000}]})
    await owner(f"PATCH /users/{member}", {"limits": [{**LIMITS[0], "max": 100}]})
    key = await north.as_("member")("POST /keys", {"platforms": ["*"], "models": ["*"]}, expect=201)
    team = await owner("POST /teams", {"name": "shown", "user_ids": [member], "limits": LIMITS}, expect=201)
    for reader in (owner, north.as_("member")):
        shown = (await reader(f"GET /keys/{key['id']}/limits"))["data"]
        assert [(one["scope"], one["type"], one["max"], one["remaining"]) for one in shown] == [
            ("user", "requests", 100, 100), ("team", "requests", 60, 60), ("team", "concurrency", 5, 5),
            ("tenant", "requests", 1000, 1000),
        ]  # fmt: skip
    await owner(f"POST /keys/{key['id']}/limits/reset")
    await owner(f"DELETE /teams/{team['id']}", expect=204)
    shown = (await owner(f"GET /keys/{key['id']}/limits"))["data"]
    assert [one["scope"] for one in shown] == ["user", "tenant"]
    await root(f"PATCH /tenants/{north.id}", {"limits": None})
    await owner(f"PATCH /users/{member}", {"limits": None})


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x", "user_ids": "usr_1"}, "user_ids"),
        ({"name": "x", "user_ids": ["usr_1"]}, "user_ids[0]"),
        ({"name": "x", "user_ids": [""]}, "user_ids[0]"),
        ({"name": "x", "limits": {}}, "limits"),
        ({"name": "x", "limits": [LIMITS[0], {**LIMITS[0], "max": -1}]}, "limits[1].max"),
        ({"name": "x", "limits": [{"type": "requests", "max": 1}]}, "limits[0].per"),
        ({"name": "x", "members": []}, "members"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(root: Api, body: dict[str, Any], named: str):
    assert field(await root("POST /teams", body, expect=400)) == named
    if "name" in body:
        team = await root("POST /teams", {"name": f"to be changed {named}"}, expect=201)
        assert field(await root(f"PATCH /teams/{team['id']}", body, expect=400)) == named
        await root(f"DELETE /teams/{team['id']}", expect=204)


async def test_a_name_is_not_null(root: Api):
    team = await root("POST /teams", {"name": "named"}, expect=201)
    assert field(await root(f"PATCH /teams/{team['id']}", {"name": None}, expect=400)) == "name"
