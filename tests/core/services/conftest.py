"""A transaction that is rolled back, in a migrated database of the folder's own."""

from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import db
from gateway.core import models as m
from tests.support.servers import Databases


@pytest.fixture(scope="session")
def services_url(migrated: Databases) -> Iterator[str]:
    with migrated.clone() as url:
        yield url


@pytest.fixture(scope="session")
async def opening(services_url: str) -> AsyncIterator[db.Sessions]:
    async with db.engine(services_url) as engine:
        yield db.sessions(engine)


@pytest.fixture
async def database(opening: db.Sessions) -> AsyncIterator[AsyncSession]:
    async with opening() as session:
        yield session


@pytest.fixture
async def default(database: AsyncSession) -> str:
    """The id of the tenant that an installation begins with."""
    return (await database.execute(select(m.Tenant.id).where(m.Tenant.name == "default"))).scalar_one()
