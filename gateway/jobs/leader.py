"""One leader among all jobs processes: a PostgreSQL advisory lock on a connection of its own.

The lock lives as long as the connection, so a leader that is killed is replaced within seconds, and two never work at
once.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import asyncpg
from sqlalchemy.engine import make_url

from gateway.core.pause import pause

_LOCK = 0x6A6F_6273
_RETRY = 1.0


async def connect(url: str) -> asyncpg.Connection:
    """A plain asyncpg connection by the SQLAlchemy URL: COPY and session locks want one."""
    parts = make_url(url)
    host = parts.query.get("host") or parts.host
    return cast(
        asyncpg.Connection,
        await asyncpg.connect(
            host=host if isinstance(host, str) else None,
            port=parts.port,
            user=parts.username,
            password=parts.password,
            database=parts.database,
            timeout=5,
            command_timeout=60,
            server_settings={"application_name": "poolgate-jobs", "timezone": "UTC"},
        ),
    )


@asynccontextmanager
async def leadership(url: str) -> AsyncGenerator[asyncpg.Connection]:
    """Waits until this process leads; the connection given is the one that holds the lock."""
    connection = await connect(url)
    try:
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):  # not ours
            await pause(_RETRY)
        yield connection
    finally:
        # `close` waits for a statement that was cancelled, without its own limit: a server that hangs must not hold us.
        try:
            async with asyncio.timeout(3):
                await connection.close(timeout=2)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()
