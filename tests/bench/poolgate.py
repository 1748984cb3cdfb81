"""poolgate as a user runs it: `poolgate up` with one worker and embedded servers, set up over its admin API with one
account at the upstream and two keys: one that has limits, and one that has more of them and a budget."""

import contextlib
import os
import secrets
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tests.bench.load import prompt
from tests.bench.process import children, pin, running
from tests.bench.target import Target

_START = 60.0
_SETTLE = 5.0
#: The limits are on, and never reached.
_LIMITS = [{"type": "requests", "per": "minute", "max": 1_000_000_000}, {"type": "concurrency", "max": 1_000_000}]
_MORE = [
    *_LIMITS,
    {"type": "tokens", "per": "minute", "max": 1_000_000_000_000},
    {"type": "requests", "per": "day", "max": 1_000_000_000},
    {"type": "budget", "per": "month", "max": "1000000"},
]


class Unusable(Exception):
    """poolgate could not be measured; the message says why."""


class Installation:
    """What runs, and what its ledger says of the key that is measured."""

    def __init__(self, target: Target, admin: httpx.Client, key_ids: tuple[str, ...], logs: Path) -> None:
        self.target = target
        self._logs = logs
        self._admin = admin
        self._key_ids = key_ids

    def rows(self) -> int:
        """Requests of the keys that are in the ledger, without those that `_wait_for_answer` made."""
        found: list[int] = [_answer(self._admin.get(f"/keys/{one}"))["usage"]["requests"] for one in self._key_ids]
        return sum(found) - len(found)

    def complaints(self) -> list[str]:
        """What its processes logged as errors: file, event, and the last line of the exception."""
        found: list[str] = []
        for log in sorted(self._logs.glob("*.log")):
            for line in log.read_text(errors="replace").splitlines():
                if '"level": "error"' in line or '"level": "critical"' in line:
                    entry: dict[str, Any] = msgspec.json.decode(line)
                    cause = entry.get("exception", "").strip().rpartition("\n")[2]
                    found.append(f"{log.name}: {entry.get('event')} {cause}".strip())
        return found


@contextlib.contextmanager
def poolgate(upstream: int, *, gateway_core: int, core: int) -> Generator[Installation]:
    """All of poolgate on `core`, but for the worker, which has `gateway_core` for itself. Its data is thrown away."""
    # Short, because a socket's path must be; open to pass through for the account that runs PostgreSQL under root.
    home = Path(tempfile.mkdtemp(prefix="pg-bench-"))
    home.chmod(0o711)
    command = [sys.executable, "-P", "-m", "gateway.cli", "up", "--json"]
    try:
        with (
            (home / "up.log").open("wb") as log,
            running(command, core=core, log=log, environ=_environ(home, upstream)) as process,
        ):
            ready = _ready(process, home / "up.log")
            found = children(process.pid)
            worker = _one(found, "gateway.cli gateway")
            pin(worker, gateway_core)
            with httpx.Client(base_url=f"{ready['admin']}/admin/v1", timeout=30) as admin:
                _account(admin, ready["owner"], upstream)
                keys = [_key(admin, limits) for limits in (_LIMITS, _MORE)]
                headers, limited = ((f"x-api-key: {key}", "anthropic-version: 2023-06-01") for _, key in keys)
                target = Target(
                    "poolgate",
                    int(ready["gateway"].rpartition(":")[2]),
                    workers=(worker,),
                    headers=headers,
                    limited=limited,
                    background=(_one(found, "gateway.cli jobs"),),
                )
                for one in (headers, limited):
                    _wait_for_answer(target.port, one)
                yield Installation(target, admin, tuple(key_id for key_id, _ in keys), home / "logs")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _environ(home: Path, upstream: int) -> dict[str, str]:
    """This environment without any poolgate of the user's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POOLGATE_")}
    return kept | {
        "POOLGATE_HOME": str(home),
        "POOLGATE_WORKERS": "1",
        "POOLGATE_GATEWAY_PORT": "0",
        "POOLGATE_ADMIN_PORT": "0",
        "POOLGATE_EGRESS_ALLOW": f"127.0.0.1/32:{upstream}",
    }


def _ready(process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], _START)
    line = process.stdout.readline() if readable else b""
    if not line:
        words = log.read_text(errors="replace").strip().splitlines()[-1:]
        how = "ended" if readable else f"was not ready in {_START:g} s"
        raise Unusable(f"`poolgate up` {how}: {words[0] if words else 'it said nothing'}")
    found: dict[str, Any] = msgspec.json.decode(line)
    return found


def _one(found: dict[int, str], words: str) -> int:
    pids = [pid for pid, line in found.items() if line.endswith(words)]
    if len(pids) != 1:
        raise Unusable(f"one process `{words}` was expected under `poolgate up`, there are {len(pids)}")
    return pids[0]


def _account(admin: httpx.Client, owner: dict[str, str], upstream: int) -> None:
    """Log in, change the one-time password, make the account."""
    _log_in(admin, owner["email"], owner["password"])
    changed = secrets.token_urlsafe(24)
    _answer(admin.post("/me/password", json={"current": owner["password"], "new": changed}))
    account = {
        "name": "bench",
        "platform": "claude-console",
        "base_url": f"http://127.0.0.1:{upstream}",
        "credentials": {"api_key": "bench"},
    }
    _answer(admin.post("/accounts", json=account))


def _key(admin: httpx.Client, limits: list[dict[str, Any]]) -> tuple[str, str]:
    """A new key's id, and the key."""
    key = {
        "name": "bench",
        "platforms": ["claude-console"],
        "models": ["*"],
        "limits": limits,
        # A stream that this client leaves is left by the gateway too, so that its row comes at once.
        "on_disconnect": "abort",
    }
    made = _answer(admin.post("/keys", json=key))
    return made["id"], made["secret"]


def _wait_for_answer(port: int, said: tuple[str, ...]) -> None:
    """A change of the configuration takes up to two seconds to reach a gateway; what it refuses makes no row."""
    headers = dict(header.split(": ", 1) for header in said)
    body = prompt("claude-sonnet-4-5", False, 2, 0)
    deadline = time.monotonic() + _SETTLE
    while True:
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/messages", headers=headers, content=body, timeout=10)
        if answer.is_success:
            return
        if time.monotonic() > deadline:
            raise Unusable(f"no answer {_SETTLE:g} s after the set-up: {answer.status_code} {answer.text[:300]}")
        time.sleep(0.1)


def _log_in(admin: httpx.Client, email: str, password: str) -> None:
    session = _answer(admin.post("/session", json={"email": email, "password": password}))
    admin.headers["x-csrf-token"] = session["csrf_token"]


def _answer(response: httpx.Response) -> Any:
    if not response.is_success:
        asked = response.request
        raise Unusable(f"{asked.method} {asked.url.path}: {response.status_code} {response.text[:300]}")
    return response.json()


def wait_for_rows(installation: Installation, expected: int, seconds: float) -> int:
    """How many rows are in the ledger, as soon as it has as many as expected, or after some seconds."""
    deadline = time.monotonic() + seconds
    while (rows := installation.rows()) < expected and time.monotonic() < deadline:
        time.sleep(0.25)
    return rows
