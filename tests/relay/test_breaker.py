"""The breaker: what opens it, who is kept out by it, and how one request closes it again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from gateway.core.domain import Account, Proxy
from gateway.core.scripts import MARK
from gateway.core.state import State, encode
from gateway.relay.breaker import Reached, scope_of_family
from tests.relay.world import OK, Raw, World, answer, code_of, drop

ONE, TWO = "sk-breaker-0001", "sk-breaker-0002"
SONNET, OPUS = "claude-sonnet-x", "claude-opus-x"
ACCOUNT = Account(id="a", tenant_id="t", name="a", platform="openai", base_url="", credentials={})


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.relay.send.random.uniform", lambda low, high: 0.01)


async def until(found: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(200):
        if await found():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("did not come")


async def breaker(world: World, account: str) -> list[dict[str, Any]]:
    return (await world.state(account))["breaker"]


async def trip(world: World, account: str, seconds: float) -> None:
    """The account's breaker as if it had opened so many seconds before."""
    gate = world.site.gate
    now = time.time()
    state = State("breaker", now - seconds + 30, now - seconds, "req_1", 500, faults=5)
    entry = msgspec.json.encode({"scope": "family:sonnet", "at": now, "state": state})
    await gate.scripts.run(MARK, gate.prefix_of(world.tenant_id), (account, "family:sonnet", encode(state), entry))
    for one in world.site.gateways:
        one.gate.states.set(account, "family:sonnet", state)


async def test_faults_of_two_keys_open_it_for_their_family_alone(world: World, raw: Raw) -> None:
    account = await world.account(secret=ONE, base_url=raw.url)
    keys = [await world.key(), await world.key()]
    raw.say(ONE, answer(500))
    for at in range(5):
        assert await breaker(world, account) == []
        assert (await world.ask(keys[at % 2], SONNET)).status_code == 502
    await until(lambda: _opened(world, account))
    (found,) = await breaker(world, account)
    assert (found["scope"], found["state"]) == ("family:sonnet", "open")
    assert found["faults"] == 5
    state = await world.state(account)
    assert (state["usable"], state["recent"][0]["reason"]) == (True, "breaker")
    assert state["recent"][0]["source"]["status"] == 500
    raw.say(ONE, OK)
    refused = await world.ask(keys[0], SONNET)
    assert (refused.status_code, code_of(refused)) == (503, "no_account")
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert (await world.ask(keys[0], OPUS)).status_code == 200


async def _opened(world: World, account: str) -> bool:
    return bool(await breaker(world, account))


async def test_one_key_takes_nothing_from_another_that_is_served(world: World, raw: Raw) -> None:
    account = await world.account(secret=ONE, base_url=raw.url)
    good, bad = await world.key(), await world.key()
    raw.say(ONE, OK)
    assert (await world.ask(good, SONNET)).status_code == 200
    raw.say(ONE, answer(500))
    for _ in range(7):
        assert (await world.ask(bad, SONNET)).status_code == 502
    raw.say(ONE, OK)
    assert (await world.ask(good, SONNET)).status_code == 200
    assert await breaker(world, account) == []


async def test_half_open_one_request_tries_and_closes_it(world: World, raw: Raw) -> None:
    account = await world.account(secret=ONE, base_url=raw.url)
    key = await world.key()
    await trip(world, account, 31)
    assert [one["state"] for one in await breaker(world, account)] == ["half_open"]
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await may_answer.wait()
        writer.write(OK)

    raw.say(ONE, late, OK)
    first = asyncio.ensure_future(world.ask(key, SONNET))
    await asked.wait()
    others = await asyncio.gather(*(world.ask(key, SONNET) for _ in range(4)))
    assert [one.status_code for one in others] == [503] * 4
    may_answer.set()
    assert (await first).status_code == 200
    await until(lambda: _closed(world, account))
    assert [one.status_code for one in [await world.ask(key, SONNET) for _ in range(3)]] == [200] * 3
    assert (await world.state(account))["recent"][0]["reason"] == "recovered"
    assert len(raw.asked) == 4


async def _closed(world: World, account: str) -> bool:
    return not await breaker(world, account)


async def test_half_open_a_failure_opens_it_again_for_longer(world: World, raw: Raw) -> None:
    account = await world.account(secret=ONE, base_url=raw.url)
    await world.account(secret=TWO, base_url=raw.url, priority=99)
    key = await world.key()
    await trip(world, account, 31)
    raw.say(ONE, answer(502))
    raw.say(TWO, OK)
    assert (await world.ask(key, SONNET)).status_code == 200
    await until(lambda: _is_open(world, account))
    (found,) = await breaker(world, account)
    assert found["faults"] == 6
    left = world.site.gate.states.scopes(account)["family:sonnet"].until - time.time()
    assert 50 < left <= 60
    assert [one.credential for one in raw.asked] == [ONE, TWO]


