"""Groups: aimed at what the tenant has, told to the gateways, one of them active; and what gateways read of them."""

import json
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import changes
from gateway.core import models as m
from gateway.core.groups import Alias, Group, PromptRule, Replacement, Rules, Target
from gateway.core.ids import new_id
from gateway.core.sealing import Sealer
from gateway.core.services import accounts, groups, pools, tenants
from gateway.core.services.failures import Conflict, Invalid, Missing
from gateway.core.services.reach import Reach
from gateway.core.services.rows import Window

ROOT = Reach(everything=True)
SEALER = Sealer((bytes(32),))


def alias(match: str, *targets: Target) -> Alias:
    return Alias(match, targets)


async def account(database: AsyncSession, tenant_id: str, name: str = "a") -> m.Account:
    values = {"name": name, "platform": "openai", "provider": "openai"}
    return await accounts.create(database, SEALER, tenant_id, values, {})


async def active_of(database: AsyncSession, tenant_id: str) -> str | None:
    return (
        await database.execute(select(m.Tenant.active_group_id).where(m.Tenant.id == tenant_id))
    ).scalar_one_or_none()


async def test_what_is_written_is_what_gateways_read(database: AsyncSession, default: str):
    aliases = [
        alias("b*", Target("m", platform="claude", weight=3), Target("n", provider="x")),
        alias("a", Target("m")),
    ]
    prompt = PromptRule("append", "user", "be brief", ("a*",), True, (Replacement("x", "y"), Replacement("z")))
    group = await groups.create(
        database,
        default,
        {
            "name": "Fast", "description": "d", "enabled": False, "aliases": aliases, "prompt": prompt,
            "temperature_ratio": 0.5, "tools_removed": ["web_*"], "tool_mode": "compat",
            "params_default": {"top_k": 0}, "params_override": {"seed": None, "a": {"b": [1, 2.5]}},
            "headers": {"X-Team": "one"},
        },
    )  # fmt: skip
    await database.flush()
    database.expunge(group)
    row = await groups.find(database, ROOT, group.id)
    assert row is not group
    rules = Rules(prompt, 0.5, ("web_*",), {"top_k": 0}, {"seed": None, "a": {"b": [1, 2.5]}})
    assert groups.opened(row) == Group(
        group.id, default, "Fast", False, tuple(aliases), rules, "compat", {"x-team": "one"}
    )
    assert row.aliases == [
        {
            "match": "b*",
            "targets": [{"model": "m", "platform": "claude", "weight": 3}, {"model": "n", "provider": "x"}],
        },
        {"match": "a", "targets": [{"model": "m"}]},
    ]
    assert row.prompt["replace"] == [{"find": "x", "with": "y"}, {"find": "z", "with": ""}]


async def test_params_keep_the_order_of_their_members(database: AsyncSession, default: str):
    """A model that answers by a schema follows its order."""
    schema = {"properties": {"zebra": {}, "a": {}, "Bee": {}}, "a": 1}
    values = {"name": "g", "params_default": {"z": 1, "b": 2}, "params_override": {"response_format": schema}}
    group = await groups.create(database, default, values)
    await database.flush()
    database.expunge(group)
    rules = groups.opened(await groups.find(database, ROOT, group.id)).rules
    assert json.dumps(rules.params_default) == json.dumps(values["params_default"])
    assert json.dumps(rules.params_override) == json.dumps(values["params_override"])


async def test_what_is_not_said_is_no_rule(database: AsyncSession, default: str):
    group = await groups.create(database, default, {"name": "plain"})
    assert groups.opened(group) == Group(group.id, default, "plain")
    assert groups.opened(group).rules.idle


