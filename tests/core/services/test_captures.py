"""Captures: sealed to their row, found within reach and within their time, written once."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.sealing import Sealer
from gateway.core.services import captures
from gateway.core.services.captures import Content, Side
from gateway.core.services.failures import Conflict, Missing
from gateway.core.services.reach import Reach

ROOT = Reach(everything=True)
TENANT = new_id("ten")
CONTENT = Content(Side("asked é", 7, False), Side("answered", 9000, True))


def row(sealer: Sealer, content: Content = CONTENT, **more: Any) -> dict[str, Any]:
    identifier, now = new_id("req"), datetime.now(UTC)
    values = {"request_id": identifier, "tenant_id": TENANT, "key_id": new_id("key"), "received_at": now}
    values |= {"content": captures.sealed(content, sealer, identifier), "expires_at": now + timedelta(days=1)}
    return {**values, **more}


@pytest.fixture
def sealer() -> Sealer:
    return Sealer((os.urandom(32),))


async def test_what_is_stored_is_found(database: AsyncSession, sealer: Sealer):
    first, second = row(sealer), row(sealer, Content(CONTENT.request, None))
    await captures.store(database, [first, second])
    for reach in (ROOT, Reach(tenants=frozenset({TENANT}))):
        found = await captures.find(database, reach, first["request_id"])
        assert captures.opened(found, sealer) == CONTENT
    assert captures.opened(await captures.find(database, ROOT, second["request_id"]), sealer).answer is None
    assert b"asked" not in first["content"]


async def test_a_second_time_changes_nothing(database: AsyncSession, sealer: Sealer):
    one = row(sealer)
    await captures.store(database, [one])
    await captures.store(database, [{**one, "content": b"other"}])
    assert captures.opened(await captures.find(database, ROOT, one["request_id"]), sealer) == CONTENT


async def test_out_of_reach_or_time_there_is_none(database: AsyncSession, sealer: Sealer):
    one = row(sealer)
    await captures.store(database, [one])
    for reach in (Reach(), Reach(tenants=frozenset({new_id("ten")})), Reach(own=frozenset({TENANT}), user_id="usr")):
        with pytest.raises(Missing):
            await captures.find(database, reach, one["request_id"])
    for identifier in (new_id("req"), "req_1", one["key_id"]):
        with pytest.raises(Missing):
            await captures.find(database, ROOT, identifier)
    await database.execute(update(m.Capture).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    with pytest.raises(Missing):
        await captures.find(database, ROOT, one["request_id"])


async def test_it_opens_in_its_own_row_with_its_own_key(database: AsyncSession, sealer: Sealer):
    one, two = row(sealer), row(sealer)
    await captures.store(database, [one, {**two, "content": one["content"]}])
    with pytest.raises(Conflict):
        captures.opened(await captures.find(database, ROOT, two["request_id"]), sealer)
    with pytest.raises(Conflict):
        captures.opened(await captures.find(database, ROOT, one["request_id"]), Sealer((os.urandom(32),)))


async def test_what_is_over_is_deleted(database: AsyncSession, sealer: Sealer):
    past = {"expires_at": datetime.now(UTC) - timedelta(days=1)}
    stays = row(sealer)
    await captures.store(database, [stays, *(row(sealer, **past) for _ in range(5))])
    assert [await captures.expire(database, 3) for _ in range(3)] == [3, 2, 0]
    await captures.find(database, ROOT, stays["request_id"])
