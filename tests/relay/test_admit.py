"""Limits, slots and sessions, shared by every gateway: exact, whoever asks."""

import asyncio
import itertools
import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import select

from gateway.core import models as m
from gateway.core.inspection import read_limits, reset_limits
from gateway.core.limits import all_of
from gateway.core.names import response_name, tag_of
from gateway.core.prices import Price
from gateway.core.services import accounts, keys, pools, rows, users
from gateway.core.services import prices as versions
from gateway.core.services.reach import Reach
from gateway.core.state import State
from gateway.local.sandbox import Rule
from tests.relay.world import CHAT, MESSAGES, OK, Raw, World, body, code_of
from tests.support.installation import Site


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def _three(site: Site) -> None:
    while len(site.gateways) < 3:
        await site.start_gateway()


def everywhere(world: World) -> Iterator[str]:
    return itertools.cycle([one.url for one in world.site.gateways])


async def flood(world: World, key: str, times: int, model: str = "sandbox-echo") -> list[httpx.Response]:
    urls = everywhere(world)
    return list(await asyncio.gather(*(world.ask(key, model, url=next(urls)) for _ in range(times))))


def refused(answers: list[httpx.Response]) -> int:
    assert {answer.status_code for answer in answers} <= {200, 429}, Counter(answer.text for answer in answers)
    return sum(answer.status_code == 429 for answer in answers)


@pytest.mark.parametrize(
    "per", ["minute", "hour", "day", "week", "month", "total", {"rolling": "5h"}, {"rolling": "7s"}]
)
async def test_requests_are_exact_over_all_gateways(world: World, per: Any) -> None:
    await world.account()
    key = await world.key(limits=[{"type": "requests", "per": per, "max": 37}])
    assert refused(await flood(world, key, 120)) == 120 - 37
    assert refused(await flood(world, key, 3)) == 3, "refused requests must not count, nor be let in"
    (shown,) = await world.key_state(key, world.site.gateways[1].url)
    assert (shown["used"], shown["remaining"], shown["max"], shown["scope"]) == (37, 0, 37, "key")


async def test_concurrency_is_exact_and_comes_back(world: World) -> None:
    account = await world.account()
    key = await world.key(limits=[{"type": "concurrency", "max": 9}])
    for _ in range(2):
        answers = await flood(world, key, 60, "sandbox-stall-1500ms")
        assert refused(answers) == 51
        no = next(answer for answer in answers if answer.status_code == 429)
        assert (code_of(no), no.headers["retry-after"]) == ("concurrency_limited", "1")
    await world.site.settled()
    assert (await world.key_state(key))[0]["used"] == 0
    assert await world.slots(account) == 0


async def test_key_user_and_tenant_together(site: Site) -> None:
    world = await World.make(site, limits=[{"type": "requests", "per": "day", "max": 25}])
    await world.account()
    limits = [{"type": "requests", "per": "day", "max": 12}]
    async with site.sessions.begin() as session:
        role = users.Role(tenant_id=world.tenant_id, role="member")
        values = {"email": f"{os.urandom(4).hex()}@x.y", "name": "u", "limits": limits}
        user = await users.create(session, values, [role], "x", one_time=False)
    of_user = [
        await world.key(user_id=user.id, limits=[{"type": "requests", "per": "day", "max": most}]) for most in (8, 50)
    ]
    alone = await world.key()
    assert refused(await flood(world, of_user[0], 20)) == 12
    answers = await flood(world, of_user[1], 20)
    assert refused(answers) == 16, "the user has 12 for both keys"
    assert "user" in next(a for a in answers if a.status_code == 429).json()["error"]["message"]
    answers = await flood(world, alone, 30)
    assert refused(answers) == 17, "the tenant has 25 for all"
    assert {one["scope"]: one["remaining"] for one in await world.key_state(of_user[0])} == {
        "key": 0,
        "user": 0,
        "tenant": 0,
    }


