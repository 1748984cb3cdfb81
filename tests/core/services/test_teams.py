"""Teams: whose limits a key must pass besides its own, and that a user has one in a tenant."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import changes, db
from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.keys import Peppers
from gateway.core.services import keys, teams, tenants, users
from gateway.core.services.failures import Conflict, Invalid, Missing, ServiceError
from gateway.core.services.reach import Reach
from gateway.core.services.rows import Window
from gateway.core.services.users import Role

ROOT = Reach(everything=True)
MINUTE = {"type": "requests", "per": "minute"}


async def tenant(database: AsyncSession, name: str) -> str:
    return (await tenants.create(database, {"name": name})).id


async def user(database: AsyncSession, email: str, *tenant_ids: str) -> m.User:
    roles = [Role(tenant_id, "member") for tenant_id in tenant_ids]
    return await users.create(database, {"email": email}, roles, "-", one_time=False)


async def members(database: AsyncSession, team: m.Team) -> set[str]:
    found = select(m.TeamMember.user_id).where(m.TeamMember.team_id == team.id)
    return set((await database.execute(found)).scalars())


async def test_a_user_has_one_team_in_each_tenant(database: AsyncSession):
    a, b = await tenant(database, "a"), await tenant(database, "b")
    one, two, three = [await user(database, f"{at}@x", a, b) for at in range(3)]
    red = await teams.create(database, a, {"name": "red", "user_ids": [one.id, two.id]})
    blue = await teams.create(database, a, {"name": "blue"})
    other = await teams.create(database, b, {"name": "red", "user_ids": [two.id]})
    for refused in (
        teams.change(database, blue, {"user_ids": [three.id, two.id]}),
        teams.create(database, a, {"name": "green", "user_ids": [three.id, two.id]}),
    ):
        with pytest.raises(Conflict) as raised:
            await refused
        assert raised.value.field == "user_ids[1]"
        assert two.id in raised.value.message
        assert red.id in raised.value.message
    assert [await members(database, team) for team in (red, blue, other)] == [{one.id, two.id}, set(), {two.id}]
    await teams.change(database, red, {"user_ids": [one.id]})
    await teams.change(database, blue, {"user_ids": [three.id, two.id, two.id]})
    assert [await members(database, team) for team in (red, blue)] == [{one.id}, {two.id, three.id}]


async def test_only_users_of_the_tenant_are_in_its_teams(database: AsyncSession):
    a, b = await tenant(database, "a"), await tenant(database, "b")
    inside, outside = await user(database, "in@x", a), await user(database, "out@x", b)
    for unknown in (outside.id, new_id("usr"), "usr_1", "in@x", new_id("key")):
        with pytest.raises(Invalid) as raised:
            await teams.create(database, a, {"name": "t", "user_ids": [inside.id, unknown]})
        assert raised.value.field == "user_ids[1]"


async def test_who_leaves_the_tenant_leaves_its_team(database: AsyncSession):
    a, b = await tenant(database, "a"), await tenant(database, "b")
    both, gone = await user(database, "both@x", a, b), await user(database, "gone@x", a)
    team = await teams.create(database, a, {"name": "t", "user_ids": [both.id, gone.id]})
    other = await teams.create(database, b, {"name": "t", "user_ids": [both.id]})
    await users.assign(database, ROOT, both, [Role(a, "owner"), Role(b, "member")])
    assert await members(database, team) == {both.id, gone.id}, "another role is still a role"
    await users.assign(database, Reach(tenants=frozenset({a})), both, [])
    assert await members(database, team) == {gone.id}
    await teams.change(database, team, {"user_ids": [gone.id]})  # it still remembers whom it lost
    await users.delete(database, gone)
    assert await members(database, team) == set()
    assert await members(database, other) == {both.id}
    await teams.change(database, team, {"user_ids": []})


async def test_its_limits_are_between_those_of_the_user_and_the_tenant(database: AsyncSession, default: str):
    ann = await user(database, "ann@x", default)
    values: dict[str, Any] = {"platforms": [], "models": [], "limits": [{**MINUTE, "max": 1}]}
    hers, _ = await keys.issue(database, Peppers((b"p",)), default, {**values, "user_id": ann.id})
    nobodys, _ = await keys.issue(database, Peppers((b"p",)), default, values)
    await users.change(database, ann, {"limits": [{**MINUTE, "max": 2}]})
    team = await teams.create(database, default, {"name": "t", "user_ids": [ann.id], "limits": [{**MINUTE, "max": 3}]})
    assert await teams.of(database, hers) is team
    assert await teams.of(database, nobodys) is None
    limits = await keys.limits_of(database, hers)
    assert [(one.scope, one.owner, one.max) for one in limits] == [
        ("key", hers.id, 1), ("user", f"{ann.id}/{default}", 2), ("team", team.id, 3),
    ]  # fmt: skip
    assert [one.scope for one in await keys.limits_of(database, nobodys)] == ["key"]
    await teams.delete(database, team)
    assert [one.scope for one in await keys.limits_of(database, hers)] == ["key", "user"]


async def test_every_change_is_announced_and_so_is_who_joins(database: AsyncSession, default: str):
    one, two = await user(database, "1@x", default), await user(database, "2@x", default)
    before = await changes.current(database)
    team = await teams.create(database, default, {"name": "t", "user_ids": [one.id]})
    await teams.change(database, team, {"name": "u"})
    await teams.change(database, team, {"user_ids": [one.id, two.id]})
    await teams.change(database, team, {"user_ids": [two.id]})
    await teams.change(database, team, {"user_ids": None, "limits": None})
    assert (team.name, team.version, team.limits, team.members) == ("u", 5, [], [])
    await teams.delete(database, team)
    assert [(change.kind, change.id) for change in await changes.since(database, before)] == [
        ("team", team.id), ("user", one.id), ("team", team.id), ("team", team.id), ("user", two.id),
        *[("team", team.id)] * 3,
    ]  # fmt: skip
    with pytest.raises(Missing):
        await teams.find(database, ROOT, team.id)
    assert await users.by_id(database, two.id) is two


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": None}, "name"),
        ({"limits": [{**MINUTE, "max": 1}, {**MINUTE, "max": -1}]}, "limits[1].max"),
        ({"limits": [{**MINUTE, "max": 1, "often": True}]}, "limits[0].often"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(
    database: AsyncSession, default: str, values: dict[str, Any], field: str
):
    team = await teams.create(database, default, {"name": "t"})
    with pytest.raises(Invalid) as raised:
        await teams.change(database, team, values)
    assert raised.value.field == field


async def test_listing_is_by_reach_tenant_user_and_name(database: AsyncSession, default: str):
    other = await tenant(database, "other")
    ann = await user(database, "ann@x", default, other)
    one = await teams.create(database, default, {"name": "one_a", "user_ids": [ann.id]})
    two = await teams.create(database, other, {"name": "oneXa"})
    for reach, params, found in (
        (ROOT, {}, [two, one]),
        (ROOT, {"tenant_id": other}, [two]),
        (ROOT, {"user_id": ann.id}, [one]),
        (ROOT, {"user_id": ann.id, "tenant_id": other}, []),
        (ROOT, {"q": "ONE_"}, [one]),
        (Reach(tenants=frozenset({other})), {}, [two]),
        (Reach(tenants=frozenset({other})), {"user_id": ann.id}, []),
        (Reach(tenants=frozenset({other})), {"tenant_id": default}, []),
        (Reach(own=frozenset({other}), user_id=ann.id), {}, []),
    ):
        assert (await teams.listing(database, reach, Window(), **params)).rows == found, params
    with pytest.raises(Missing):
        await teams.find(database, Reach(tenants=frozenset({other})), one.id)
    with pytest.raises(Invalid) as raised:
        await teams.listing(database, ROOT, Window(), user_id="ann@x")
    assert raised.value.field == "user_id"


async def test_membership_joins_what_is_owned_once(database: AsyncSession):
    a, b = await tenant(database, "a"), await tenant(database, "b")
    ann, bob = await user(database, "ann@x", a, b), await user(database, "bob@x", a)
    red = await teams.create(database, a, {"name": "red", "user_ids": [ann.id]})
    await teams.create(database, b, {"name": "blue", "user_ids": [ann.id]})
    for owner in (ann.id, ann.id, bob.id, None):
        await keys.issue(database, Peppers((b"p",)), a, {"platforms": [], "models": [], "user_id": owner})
    counted = select(m.TeamMember.team_id, func.count(m.Key.id)).select_from(m.Key)
    counted = counted.outerjoin(m.TeamMember, teams.membership(m.Key)).where(m.Key.tenant_id == a)
    found = await database.execute(counted.group_by(m.TeamMember.team_id))
    assert {row[0]: row[1] for row in found} == {red.id: 2, None: 2}


async def test_two_teams_that_take_a_user_at_once(database_url: str):
    async with db.engine(database_url, size=8) as engine:
        opening = db.sessions(engine)
        async with opening.begin() as session:
            home = (await tenants.create(session, {"name": "t"})).id
            wanted = [(await user(session, f"{at}@x", home)).id for at in range(3)]
            made = [(await teams.create(session, home, {"name": f"{at}"})).id for at in range(6)]

        async def take(at: int) -> str:
            named = wanted if at % 2 else wanted[::-1]
            try:
                async with opening.begin() as session:
                    team = await teams.find(session, ROOT, made[at], lock=True)
                    await teams.change(session, team, {"user_ids": named})
            except ServiceError as error:
                assert isinstance(error, Conflict)
                return str(error.field)
            return "taken"

        async with asyncio.timeout(10):
            done = await asyncio.gather(*(take(at) for at in range(len(made))))
        assert sorted(done) == ["taken", *["user_ids[0]"] * 5]
        async with opening() as session:
            held = (await session.execute(select(m.TeamMember))).scalars().all()
        assert {one.user_id: one.team_id for one in held} == dict.fromkeys(wanted, made[done.index("taken")])
