"""What the pipeline works with: bounds, asking for usage, openness."""

import time

import pytest
import structlog

from gateway.core.errors import Unavailable
from gateway.core.settings import Settings
from tests.relay.world import MESSAGES, World, body, code_of
from tests.support.installation import environ_of


async def test_the_memory_of_bodies_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.account()
    key = await world.key()
    gate = world.site.gate
    small = Settings.from_environ({**environ_of(gate.settings), "POOLGATE_BODY_MEMORY": str(1 << 20)})
    monkeypatch.setattr(gate, "settings", small)
    big = {**body("sandbox-echo"), "padding": "x" * (1 << 20)}
    no = await world.site.http.post(MESSAGES, headers={"x-api-key": key}, json=big)
    assert (no.status_code, code_of(no)) == (503, "overloaded")
    assert gate.body_bytes == 0
    assert (await world.ask(key)).status_code == 200
    assert gate.body_bytes == 0


async def test_closed_while_draining_or_blind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = world.site.gate
    gate.check_open()
    monkeypatch.setattr(gate, "draining", True)
    with pytest.raises(Unavailable) as caught:
        gate.check_open()
    assert caught.value.code == "draining"
    monkeypatch.setattr(gate, "draining", False)
    for database, redis, stale in ((0, 0, False), (31, 0, False), (0, 31, False), (31, 31, True)):
        monkeypatch.setattr(gate, "database_at", time.monotonic() - database)
        monkeypatch.setattr(gate, "redis_at", time.monotonic() - redis)
        assert gate.stale() is stale


async def test_an_old_pepper_is_noted(world: World) -> None:
    gate = world.site.gate
    key = await world.key()
    digest = gate.settings.peppers.digest(key)
    found = await gate._find_caller([b"newer", digest])
    assert found is not None
    assert gate.redigests.pop(digest) == b"newer"
    assert await gate._find_caller([b"nobody"]) is None
    assert not gate.redigests


async def test_no_secret_in_the_logs(world: World) -> None:
    account = await world.account(secret="sk-canary-upstream")
    key = await world.key()
    with structlog.testing.capture_logs() as logs:
        for model in ("sandbox-echo", "sandbox-error-401", "sandbox-drop", "nobody,x"):
            await world.ask(key, model)
    assert account
    assert "sk-canary" not in str(logs)
    assert key not in str(logs)


async def test_a_new_keys_first_request_finds_a_new_account(world: World) -> None:
    """Though nobody has told the gateway of either: its configuration is read up to the key's own moment."""
    site = world.site
    told, site.gateways = site.gateways, []  # `reload` reaches none of them now
    try:
        account = await site.account("claude-console", tenant_id=world.tenant_id)
        secret = await site.key(tenant_id=world.tenant_id)
    finally:
        site.gateways = told
    asked = {"model": "sandbox-echo", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    answer = await site.http.post("/v1/messages", headers={"x-api-key": secret}, json=asked)
    assert answer.status_code == 200, answer.text
    assert (await site.row(answer.headers["x-request-id"])).account_id == account