@pytest.mark.parametrize("share_a_tag", [True, False])
async def test_a_user_counts_in_each_tenant_apart(site: Site, share_a_tag: bool) -> None:
    """Whether the counters of the two tenants lie together in Redis or not."""
    one = await World.make(site)
    two = await World.make(site)
    while (tag_of(one.tenant_id) == tag_of(two.tenant_id)) is not share_a_tag:
        two = await World.make(site)
    both = (one, two)
    limits = [{"type": "requests", "per": per, "max": 4} for per in ("day", {"rolling": "5h"})]
    async with site.sessions.begin() as session:
        roles = [users.Role(tenant_id=world.tenant_id, role="member") for world in both]
        values = {"email": f"{os.urandom(4).hex()}@x.y", "name": "u", "limits": limits}
        user = await users.create(session, values, roles, "x", one_time=False)
    made = [(await world.new_key(user_id=user.id), await world.account())[0] for world in both]
    for world, (_, key), times in zip(both, made, (6, 3), strict=True):
        assert refused(await flood(world, key, times)) == max(0, times - 4)
    await site.settled()
    shown = [[(each["scope"], each["used"]) for each in await one.key_state(key)] for _, key in made]
    assert shown == [[("user", 4)] * 2, [("user", 3)] * 2]
    # Lifting them in one tenant leaves the other's.
    async with site.sessions.begin() as session:
        mine = await session.get(m.Key, made[0][0])
        assert mine is not None
        applying = await keys.limits_of(session, mine)
        await reset_limits(site.gate.redis, session, one.tenant_id, applying)
    shown = [[each["used"] for each in await one.key_state(key)] for _, key in made]
    assert shown == [[0, 0], [3, 3]]


async def test_each_of_several_answers_is_held_by_a_limit(world: World) -> None:
    await world.account("openai")
    await world.account("gemini")
    limits = [{"type": "output_tokens", "per": "day", "max": 100, "reserve": "worst"}]
    for path, one in (
        (CHAT, lambda times: body("sandbox-tokens-9", CHAT, max_tokens=30, n=times)),
        ("/v1beta/models/sandbox-tokens-9:generateContent", lambda times: {
            "contents": [{"parts": [{"text": "Hello"}]}],
            "generationConfig": {"maxOutputTokens": 30, "candidateCount": times},
        }),
    ):  # fmt: skip
        headers = {"x-api-key": await world.key(limits=limits)}
        got = await world.site.http.post(path, headers=headers, json=one(4))
        assert got.status_code == 429, "120 tokens may come"
        assert "120 output tokens" in got.text
        got = await world.site.http.post(path, headers=headers, json=one(3))
        assert got.status_code == 200, got.text
        assert (await world.site.row(got.headers["x-request-id"])).output_tokens == 27


async def test_models_and_platforms_narrow(world: World) -> None:
    await world.account("claude-console", models=["claude-*"])
    await world.account("openai", models=["gpt-*"])
    key = await world.key(
        limits=[
            {"type": "requests", "per": "day", "max": 2, "models": ["claude-sandbox*"]},
            {"type": "requests", "per": "day", "max": 3, "platforms": ["openai"]},
            {"type": "concurrency", "max": 1, "platforms": ["gemini"]},
        ]
    )
    assert [(await world.ask(key, "claude-sandbox-echo")).status_code for _ in range(3)] == [200, 200, 429]
    assert [(await world.ask(key, "claude-other")).status_code for _ in range(4)] == [200] * 4
    assert [(await world.ask(key, "gpt-1", CHAT)).status_code for _ in range(4)] == [200] * 3 + [429]
    await world.site.settled()
    assert [one["used"] for one in await world.key_state(key)] == [2, 3, 0]


async def test_a_limit_of_one_platform_sends_to_the_other(world: World) -> None:
    await world.account("claude-console", priority=1)
    await world.account("claude-official", priority=2)
    key = await world.key(
        debug=True, limits=[{"type": "requests", "per": "day", "max": 2, "platforms": ["claude-console"]}]
    )
    used = [(await world.ask(key)).headers["x-poolgate-platform"] for _ in range(4)]
    assert used == ["claude-console"] * 2 + ["claude-official"] * 2


async def test_retry_after_is_honest(world: World) -> None:
    await world.account()
    key = await world.key(limits=[{"type": "requests", "per": {"rolling": "2s"}, "max": 3}])
    started = time.monotonic()
    assert refused(await flood(world, key, 5)) == 2
    no = await world.ask(key)
    wait = int(no.headers["retry-after"])
    assert 1 <= wait <= 3
    assert "x-should-retry" not in no.headers
    await asyncio.sleep(wait)
    assert (await world.ask(key)).status_code == 200
    assert time.monotonic() - started > 1.9, "more than the maximum within one length"
    long = await world.key(limits=[{"type": "requests", "per": "hour", "max": 0}])
    assert (await world.ask(long)).headers["x-should-retry"] == "false"


async def test_in_no_interval_are_more_than_the_maximum(world: World) -> None:
    """Asked without a pause for several lengths: whatever interval of that length is looked at, it holds."""
    await world.account()
    key = await world.key(limits=[{"type": "requests", "per": {"rolling": "1s"}, "max": 10}])
    admitted: list[tuple[float, float]] = []
    until = time.monotonic() + 3.2

    async def worker(url: str) -> None:
        while time.monotonic() < until:
            asked = time.monotonic()
            if (await world.ask(key, url=url)).status_code == 200:
                admitted.append((asked, time.monotonic()))
            await asyncio.sleep(0.02)

    await asyncio.gather(*(worker(one.url) for one in world.site.gateways))
    for began, _ in admitted:
        assert sum(began <= asked and answered < began + 0.99 for asked, answered in admitted) <= 10
    assert len(admitted) >= 28, "a place must be free again when its time is over"


