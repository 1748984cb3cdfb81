"""What `up` puts into a new installation, and finds again."""

import base64
import os
import stat
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.core.keys import well_formed
from gateway.core.settings import Settings
from gateway.local.demo import furnish
from gateway.local.offers import offers
from gateway.platforms import PLATFORMS


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    key = base64.b64encode(os.urandom(32)).decode()
    return Settings.from_environ(
        {
            "POOLGATE_DATABASE_URL": database_url,
            "POOLGATE_REDIS_URL": "unix:///nowhere",
            "POOLGATE_HOME": str(tmp_path),
            "POOLGATE_MASTER_KEYS": key,
            "POOLGATE_KEY_PEPPERS": key,
        }
    )


async def rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(settings.database_url.replace("+asyncpg", ""))
    found = [tuple(row) for row in await connection.fetch(query)]
    await connection.close()
    return found


ACCOUNTS = "SELECT platform, base_url FROM accounts WHERE deleted_at IS NULL ORDER BY platform"


async def test_a_second_start_finds_what_the_first_made(settings: Settings):
    secret = await furnish(settings, "http://127.0.0.1:9001", ())
    assert secret is not None
    assert well_formed(secret)
    path = settings.home / "sandbox-key"
    assert path.read_text() == f"{secret}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    assert await furnish(settings, "http://127.0.0.1:9002", ()) == secret
    made = dict(await rows(settings, ACCOUNTS))
    assert len(made) == 5
    assert {address.rpartition(":")[2] for address in map(str, made.values())} == {"9002", "9002/v1", "9002/ollama"}
    protocols = {protocol for platform in made for protocol, _ in PLATFORMS[str(platform)].serves}
    assert protocols == {"anthropic", "openai_chat", "openai_responses", "gemini", "ollama"}
    assert await rows(settings, "SELECT count(*) FROM keys") == [(1,)]
    assert await rows(settings, "SELECT DISTINCT models FROM keys UNION SELECT models FROM accounts") == [
        (["sandbox-*"],)
    ]

    # A key that was deleted, or whose file is lost, is replaced.
    path.unlink()
    other = await furnish(settings, "http://127.0.0.1:9002", ())
    assert other is not None
    assert other != secret
    assert await rows(settings, "SELECT DISTINCT actor FROM audit") == [("system",)]
    noted = "SELECT DISTINCT action FROM audit ORDER BY 1"
    assert await rows(settings, noted) == [("accounts.change",), ("accounts.create",), ("keys.create",)]


async def test_offers_become_accounts_without_a_sandbox(settings: Settings):
    found = offers({"ANTHROPIC_API_KEY": "sk-ant-canary", "GEMINI_API_KEY": "AIza-canary"})
    assert await furnish(settings, None, found) is None
    assert await furnish(settings, None, found) is None
    made = await rows(settings, "SELECT platform FROM accounts WHERE name LIKE '%environment' ORDER BY 1")
    assert made == [("claude-official",), ("gemini",)]
    assert not (settings.home / "sandbox-key").exists()
    dump = str(await rows(settings, "SELECT accounts::text, audit::text FROM accounts, audit"))
    assert "canary" not in dump
