"""The commands against a running control plane, as root by an admin token, each run in a thread of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from admin.bootstrap import bootstrap
from admin.resources import open_resources
from gateway.cli import main
from gateway.local.sandbox import Running, running
from tests.admin.conftest import make_settings, serving, token_of


class Commands:
    """`await commands("keys list")`: runs it, expects its exit code, gives its standard output and error."""

    def __init__(self, url: str, token: str, home: Path) -> None:
        self.url = url
        self.token = token
        self.environ = {"POOLGATE_ADMIN_URL": url, "POOLGATE_ADMIN_TOKEN": token, "POOLGATE_HOME": str(home)}

    async def __call__(
        self, line: str | list[str], *, said: str = "", expect: int = 0, environ: Mapping[str, str | None] | None = None
    ) -> Result:
        words = line.split() if isinstance(line, str) else line
        env = {"POOLGATE_KEY": None, "POOLGATE_URL": None, "XDG_CONFIG_HOME": None, **self.environ, **(environ or {})}
        done = await asyncio.to_thread(lambda: CliRunner().invoke(main, words, input=said, env=env))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == expect, done.output
        return done

    async def json(self, line: str | list[str], **more: Any) -> Any:
        words = line.split() if isinstance(line, str) else line
        return json.loads((await self([*words, "--json"], **more)).stdout)


class ControlPlane:
    def __init__(self, url: str, password: str, token: str) -> None:
        self.url, self.password, self.token = url, password, token


@pytest.fixture(scope="module")
async def plane(database_url: str, redis_url: str) -> AsyncIterator[ControlPlane]:
    settings = make_settings(database_url, redis_url)
    owner = await bootstrap(settings)
    assert owner is not None
    async with open_resources(settings) as resources:
        token = await token_of(resources, owner[0])
    async with serving(settings) as url:
        yield ControlPlane(url, owner[1], token)


@pytest.fixture
def commands(plane: ControlPlane, tmp_path: Path) -> Commands:
    return Commands(plane.url, plane.token, tmp_path)


@pytest.fixture(scope="module")
async def upstream() -> AsyncIterator[Running]:
    async with running() as sandbox:
        yield sandbox