async def test_changed_maximum_keeps_the_count(world: World) -> None:
    await world.account()
    key_id, key = await world.new_key(limits=[{"type": "requests", "per": "day", "max": 3}])
    assert refused(await flood(world, key, 6)) == 3
    await world.change_key(key_id, {"limits": [{"type": "requests", "per": "day", "max": 5}]})
    assert refused(await flood(world, key, 6)) == 4
    await world.change_key(key_id, {"limits": [{"type": "requests", "per": "day", "max": 2}]})
    assert refused(await flood(world, key, 2)) == 2


async def test_headers_in_the_clients_dialect(world: World) -> None:
    for platform in ("claude-console", "openai", "gemini", "openai-responses"):
        await world.account(platform)
    key = await world.key(
        limits=[{"type": "requests", "per": "minute", "max": 50}, {"type": "requests", "per": "day", "max": 10}]
    )
    answer = await world.ask(key)
    assert (
        answer.headers["anthropic-ratelimit-requests-limit"],
        answer.headers["anthropic-ratelimit-requests-remaining"],
    ) == ("10", "9")
    assert answer.headers["anthropic-ratelimit-requests-reset"].endswith("Z")
    answer = await world.ask(key, path=CHAT)
    assert (answer.headers["x-ratelimit-limit-requests"], answer.headers["x-ratelimit-remaining-requests"]) == (
        "10",
        "8",
    )
    assert answer.headers["x-ratelimit-reset-requests"][-1] == "s"
    asked = {"contents": [{"parts": [{"text": "Hello"}]}]}
    answer = await world.site.http.post(
        "/v1beta/models/sandbox-echo:generateContent", headers={"x-api-key": key}, json=asked
    )
    assert answer.status_code == 200
    assert not [name for name in answer.headers if "ratelimit" in name]
    assert refused(await flood(world, key, 20)) == 13
    no = await world.ask(key)
    assert no.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert (await world.ask(key, path=CHAT)).headers["x-ratelimit-remaining-requests"] == "0"


async def test_the_same_limit_twice_counts_once(world: World) -> None:
    await world.account()
    key = await world.key(
        limits=[{"type": "requests", "per": "day", "max": 4}, {"type": "requests", "per": "day", "max": 6}]
    )
    assert refused(await flood(world, key, 10)) == 6
    await world.site.settled()
    assert [one["used"] for one in await world.key_state(key)] == [4, 4]


# ------------------------------------------------------------------ tokens and money


async def tokens_of(world: World, answers: list[httpx.Response]) -> int:
    """What the ledger says that they used."""
    await world.site.settled()
    rows = [await world.site.row(one.headers["x-request-id"]) for one in answers if one.status_code == 200]
    return sum(
        row.input_tokens + row.cache_read_tokens + row.cache_write_5m_tokens + row.cache_write_1h_tokens
        + row.output_tokens
        for row in rows
    )  # fmt: skip


