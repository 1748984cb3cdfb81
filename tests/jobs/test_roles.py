"""The machine's role, stored beside the accounts that hold nothing, and only beside those."""

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from gateway.core import db
from gateway.core import models as m
from gateway.core.sealing import Sealer
from gateway.core.services import accounts
from gateway.jobs import roles

SEALER = Sealer((bytes(32),))
ROLE = {"access_key_id": "ASIA1", "secret_access_key": "s", "session_token": "t", "expires_at": "1800000000"}


@pytest_asyncio.fixture
async def sessions(database_url: str) -> AsyncGenerator[db.Sessions]:
    async with db.engine(database_url, size=1) as engine:
        yield db.sessions(engine)


async def _account(sessions: db.Sessions, name: str, credentials: Mapping[str, Any], platform: str = "bedrock") -> str:
    async with sessions.begin() as session:
        tenant = (await session.execute(select(m.Tenant.id).where(m.Tenant.name == "default"))).scalar_one()
        values = {"name": name, "platform": platform, "provider": platform, "options": {"region": "eu-west-1"}}
        return (await accounts.create(session, SEALER, tenant, values, credentials)).id


async def _held(sessions: db.Sessions, account_id: str) -> dict[str, str] | None:
    async with sessions() as session:
        row = await session.get_one(m.Account, account_id)
        held = SEALER.open_renewed(row.renewed, row.id) if row.renewed else None
        return None if held is None else {name: value.reveal() for name, value in held.items()}


async def test_only_accounts_without_credentials_get_it_and_only_when_it_changes(sessions: db.Sessions) -> None:
    asked: list[int] = []
    now: dict[str, str] = dict(ROLE)

    def find() -> Mapping[str, Any] | None:
        asked.append(1)
        return now

    own = await _account(sessions, "own", {"access_key_id": "A", "secret_access_key": "b"})
    assert await roles.resolve(sessions, SEALER, find) == 0
    assert not asked  # nobody needs it: the metadata service is left alone
    bare = await _account(sessions, "bare", {})
    local = await _account(sessions, "local", {}, platform="ollama")
    assert await roles.resolve(sessions, SEALER, find) == 1
    assert await _held(sessions, bare) == ROLE
    assert await _held(sessions, own) is None
    assert await _held(sessions, local) is None
    assert await roles.resolve(sessions, SEALER, find) == 0
    now = ROLE | {"session_token": "t2"}
    assert await roles.resolve(sessions, SEALER, find) == 1
    assert await _held(sessions, bare) == now

    def broken() -> Mapping[str, Any] | None:
        raise OSError("metadata is away")

    assert await roles.resolve(sessions, SEALER, broken) == 0
    assert await roles.resolve(sessions, SEALER, lambda: None) == 0
    assert await _held(sessions, bare) == now


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine without AWS: nothing of the developer's own is found, and no metadata service is asked."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


def test_the_chain_reads_the_environment(no_aws: pytest.MonkeyPatch) -> None:
    assert roles.Chain()() is None
    no_aws.setenv("AWS_ACCESS_KEY_ID", "AKIA1")
    no_aws.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert roles.Chain()() == {"access_key_id": "AKIA1", "secret_access_key": "s"}


def test_the_chain_knows_the_end_of_what_a_process_gives(no_aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer = (
        '{"Version":1,"AccessKeyId":"ASIA1","SecretAccessKey":"s","SessionToken":"t",'
        '"Expiration":"2099-01-01T00:00:00Z"}'
    )
    (tmp_path / "answer.json").write_text(answer)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = cat {tmp_path}/answer.json\n")
    assert roles.Chain()() == {
        "access_key_id": "ASIA1", "secret_access_key": "s", "session_token": "t", "expires_at": "4070908800",
    }  # fmt: skip
