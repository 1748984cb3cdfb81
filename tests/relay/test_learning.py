"""What answers tell of accounts, through a real gateway: the next choice follows it, here and in the others."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from gateway.core import paces
from gateway.core.learned import decode
from gateway.core.names import pace_name
from gateway.relay import learning
from gateway.relay.background import TELL
from gateway.routing.latency import SAMPLES
from tests.relay.world import MESSAGE, OK, Raw, World, answer

LIMITED = {"sonnet": "claude-sonnet-4", "opus": "claude-opus-4"}


def limits(remaining: int, *more: str, reset: str = "30s") -> list[str]:
    return [
        "x-ratelimit-limit-requests: 100",
        f"x-ratelimit-remaining-requests: {remaining}",
        f"x-ratelimit-reset-requests: {reset}",
        *more,
    ]


async def accounts(world: World, raw: Raw, *secrets: str, **fields: Any) -> dict[str, str]:
    return {secret: await world.account(secret=secret, base_url=raw.url, **fields) for secret in secrets}


async def used(world: World, key: str, times: int, model: str = LIMITED["sonnet"], url: str = "") -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(times):
        found[(await world.ask(key, model, url=url)).headers["x-poolgate-account"]] += 1
    return found


async def test_an_account_near_its_limit_is_chosen_last_by_every_gateway(world: World, raw: Raw) -> None:
    if len(world.site.gateways) < 2:
        await world.site.start_gateway()
    second = world.site.gateways[1]
    ids = await accounts(world, raw, "sk-near-1", "sk-far-2")
    near, far = ids.values()
    raw.say("sk-near-1", answer(200, MESSAGE, *limits(4)))
    raw.say("sk-far-2", answer(200, MESSAGE, *limits(80)))
    key = await world.key(debug=True)
    assert await used(world, key, 2) == {near: 1, far: 1}
    assert await used(world, key, 4) == {far: 4}
    assert (await used(world, key, 1, LIMITED["opus"]))[near] == 1, "another family has limits of its own"

    async with asyncio.timeout(5):
        while not second.gate.states.near_limit(near, "sonnet", time.time()):
            await asyncio.sleep(0.05)
    assert await used(world, key, 4, url=second.url) == {far: 4}
    gate = world.site.gate
    held = await gate.redis.hget(gate.prefix_of(world.tenant_id) + "learned", f"{near}|sonnet")
    found = decode(held or "")
    assert found is not None
    assert [(one.name, one.remaining) for one in found.windows] == [("requests", 4)]


async def test_what_an_error_says_counts_and_counting_tokens_does_not(world: World, raw: Raw) -> None:
    (account,) = (await accounts(world, raw, "sk-error-1")).values()
    key = await world.key()
    gate = world.site.gate
    raw.say("sk-error-1", answer(200, {"input_tokens": 3}, *limits(1)))
    body = {"model": LIMITED["sonnet"], "messages": [{"role": "user", "content": "Hello"}]}
    counted = await world.site.http.post("/v1/messages/count_tokens", headers={"x-api-key": key}, json=body)
    assert counted.status_code == 200
    assert not gate.states.near_limit(account, "sonnet", time.time())
    raw.say("sk-error-1", answer(400, {"error": {}}, *limits(1)))
    assert (await world.ask(key, LIMITED["sonnet"])).status_code == 400
    assert gate.states.near_limit(account, "sonnet", time.time())


async def test_at_the_end_of_the_window_it_is_chosen_again(world: World, raw: Raw) -> None:
    near, _ = (await accounts(world, raw, "sk-again-1", "sk-again-2")).values()
    raw.say("sk-again-1", answer(200, MESSAGE, *limits(0, reset="600ms")))
    raw.say("sk-again-2", OK)
    key = await world.key(debug=True)
    await used(world, key, 2)
    await asyncio.sleep(0.65)
    assert (await used(world, key, 2))[near] == 1


async def test_a_slow_account_is_tried_last_and_keeps_no_session(world: World, raw: Raw) -> None:
    async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1.2)
        writer.write(OK)

    ids = await accounts(world, raw, "sk-pace-1", "sk-pace-2", "sk-pace-3")
    for secret in ids:
        raw.say(secret, OK)
    key = await world.key(debug=True)
    headers = {"x-session-id": "s"}
    await world.ask(key, headers=headers)
    bound = (await world.ask(key, headers=headers)).headers["x-poolgate-account"]
    # The account that the session is with becomes slow.
    secret = next(secret for secret, account in ids.items() if account == bound)
    raw.say(secret, slow)
    await asyncio.gather(*(world.ask(key) for _ in range(SAMPLES * 3)))
    await asyncio.sleep(0.5)
    await asyncio.gather(*(world.ask(key) for _ in range(6)))
    moved = (await world.ask(key, headers=headers)).headers["x-poolgate-account"]
    assert moved != bound
    assert bound not in await used(world, key, 8, "sandbox-echo")


async def test_nothing_is_learned_from_a_failure_but_a_timeout(world: World, raw: Raw) -> None:
    (account,) = (await accounts(world, raw, "sk-wait-1", timeouts={"total": 0.3, "first_event": 0.3})).values()
    key = await world.key()
    gate = world.site.gate
    kind = (world.tenant_id, "sandbox-echo", "generate", False)
    raw.say("sk-wait-1", answer(400, {"error": {}}))
    await world.ask(key)
    assert gate.states.latencies.of(kind) is None

    async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    raw.say("sk-wait-1", silence)
    assert (await world.ask(key)).status_code == 504
    peers = gate.states.latencies.of(kind)
    assert peers is not None
    assert peers.mean(account) == pytest.approx(0.3, abs=0.25)


async def test_times_are_told_to_operators_and_end_by_themselves(world: World, raw: Raw) -> None:
    (account,) = (await accounts(world, raw, "sk-told-1")).values()
    key = await world.key()
    gate = world.site.gate
    kind = (world.tenant_id, "sandbox-echo", "generate", False)
    raw.say("sk-told-1", OK)
    before = time.time()
    await world.ask(key)
    name = gate.prefix_of(world.tenant_id) + pace_name(kind, time.time())
    async with asyncio.timeout(TELL + 3):
        while not (held := await gate.redis.hgetall(name)):
            await asyncio.sleep(0.05)
    assert set(held) == {gate.journal.instance}
    told = paces.merged(held.values(), time.time())
    peers = gate.states.latencies.of(kind)
    assert peers is not None
    assert (set(told), told[account].mean, told[account].slow) == ({account}, peers.mean(account), False)
    assert before < told[account].at < time.time()
    assert 7100 < await gate.redis.ttl(name) <= 7200
    # What is not new is not written again; while Redis is away it waits.
    await gate.redis.delete(name)
    await learning.tell(gate)
    assert not await gate.redis.exists(name)
    await world.ask(key)
    gate.scripts.drop("for the test")
    await learning.tell(gate)
    async with asyncio.timeout(TELL + 5):
        while not await gate.redis.exists(name):
            await asyncio.sleep(0.05)
