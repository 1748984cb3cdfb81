"""The engine's limits, and ids that are typed in Python and UUIDs in the database."""

from collections.abc import AsyncGenerator
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core import db
from gateway.core import models as m
from gateway.core.ids import new_id


@pytest_asyncio.fixture(loop_scope="session")
async def engine(database_url: str) -> AsyncGenerator[AsyncEngine]:
    async with db.engine(database_url, size=2, statement_timeout=0.3) as made:
        yield made


async def test_a_stuck_statement_ends(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError, match="statement timeout"):
            await connection.execute(text("SELECT pg_sleep(5)"))


async def test_times_are_utc_and_the_name_is_ours(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        assert (await connection.execute(text("SHOW timezone"))).scalar_one() == "UTC"
        assert (await connection.execute(text("SHOW application_name"))).scalar_one() == "poolgate"


async def test_a_connection_that_was_closed_is_replaced(engine: AsyncEngine) -> None:
    for _ in range(3):
        async with engine.connect() as connection:
            pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        async with db.engine(engine.url.render_as_string(hide_password=False)) as other, other.begin() as killer:
            await killer.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def test_ids(engine: AsyncEngine) -> None:
    sessions = db.sessions(engine)
    identity, pools = new_id("ten"), [new_id("pool"), new_id("pool")]
    async with sessions.begin() as session:
        session.add(m.Tenant(id=identity, name=identity))
        await session.flush()
        values = {"name": "k", "prefix": "", "last_four": "", "platforms": [], "models": []}
        session.add(m.Key(id=new_id("key"), tenant_id=identity, pools=pools, **values))
    async with sessions() as session:
        found = (await session.execute(select(m.Tenant).where(m.Tenant.id == identity))).scalar_one()
        assert found.id == identity
        key = (await session.execute(select(m.Key).where(m.Key.pools.contains([pools[1]])))).scalar_one()
        assert (key.tenant_id, key.pools, key.user_id) == (identity, pools, None)
        inside = await session.execute(text("SELECT id FROM tenants WHERE name = :name"), {"name": identity})
        assert f"ten_{UUID(str(inside.scalar_one()))}" == identity


@pytest.mark.parametrize("wrong", ["", "ten_", "usr_018f0000-0000-7000-8000-00000000abcd", "1; DROP TABLE tenants"])
async def test_an_id_of_another_kind_never_reaches_the_database(engine: AsyncEngine, wrong: str) -> None:
    async with db.sessions(engine)() as session:
        with pytest.raises(StatementError, match="not a ten_… id"):
            await session.execute(select(m.Tenant).where(m.Tenant.id == wrong))


async def test_what_was_read_stays_readable_after_the_commit(engine: AsyncEngine) -> None:
    async with db.sessions(engine)() as session:
        tenant = (await session.execute(select(m.Tenant).order_by(m.Tenant.created_at).limit(1))).scalar_one()
        await session.commit()
        assert tenant.name == "default"
        assert (await session.execute(select(func.count()).select_from(m.Tenant))).scalar_one() >= 1
