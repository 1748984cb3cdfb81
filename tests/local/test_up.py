"""`poolgate up`, whole and real: every process, both servers, a request through all of it, and every way of ending."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.local.listening import Port
from tests.local.waiting import wait_for
from tests.support.servers import home_directory

READY = 60.0
BODY = {"model": "sandbox-echo", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}


class Up:
    """One `poolgate up`."""

    def __init__(self, home: Path, *arguments: str, **environ: str) -> None:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("POOLGATE_")}
        settings = {
            "POOLGATE_HOME": str(home),
            "POOLGATE_GATEWAY_PORT": "0",
            "POOLGATE_ADMIN_PORT": "0",
            "POOLGATE_WORKERS": "2",
            "POOLGATE_DRAIN_TIMEOUT": "1",
        }
        self.home = home
        self.errors = home / "stderr"
        with self.errors.open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gateway.cli", "up", *arguments],
                env=plain | settings | environ,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def ready(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"it ended: {self.errors.read_text()}"
        return json.loads(line)

    def pids(self, word: str = "") -> list[int]:
        """The processes below it, and the servers: every one that has this home in its command or environment."""
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self.process.pid:
                continue
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                environ = (entry / "environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            mine = f"POOLGATE_HOME={self.home}\0" in environ or str(self.home) in command
            if mine and word in command:
                found.append(int(entry.name))
        return found

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 40) -> int:
        self.process.send_signal(number)
        code = self.process.wait(seconds)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def home() -> Iterator[Path]:
    with home_directory() as path:
        yield path


@pytest.fixture
def up(home: Path) -> Iterator[Up]:
    running = Up(home, "--json", "--sandbox")
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait(10)
    assert running.process.stdout is not None
    running.process.stdout.close()
    wait_for(lambda: not running.pids())


def ask(told: dict[str, Any]) -> httpx.Response:
    headers = {"x-api-key": told["sandbox"]["key"], "anthropic-version": "2023-06-01"}
    return httpx.post(f"{told['gateway']}/v1/messages", json=BODY, headers=headers, timeout=20)


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it looks into /proc"),
]


def test_it_serves_at_once_stops_cleanly_and_finds_everything_again(home: Path, up: Up):
    told = up.ready()
    assert told["ready"] is True
    assert set(told) == {"ready", "gateway", "admin", "owner", "sandbox"}
    assert set(told["owner"]) == {"email", "password"}
    answer = ask(told)
    assert answer.status_code == 200, answer.text
    assert "Hello" in answer.text
    assert httpx.get(f"{told['admin']}/health").status_code == 200
    assert httpx.get(f"{told['gateway']}/admin/v1/keys").status_code == 404
    for name in ("master-key", "key-pepper", "sandbox-key"):
        assert (home / name).stat().st_mode & 0o777 == 0o600
    began = time.monotonic()
    assert up.end(signal.SIGINT) == 0
    assert time.monotonic() - began < 15
    assert up.pids() == []

    again = Up(home, "--json", "--sandbox")
    told_again = again.ready()
    assert told_again["owner"] is None
    assert told_again["sandbox"]["key"] == told["sandbox"]["key"]
    assert ask(told_again).status_code == 200
    assert again.end() == 0
    assert again.pids() == []
    log = "".join(path.read_text() for path in (home / "logs").iterdir())
    assert told["owner"]["password"] not in log
    assert told["sandbox"]["key"] not in log


def test_what_dies_is_started_again_and_ends_with_the_supervisor(up: Up):
    told = up.ready()
    for word in ("cli gateway", "cli admin", "cli jobs", "cli sandbox", "bin/postgres -D", "valkey-server"):
        before = up.pids(word)
        assert before, word
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda word=word, before=before: set(up.pids(word)) - set(before) != set(), 30)
    wait_for(lambda: httpx.get(f"{told['gateway']}/readyz", timeout=20).status_code == 200, 30)
    wait_for(lambda: ask(told).status_code == 200, 30)
    assert "starting it again" in up.errors.read_text()

    # And when the supervisor itself is killed, everything ends.
    wait_for(lambda: len(up.pids()) > 5, 30)  # those that missed a server wait their back-off
    up.process.kill()
    wait_for(lambda: not up.pids(), 30)


def answers_at_once(url: str) -> bool:
    """On a new connection, whatever it says."""
    return httpx.get(f"{url}/readyz", timeout=1).status_code in {200, 503}


def test_connections_go_to_the_other_gateway_while_one_starts_again(up: Up):
    told = up.ready()
    before = up.pids("cli gateway")
    os.kill(before[0], signal.SIGTERM)
    ends = time.monotonic() + 4
    while time.monotonic() < ends:
        assert answers_at_once(told["gateway"])
    assert before[0] not in up.pids("cli gateway")
    wait_for(lambda: len(up.pids("cli gateway")) == 2)


def test_streams_run_on_and_new_connections_are_refused(home: Path, up: Up):
    told = up.ready()
    body = BODY | {"model": "sandbox-tokens-500-gap-50", "max_tokens": 1000, "stream": True}
    headers = {"x-api-key": told["sandbox"]["key"], "anthropic-version": "2023-06-01"}
    with httpx.stream("POST", f"{told['gateway']}/v1/messages", json=body, headers=headers, timeout=20) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "event: message_start"
        up.process.send_signal(signal.SIGINT)
        began = time.monotonic()
        wait_for(lambda: refused(told["gateway"]), 0.8)
        rest = list(lines)
    # POOLGATE_DRAIN_TIMEOUT is a second here.
    assert 0.8 < time.monotonic() - began < 4
    assert "event: error" in rest
    assert '"draining"' in rest[-2], rest[-2:]
    assert up.process.wait(40) == 0


def refused(url: str) -> bool:
    try:
        httpx.get(f"{url}/readyz", timeout=0.5)
    except httpx.ConnectError:
        return True
    return False


def test_a_second_signal_ends_at_once(up: Up):
    up.ready()
    for pid in up.pids("cli gateway"):
        os.kill(pid, signal.SIGSTOP)
    up.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert up.process.poll() is None
    assert up.end(signal.SIGINT, 3) == 130
    wait_for(lambda: not up.pids())


def test_a_taken_port_is_one_line_and_nothing_is_left(home: Path):
    taken = Port("127.0.0.1", 0, 1, "PORT")
    second = Up(home, POOLGATE_GATEWAY_PORT=str(taken.number))
    assert second.process.wait(READY) == 1
    assert second.process.stdout is not None
    second.process.stdout.close()
    assert second.errors.read_text().startswith("poolgate: POOLGATE_GATEWAY_PORT: cannot listen on 127.0.0.1:")
    assert second.errors.read_text().count("\n") == 1
    assert second.pids() == []
    taken.close()


def test_an_account_that_cannot_be_made_is_one_line(home: Path):
    environ = {"AZURE_OPENAI_API_KEY": "canary", "AZURE_OPENAI_ENDPOINT": "canary.openai.azure.com"}
    second = Up(home, "--import-env", **environ)
    assert second.process.wait(READY) == 1
    assert second.process.stdout is not None
    second.process.stdout.close()
    assert second.errors.read_text().startswith("poolgate: AZURE_OPENAI_API_KEY: no account")
    assert second.errors.read_text().count("\n") == 1
    assert "canary" not in second.errors.read_text()
    assert second.pids() == []


def test_a_database_that_is_not_there_is_one_line(home: Path):
    second = Up(home, POOLGATE_DATABASE_URL=f"postgresql+asyncpg://nobody@/nothing?host={home}")
    assert second.process.wait(READY) == 1
    assert second.process.stdout is not None
    second.process.stdout.close()
    assert second.errors.read_text().splitlines()[-1].startswith("poolgate: POOLGATE_DATABASE_URL: ")
    assert "Traceback" not in second.errors.read_text()
    assert second.pids() == []
