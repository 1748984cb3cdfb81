"""The command: what it runs, and that a person's mistake is one line."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.servers import home_directory

COMMANDS = {"up", "gateway", "admin", "jobs", "migrate", "bootstrap", "sandbox"}
KEY = "A" * 43 + "="
SETTINGS = {"POOLGATE_REDIS_URL": "unix:///nowhere", "POOLGATE_MASTER_KEYS": KEY, "POOLGATE_KEY_PEPPERS": KEY}


def poolgate(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("POOLGATE_")}
    return subprocess.run(
        [sys.executable, "-P", "-m", "gateway.cli", *arguments],
        env=plain | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_command_is_there_and_explains_itself():
    listed = poolgate("--help").stdout
    for name in COMMANDS:
        assert f"  {name} " in listed


def test_help_imports_nothing_heavy():
    heavy = ("litestar", "sqlalchemy", "httpx", "redis")
    code = f"import sys, gateway.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        (["gateway"], {}, "POOLGATE_DATABASE_URL is not set"),
        (["jobs"], {}, "POOLGATE_DATABASE_URL is not set"),
        (["migrate"], {"POOLGATE_DATABASE_URL": "mysql://x"}, "POOLGATE_DATABASE_URL is wrong"),
        (["up"], {"POOLGATE_BODY_LIMIT": "lots"}, "POOLGATE_BODY_LIMIT is wrong"),
        (["up"], {"POOLGATE_GATEWAY_PORT": "99999"}, "POOLGATE_GATEWAY_PORT is wrong"),
        (["up"], {"POOLGATE_REDIS_URL": "redis+cluster://a"}, "POOLGATE_REDIS_URL is wrong"),
        (["up"], {"POOLGATE_HOST": "192.0.2.1"}, "cannot listen on 192.0.2.1"),
    ],
)
def test_a_wrong_setting_is_one_line(arguments: list[str], environ: dict[str, str], message: str):
    with home_directory() as home:
        done = poolgate(*arguments, **{"POOLGATE_HOME": str(home), **environ})
    assert done.returncode == 1
    assert done.stderr.startswith("poolgate: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("command", ["gateway", "admin", "jobs"])
def test_an_unknown_revision_is_one_line(command: str, empty_database: str):
    done = poolgate(command, POOLGATE_DATABASE_URL=empty_database, **SETTINGS)
    assert done.returncode == 1
    assert done.stderr.startswith("poolgate: the database is at revision none")
    assert done.stderr.count("\n") == 1, done.stderr


def test_the_first_user_is_made_once(database_url: str):
    first = poolgate("bootstrap", "--json", POOLGATE_DATABASE_URL=database_url, **SETTINGS)
    assert set(json.loads(first.stdout)) == {"email", "password"}
    again = poolgate("bootstrap", "--json", POOLGATE_DATABASE_URL=database_url, **SETTINGS)
    assert (again.stdout, again.returncode) == ("null\n", 0)
    assert poolgate("bootstrap", POOLGATE_DATABASE_URL=database_url, **SETTINGS).stdout == "There is a user already.\n"


def test_migrate_migrates(empty_database: str):
    for _ in range(2):
        done = poolgate("migrate", POOLGATE_DATABASE_URL=empty_database, **SETTINGS)
        assert (done.returncode, done.stderr) == (0, "")
