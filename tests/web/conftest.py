"""One installation a module, with an account of each platform at the sandbox and a key for all of them."""

from collections.abc import AsyncGenerator

import pytest_asyncio

from tests.support.installation import BASES, Site, installation


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    environ = {"POOLGATE_BODY_LIMIT": "1048576", "POOLGATE_BODY_MEMORY": "3145728"}
    async with installation(database_url, redis_url, environ=environ) as made:
        for platform in BASES:
            await made.account(platform, models=["sandbox*", "gpt-sandbox", "claude-sandbox"])
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def key(site: Site) -> str:
    return await site.key()
