"""Groups: written by owners and operators, checked to the last target, one of a tenant the active one."""

import asyncio
import copy
import json
from typing import Any

import pytest

from admin.resources import Resources
from gateway.core.groups import Alias, Group, PromptRule, Replacement, Rules, Target
from gateway.core.services import configuration, groups
from gateway.core.services.reach import Reach
from gateway.core.snapshot import Snapshot
from gateway.platforms import PLATFORMS
from gateway.routing.paths import RESERVED
from tests.admin.conftest import Api, Tenant

NAMES = iter(range(1000))
WHOLE: dict[str, Any] = {
    "description": "for reading",
    "enabled": True,
    "aliases": [
        {"match": "fast", "targets": [{"model": "claude-haiku-4-5", "platform": "claude", "weight": 3}]},
        {"match": "gpt-*", "targets": [{"model": "m", "platform": "ccr"}, {"model": "n", "provider": "deepseek"}]},
    ],
    "prompt": {
        "mode": "append", "position": "user", "text": "be brief", "only_models": ["fast"], "only_with_tools": True,
        "replace": [{"find": "You are", "with": "Be"}],
    },
    "temperature_ratio": 0.5,
    "tools_removed": ["web_*"],
    "tool_mode": "compat",
    "params_default": {"top_k": 40, "metadata": {"team": "a"}},
    "params_override": {"seed": None},
    "headers": {"x-team": "a"},
}  # fmt: skip
NOTHING: dict[str, Any] = {
    "description": "", "enabled": True, "active": False, "aliases": [], "prompt": {}, "temperature_ratio": 1.0,
    "tools_removed": [], "tool_mode": "auto", "params_default": {}, "params_override": {}, "headers": {},
}  # fmt: skip


def draft(**more: Any) -> dict[str, Any]:
    return {"name": f"group-{next(NAMES)}", **more}


def field(problem: dict[str, Any]) -> str:
    return problem["errors"][0]["field"]


def told(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name not in ("id", "created_at", "updated_at")}


async def snapshot(resources: Resources) -> Snapshot:
    """As a gateway reads it."""
    async with resources.database() as session:
        return await configuration.load(session, resources.sealer, PLATFORMS)


async def test_a_group_from_its_beginning_to_its_end(root: Api, north: Tenant, resources: Resources):
    owner, operator = north.as_("owner"), north.as_("operator")
    group = await operator("POST /groups", {"name": "Fast", **WHOLE}, expect=201)
    assert told(group) == {"name": "Fast", "tenant_id": north.id, "active": False, **WHOLE}
    assert group["id"].startswith("grp_")
    path = f"/groups/{group['id']}"
    for role in ("owner", "viewer"):
        assert await north.as_(role)(f"GET {path}") == group
    rules = Rules(
        PromptRule("append", "user", "be brief", ("fast",), True, (Replacement("You are", "Be"),)), 0.5, ("web_*",),
        WHOLE["params_default"], WHOLE["params_override"],
    )  # fmt: skip
    aliases = (
        Alias("fast", (Target("claude-haiku-4-5", platform="claude", weight=3),)),
        Alias("gpt-*", (Target("m", platform="ccr"), Target("n", provider="deepseek"))),
    )
    read = (await snapshot(resources)).group(north.id, "Fast")
    assert read == Group(group["id"], north.id, "Fast", True, aliases, rules, "compat", {"x-team": "a"})
    changed = await owner(f"PATCH {path}", {"name": "quick"})
    assert told(changed) == {**told(group), "name": "quick"}, "absent is kept"
    cleared = await owner(f"PATCH {path}", dict.fromkeys(WHOLE))
    assert told(cleared) == {"name": "quick", "tenant_id": north.id, **NOTHING}, "null is cleared"
    read = (await snapshot(resources)).group(north.id, "quick")
    assert read is not None and read.rules.idle
    await operator(f"DELETE {path}", expect=204)
    await owner(f"GET {path}", expect=404)
    assert (await snapshot(resources)).group(north.id, "quick") is None
    log = (await root("GET /audit", target=group["id"]))["data"]
    assert [one["action"] for one in log] == ["groups.delete", "groups.change", "groups.change", "groups.create"]
    assert log[3]["after"]["params_default"] == WHOLE["params_default"]
    assert (log[1]["before"]["aliases"], log[1]["after"]["aliases"]) == (WHOLE["aliases"], [])
    assert log[0]["before"]["name"] == "quick"


