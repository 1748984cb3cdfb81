"""One installation a module, and a provider that says what it is told."""

import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest_asyncio

from tests.conformance.upstream import Upstream, upstream
from tests.support.installation import Site, installation

FIXTURES = Path(os.environ.get("POOLGATE_FIXTURES", Path(__file__).parents[3] / "shared" / "fixtures"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    async with installation(database_url, redis_url) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def told() -> AsyncGenerator[Upstream]:
    async with upstream() as made:
        yield made