@pytest.mark.parametrize("per", ["minute", "day", "total", {"rolling": "5h"}])
async def test_tokens_are_reserved_over_all_gateways_and_put_right(world: World, per: Any) -> None:
    await world.account()
    model = "sandbox-stall-600ms"
    asked = httpx.Request("POST", "http://x", json=body(model, max_tokens=100)).content
    reserved = len(asked) // 4 + 100
    most = 10 * reserved + reserved // 2
    key = await world.key(limits=[{"type": "tokens", "per": per, "max": most, "reserve": "worst"}])
    urls = everywhere(world)
    running = [asyncio.ensure_future(world.ask(key, model, url=next(urls), max_tokens=100)) for _ in range(30)]
    await asyncio.sleep(0.3)
    (shown,) = await world.key_state(key, world.site.gateways[1].url)
    assert (shown["used"], shown["remaining"]) == (10 * reserved, reserved // 2)
    answers = list(await asyncio.gather(*running))
    assert refused(answers) == 20
    no = next(one for one in answers if one.status_code == 429)
    assert code_of(no) == "token_limited"
    used = await tokens_of(world, answers)
    (shown,) = await world.key_state(key)
    assert 0 < used < 10 * reserved
    assert (shown["used"], shown["remaining"]) == (used, most - used)
    never = await world.ask(key, model, max_tokens=most)
    assert (never.status_code, never.headers["x-should-retry"]) == (429, "false")
    assert "may use" in never.json()["error"]["message"]


async def test_money_is_counted_as_the_ledger_has_it(world: World) -> None:
    await world.account()
    limits = [
        {"type": "budget", "per": "total", "max": "2.00"},
        {"type": "budget", "per": "minute", "max": "3"},
        {"type": "output_tokens", "per": "day", "max": 100_000},
        {"type": "input_tokens", "per": "day", "max": 100_000},
    ]
    key = await world.key(limits=limits)
    answers = [await world.ask(key, "claude-3-haiku", max_tokens=64, stream=at % 2 == 1) for at in range(4)]
    assert {one.status_code for one in answers} == {200}
    await world.site.settled()
    rows = [await world.site.row(one.headers["x-request-id"]) for one in answers]
    cost = sum(Decimal(row.cost or 0) for row in rows)
    assert cost > 0
    shown = await world.key_state(key)
    assert [Decimal(one["used"]) for one in shown[:2]] == [cost, cost]
    assert [Decimal(one["remaining"]) for one in shown[:2]] == [2 - cost, 3 - cost]
    assert shown[2]["used"] == sum(row.output_tokens for row in rows)
    fresh = sum(row.input_tokens + row.cache_write_5m_tokens + row.cache_write_1h_tokens for row in rows)
    assert shown[3]["used"] == fresh


async def test_a_budget_that_is_used_up_refuses(world: World) -> None:
    await world.account()
    key = await world.key(limits=[{"type": "budget", "per": "day", "max": "0.00001"}])
    no = await world.ask(key, "claude-3-haiku", max_tokens=4096)
    assert (no.status_code, code_of(no), no.headers["x-should-retry"]) == (429, "budget_exceeded", "false")
    assert "0.00001" in no.json()["error"]["message"]
    assert (await world.key_state(key))[0]["used"] == "0", "refused requests do not count"


async def test_a_failover_keeps_what_the_caller_reserved_and_gives_the_accounts_back(world: World) -> None:
    limits = [{"type": "tokens", "per": "hour", "max": 10**6}]
    accounts = [await world.account(secret=f"sk-over-000{at}", limits=limits, priority=at + 1) for at in range(2)]
    key = await world.key(debug=True, limits=limits)
    world.site.sandbox.rules([Rule("error-529", credential="sk-over-0000", times=1)])
    answer = await world.ask(key)
    assert (answer.headers["x-poolgate-attempts"], answer.headers["x-poolgate-account"]) == ("2", accounts[1])
    used = await tokens_of(world, [answer])
    assert (await world.key_state(key))[0]["used"] == used
    gate = world.site.gate
    found = []
    for one in accounts:
        names = await gate.redis.keys(gate.prefix_of(world.tenant_id) + f"w:{one}:tokens:*")
        found.append(sum([int(await gate.redis.hget(name, "n") or 0) for name in names]))
    assert found == [0, used]
    await world.heal()


# ------------------------------------------------------------------ slots


async def test_slots_are_exact_and_full_is_said(world: World) -> None:
    accounts = [
        await world.account(max_concurrency=4),
        await world.account(max_concurrency=3),
        await world.account(enabled=False),
    ]
    key = await world.key()
    for _ in range(2):
        answers = await flood(world, key, 40, "sandbox-stall-1500ms")
        tally = Counter(answer.status_code for answer in answers)
        assert tally == {200: 7, 503: 33}
        no = next(answer for answer in answers if answer.status_code == 503)
        assert code_of(no) == "overloaded"
        assert int(no.headers["retry-after"]) >= 1
        assert "0 cooling down, 2 busy, 1 disabled" in no.json()["error"]["message"]
    await world.site.settled()
    assert [await world.slots(one) for one in accounts] == [0, 0, 0]


async def test_a_slot_is_found_behind_the_first_eight(world: World) -> None:
    for at in range(10):
        await world.account(max_concurrency=1, priority=at + 1)
    key = await world.key()
    answers = await flood(world, key, 10, "sandbox-stall-300ms")
    assert [answer.status_code for answer in answers] == [200] * 10
    await world.site.settled()


@pytest.mark.parametrize("count", [3, 12])
async def test_least_busy_within_a_priority(world: World, count: int) -> None:
    for _ in range(count):
        await world.account(priority=10)
    await world.account(priority=20)
    key = await world.key(debug=True)
    used: Counter[str] = Counter()
    for _ in range(15):  # many, so that a tenth is more than what one burst's order makes
        for answer in await flood(world, key, count * 8, "sandbox-stall-20ms"):
            used[answer.headers["x-poolgate-account"]] += 1
    mean = sum(used.values()) / count
    assert len(used) == count
    assert max(used.values()) - min(used.values()) <= 0.1 * mean, used


async def test_priority_first_and_the_next_when_it_is_full(world: World) -> None:
    first = await world.account(priority=1, max_concurrency=5)
    second = await world.account(priority=2)
    key = await world.key(debug=True)
    answers = await flood(world, key, 20, "sandbox-stall-300ms")
    used = Counter(answer.headers["x-poolgate-account"] for answer in answers)
    assert used == {first: 5, second: 15}
    await world.site.settled()


# ------------------------------------------------------------------ sessions

USER = "user_ab_account_cd_session_0f1e2d3c-0000-4000-8000-00000000000a"
FORMS: list[tuple[dict[str, str], dict[str, Any]]] = [
    *(({name: "s-1"}, {}) for name in ("x-claude-code-session-id", "session-id", "session_id", "thread-id",
                                       "conversation_id", "x-session-id", "x-session-affinity")),
    ({}, {"metadata": {"user_id": USER}}),
    ({}, {"metadata": {"user_id": json.dumps({"session_id": "s-2"})}}),
    ({}, {"prompt_cache_key": "s-3"}),
    ({}, {"session_id": "s-4"}),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "more"), FORMS)
