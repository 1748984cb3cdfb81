"""Answers that read Redis or PostgreSQL are not waited for long: who asks about a key hears soon that they hang."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg
import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from gateway.core.errors import Unavailable
from gateway.core.scripts import unheard

T = TypeVar("T")
PATIENCE = 1.0
"""Seconds."""
_AWAY = (RedisError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
log = structlog.get_logger()


async def soon(work: Coroutine[Any, Any, T]) -> T:
    """What the work returns. Raises Unavailable when it does not within PATIENCE, or Redis or PostgreSQL is away."""
    # A task of its own: cancelled, it may take seconds to give its connection back, and nobody waits for that.
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(unheard)
    try:
        await asyncio.wait({task}, timeout=PATIENCE)
    finally:
        late = task.cancel()
    try:
        if late:
            raise TimeoutError
        return task.result()
    except _AWAY as error:
        log.warning("what was asked for cannot be read", reason=type(error).__name__)
        raise Unavailable("This cannot be read at the moment.", code="overloaded", retry_after=1) from None