async def _is_open(world: World, account: str) -> bool:
    return [one["state"] for one in await breaker(world, account)] == ["open"]


async def test_half_open_a_request_that_proves_nothing_leaves_the_try_to_the_next(world: World, raw: Raw) -> None:
    account = await world.account(secret=ONE, base_url=raw.url)
    key = await world.key()
    await trip(world, account, 31)
    raw.say(ONE, answer(400, {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}), OK)
    assert (await world.ask(key, SONNET)).status_code == 400
    assert [one["state"] for one in await breaker(world, account)] == ["half_open"]
    assert (await world.ask(key, SONNET)).status_code == 200
    await until(lambda: _closed(world, account))


async def test_half_open_over_two_gateways_is_one_probe(world: World, raw: Raw) -> None:
    site = world.site
    other = site.gateways[1] if len(site.gateways) > 1 else await site.start_gateway()
    account = await world.account(secret=ONE, base_url=raw.url)
    key = await world.key()
    await trip(world, account, 31)
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await may_answer.wait()
        writer.write(OK)

    raw.say(ONE, late)
    asking = [asyncio.ensure_future(world.ask(key, SONNET, url=url)) for url in [site.url, other.url] * 3]
    await asked.wait()
    await until(lambda: _done(asking, 5))
    may_answer.set()
    answers = await asyncio.gather(*asking)
    assert sorted(one.status_code for one in answers) == [200, 503, 503, 503, 503, 503]
    assert len(raw.asked) == 1


async def _done(asking: list["asyncio.Future[Any]"], most: int) -> bool:
    return sum(one.done() for one in asking) >= most


async def test_resets_of_one_key_take_nothing_from_another_that_is_served(world: World, raw: Raw) -> None:
    account = await world.account(secret=ONE, base_url=raw.url)
    good, bad = await world.key(), await world.key()
    raw.say(ONE, OK)
    assert (await world.ask(good, SONNET)).status_code == 200
    raw.say(ONE, drop)
    for _ in range(5):
        assert (await world.ask(bad, SONNET, stream=True)).status_code == 502
    assert (await world.state(account))["cooldowns"] == []
    assert (await world.ask(good, SONNET, stream=True)).status_code == 502
    (one,) = (await world.state(account))["cooldowns"]
    assert (one["scope"], one["reason"]) == ("family:sonnet", "network")
    left = world.site.gate.states.scopes(account)["family:sonnet"].until - time.time()
    assert left <= 30, "not for as long as the other's would make it"


def test_rows_by_what_failed() -> None:
    reached = Reached()
    assert [reached.failed("a", "x").count for _ in range(3)] == [1, 2, 3]
    row = reached.failed("a", "x")
    assert (row.counted(alone=True), row.counted(alone=False)) == (4, 1)
    row = reached.failed("a", "y")
    assert (row.count, row.counted(alone=True), row.counted(alone=False)) == (5, 2, 2)
    assert reached.failed("p", "x").count == 1
    assert [reached.failed("r", "x", name).count for name in ("req_1", "req_1", "req_2")] == [1, 1, 2]
    reached.answered(ACCOUNT, "family:x")
    assert reached.failed("a", "x").count == 1
    assert reached.failed("p", "x").count == 2
    assert [reached.failed("q", key).counted(alone=True) for key in "xyxy"] == [1, 2, 2, 3]
    reached.answered(replace(ACCOUNT, proxy=Proxy("p", "http", "h", 1)), "family:x")
    assert reached.failed("p", "x").count == 1


def test_a_row_keeps_its_bound() -> None:
    reached = Reached()
    for n in range(100):
        row = reached.failed("a", f"key_{n}")
    assert (row.count, len(row.by_key)) == (100, 64)


def test_whom_it_has_served_lately() -> None:
    reached = Reached()
    assert not reached.serves_others("f", "x", 100.0)
    reached.served("f", "x", 100.0)
    assert not reached.serves_others("f", "x", 101.0)
    assert reached.serves_others("f", "y", 101.0)
    assert not reached.serves_others("f", "y", 130.0)
    reached.served("f", "y", 120.0)
    reached.served("f", "y", 140.0)
    assert reached.serves_others("f", "x", 141.0)
    assert not reached.serves_others("f", "y", 141.0)
    assert not reached.serves_others("g", "x", 141.0)


def test_what_is_kept_of_fields_is_bounded() -> None:
    reached = Reached()
    for n in range(20_000):
        reached.served(f"f{n}", "x", 1e9)
    assert reached.serves_others("f19999", "y", 1e9)
    assert len(reached._served) <= 8192


def test_a_family_as_a_scope() -> None:
    assert scope_of_family("claude-sonnet-4-5") == "family:sonnet"
    assert scope_of_family("gpt-5") == "family:gpt-5"