async def test_a_session_stays(world: World, headers: dict[str, str], more: dict[str, Any]) -> None:
    for _ in range(4):
        await world.account()
    key = await world.key(debug=True)
    urls = everywhere(world)
    used = {
        (await world.ask(key, headers=headers, url=next(urls), **more)).headers["x-poolgate-account"] for _ in range(8)
    }
    assert len(used) == 1
    free = {(await world.ask(key)).headers["x-poolgate-account"] for _ in range(8)}
    assert len(free) > 1, "without a session there is no stickiness"


async def test_sessions_of_two_keys_never_meet(world: World) -> None:
    for _ in range(2):
        await world.account()
    headers = {"x-session-id": "the same"}
    seen: set[frozenset[str]] = set()
    for _ in range(6):
        both = [await world.key(debug=True) for _ in range(2)]
        seen.add(frozenset([(await world.ask(key, headers=headers)).headers["x-poolgate-account"] for key in both]))
    assert any(len(pair) == 2 for pair in seen)


async def test_a_session_moves_when_its_account_cannot_serve_and_lives_an_hour(world: World) -> None:
    for _ in range(2):
        await world.account(max_concurrency=1)
    key = await world.key(debug=True)
    gate = world.site.gate
    prefix = gate.prefix_of(world.tenant_id)

    async def ask(model: str = "sandbox-echo") -> str:
        return (await world.ask(key, model, headers={"x-session-id": "s"})).headers["x-poolgate-account"]

    before = set(await gate.redis.keys(prefix + "k:*"))
    first = await ask()
    (name,) = set(await gate.redis.keys(prefix + "k:*")) - before
    await gate.redis.expire(name, 10)
    assert await ask() == first
    assert 3590 < await gate.redis.ttl(name) <= 3600, "renewed on use"
    busy = asyncio.ensure_future(ask("sandbox-stall-500ms"))
    await asyncio.sleep(0.15)
    second = await ask()
    assert second != first, "its account is full"
    assert await busy == first
    assert await ask() == second, "the session has moved"
    await world.site.settled()
    world.site.sandbox.rules([])
    assert (await gate.redis.get(name)) == second


async def test_a_failover_takes_the_session_along(world: World) -> None:
    accounts = {secret: await world.account(secret=secret) for secret in ("sk-stick-0001", "sk-stick-0002")}

    key = await world.key(debug=True)
    headers = {"x-session-id": "s"}
    first = (await world.ask(key, headers=headers)).headers["x-poolgate-account"]
    secret = next(one for one, account in accounts.items() if account == first)
    world.site.sandbox.rules([Rule("error-529", credential=secret, times=1)])
    moved = await world.ask(key, headers=headers)
    assert moved.headers["x-poolgate-attempts"] == "2"
    second = moved.headers["x-poolgate-account"]
    assert second != first
    await world.heal()
    assert {(await world.ask(key, headers=headers)).headers["x-poolgate-account"] for _ in range(4)} == {second}


async def test_count_tokens_counts_and_lists_do_not(world: World) -> None:
    await world.account()
    key = await world.key(limits=[{"type": "requests", "per": "day", "max": 10}])
    counted = await world.site.http.post(
        MESSAGES + "/count_tokens", headers={"x-api-key": key}, json=body("sandbox-echo")
    )
    assert counted.status_code == 200
    for path in ("/v1/models", "/v1/key", "/v1/providers"):
        assert (await world.site.http.get(path, headers={"x-api-key": key})).status_code == 200
    assert (await world.key_state(key))[0]["used"] == 1


# ------------------------------------------------------------------ a session's end


async def _sticks(world: World, key: str, model: str = "sandbox-echo") -> str:
    answer = await world.ask(key, model, headers={"x-session-id": "s"}, url=next(_anywhere(world)))
    assert answer.status_code == 200, answer.text
    return answer.headers["x-poolgate-account"]


