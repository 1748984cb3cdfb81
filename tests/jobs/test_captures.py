"""Captured prompts and answers go when their time is over, a batch at a time, and no others."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from gateway.core import db
from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.jobs import captures


def capture(days: float) -> m.Capture:
    now = datetime.now(UTC)
    return m.Capture(
        request_id=new_id("req"), received_at=now, tenant_id=new_id("ten"), key_id=new_id("key"), content=b"sealed",
        expires_at=now + timedelta(days=days),
    )  # fmt: skip


async def left(sessions: db.Sessions) -> int:
    async with sessions() as session:
        return (await session.execute(select(func.count()).select_from(m.Capture))).scalar_one()


async def test_what_is_over_goes_by_batches(database_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(captures, "BATCH", 4)
    async with db.engine(database_url) as engine:
        sessions = db.sessions(engine)
        async with sessions.begin() as session:
            session.add_all([capture(-1 - number) for number in range(9)] + [capture(1), capture(0.001)])
        assert [await captures.expire(sessions) for _ in range(4)] == [4, 4, 1, 0]
        assert await left(sessions) == 2


async def test_again_and_again(database_url: str, monkeypatch: pytest.MonkeyPatch):

    monkeypatch.setattr(captures, "EVERY", 0.05)
    async with db.engine(database_url) as engine:
        sessions = db.sessions(engine)
        task = asyncio.get_running_loop().create_task(captures.keep(sessions))
        async with sessions.begin() as session:
            session.add(capture(1))
        async with sessions.begin() as session:
            await session.execute(update(m.Capture).values(expires_at=datetime.now(UTC)))
        end = 100
        while await left(sessions) and end:
            await asyncio.sleep(0.05)
            end -= 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert end > 0 and await left(sessions) == 0
