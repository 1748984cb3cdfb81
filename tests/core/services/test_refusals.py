"""Counts of refusals: by every dimension, in UTC, and nobody else's."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.refusals import NO_KEY, NO_TENANT
from gateway.core.services import refusals
from gateway.core.services.failures import Invalid
from gateway.core.services.reach import Reach
from gateway.core.services.refusals import RefusalFilter

ROOT = Reach(everything=True)
START = datetime(2026, 1, 31, 22, tzinfo=UTC)
OTHER, KEY = new_id("ten"), new_id("key")


@pytest.fixture
async def counted(database: AsyncSession, default: str) -> AsyncSession:
    def one(hours: int, count: int, **more: Any) -> m.Refusal:
        values = {"tenant_id": default, "key_id": KEY, "code": "rate_limited", "status": 429, **more}
        return m.Refusal(hour=START + timedelta(hours=hours), count=count, **values)

    database.add_all([one(0, 2**40), one(1, 2), one(2, 3), one(2, 5, code="key_disabled", status=401)])
    database.add_all([one(0, 7, tenant_id=OTHER), one(0, 11, tenant_id=NO_TENANT, key_id=NO_KEY, code="key_invalid")])
    database.add_all([one(-1, 100), one(48, 100)])
    await database.flush()
    return database


async def counts(session: AsyncSession, *words: str, reach: Reach = ROOT, limit: int = 100, **more: Any) -> list[Any]:
    asked = RefusalFilter(since=START + timedelta(minutes=59), until=START + timedelta(hours=48), **more)
    return [tuple(group.values()) for group in await refusals.counts(session, reach, asked, words, limit)]


async def test_by_what_is_asked(counted: AsyncSession, default: str):
    await counted.execute(text("SET LOCAL TIME ZONE 'Pacific/Auckland'"))
    assert await counts(counted) == [(2**40 + 28,)]
    assert await counts(counted, "code") == [("key_disabled", 5), ("key_invalid", 11), ("rate_limited", 2**40 + 12)]
    assert await counts(counted, "day", code="rate_limited", tenant_id=default) == [
        ("2026-01-31", 2**40 + 2),
        ("2026-02-01", 3),
    ]
    assert await counts(counted, "status") == [(401, 5), (429, 2**40 + 23)]
    assert await counts(counted, "hour", status=401) == [(START + timedelta(hours=2), 5)]
    assert {(None, None, 11)} < set(await counts(counted, "tenant", "key"))
    assert len(await counts(counted, "hour", "code", limit=2)) == 2
    assert await counts(counted, "key", key_id=KEY, tenant_id=OTHER) == [(KEY, 7)]
    assert await counts(counted, code="unknown") == [(0,)]


async def test_each_sees_its_own(counted: AsyncSession, default: str):
    assert await counts(counted, reach=Reach()) == [(0,)]
    assert await counts(counted, "tenant", reach=Reach(tenants=frozenset({OTHER}))) == [(OTHER, 7)]
    me = new_id("usr")
    own = Reach(own=frozenset({default}), user_id=me)
    assert await counts(counted, reach=own) == [(0,)]
    counted.add(m.User(id=me, email="me@x.test"))
    await counted.flush()
    counted.add(m.Key(id=KEY, tenant_id=default, user_id=me, name="", prefix="", last_four="", platforms=[], models=[]))
    await counted.flush()
    assert await counts(counted, "tenant", reach=own, status=401) == [(default, 5)]


def test_dimensions():
    assert refusals.dimensions(" key, code,key,") == ["key", "code"]
    with pytest.raises(Invalid):
        refusals.dimensions("model")


@pytest.mark.parametrize("name", ["key_id", "tenant_id"])
async def test_a_filter_that_is_no_id(database: AsyncSession, name: str):
    with pytest.raises(Invalid) as caught:
        await counts(database, **{name: "x"})
    assert caught.value.field == name
