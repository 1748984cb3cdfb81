"""What is read for an answer of our own: in time, or not at all."""

import asyncio
import time

import asyncpg
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.exc import OperationalError

from gateway.core.errors import InvalidRequest, Unavailable
from gateway.web import patience
from gateway.web.patience import soon

AWAY = [
    RedisConnectionError("x"), OperationalError("x", None, Exception()), asyncpg.PostgresError("x"),
    asyncpg.InterfaceError("x"), ConnectionResetError(), TimeoutError(),
]  # fmt: skip


async def failing(error: Exception) -> None:
    raise error


async def test_what_is_there_is_given() -> None:
    assert await soon(asyncio.sleep(0, "there")) == "there"


@pytest.mark.parametrize("error", AWAY, ids=lambda one: type(one).__name__)
async def test_what_is_away_is_said(error: Exception) -> None:
    with pytest.raises(Unavailable) as raised:
        await soon(failing(error))
    assert (raised.value.code, raised.value.headers) == ("overloaded", {"retry-after": "1"})


async def test_other_errors_are_their_own() -> None:
    with pytest.raises(InvalidRequest):
        await soon(failing(InvalidRequest("no")))
    with pytest.raises(KeyError):
        await soon(failing(KeyError("x")))


async def test_a_late_one_is_left_alone_and_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.05)
    ended = asyncio.Event()

    async def slow_to_end() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.3)
            ended.set()

    began = time.monotonic()
    with pytest.raises(Unavailable):
        await soon(slow_to_end())
    assert time.monotonic() - began < 0.25
    async with asyncio.timeout(2):
        await ended.wait()


async def test_who_leaves_ends_it() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    asking = asyncio.get_running_loop().create_task(soon(work()))
    await asyncio.sleep(0.02)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    async with asyncio.timeout(1):
        await ended.wait()
