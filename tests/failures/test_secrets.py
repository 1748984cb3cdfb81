"""No secret is ever readable again: after a run full of faults, canaries are looked for in everything that is left."""

import base64
import contextlib
import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import pytest

from gateway.core.settings import Settings
from gateway.jobs.leader import connect
from gateway.local.postgres import postgres
from gateway.local.redis import redis as redis_server
from gateway.protocols import CODECS
from tests.failures.requests import body
from tests.local.test_up import Up
from tests.local.waiting import wait_for
from tests.support.servers import home_directory, run

PATHS = ("/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1beta/models/{model}:generateContent")
MODELS = (
    "sandbox-echo", "sandbox-error-401-key", "sandbox-error-403", "sandbox-error-500", "sandbox-error-429-quota",
    "sandbox-drop", "sandbox-cut-2", "sandbox-first-error-529", "sandbox-late-error-500",
)  # fmt: skip


class Run:
    """One installation, its canaries, and every answer that was seen."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.canaries: dict[str, str] = {
            "master key": base64.b64encode(os.urandom(32)).decode(),
            "pepper": base64.b64encode(os.urandom(32)).decode(),
            "bootstrap token": secrets.token_urlsafe(36),
            "upstream key": f"sk-ant-api03-{secrets.token_urlsafe(30)}",
            "replaced upstream key": f"sk-ant-api03-{secrets.token_urlsafe(30)}",
            "password": secrets.token_urlsafe(24),
            "mistyped password": secrets.token_urlsafe(24),
        }
        self.answers: list[tuple[str, str]] = []
        self.up = Up(
            home,
            "--json",
            "--sandbox",
            POOLGATE_WORKERS="1",
            POOLGATE_MASTER_KEYS=self.canaries["master key"],
            POOLGATE_KEY_PEPPERS=self.canaries["pepper"],
            POOLGATE_BOOTSTRAP_TOKEN=self.canaries["bootstrap token"],
        )
        self.told = self.up.ready()
        self.canaries["one-time password"] = self.told["owner"]["password"]
        self.admin = httpx.Client(base_url=f"{self.told['admin']}/admin/v1", timeout=20)
        self.relay = httpx.Client(base_url=self.told["gateway"], timeout=20)

    def see(self, answer: httpx.Response) -> httpx.Response:
        """Of an answer that made a secret nothing is kept: that is the one time it is shown."""
        self.answers.append((str(answer.request.url.path), f"{dict(answer.headers)} {answer.text}"))
        return answer

    def made(self, answer: httpx.Response) -> dict[str, Any]:
        assert answer.is_success, answer.text
        return answer.json()

    def quietly(self, send: Callable[[], httpx.Response]) -> None:
        with contextlib.suppress(httpx.HTTPError):
            self.see(send())

    # ------------------------------------------------------------ what is done

    def furnish(self) -> None:
        admin, canaries, owner = self.admin, self.canaries, self.told["owner"]
        self.see(admin.post("/session", json={"email": owner["email"], "password": canaries["mistyped password"]}))
        self._log_in(owner["email"], owner["password"])
        changed = {"current": owner["password"], "new": canaries["password"]}
        self.made(admin.post("/me/password", json=changed))
        self._log_in(owner["email"], canaries["password"])
        account = {
            "name": "canary",
            "platform": "claude-console",
            "base_url": self.told["sandbox"]["url"],
            "models": ["*"],
            "credentials": {"api_key": canaries["replaced upstream key"]},
        }
        made = self.made(self.see(admin.post("/accounts", json=account)))
        new = {"credentials": {"api_key": canaries["upstream key"]}}
        self.made(self.see(admin.patch(f"/accounts/{made['id']}", json=new)))
        for wrong in (
            account | {"platform": canaries["upstream key"]},
            account | {"credentials": canaries["upstream key"]},
            account | {"credentials": {"api_key": [canaries["upstream key"]]}},
            account | {"credentials": {"nonsense": canaries["upstream key"]}},
            account | {"base_url": 7, "credentials": {"api_key": canaries["upstream key"]}},
        ):
            assert self.see(admin.post("/accounts", json=wrong)).status_code == 400
        for path in ("", f"/{made['id']}", f"/{made['id']}/state"):
            self.see(admin.get(f"/accounts{path}"))
        self.quietly(lambda: admin.post(f"/accounts/{made['id']}/test", json={}))
        key = self.made(admin.post("/keys", json={"name": "canary", "platforms": ["*"], "models": ["*"]}))
        self.canaries["proxy key"] = key["secret"]
        token = self.made(admin.post("/tokens", json={"name": "canary", "scopes": ["accounts:read"]}))
        self.canaries["admin token"] = token["secret"]
        self.see(admin.get("/keys"))
        self.see(admin.get("/tokens"))
        with httpx.Client(base_url=admin.base_url, timeout=20) as other:
            other.headers["authorization"] = f"Bearer {self.canaries['admin token']}"
            self.see(other.get("/accounts"))
            self.see(other.delete("/keys/nothing"))
            self.see(other.post("/keys", json={"name": self.canaries["admin token"]}))
            other.headers["authorization"] = f"Bearer {self.canaries['bootstrap token']}"
            self.see(other.get("/accounts"))

    def _log_in(self, email: str, password: str) -> None:
        session = self.made(self.admin.post("/session", json={"email": email, "password": password}))
        self.admin.headers["x-csrf-token"] = session["csrf_token"]
        for value in self.admin.cookies.values():
            self.canaries[f"session cookie {len(self.canaries)}"] = value

    def relay_everything(self) -> None:
        key, relay = self.canaries["proxy key"], self.relay
        headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
        for path in PATHS:
            for model in MODELS:
                asked = body(model, input="Hello", contents=[{"parts": [{"text": "Hello"}]}], stream="cut" in model)
                where = path.format(model=model)
                self.quietly(lambda where=where, asked=asked: relay.post(where, json=asked, headers=headers))
        for wrong in (b"{", b'{"model": 1}', b"\xff\xfe", json.dumps({"model": key}).encode()):
            self.quietly(lambda wrong=wrong: relay.post("/v1/messages", content=wrong, headers=headers))
        for name in ("authorization", "x-api-key", "x-goog-api-key", "api-key"):
            value = f"Bearer {key}" if name == "authorization" else key
            self.quietly(lambda name=name, value=value: relay.post("/v1/nothing", headers={name: value}))
            self.quietly(lambda name=name, value=value: relay.get("/v1/key", headers={name: f"{value}x"}))
        self.quietly(lambda: relay.post(f"/v1/messages?key={quote(key)}", json=body()))
        self.quietly(lambda: relay.get(f"/nowhere?key={quote(key)}"))
        self.quietly(lambda: relay.get("/v1/models", headers=headers))

    def break_everything(self) -> None:
        """PostgreSQL, Redis and the gateway are killed while requests run; all are started again."""
        for word in (
            "postgres",
            "valkey",
            "redis-server",
            "gateway.cli gateway",
            "gateway.cli admin",
            "gateway.cli jobs",
        ):
            for pid in self.up.pids(word)[:1]:
                os.kill(pid, signal.SIGKILL)
            for _ in range(3):
                self.relay_one()
                self.quietly(lambda: self.admin.get("/accounts"))
                time.sleep(0.1)
        wait_for(self.well, 40)
        self.relay_everything()

    def relay_one(self) -> None:
        headers = {"x-api-key": self.canaries["proxy key"]}
        self.quietly(lambda: self.relay.post("/v1/messages", json=body(), headers=headers, timeout=3))

    def well(self) -> bool:
        try:
            ready = self.relay.get("/readyz", timeout=2)
            return ready.status_code == 200 and "reasons" not in ready.json() and self.admin.get("/accounts").is_success
        except (httpx.HTTPError, ValueError):
            return False


@pytest.fixture(scope="module")
def made() -> Iterator[Run]:
    with home_directory() as home:
        made = Run(home)
        try:
            made.furnish()
            made.relay_everything()
            made.break_everything()
            time.sleep(3)
            yield made
        finally:
            made.admin.close()
            made.relay.close()
            if made.up.process.poll() is None:
                made.up.end(signal.SIGTERM)
            wait_for(lambda: not made.up.pids())


def forms(secret: str) -> list[bytes]:
    """How it might be written: as it is, escaped, or the raw bytes of a key."""
    found = [secret.encode(), quote(secret, safe="").encode()]
    try:
        raw = base64.b64decode(secret, validate=True)
        if len(raw) == 32:
            found += [raw, raw.hex().encode(), str(raw).encode()]
    except ValueError:
        pass
    return found


def clean(made: Run, where: str, data: bytes) -> list[str]:
    return [
        f"the {name} is in {where}" for name, secret in made.canaries.items() for one in forms(secret) if one in data
    ]


async def dump(url: str) -> dict[str, bytes]:
    connection = await connect(url)
    try:
        tables = await connection.fetch(
            "SELECT format('%I', tablename) AS t FROM pg_tables WHERE schemaname = 'public'"
        )
        return {table["t"]: await copied(connection, table["t"]) for table in tables}
    finally:
        await connection.close(timeout=2)


async def copied(connection: "asyncpg.Connection[Any]", table: str) -> bytes:
    parts: list[bytes] = []

    async def take(data: bytes) -> None:
        parts.append(data)

    await connection.copy_from_query(f"SELECT * FROM {table}", output=take)  # names from the catalogue
    return b"".join(parts)


def test_there_is_something_to_look_at(made: Run):
    assert {"proxy key", "admin token", "upstream key"} <= set(made.canaries)
    assert any(name.startswith("session cookie") for name in made.canaries)
    assert len(made.answers) > 60
    assert len({text for _, text in made.answers}) > 40
    logs = {path.name for path in (made.home / "logs").glob("*.log")}
    assert {"gateway-1.log", "admin.log", "jobs.log", "sandbox.log"} <= logs
    assert len(CODECS) >= 4


def test_logs_hold_no_secret(made: Run):
    found = [
        fault
        for path in [*(made.home / "logs").glob("*"), made.home / "stderr"]
        for fault in clean(made, path.name, path.read_bytes())
    ]
    assert found == []


def test_answers_hold_no_secret(made: Run):
    assert [fault for path, text in made.answers for fault in clean(made, path, text.encode())] == []


def test_the_database_holds_digests_and_sealed_text_only(made: Run):
    tables = run(dump(postgres(made.home).url))
    assert tables["audit"]
    assert any(data for name, data in tables.items() if name.startswith("requests"))
    assert [fault for name, data in tables.items() for fault in clean(made, name, data)] == []


def test_redis_and_the_spool_hold_no_secret(made: Run):
    import redis

    faults: list[str] = []
    with redis.Redis.from_url(redis_server(made.home).url) as client:
        names = list(client.scan_iter())
        assert names
        for name in names:
            faults += clean(made, name.decode(errors="replace"), name + (client.dump(name) or b""))
    for path in made.home.rglob("*"):
        if path.is_file() and ("spool" in path.parts or "appendonlydir" in path.parts):
            faults += clean(made, str(path), path.read_bytes())
    assert faults == []


def test_a_representation_shows_no_secret(made: Run):
    canaries = made.canaries
    settings = Settings.from_environ(
        {
            "POOLGATE_DATABASE_URL": "postgresql+asyncpg://localhost/x",
            "POOLGATE_REDIS_URL": "redis://localhost",
            "POOLGATE_MASTER_KEYS": canaries["master key"],
            "POOLGATE_KEY_PEPPERS": canaries["pepper"],
            "POOLGATE_BOOTSTRAP_TOKEN": canaries["bootstrap token"],
        }
    )
    assert clean(made, "repr", f"{settings!r} {settings} {settings.peppers!r}".encode()) == []
