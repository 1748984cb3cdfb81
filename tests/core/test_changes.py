"""Versions of the configuration commit in order, and are announced only once they are committed."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from gateway.core import changes, db
from gateway.core.redis import client


@pytest_asyncio.fixture(loop_scope="session")
async def sessions(database_url: str) -> AsyncGenerator[db.Sessions]:
    async with db.engine(database_url, size=10) as engine:
        yield db.sessions(engine)


@pytest_asyncio.fixture(loop_scope="session")
async def redis(redis_url: str) -> AsyncGenerator[Redis]:
    async with client(redis_url) as made:
        yield made


async def version(sessions: db.Sessions) -> int:
    async with sessions() as session:
        return await changes.current(session)


async def test_a_change_is_seen_when_it_is_committed(sessions: db.Sessions) -> None:
    before = await version(sessions)
    async with sessions() as session:
        assert await changes.record(session, "key", "key_1") == before + 1
        assert await changes.record(session, "user", "usr_1") == before + 2
        assert await version(sessions) == before
        await session.commit()
    assert await version(sessions) == before + 2
    async with sessions() as session:
        found = await changes.since(session, before)
    assert found == [changes.Change(before + 1, "key", "key_1"), changes.Change(before + 2, "user", "usr_1")]


async def test_what_is_rolled_back_leaves_no_gap(sessions: db.Sessions) -> None:
    before = await version(sessions)
    async with sessions() as session:
        await changes.record(session, "key", "key_1")
        await session.rollback()
    async with sessions.begin() as session:
        assert await changes.record(session, "key", "key_2") == before + 1


async def test_versions_commit_in_order(sessions: db.Sessions) -> None:
    """A reader that has seen version n has seen all before it, however long each writer takes."""
    before = await version(sessions)
    seen: list[int] = []
    reading = asyncio.Event()

    async def write(n: int) -> int:
        async with sessions.begin() as session:
            made = await changes.record(session, "account", f"acct_{n}")
            await asyncio.sleep(0.02 if n % 3 else 0)
            return made

    async def read() -> None:
        at = before
        while not reading.is_set() or at < await version(sessions):
            async with sessions() as session:
                for change in await changes.since(session, at, limit=3):
                    seen.append(change.version)
                    at = change.version
            await asyncio.sleep(0.002)

    reader = asyncio.get_running_loop().create_task(read())
    made = await asyncio.gather(*(write(n) for n in range(16)))
    reading.set()
    await reader
    assert sorted(made) == list(range(before + 1, before + 17))
    assert seen == sorted(made)


async def test_announced_after_the_commit(sessions: db.Sessions, redis: Redis) -> None:
    async with redis.pubsub() as pubsub, sessions() as session:
        await pubsub.subscribe(changes.CHANNEL)
        await pubsub.get_message(timeout=1)
        await changes.announce(session, redis)  # nothing was recorded
        made = await changes.record(session, "key", "key_1")
        await session.commit()
        assert await pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1) is None
        await changes.announce(session, redis)
        message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=1)
        assert message is not None
        assert message["data"] == str(made)
        await changes.announce(session, redis)
        assert await pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1) is None


async def test_what_is_rolled_back_is_not_announced(sessions: db.Sessions, redis: Redis) -> None:
    async with redis.pubsub() as pubsub, sessions() as session:
        await pubsub.subscribe(changes.CHANNEL)
        await pubsub.get_message(timeout=1)
        await changes.record(session, "key", "key_1")
        await session.rollback()
        await changes.announce(session, redis)
        assert await pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1) is None


async def test_a_redis_that_is_away_is_no_error(sessions: db.Sessions) -> None:
    async with client("redis://127.0.0.1:1") as away, sessions() as session:
        await changes.record(session, "key", "key_1")
        await session.commit()
        await changes.announce(session, away)


async def test_a_writer_that_dies_lets_the_next_one_go(sessions: db.Sessions) -> None:
    async def stuck() -> None:
        async with sessions.begin() as session:
            await changes.record(session, "key", "key_1")
            await asyncio.sleep(60)

    before = await version(sessions)
    task = asyncio.get_running_loop().create_task(stuck())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(3), sessions.begin() as session:
        assert await changes.record(session, "key", "key_2") == before + 1
