"""The data plane as an application: health, the edge for everything else, nothing of the control plane."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from gateway.app import create_app
from tests.support.installation import Site, installation


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    async with installation(database_url, redis_url, jobs=False) as made:
        yield made


async def test_its_routes(site: Site) -> None:
    assert {route.path for route in create_app(site.settings).routes} == {"/health", "/livez", "/readyz"}


@pytest.mark.parametrize(
    "path", ["/admin", "/admin/v1/keys", "/admin/v1/session", "/openapi.json", "/schema", "/metrics"]
)
async def test_nothing_of_the_control_plane_is_here(site: Site, path: str) -> None:
    got = await site.http.get(path)
    assert (got.status_code, got.json()["error"]["code"]) == (404, "not_found")


async def test_its_gate_lives_as_long_as_the_server(site: Site) -> None:
    gateway = await site.start_gateway()
    assert gateway.gate is not site.gate
    assert not gateway.gate.leaving
