from collections.abc import AsyncGenerator

import pytest_asyncio

from tests.core.lua.scene import Scene
from tests.core.lua.scene import scene as make


@pytest_asyncio.fixture(loop_scope="session")
async def scene(redis_url: str) -> AsyncGenerator[Scene]:
    async with make(redis_url) as made:
        yield made