async def test_what_is_not_said_is_nothing(root: Api, south: Tenant):
    group = await root("POST /groups", {"name": "plain", "tenant_id": south.id}, expect=201)
    assert told(group) == {"name": "plain", "tenant_id": south.id, **NOTHING}
    nulls = await south.as_("owner")("POST /groups", {"name": "nulls", **dict.fromkeys(WHOLE)}, expect=201)
    assert told(nulls) == {"name": "nulls", "tenant_id": south.id, **NOTHING}
    for name in ("claude", "openai", "gemini", "default", "a.b_c-9", "...", "A" * 64):
        made = await root("POST /groups", {"name": name, "tenant_id": south.id}, expect=201)
        await root(f"DELETE /groups/{made['id']}", expect=204)


async def test_one_of_a_tenant_is_active(root: Api, north: Tenant, south: Tenant, resources: Resources):
    operator = north.as_("operator")
    one, two = [await operator("POST /groups", draft(), expect=201) for _ in range(2)]
    far = await south.as_("owner")("POST /groups", draft(), expect=201)
    await south.as_("owner")(f"POST /groups/{far['id']}/activate")

    async def active() -> list[str]:
        return [group["id"] for group in (await north.as_("viewer")("GET /groups"))["data"] if group["active"]]

    assert await active() == []
    for group in (one, two, two):
        assert await operator(f"POST /groups/{group['id']}/activate") == {**group, "active": True}
        assert await active() == [group["id"]]
        assert (await snapshot(resources)).active[north.id] == group["name"]
    assert (await operator(f"GET /groups/{one['id']}"))["active"] is False
    renamed = await operator(f"PATCH /groups/{two['id']}", {"name": "renamed"})
    assert renamed["active"] is True
    assert (await snapshot(resources)).active[north.id] == "renamed"
    await operator(f"PATCH /groups/{one['id']}", {"enabled": False})
    problem = await operator(f"POST /groups/{one['id']}/activate", expect=409)
    assert (problem["code"], await active()) == ("conflict", [two["id"]])
    await operator(f"PATCH /groups/{two['id']}", {"enabled": False})
    held = await snapshot(resources)
    assert (held.active[north.id], held.group(north.id, "renamed")) == ("renamed", None)
    await operator(f"DELETE /groups/{two['id']}", expect=204)
    held = await snapshot(resources)
    assert (await active(), north.id in held.active, held.active[south.id]) == ([], False, far["name"])
    log = (await root("GET /audit", target=two["id"], action="groups.activate"))["data"]
    assert [(entry["before"]["active"], entry["after"]["active"]) for entry in log] == [(True, True), (False, True)]


async def test_what_is_being_switched_off_is_not_made_active(root: Api, resources: Resources):
    group = await root("POST /groups", draft(), expect=201)
    async with resources.database.begin() as session:
        row = await groups.find(session, Reach(everything=True), group["id"], lock=True)
        await groups.change(session, row, {"enabled": False})
        asking = asyncio.ensure_future(root(f"POST /groups/{group['id']}/activate", expect=409))
        await asyncio.sleep(0.3)
        assert not asking.done(), "it waits for what the other says"
    assert (await asking)["code"] == "conflict"