def _anywhere(world: World) -> Iterator[str]:
    yield random.choice([one.url for one in world.site.gateways])


async def test_a_session_leaves_an_account_that_cools_down(world: World) -> None:
    for _ in range(3):
        await world.account()
    key = await world.key(debug=True)
    first = await _sticks(world, key)
    assert {await _sticks(world, key) for _ in range(4)} == {first}
    for one in world.site.gateways:
        one.gate.states.set(first, "account", State("overloaded", time.time() + 30))
    second = await _sticks(world, key)
    assert second != first
    await world.heal()
    assert {await _sticks(world, key) for _ in range(4)} == {second}


async def test_a_session_leaves_an_account_that_cannot_serve_the_model(world: World) -> None:
    echo = await world.account(models=["sandbox-echo"])
    other = await world.account(models=["sandbox-other", "sandbox-echo"], priority=90)
    key = await world.key(debug=True)
    assert await _sticks(world, key) == echo
    assert await _sticks(world, key, "sandbox-other") == other
    assert await _sticks(world, key) == other, "it has moved"


async def test_a_session_behind_the_first_eight_takes_one_call(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in range(12):
        await world.account(priority=50 if at else 99)
    last = await world.account(priority=100)
    key = await world.key(debug=True)
    gate = world.site.gate
    headers = {"x-session-id": "s"}
    assert (await world.ask(key, headers=headers)).status_code == 200
    ids = {one.id for one in gate.snapshot.by_tenant[world.tenant_id]}
    names = await gate.redis.keys(gate.prefix_of(world.tenant_id) + "k:*")
    (name,) = [name for name in names if await gate.redis.get(name) in ids]
    await gate.redis.set(name, last)
    calls: list[Any] = []
    run = gate.scripts.run

    async def counted(*given: Any) -> Any:
        calls.append(given)
        return await run(*given)

    monkeypatch.setattr(gate.scripts, "run", counted)
    for at in range(4):
        assert (await world.ask(key, headers=headers)).headers["x-poolgate-account"] == last
        assert len(calls) == 2 + at, "once it was found, it is offered at once"


# ------------------------------------------------------------------ pools


async def _pool(world: World, strategy: str) -> str:
    async with world.site.sessions.begin() as session:
        pool = await pools.create(session, world.tenant_id, {"name": strategy, "strategy": strategy})
    await world.site.reload()
    return pool.id


async def test_round_robin_is_exact_over_all_gateways(world: World) -> None:
    pool = await _pool(world, "round_robin")
    members = [await world.account(pools=[pool]) for _ in range(11)]
    key = await world.key(debug=True)
    for times in (1, 3):
        answers = await flood(world, key, 11 * times)
        used = Counter(answer.headers["x-poolgate-account"] for answer in answers)
        assert used == dict.fromkeys(members, times)


async def test_weights_hold(world: World) -> None:
    pool = await _pool(world, "weighted")
    heavy, light, none = [await world.account(pools=[pool], weight=weight) for weight in (3, 1, 0)]
    key = await world.key(debug=True, pools=[pool])
    asked = [(await world.ask(key)).headers["x-poolgate-account"] for _ in range(24)]
    assert Counter(asked) == {heavy: 18, light: 6}
    async with world.site.sessions.begin() as session:
        for one in (heavy, light):
            found = await accounts.find(session, Reach(everything=True), one, lock=True)
            await accounts.switch(session, found, enabled=False)
    await world.site.reload()
    assert (await world.ask(key)).headers["x-poolgate-account"] == none


async def test_random_is_even_and_takes_no_turns(world: World) -> None:
    pool = await _pool(world, "random")
    members = [await world.account(pools=[pool]) for _ in range(3)]
    later = await world.account(pools=[pool], priority=60)
    key = await world.key(debug=True, pools=[pool])
    for at, one in enumerate(world.site.gateways):
        one.gate.states.turns.random.seed(at)
    urls = everywhere(world)
    asked = [(await world.ask(key, url=next(urls))).headers["x-poolgate-account"] for _ in range(120)]
    used = Counter(asked)
    assert set(used) == set(members), later
    assert all(20 < used[one] < 60 for one in members), used
    # Turns would give each account once in three requests.
    assert any(first == second for first, second in itertools.pairwise(asked))


async def test_latency_takes_the_fastest_and_asks_the_others_now_and_then(world: World, raw: Raw) -> None:
    pool = await _pool(world, "latency")
    members: dict[str, str] = {}
    for seconds in (0.12, 0.0, 0.06):
        secret = f"sk-latency-{seconds}"
        raw.say(secret, partial(_after, seconds))
        members[secret] = await world.account(pools=[pool], secret=secret, base_url=raw.url)
    slowest, fastest, _ = members.values()
    key = await world.key(debug=True, pools=[pool])
    gate = world.site.gate
    gate.states.turns.random.seed(7)
    first = [(await world.ask(key)).headers["x-poolgate-account"] for _ in members]
    assert set(first) == set(members.values()), "each is asked once, to know it"
    used = Counter([(await world.ask(key)).headers["x-poolgate-account"] for _ in range(60)])
    assert used[fastest] >= 50, used
    assert used.total() - used[fastest] >= 1, "it looks around"
    # The one that was fastest is so no more.
    raw.say(f"sk-latency-{0.0}", partial(_after, 0.3))
    raw.say(f"sk-latency-{0.12}", OK)
    gate.states.turns.random.seed(7)
    for _ in range(40):
        await world.ask(key)
    used = Counter([(await world.ask(key)).headers["x-poolgate-account"] for _ in range(20)])
    assert used.most_common(1)[0][0] != fastest, (used, slowest)


async def _after(seconds: float, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(seconds)
    writer.write(OK)


async def test_a_bound_key_has_no_silent_fall_back(world: World) -> None:
    pool = await _pool(world, "least_busy")
    inside = await world.account(pools=[pool])
    outside = await world.account()
    of_pool, of_account = await world.key(debug=True, pools=[pool]), await world.key(debug=True, account_id=inside)
    for key in (of_pool, of_account):
        assert {(await world.ask(key)).headers["x-poolgate-account"] for _ in range(4)} == {inside}
    for one in world.site.gateways:
        one.gate.states.set(inside, "account", State("overloaded", time.time() + 30))
    for key in (of_pool, of_account):
        no = await world.ask(key)
        assert (no.status_code, code_of(no), 29 <= int(no.headers["retry-after"]) <= 30) == (503, "no_account", True)
    free = await world.key(debug=True)
    assert (await world.ask(free)).headers["x-poolgate-account"] == outside
    await world.heal()


async def test_an_account_that_drains_keeps_its_sessions_only(world: World) -> None:
    first = await world.account()
    key = await world.key(debug=True)
    assert await _sticks(world, key) == first
    second = await world.account(priority=90)
    async with world.site.sessions.begin() as session:
        found = await accounts.find(session, Reach(everything=True), first, lock=True)
        found.draining = True
        await rows.announce(session, "account", first)
    await world.site.reload()
    assert await _sticks(world, key) == first
    assert (await world.ask(key)).headers["x-poolgate-account"] == second
    fresh = await world.ask(key, headers={"x-session-id": "new"})
    assert fresh.headers["x-poolgate-account"] == second


# ------------------------------------------------------------------ limits of accounts


async def test_an_account_at_its_limit_is_passed_over(world: World) -> None:
    daily = await world.account(priority=1, limits=[{"type": "requests", "per": "day", "max": 3}])
    rolling = await world.account(
        priority=2,
        limits=[{"type": "requests", "per": {"rolling": "50s"}, "max": 2}, {"type": "concurrency", "max": 9}],
    )
    key = await world.key(debug=True, limits=[{"type": "requests", "per": "day", "max": 7}])
    answers = await flood(world, key, 6)
    assert Counter(answer.headers.get("x-poolgate-account") for answer in answers) == {daily: 3, rolling: 2, None: 1}
    no = next(answer for answer in answers if answer.status_code != 200)
    assert (no.status_code, code_of(no)) == (503, "no_account")
    assert 1 <= int(no.headers["retry-after"]) <= 51
    assert "2 cooling down, 0 busy" in no.json()["error"]["message"]
    await world.site.settled()
    assert (await world.key_state(key))[0]["used"] == 5, "what found no account is not counted"
    ok = next(answer for answer in answers if answer.status_code == 200)
    assert ok.headers["anthropic-ratelimit-requests-limit"] == "7", "an account's limits are no client's business"


async def test_an_accounts_concurrency_is_exact_and_given_back(world: World) -> None:
    limits = [{"type": "concurrency", "max": 3}]
    first = await world.account(priority=1, secret="sk-conc-0001", limits=limits)
    second = await world.account(priority=2, secret="sk-conc-0002", limits=limits)
    key = await world.key(debug=True)
    for _ in range(2):
        answers = await flood(world, key, 9, "sandbox-stall-300ms")
        used = Counter(answer.headers.get("x-poolgate-account") for answer in answers)
        assert used == {first: 3, second: 3, None: 3}
        await world.site.settled()
    # A failover gives back what the first account counted.
    world.site.sandbox.rules([Rule("error-500", credential="sk-conc-0001", times=1)])
    moving = asyncio.ensure_future(world.ask(key, "sandbox-stall-500ms"))
    await asyncio.sleep(0.25)
    gate = world.site.gate
    names = [name async for name in gate.redis.scan_iter(gate.prefix_of(world.tenant_id) + f"c:{first}*")]
    assert [await gate.redis.zcard(name) for name in names] in ([], [0])
    assert (await moving).headers["x-poolgate-account"] == second
    await world.site.settled()
    await world.heal()


async def test_an_accounts_budget_is_about_the_providers_money(world: World) -> None:
    """The multipliers of key and tenant are in the key's budget, and not in the account's: in Redis and PostgreSQL."""
    site, model = world.site, "sandbox-tokens-9"
    async with site.sessions.begin() as session:
        await versions.create(session, versions.draft([Price(model, Decimal(1000), Decimal(2000))]))
    await site.reload()
    budget = [{"type": "budget", "per": "day", "max": "100"}]
    account = await world.account(limits=budget)
    key = await world.key(limits=budget, price_multiplier=Decimal(20))
    answer = await world.ask(key, model)
    used = answer.json()["usage"]
    cost = used["input_tokens"] * 1_000_000 + used["output_tokens"] * 2_000_000
    row = await site.row(answer.headers["x-request-id"])
    assert (row.cost, row.base_cost) == (Decimal(20 * cost).scaleb(-9), Decimal(cost).scaleb(-9))
    assert [Decimal(one["used"]) for one in await world.key_state(key)] == [row.cost]
    async with site.sessions() as session:
        stored = await session.get(m.Account, account)
        assert stored is not None
        (shown,) = await read_limits(site.gate.redis, world.tenant_id, all_of([("account", account, stored.limits)]))
        kept = (await session.execute(select(m.CounterAmount.name, m.CounterAmount.amount))).all()
    assert Decimal(shown["used"]) == row.base_cost
    assert {amount for name, amount in kept if account in name} == {cost}


# ------------------------------------------------------------------ what one account alone knows


async def _respond(world: World, key: str, response_id: str = "resp_1", **more: Any) -> httpx.Response:
    asked = {"model": "sandbox-echo", "input": "Hello", "previous_response_id": response_id, **more}
    return await world.site.http.post("/v1/responses", headers={"x-api-key": key}, json=asked)


async def test_a_previous_response_goes_to_its_account_or_nowhere(world: World) -> None:
    pool = await _pool(world, "least_busy")
    members = [await world.account("openai-responses", pools=[pool]) for _ in range(9)]
    last = await world.account("openai-responses", priority=99)
    key_id, key = await world.new_key(debug=True)
    other = await world.key(debug=True)
    gate = world.site.gate
    name = gate.prefix_of(world.tenant_id) + response_name(world.tenant_id, key_id, "resp_1")
    unknown = await _respond(world, key)
    assert (unknown.status_code, unknown.json()["error"]) == (
        400,
        {
            "message": "The previous response was not found.",
            "type": "invalid_request_error",
            "param": "previous_response_id",
            "code": "previous_response_not_found",
        },
    )
    await gate.redis.set(name, last, ex=60)
    assert {(await _respond(world, key)).headers["x-poolgate-account"] for _ in range(4)} == {last}
    assert (await _respond(world, other)).json() == unknown.json(), "another key's response is as one that never was"

    gate.states.set(last, "account", State("rate_limited", time.time() + 20))
    away = await _respond(world, key)
    assert (away.status_code, away.json()["error"]["code"]) == (503, "no_account")
    assert 19 <= int(away.headers["retry-after"]) <= 20
    gate.states.clear(last, "account")

    await world.change_key(key_id, {"pools": [pool]})
    assert (await _respond(world, key)).json()["error"]["code"] == "previous_response_not_found"
    await gate.redis.set(name, members[0], ex=60)
    assert (await _respond(world, key)).headers["x-poolgate-account"] == members[0]


async def test_a_previous_response_is_no_other_accounts_when_its_own_fails(world: World) -> None:
    for at in range(2):
        await world.account("openai-responses", secret=f"sk-prev-000{at}")
    key_id, key = await world.new_key(debug=True)
    gate = world.site.gate
    bound = gate.snapshot.by_tenant[world.tenant_id][0]
    name = gate.prefix_of(world.tenant_id) + response_name(world.tenant_id, key_id, "resp_1")
    await gate.redis.set(name, bound.id, ex=60)
    world.site.sandbox.rules([Rule("error-500", credential=bound.credentials["api_key"].reveal())])
    failed = await _respond(world, key)
    world.site.sandbox.rules([])
    assert failed.status_code == 502
    row = await world.site.row(failed.headers["x-request-id"])
    assert {attempt["account_id"] for attempt in row.attempts} == {bound.id}
    await world.heal()
