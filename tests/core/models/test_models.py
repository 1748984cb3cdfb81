"""The models are the migrated database: what alembic would still have to change is nothing."""

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from gateway.core import models
from gateway.core.models import Model

CHANGES = [
    "ALTER TABLE keys ALTER COLUMN name DROP NOT NULL",
    "ALTER TABLE keys ALTER COLUMN name TYPE varchar(20)",
    "ALTER TABLE keys ALTER COLUMN enabled SET DEFAULT false",
    "ALTER TABLE keys ADD COLUMN more int",
    "DROP INDEX ix_keys_user_id",
    "DROP INDEX uq_accounts_tenant_id_name",
    "ALTER TABLE keys DROP CONSTRAINT fk_keys_tenant_id",
    "DROP TABLE changes",
]


def ours(thing: object, name: str | None, kind: str, reflected: bool, compared: object) -> bool:
    """Partitions are made by the jobs."""
    return not (kind == "table" and name is not None and (name.startswith("requests_") or name == "alembic_version"))


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(
        connection, opts={"include_object": ours, "compare_type": True, "compare_server_default": True}
    )
    return compare_metadata(context, Model.metadata)


async def compared(url: str, *statements: str) -> list[Any]:
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        for statement in statements:
            await connection.execute(text(statement))
        return await connection.run_sync(differences)


async def test_the_models_are_the_database(database_url: str) -> None:
    assert await compared(database_url) == []


@pytest.mark.parametrize("statement", CHANGES)
async def test_the_comparison_sees(database_url: str, statement: str) -> None:
    assert await compared(database_url, statement) != []


def test_every_model_is_exported() -> None:
    found = {mapper.class_.__name__ for mapper in Model.registry.mappers}
    assert found | {"Model"} == set(models.__all__)
