"""PostgreSQL: the engine, sessions, and the column types that models share."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.types import TypeDecorator

from gateway.core.ids import uuid_of

Sessions = async_sessionmaker[AsyncSession]


class PublicId(TypeDecorator[str]):
    """A UUID in the database, `prefix_uuid` in Python: ids are typed everywhere they are seen."""

    impl = PG_UUID(as_uuid=True)
    cache_ok = True

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix

    def process_bind_param(self, value: str | None, dialect: Dialect) -> UUID | None:
        return None if value is None else uuid_of(value, self.prefix)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else f"{self.prefix}_{value}"

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        return self


@asynccontextmanager
async def engine(url: str, *, size: int = 5, statement_timeout: float = 10) -> AsyncGenerator[AsyncEngine]:
    """The process's engine. Every statement has a time limit in seconds, so that a stuck database is noticed."""
    made = create_async_engine(
        url,
        pool_size=size,
        max_overflow=size,
        pool_pre_ping=True,
        pool_recycle=1800,
        pool_timeout=5,
        hide_parameters=True,  # an error of a statement never shows its values
        connect_args={
            "timeout": 5,
            # The server's own limit does not help when it is the server that hangs.
            "command_timeout": statement_timeout + 2,
            "server_settings": {
                "application_name": "poolgate",
                "statement_timeout": str(int(statement_timeout * 1000)),
                "timezone": "UTC",
            },
        },
    )
    try:
        yield made
    finally:
        await made.dispose()


def sessions(bound: AsyncEngine) -> Sessions:
    return async_sessionmaker(bound, expire_on_commit=False)
