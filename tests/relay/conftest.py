"""One installation a module."""

from collections.abc import AsyncGenerator

import pytest_asyncio

from tests.support.installation import Site, installation


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    async with installation(database_url, redis_url) as made:
        yield made
