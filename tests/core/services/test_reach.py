"""The tenant filter, as SQL that really runs."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import db
from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.services.reach import Reach

A, B, C = new_id("ten"), new_id("ten"), new_id("ten")
ME, OTHER = new_id("usr"), new_id("usr")


@pytest.fixture(scope="module")
async def session(database_url: str) -> AsyncIterator[AsyncSession]:
    async with db.engine(database_url) as engine, db.sessions(engine)() as opened:
        opened.add_all([m.Tenant(id=one, name=one) for one in (A, B, C)])
        opened.add_all([m.User(id=one, email=one) for one in (ME, OTHER)])
        await opened.flush()
        shown = {"name": "", "prefix": "", "last_four": "", "platforms": [], "models": []}
        for tenant in (A, B, C):
            for user in (ME, OTHER, None):
                opened.add(m.Key(id=new_id("key"), tenant_id=tenant, user_id=user, **shown))
        await opened.flush()
        yield opened


@pytest.mark.parametrize(
    ("reach", "found"),
    [
        (Reach(), set()),
        (Reach(everything=True), {(tenant, user) for tenant in (A, B, C) for user in (ME, OTHER, None)}),
        (Reach(tenants=frozenset({A})), {(A, ME), (A, OTHER), (A, None)}),
        (Reach(own=frozenset({B}), user_id=ME), {(B, ME)}),
        (Reach(own=frozenset({B}), user_id=None), set()),
        (Reach(tenants=frozenset({A}), own=frozenset({B}), user_id=ME), {(A, ME), (A, OTHER), (A, None), (B, ME)}),
    ],
)
async def test_over(session: AsyncSession, reach: Reach, found: set[tuple[str, str | None]]):
    rows = await session.execute(
        select(m.Key.tenant_id, m.Key.user_id).where(reach.over(m.Key.tenant_id, m.Key.user_id))
    )
    assert {(row.tenant_id, row.user_id) for row in rows} == found
    whole = (await session.execute(select(m.Tenant.id).where(reach.over(m.Tenant.id)))).scalars().all()
    assert set(whole) - {A, B, C} == set() or reach.everything
    assert B not in whole or reach.everything, "rows that belong to nobody are not reached by their users"


def test_covers_and_owns_only():
    reach = Reach(tenants=frozenset({A}), own=frozenset({B}), user_id=ME)
    assert [reach.covers(tenant) for tenant in (A, B, C)] == [True, True, False]
    assert [reach.owns_only(tenant) for tenant in (A, B)] == [False, True]
    assert Reach(everything=True).covers(C) and not Reach(everything=True).owns_only(C)