async def test_a_prompt_that_is_off_is_kept_but_no_rule(database: AsyncSession, default: str):
    prompt = PromptRule("off", text="for later", only_models=("a",))
    group = await groups.create(database, default, {"name": "g", "prompt": prompt})
    assert group.prompt == {"text": "for later", "only_models": ("a",)}
    assert groups.opened(group).rules.idle
    await groups.change(database, group, {"prompt": PromptRule(replace=(Replacement("a"),))})
    assert not groups.opened(group).rules.idle, "what is replaced is replaced in every mode"


@pytest.mark.parametrize(
    "broken",
    [
        {"aliases": [{"match": "a"}]},
        {"aliases": {}},
        {"prompt": {"mode": "loudly"}},
        {"tool_mode": "both"},
        {"headers": {"a": 1}},
    ],
)
async def test_what_is_stored_otherwise_is_not_read(database: AsyncSession, default: str, broken: dict[str, Any]):
    group = await groups.create(database, default, {"name": "g"})
    for name, value in broken.items():
        setattr(group, name, value)
    with pytest.raises(msgspec.ValidationError):
        groups.opened(group)


async def test_pools_by_id_or_name_and_accounts_by_id(database: AsyncSession, default: str):
    held = await account(database, default)
    one = await pools.create(database, default, {"name": "one"})
    # Pools may be called anything: what is called like an account is still a pool.
    odd = await pools.create(database, default, {"name": held.id})
    given = [alias("a", *(Target("m", pool_id=name) for name in ("one", one.id, held.id)))]
    shouted = f"acct_{held.id.removeprefix('acct_').upper()}"
    given.append(alias("b", Target("m", account_id=held.id), Target("m", account_id=shouted)))
    group = await groups.create(database, default, {"name": "g", "aliases": given})
    first, second = groups.opened(group).aliases
    assert [target.pool_id for target in first.targets] == [one.id, one.id, odd.id]
    assert [target.account_id for target in second.targets] == [held.id, held.id]


async def test_only_what_the_tenant_has(database: AsyncSession, default: str):
    other = (await tenants.create(database, {"name": "other"})).id
    foreign, gone = await account(database, other), await account(database, default, "gone")
    await accounts.delete(database, SEALER, gone)
    pool = await pools.create(database, other, {"name": "far"})
    group = await groups.create(database, default, {"name": "g"})
    for place, missing in (
        ("account_id", foreign.id), ("account_id", gone.id), ("account_id", new_id("acct")), ("account_id", "a"),
        ("account_id", pool.id), ("pool_id", pool.id), ("pool_id", "far"), ("pool_id", new_id("pool")),
        ("pool_id", foreign.id),
    ):  # fmt: skip
        aliases = [alias("a", Target("m")), alias("b", Target("m"), Target("m", **{place: missing}))]
        for refused in (
            groups.create(database, default, {"name": "h", "aliases": aliases}),
            groups.change(database, group, {"aliases": aliases}),
        ):
            with pytest.raises(Invalid) as raised:
                await refused
            assert raised.value.field == f"aliases[1].targets[1].{place}"
    assert group.version == 1


