"""Both embedded servers, real: nothing is lost by any way of ending, and no process is left over."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.local.postgres import postgres
from gateway.local.privilege import reaches, server_account
from gateway.local.redis import redis
from gateway.local.servers import Build, ServerError, choose_build
from tests.local.rows import read, write
from tests.local.waiting import wait_for
from tests.support.servers import home_directory

#: Without syncing, PostgreSQL's first start takes half the time.
KINDS = [pytest.param(partial(postgres, durable=False), id="postgres"), pytest.param(redis, id="redis")]


@pytest.fixture
def home() -> Iterator[Path]:
    with home_directory() as path:
        yield path


@pytest.mark.parametrize("kind", KINDS)
def test_data_is_there_after_a_stop_and_a_start(home: Path, kind: Any):
    with kind(home) as server:
        assert server.alive
        assert server.answers()
        write(server.url, "kept")
    assert not server.alive
    assert not server.answers()
    with kind(home) as server:
        assert read(server.url) == "kept"


@pytest.mark.parametrize("kind", [postgres, redis])
def test_data_is_there_after_the_server_is_killed(home: Path, kind: Any):
    with kind(home) as server:
        write(server.url, "kept")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        wait_for(lambda: not server.alive)
        server.start()
        assert read(server.url) == "kept"


@pytest.mark.parametrize("kind", KINDS)
def test_a_pid_file_that_names_a_living_process_does_not_fool_it(home: Path, kind: Any):
    with kind(home) as server:
        write(server.url, "kept")
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n0\n5432\n{home}\n\n")
    server.socket.touch()
    with kind(home) as server:
        assert read(server.url) == "kept"


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_start_finds_the_running_server_and_leaves_its_end_to_the_first(home: Path, kind: Any):
    with kind(home) as first:
        write(first.url, "shared")
        with kind(home) as second:
            assert second.pid is None
            assert second.alive
            assert read(second.url) == "shared"
        assert first.alive
        assert read(first.url) == "shared"
    assert not second.alive


def test_two_first_starts_at_once_make_one_server(home: Path):
    launchers = [launch(home), launch(home)]
    try:
        told = [report(launcher) for launcher in launchers]
        assert told[0]["database"] == told[1]["database"]
        assert sorted(report["pids"][0] is None for report in told) == [False, True]
        write(told[0]["database"], "one")
        assert read(told[1]["database"]) == "one"
    finally:
        for launcher in launchers:
            end(launcher, signal.SIGKILL)
    wait_for(lambda: not postgres(home).alive and not redis(home).alive)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can tie a server to its parent")
def test_servers_end_with_a_parent_that_is_killed_and_lose_nothing(home: Path):
    launcher = launch(home)
    told = report(launcher)
    write(told["database"], "kept")
    write(told["redis"], "kept")
    end(launcher, signal.SIGKILL)
    wait_for(lambda: not postgres(home).alive and not redis(home).alive)
    with postgres(home) as database, redis(home) as cache:
        assert read(database.url) == read(cache.url) == "kept"


def test_a_long_path_gets_its_sockets_elsewhere(home: Path):
    deep = home / ("d" * 60) / ("e" * 60)
    deep.parent.mkdir(mode=0o711)
    with postgres(deep, durable=False) as database, redis(deep, durable=False) as cache:
        assert len(str(database.socket)) < 100
        assert database.socket.parent.stat().st_mode & 0o777 == 0o700
        write(database.url, "far")
        write(cache.url, "far")
        assert read(database.url) == read(cache.url) == "far"
    for server in (database, cache):
        server.socket.unlink(missing_ok=True)
        server.socket.parent.rmdir()


def test_only_the_account_itself_can_reach_the_sockets(home: Path):
    with postgres(home, durable=False) as database, redis(home, durable=False) as cache:
        for server in (database, cache):
            owner = os.geteuid() if server.account is None else server.account.uid
            for path in (server.socket.parent, server.data, server.socket):
                assert path.stat().st_uid == owner
                assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.skipif(os.geteuid() != 0, reason="as another account than root the other tests show it")
def test_it_runs_without_being_root(home: Path):
    account, python = server_account(), interpreter_for_others()
    if account is None or python is None or not reaches(account, Path(__file__).parent):
        pytest.skip("no Python of this version, or not this folder, can be reached by another account here")
    os.chown(home, account.uid, account.gid)
    site = Path(pytest.__file__).parent.parent
    launcher = subprocess.Popen(
        [python, "-m", "tests.local.launcher", str(home)],
        stdout=subprocess.PIPE,
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd=Path(__file__).parent.parent.parent,
        env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    try:
        told = report(launcher)
        assert Path(f"/proc/{told['pids'][0]}").stat().st_uid == account.uid
        write(told["redis"], "mine")
        assert read(told["redis"]) == "mine"
    finally:
        end(launcher, signal.SIGINT)


@pytest.mark.parametrize(
    ("existing", "builds", "chosen"),
    [
        ([], ["pg-18", "pg-15"], "pg-18"),
        (["pg-18"], ["pg-18", "pg-15"], "pg-18"),
        (["pg-15"], ["pg-18", "pg-15"], "pg-15"),
        (["pg-15", "pg-18"], ["pg-18", "pg-15"], "pg-18"),
        (["pg-16"], ["pg-18", "pg-15"], "is of pg-16, but here is only pg-18, pg-15"),
        ([], [], "no pg server is installed"),
    ],
)
def test_the_build_is_the_one_that_the_data_is_of(tmp_path: Path, existing: list[str], builds: list[str], chosen: str):
    for name in existing:
        (tmp_path / name).mkdir()
    found = [Build(tmp_path, name[:2], int(name[3:])) for name in builds]
    try:
        assert choose_build(found, tmp_path, ("pg",), "POOLGATE_DATABASE_URL").name == chosen
    except ServerError as error:
        assert chosen in str(error)
        assert "POOLGATE_DATABASE_URL" in str(error)


def test_a_server_that_cannot_start_says_why_in_one_line(home: Path):
    with postgres(home, durable=False) as server:
        pass
    (server.data / "postgresql.conf").write_text("nonsense = 1\n")
    with pytest.raises(ServerError, match=r"PostgreSQL stopped at once: .*postgresql.conf") as raised:
        postgres(home).start()
    assert "\n" not in str(raised.value)


def test_an_unfinished_data_directory_is_made_anew(home: Path):
    server = postgres(home, durable=False)
    (server.directory / "new").mkdir(parents=True)
    (server.directory / "new" / "PG_VERSION").write_text("18")
    with server:
        write(server.url, "new")
    assert not (server.directory / "new").exists()


def test_no_setting_of_the_environment_reaches_the_server(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGOPTIONS", "-c nonsense=1")
    with postgres(home, durable=False) as server:
        assert server.answers()


def test_a_stop_that_is_not_obeyed_gets_stronger(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.local.servers.STOP_DEADLINE", 0.5)
    server = postgres(home, durable=False)
    with server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
    assert not server.answers()
    wait_for(lambda: not server.alive)


def test_start_outside_the_main_thread_would_end_the_server_with_the_thread(home: Path):
    """Why spawn asks for the main thread: this is what happens otherwise."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux ties a server to a thread")
    server = redis(home, durable=False)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    wait_for(lambda: not server.alive)
    server.stop()


def launch(home: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.local.launcher", str(home)], stdout=subprocess.PIPE)


def report(launcher: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert launcher.stdout is not None
    line = launcher.stdout.readline()
    assert line, "the launcher ended"
    return json.loads(line)


def end(launcher: subprocess.Popen[bytes], number: signal.Signals) -> None:
    launcher.send_signal(number)
    launcher.wait(30)
    assert launcher.stdout is not None
    launcher.stdout.close()


def interpreter_for_others() -> str | None:
    """A Python of this version that accounts other than root may run."""
    account = server_account()
    own = Path(sys.executable).resolve()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (own, Path("/usr/bin") / version, Path("/usr/local/bin") / version):
        if path.exists() and reaches(account, path.parent):
            return str(path)
    return None
