"""One installation a module."""

from collections.abc import AsyncGenerator

import pytest_asyncio

from tests.relay.world import Raw, World, raw_upstream
from tests.support.installation import Site, installation


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    async with installation(database_url, redis_url) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def world(site: Site) -> World:
    """A tenant of the test's own."""
    return await World.make(site)


@pytest_asyncio.fixture(loop_scope="session")
async def raw() -> AsyncGenerator[Raw]:
    async with raw_upstream() as made:
        yield made