async def test_an_alias_keeps_its_pool_and_outlives_its_account(database: AsyncSession, default: str):
    pool = await pools.create(database, default, {"name": "p"})
    held = await account(database, default)
    aliases = [alias("a", Target("m"), Target("m", pool_id="p")), alias("b", Target("m", account_id=held.id))]
    group = await groups.create(database, default, {"name": "g", "aliases": aliases})
    with pytest.raises(Conflict, match=group.id):
        await pools.delete(database, pool)
    await accounts.delete(database, SEALER, held)
    await groups.change(database, group, {"description": "still here"})
    assert groups.opened(group).aliases[1].targets == (Target("m", account_id=held.id),)
    await groups.change(database, group, {"aliases": [aliases[0], alias("b", Target("m"))]})
    await groups.change(database, group, {"aliases": None})
    await pools.delete(database, pool)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": None}, "name"),
        ({"aliases": [alias("a", Target("m")), alias("a", Target("m"))]}, "aliases[1].match"),
        ({"prompt": PromptRule("append")}, "prompt.text"),
        ({"params_default": {"model": "x"}}, "params_default.model"),
        ({"params_override": {"stream": True}}, "params_override.stream"),
        ({"headers": {"cookie": "x"}}, "headers.cookie"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(
    database: AsyncSession, default: str, values: dict[str, Any], field: str
):
    group = await groups.create(database, default, {"name": "g"})
    with pytest.raises(Invalid) as raised:
        await groups.change(database, group, values)
    assert raised.value.field == field


async def test_every_change_is_announced(database: AsyncSession, default: str):
    before = await changes.current(database)
    group = await groups.create(database, default, {"name": "g", "temperature_ratio": 0.5, "tool_mode": "native"})
    await groups.change(database, group, {"description": "d", "enabled": True})
    assert (group.description, group.temperature_ratio, group.tool_mode, group.version) == ("d", 0.5, "native", 2)
    nothing = ("description", "enabled", "aliases", "prompt", "temperature_ratio", "tools_removed", "tool_mode")
    nothing += ("params_default", "params_override", "headers")
    await groups.change(database, group, dict.fromkeys(nothing))
    assert groups.opened(group) == Group(group.id, default, "g")
    await groups.activate(database, group)
    await groups.delete(database, group)
    assert [(one.kind, one.id) for one in await changes.since(database, before)] == [("group", group.id)] * 5
    with pytest.raises(Missing):
        await groups.find(database, ROOT, group.id)


async def test_one_is_active(database: AsyncSession, default: str):
    other = (await tenants.create(database, {"name": "other"})).id
    one, two = [await groups.create(database, default, {"name": name}) for name in ("one", "two")]
    far = await groups.create(database, other, {"name": "one"})
    assert await groups.active(database, [one, two, far]) == frozenset()
    assert await groups.active(database, []) == frozenset()
    await groups.activate(database, one)
    await groups.activate(database, far)
    assert await groups.active(database, [one, two, far]) == {one.id, far.id}
    await groups.activate(database, two)
    await groups.activate(database, two)
    assert await groups.active(database, [one, two]) == {two.id}
    await groups.change(database, one, {"enabled": False})
    with pytest.raises(Conflict):
        await groups.activate(database, one)
    assert await active_of(database, default) == two.id
    await groups.change(database, two, {"enabled": False})
    assert await active_of(database, default) == two.id, "who is switched off answers nobody, and stays the active one"
    await groups.delete(database, two)
    assert (await active_of(database, default), await active_of(database, other)) == (None, far.id)


async def test_a_name_is_taken_once_in_a_tenant_in_any_case(database: AsyncSession, default: str):
    other = (await tenants.create(database, {"name": "other"})).id
    await groups.create(database, default, {"name": "Fast"})
    await groups.create(database, other, {"name": "fast"})
    with pytest.raises(IntegrityError, match="uq_groups_tenant_id_name"):
        await groups.create(database, default, {"name": "fAST"})


async def test_listing_is_by_reach_tenant_name_and_description(database: AsyncSession, default: str):
    other = (await tenants.create(database, {"name": "other"})).id
    one = await groups.create(database, default, {"name": "one_a", "description": "for reading"})
    two = await groups.create(database, other, {"name": "oneXa"})
    for reach, params, found in (
        (ROOT, {}, [two, one]),
        (ROOT, {"tenant_id": other}, [two]),
        (ROOT, {"q": "ONE_"}, [one]),
        (ROOT, {"q": "Reading"}, [one]),
        (Reach(tenants=frozenset({other})), {}, [two]),
        (Reach(tenants=frozenset({other})), {"tenant_id": default}, []),
        (Reach(own=frozenset({other}), user_id="usr_x"), {}, []),
    ):
        assert (await groups.listing(database, reach, Window(), **params)).rows == found, params
    with pytest.raises(Missing):
        await groups.find(database, Reach(tenants=frozenset({other})), one.id)
