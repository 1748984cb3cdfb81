"""Users: who sees and controls them, their roles by tenant, and that a root user remains."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.keys import Peppers
from gateway.core.services import keys, tenants, users
from gateway.core.services.failures import Conflict, Denied, Invalid, Missing
from gateway.core.services.reach import Reach
from gateway.core.services.rows import Window
from gateway.core.services.users import Role

ROOT = Reach(everything=True)


async def tenant(database: AsyncSession, name: str) -> str:
    return (await tenants.create(database, {"name": name})).id


async def user(database: AsyncSession, email: str, *roles: Role, **values: Any) -> m.User:
    return await users.create(database, {"email": email, **values}, roles, "-", one_time=False)


def held(found: m.User) -> set[tuple[str, str]]:
    return {(role.tenant_id, role.role) for role in found.roles}


async def test_users_are_seen_by_their_tenants(database: AsyncSession):
    a, b = await tenant(database, "a"), await tenant(database, "b")
    both = await user(database, "both@x", Role(a, "owner"), Role(b, "viewer"))
    mine = await user(database, "mine@x", Role(a, "member"))
    nobodys = await user(database, "nobodys@x")
    inside = Reach(tenants=frozenset({a}))
    for reach, params, found in (
        (ROOT, {}, [nobodys, mine, both]),
        (inside, {}, [mine, both]),
        (inside, {"tenant_id": b}, [both]),
        (ROOT, {"q": "MINE"}, [mine]),
        (Reach(tenants=frozenset({b})), {}, [both]),
        (Reach(own=frozenset({a}), user_id=mine.id), {}, []),
    ):
        listed = await users.listing(database, reach, Window(), **params)
        assert [one.id for one in listed.rows] == [one.id for one in found], params
    assert (await users.find(database, inside, mine.id, lock=True)).id == mine.id
    with pytest.raises(Missing):
        await users.find(database, inside, nobodys.id)


async def test_an_address_is_one_whatever_its_case(database: AsyncSession):
    made = await user(database, "Some.One@Example.COM")
    assert made.email == "some.one@example.com"
    found = await users.by_email(database, "SOME.one@example.com")
    assert found is made and await users.by_id(database, made.id) is made
    assert await users.by_email(database, "some") is None


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"email": "no at sign"}, "email"),
        ({"email": "a@b@c"}, "email"),
        ({"email": "a b@c"}, "email"),
        ({"email": "a@b\n"}, "email"),
        ({"email": None}, "email"),
        ({"limits": [{"type": "requests", "per": "minute", "max": -1}]}, "limits[0].max"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(database: AsyncSession, values: dict[str, Any], field: str):
    with pytest.raises(Invalid) as raised:
        await users.change(database, await user(database, "a@x"), values)
    assert raised.value.field == field


async def test_roles_are_replaced_where_one_reaches(database: AsyncSession):
    a, b, c = [await tenant(database, name) for name in "abc"]
    made = await user(database, "a@x", Role(a, "viewer"), Role(b, "owner"))
    inside = Reach(tenants=frozenset({a, c}))
    await users.assign(database, inside, made, [Role(a, "operator"), Role(c, "member")])
    assert held(made) == {(a, "operator"), (b, "owner"), (c, "member")}
    await users.assign(database, inside, made, [])
    await database.flush()
    await database.refresh(made, ["roles"])
    assert held(made) == {(b, "owner")}
    with pytest.raises(Invalid) as raised:
        await users.assign(database, ROOT, made, [Role(a, "viewer"), Role(a, "owner")])
    assert raised.value.field == "roles"


async def test_the_whole_user_is_controlled_by_who_owns_all_of_it(database: AsyncSession):
    a, b = await tenant(database, "a"), await tenant(database, "b")
    inside = Reach(tenants=frozenset({a}))
    users.require_control(inside, await user(database, "in@x", Role(a, "viewer")))
    for outside in (
        await user(database, "both@x", Role(a, "viewer"), Role(b, "viewer")),
        await user(database, "root@x", Role(a, "viewer"), root=True),
    ):
        users.require_control(ROOT, outside)
        with pytest.raises(Denied):
            users.require_control(inside, outside)


async def test_a_root_user_that_works_remains(database: AsyncSession):
    assert not await users.any_exists(database)
    last = await user(database, "last@x", root=True)
    assert await users.any_exists(database)
    other = await user(database, "other@x", root=True, enabled=False)
    for refused in (
        users.change(database, last, {"enabled": False}),
        users.change(database, last, {"root": False}),
        users.delete(database, last),
    ):
        with pytest.raises(Conflict):
            await refused
    await users.change(database, last, {"name": "may"})
    await users.change(database, other, {"enabled": True})
    await users.change(database, last, {"root": False})
    with pytest.raises(Conflict):
        await users.delete(database, other)
    await users.delete(database, last)


async def test_who_has_keys_stays(database: AsyncSession, default: str):
    made = await user(database, "keys@x", Role(default, "member"))
    values: dict[str, Any] = {"platforms": [], "models": [], "user_id": made.id}
    await keys.issue(database, Peppers((b"p",)), default, values)
    with pytest.raises(Conflict):
        await users.delete(database, made)


async def test_passwords_and_authenticators_are_stored_as_given(database: AsyncSession):
    made = await user(database, "a@x")
    await users.set_password(database, made, "hash", one_time=True)
    await users.set_totp(database, made, b"sealed")
    assert (made.password_hash, made.one_time, made.totp_secret, made.version) == ("hash", True, b"sealed", 3)
    passwords = {users.one_time_password().reveal() for _ in range(100)}
    assert len(passwords) == 100 and min(map(len, passwords)) >= 22
