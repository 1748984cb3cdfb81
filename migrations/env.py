"""How migrations are run: on a given connection, or on POOLGATE_DATABASE_URL from the command line.

Lock and statement time limits keep a migration from standing in the way of running gateways: see gateway.core.migrate.
"""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.core.models import Model


def include(thing: object, name: str | None, kind: str, reflected: bool, compared: object) -> bool:
    """Partitions are made by the jobs, not by migrations."""
    return not (kind == "table" and name is not None and name.startswith("requests_"))


def run(connection: Connection) -> None:
    context.configure(
        connection=connection, target_metadata=Model.metadata, include_object=include, compare_server_default=True
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_by_url(url: str) -> None:
    engine = create_async_engine(url, poolclass=pool.NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(run_by_url(os.environ["POOLGATE_DATABASE_URL"]))