async def test_a_name_is_taken_once_in_any_case(north: Tenant, south: Tenant):
    owner = north.as_("owner")
    await owner("POST /groups", {"name": "Taken"}, expect=201)
    other = await owner("POST /groups", draft(), expect=201)
    assert field(await owner("POST /groups", {"name": "tAKEN"}, expect=409)) == "name"
    assert field(await owner(f"PATCH /groups/{other['id']}", {"name": "taken"}, expect=409)) == "name"
    await south.as_("owner")("POST /groups", {"name": "taken"}, expect=201)


@pytest.mark.parametrize("name", sorted(RESERVED))
async def test_a_fixed_path_is_no_name(root: Api, name: str):
    group = await root("POST /groups", draft(), expect=201)
    for spelled in (name, name.upper(), name.title()):
        assert field(await root("POST /groups", {"name": spelled}, expect=400)) == "name"
        assert field(await root(f"PATCH /groups/{group['id']}", {"name": spelled}, expect=400)) == "name"


def targets(*given: dict[str, Any]) -> dict[str, Any]:
    """One alias without fault, then one of these targets."""
    return {
        "aliases": [{"match": "a", "targets": [{"model": "m"}]}, {"match": "b", "targets": [{"model": "m"}, *given]}]
    }


@pytest.mark.parametrize(
    ("more", "named"),
    [
        *(({"name": name}, "name") for name in ("", ".", "..", "a/b", "a b", "ä", "a%2fb", "a@b", "a,b", "x" * 65, 1)),
        ({"colour": "red"}, "colour"),
        ({"id": "grp_x"}, "id"),
        ({"active": True}, "active"),
        ({"description": "x" * 10_001}, "description"),
        ({"enabled": "yes"}, "enabled"),
        ({"aliases": {}}, "aliases"),
        ({"aliases": [{"match": str(at), "targets": [{"model": "m"}]} for at in range(501)]}, "aliases"),
        ({"aliases": [{"match": "a", "targets": []}]}, "aliases[0].targets"),
        ({"aliases": [{"match": "a"}]}, "aliases[0].targets"),
        ({"aliases": [{"targets": [{"model": "m"}]}]}, "aliases[0].match"),
        ({"aliases": [{"match": "a", "targets": [{"model": "m"}]}] * 2}, "aliases[1].match"),
        ({"aliases": [{"match": "a", "targets": [{"model": "m"}], "colour": 1}]}, "aliases[0].colour"),
        (targets(*[{"model": "m"}] * 50), "aliases[1].targets"),
        (targets({}), "aliases[1].targets[1].model"),
        (targets({"model": ""}), "aliases[1].targets[1].model"),
        (targets({"model": "m", "colour": "red"}), "aliases[1].targets[1].colour"),
        *(
            (targets({"model": "m", "weight": weight}), "aliases[1].targets[1].weight")
            for weight in (0, -1, 1001, 1.5, "x")
        ),
        *(
            (targets({"model": "m", "platform": one}), "aliases[1].targets[1].platform")
            for one in ("x", "", "Claude", "*")
        ),
        (targets({"model": "m", "provider": "Not a slug"}), "aliases[1].targets[1].provider"),
        (targets({"model": "m", "pool_id": "nowhere"}), "aliases[1].targets[1].pool_id"),
        (targets({"model": "m", "account_id": "nobody"}), "aliases[1].targets[1].account_id"),
        (targets({"model": "m", "platform": "claude", "provider": "x"}), "aliases[1].targets[1].provider"),
        (targets({"model": "m", "platform": "claude", "account_id": "x"}), "aliases[1].targets[1].account_id"),
        ({"prompt": []}, "prompt"),
        ({"prompt": {"mode": "loudly"}}, "prompt.mode"),
        ({"prompt": {"position": "assistant"}}, "prompt.position"),
        *(({"prompt": {"mode": mode}}, "prompt.text") for mode in ("append", "prepend", "replace")),
        ({"prompt": {"mode": "append", "text": "x" * 100_001}}, "prompt.text"),
        ({"prompt": {"replace": [{"find": "a"}, {"find": "", "with": "b"}]}}, "prompt.replace[1].find"),
        ({"prompt": {"replace": [{"with": "b"}]}}, "prompt.replace[0].find"),
        ({"prompt": {"replace": [{"find": "a"}] * 101}}, "prompt.replace"),
        ({"prompt": {"colour": "red"}}, "prompt.colour"),
        *(({"temperature_ratio": ratio}, "temperature_ratio") for ratio in (-0.1, 10.1, "nan", "inf", "x")),
        ({"tools_removed": [""]}, "tools_removed[0]"),
        ({"tool_mode": "both"}, "tool_mode"),
        ({"params_default": {"model": "x"}}, "params_default.model"),
        ({"params_override": {"top_k": 1, "messages": []}}, "params_override.messages"),
        ({"params_override": []}, "params_override"),
        ({"params_override": {"Stream": True}}, "params_override.Stream"),
        ({"params_default": {"a": json.loads("[" * 400 + "]" * 400)}}, "params_default.a"),
        ({"description": "a\0"}, "description"),
        ({"tools_removed": ["a", "\0"]}, "tools_removed[1]"),
        ({"prompt": {"mode": "append", "text": "a\0"}}, "prompt.text"),
        ({"prompt": {"only_models": ["a\0"]}}, "prompt.only_models[0]"),
        ({"prompt": {"replace": [{"find": "a", "with": "\0"}]}}, "prompt.replace[0].with"),
        ({"params_default": {"a": [{"b": "\0"}]}}, "params_default.a[0].b"),
        ({"params_default": {"a": {"b\0": 1}}}, "params_default.a"),
        ({"headers": {"Authorization": "Bearer x"}}, "headers.Authorization"),
        ({"headers": {"x-fine": "1", "X-Poolgate-Account": "x"}}, "headers.X-Poolgate-Account"),
        ({"headers": {"x-team": "a\r\nx-more: b"}}, "headers.x-team"),
        ({"headers": {"x-team": 1}}, "headers[...]"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(root: Api, more: dict[str, Any], named: str):
    assert field(await root("POST /groups", draft(**more), expect=400)) == named
    group = await root("POST /groups", draft(), expect=201)
    assert field(await root(f"PATCH /groups/{group['id']}", more, expect=400)) == named
    await root(f"DELETE /groups/{group['id']}", expect=204)


@pytest.mark.parametrize("ratio", ["1e999", "NaN", "Infinity", "-Infinity"])
async def test_a_ratio_is_finite(root: Api, ratio: str):
    content = f'{{"name": "ratio", "temperature_ratio": {ratio}}}'
    answer = await root.http.post("/groups", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text


async def test_a_name_is_said_and_not_null(root: Api):
    assert field(await root("POST /groups", {}, expect=400)) == "name"
    group = await root("POST /groups", draft(), expect=201)
    assert field(await root(f"PATCH /groups/{group['id']}", {"name": None}, expect=400)) == "name"


async def test_the_largest_that_can_be(root: Api):
    """Bounds are reached, and the platforms are all that there are."""
    names = ["ccr", "claude", "openai", "gemini", "ollama", *PLATFORMS]
    every = [{"model": "m", "platform": name} for name in names] + [{"model": "m", "weight": 1000}]
    every += [{"model": "m"}] * (50 - len(every))
    body = draft(
        aliases=[{"match": f"{at}*", "targets": every if at == 0 else every[:1]} for at in range(500)],
        prompt={"mode": "replace", "text": "x" * 100_000, "replace": [{"find": "a"}] * 100},
        temperature_ratio=10,
    )
    assert (await root("POST /groups", body, expect=201))["aliases"] == body["aliases"]
    assert (await root("POST /groups", draft(temperature_ratio=0), expect=201))["temperature_ratio"] == 0


async def test_pools_and_accounts_of_aliases(root: Api, north: Tenant, south: Tenant):
    owner = north.as_("owner")
    pool = await owner("POST /pools", {"name": "fast"}, expect=201)
    body = {"name": "a", "platform": "openai", "credentials": {"api_key": "sk-x"}}
    account = await owner("POST /accounts", body, expect=201)
    given = [
        {"match": "a", "targets": [{"model": "m", "pool_id": "fast"}, {"model": "m", "account_id": account["id"]}]}
    ]
    group = await owner("POST /groups", draft(aliases=given), expect=201)
    stored = copy.deepcopy(given)
    stored[0]["targets"][0]["pool_id"] = pool["id"]
    assert group["aliases"] == stored
    for api, more in ((south.as_("owner"), {}), (root, {"tenant_id": south.id})):
        refused = await api("POST /groups", draft(aliases=stored, **more), expect=400)
        assert field(refused) == "aliases[0].targets[0].pool_id", "what another tenant has might as well not exist"
    problem = await owner(f"DELETE /pools/{pool['id']}", expect=409)
    assert group["id"] in problem["detail"]
    await owner(f"DELETE /accounts/{account['id']}", expect=204)
    assert (await owner(f"PATCH /groups/{group['id']}", {"enabled": False}))["aliases"] == stored
    refused = await owner(f"PATCH /groups/{group['id']}", {"aliases": stored}, expect=400)
    assert field(refused) == "aliases[0].targets[1].account_id"
    await owner(f"DELETE /groups/{group['id']}", expect=204)
    await owner(f"DELETE /pools/{pool['id']}", expect=204)


async def test_a_tenants_groups_are_its_own(root: Api, north: Tenant, south: Tenant):
    foreign = await root("POST /groups", draft(tenant_id=south.id), expect=201)
    owner = north.as_("owner")
    path = f"/groups/{foreign['id']}"
    for act, body in (("GET", None), ("PATCH", {"name": "mine"}), ("DELETE", None)):
        await owner(f"{act} {path}", body, expect=404)
    await owner(f"POST {path}/activate", expect=404)
    await owner("GET /groups/grp_nonsense", expect=404)
    await owner("POST /groups", draft(tenant_id=south.id), expect=404)
    assert foreign["id"] not in [group["id"] for group in (await owner("GET /groups"))["data"]]
    mine = await owner("POST /groups", draft(), expect=201)
    for role, act, body in (
        ("viewer", "POST /groups", draft()), ("viewer", f"PATCH /groups/{mine['id']}", {}),
        ("viewer", f"POST /groups/{mine['id']}/activate", None), ("viewer", f"DELETE /groups/{mine['id']}", None),
        ("member", "GET /groups", None), ("member", f"GET /groups/{mine['id']}", None),
    ):  # fmt: skip
        await north.as_(role)(act, body, expect=403)


async def test_pages_and_counts(south: Tenant):
    owner = south.as_("owner")
    for at in range(3):
        await owner("POST /groups", {"name": f"page-{at}", "description": "of pages"}, expect=201)
    first = await owner("GET /groups", limit=2, count="exact", q="PAGE")
    assert ([group["name"] for group in first["data"]], first["has_more"], first["count"]) == (
        ["page-2", "page-1"], True, 3,
    )  # fmt: skip
    rest = await owner("GET /groups", limit=2, cursor=first["next_cursor"], q="of pages")
    assert ([group["name"] for group in rest["data"]], rest["has_more"]) == (["page-0"], False)
    assert field(await owner("GET /groups", cursor="page", expect=400)) == "cursor"
    assert field(await owner("GET /groups", tenant_id="mine", expect=400)) == "tenant_id"


async def test_the_document_tells_how_it_is_written(root: Api, url: str):
    schemas = (await root.http.get(f"{url}/admin/openapi.json")).json()["components"]["schemas"]
    assert {"find", "with"} == set(schemas["Replacement"]["properties"])
    assert {"model", "platform", "provider", "pool_id", "account_id", "weight"} == set(schemas["Target"]["properties"])
    assert schemas["GroupDraft"]["required"] == ["name"]
