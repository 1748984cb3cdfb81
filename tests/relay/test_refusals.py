"""What is refused is counted, once: by key where there is one, through restarts of what lies between."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from gateway.core import models as m
from gateway.core.refusals import NO_KEY, NO_TENANT, decode
from gateway.protocols.codec import Endpoint
from gateway.relay import refusals as module
from gateway.relay.journal import Journal, read
from gateway.relay.refusals import Refusals
from gateway.routing.call import Call
from tests.relay.world import CHAT, MESSAGES, World, code_of
from tests.support.installation import Site
from tests.support.processes import until


def call(key_id: str = "", tenant_id: str = "", received_at: float = 7200.5, *, admitted: bool = False) -> Call:
    async def no_body() -> bytes:
        return b""

    return Call(
        request_id="req", received_at=received_at, started=0.0, endpoint=Endpoint("anthropic", "own", ""), path="/",
        query=b"", headers=[], header={}, client_ip="", read_body=no_body, key_id=key_id, tenant_id=tenant_id,
        admitted=admitted,
    )  # fmt: skip


class Kept:
    """Counts over a journal that takes nothing while `full`."""

    def __init__(self, tmp_path: Path) -> None:
        self.journal = Journal.open(tmp_path, 4000)
        self.lines: list[tuple[int, Any]] = []
        self.refusals = Refusals(self.journal, lambda tag, line: self.lines.append((tag, decode(line))))

    def counted(self) -> dict[tuple[str, str, int, int], int]:
        found: dict[tuple[str, str, int, int], int] = {}
        for _, line in self.lines:
            for one in line:
                name = (one.key_id, one.code, one.status, one.hour)
                found[name] = found.get(name, 0) + one.count
        return found


@pytest.fixture
async def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


async def test_each_name_has_a_count(kept: Kept):
    for _ in range(3):
        kept.refusals.count(call("key_1", "ten_1"), "rate_limited", 429)
    kept.refusals.count(call("key_1", "ten_1", 3599.9), "rate_limited", 429)
    kept.refusals.count(call("key_2", "ten_1"), "key_disabled", 401)
    kept.refusals.count(call(), "key_invalid", 401)
    assert kept.lines == []
    kept.refusals.flush()
    assert kept.counted() == {
        ("key_1", "rate_limited", 429, 2): 3,
        ("key_1", "rate_limited", 429, 0): 1,
        ("key_2", "key_disabled", 401, 2): 1,
        (NO_KEY, "key_invalid", 401, 2): 1,
    }
    kept.refusals.flush()
    assert len(kept.lines) == 2  # a line a tag


@pytest.mark.parametrize("status", [405, 408, 415, 426, 431, 500, 502, 503, 504])
async def test_other_statuses_are_no_refusals(kept: Kept, status: int):
    kept.refusals.count(call("key_1", "ten_1"), "x", status)
    kept.refusals.flush()
    assert kept.lines == []


async def test_what_was_admitted_has_a_row(kept: Kept):
    kept.refusals.count(call("key_1", "ten_1", admitted=True), "invalid_request", 400)
    kept.refusals.flush()
    assert kept.lines == []


async def test_a_second_of_refusals_is_a_line(kept: Kept, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "EVERY", 0.05)
    for _ in range(500):
        kept.refusals.count(call(), "key_invalid", 401)
    await until(lambda: len(kept.lines) == 1)
    await asyncio.sleep(0.1)
    assert kept.counted() == {(NO_KEY, "key_invalid", 401, 2): 500} and len(kept.lines) == 1


async def test_a_full_journal_waits_and_the_counts_are_bounded(kept: Kept, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "EVERY", 0.02)
    monkeypatch.setattr(module, "MOST", 10)
    while not kept.journal.full:
        kept.journal.append(0, b"x" * 500)
    for number in range(30):
        kept.refusals.count(call(f"key_{number}", "ten_1"), "rate_limited", 429)
    await asyncio.sleep(0.1)
    assert kept.lines == []
    kept.journal.confirm(0, kept.journal.last(0))
    await until(lambda: bool(kept.lines))
    counted = kept.counted()
    assert len(counted) == 11 and counted[NO_KEY, "rate_limited", 429, 2] == 20


async def test_many_keys_make_several_lines(kept: Kept):
    for number in range(450):
        kept.refusals.count(call(f"key_{number}", "ten_1"), "rate_limited", 429)
    kept.refusals.flush()
    assert [len(line) for _, line in kept.lines] == [200, 200, 50]


# With everything behind it


async def counts(site: Site) -> dict[tuple[str, str, int], int]:
    """(key, code, status) → how often, of all hours."""
    asked = select(m.Refusal.key_id, m.Refusal.code, m.Refusal.status, func.sum(m.Refusal.count))
    async with site.sessions() as session:
        rows = await session.execute(asked.group_by(m.Refusal.key_id, m.Refusal.code, m.Refusal.status))
        return {(key, code, status): int(count) for key, code, status, count in rows}


async def counted(site: Site, expected: dict[tuple[str, str, int], int], seconds: float = 8) -> None:
    """Until just these are there, and then no more."""
    end = time.monotonic() + seconds
    while (found := await counts(site)) != expected:
        assert time.monotonic() < end, found
        await asyncio.sleep(0.05)
    await site.settled()
    assert await counts(site) == expected


@pytest.fixture
async def uncounted(site: Site) -> None:
    site.gate.refusals.flush()
    await site.settled()
    async with site.sessions.begin() as session:
        await session.execute(delete(m.Refusal))


@pytest.mark.usefixtures("uncounted")
async def test_every_refusal_of_the_list(site: Site, world: World):
    await world.account()
    good, key = await world.new_key(limits=[{"type": "requests", "per": "day", "max": 1}])
    off, disabled = await world.new_key(enabled=False)
    narrow, narrowed = await world.new_key(models=["claude-*"])
    away, elsewhere = await world.new_key(allowed_ips=["192.0.2.1"])
    assert (await world.ask(key)).status_code == 200
    for _ in range(3):
        assert code_of(await world.ask(key)) == "rate_limited"
    for _ in range(2):
        assert code_of(await world.ask(disabled)) == "key_disabled"
    assert code_of(await world.ask(narrowed)) == "model_forbidden"
    assert code_of(await world.ask(elsewhere)) == "ip_forbidden"
    for number in range(5):
        assert (await world.ask(f"sk-junk{number}")).status_code == 401
    assert (await site.http.post(MESSAGES, json={})).status_code == 401
    assert (await site.http.post(CHAT, headers={"x-api-key": key}, content=b"{")).status_code == 400
    assert (await site.http.get("/nothing/here", headers={"x-api-key": key})).status_code == 404
    assert (await site.http.get(MESSAGES, headers={"x-api-key": key})).status_code == 405
    assert (await world.ask(key, "sandbox-echo", headers={"content-encoding": "br"})).status_code == 415
    await counted(
        site,
        {
            (good, "rate_limited", 429): 3,
            (good, "invalid_request", 400): 1,
            (off, "key_disabled", 401): 2,
            (narrow, "model_forbidden", 403): 1,
            (away, "ip_forbidden", 403): 1,
            (NO_KEY, "key_invalid", 401): 5,
            (NO_KEY, "key_missing", 401): 1,
            (NO_KEY, "not_found", 404): 1,
        },
    )
    async with site.sessions() as session:
        (tenant,) = (
            await session.execute(select(m.Refusal.tenant_id).where(m.Refusal.key_id == good).distinct())
        ).scalars()
        (nobody,) = (
            await session.execute(select(m.Refusal.tenant_id).where(m.Refusal.key_id == NO_KEY).distinct())
        ).scalars()
    assert (tenant, nobody) == (world.tenant_id, NO_TENANT)


@pytest.mark.usefixtures("uncounted")
async def test_what_was_admitted_and_failed_has_its_row_only(site: Site, world: World):
    await world.account()
    key = await world.key()
    answer = await world.ask(key, "sandbox-error-400")
    assert answer.status_code == 400
    assert (await site.row(answer.headers["x-request-id"])).status == 400
    site.gate.refusals.flush()
    await counted(site, {})


@pytest.mark.usefixtures("uncounted")
async def test_counted_once_through_lost_connections_and_an_emptied_redis(site: Site, world: World):
    await world.account()
    key_id, key = await world.new_key(models=["claude-*"])
    good = await world.key()
    for turn in range(6):
        for _ in range(5):
            assert (await world.ask(key)).status_code == 403
        assert (await world.ask(good)).status_code == 200
        site.gate.refusals.flush()
        if turn % 3 == 0:
            site.gate.scripts.drop("a test")
        elif turn % 3 == 1:
            await site.gate.redis.flushall()
        else:
            await site.stop_jobs()
            site.gate.scripts.drop("a test")
            await asyncio.sleep(0.3)
            await site.start_jobs()
        await asyncio.sleep(0.2)
    await counted(site, {(key_id, "model_forbidden", 403): 30}, seconds=30)


@pytest.mark.usefixtures("uncounted")
async def test_a_gateway_that_goes_down_leaves_its_counts_in_its_journal(site: Site, world: World):
    key_id, key = await world.new_key(models=["claude-*"])
    second = await site.start_gateway()
    await site.reload()
    for _ in range(4):
        assert (await world.ask(key, url=second.url)).status_code == 403
    directory = second.gate.journal.directory
    second.server.should_exit = True
    await until(lambda: any(b'"refused"' in row for path in directory.glob("rows-*") for _, _, row in read(path)))
    site.gateways.remove(second)
    await counted(site, {(key_id, "model_forbidden", 403): 4}, seconds=20)
