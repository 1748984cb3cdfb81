"""Five hundred requests at once through four gateways: never one too many, and none refused while there is room.

What ran when is the upstream's word: its bill says when each request began and ended there, which is within the time
that poolgate holds it for.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.core.prices import Price
from gateway.core.scripts import ADMIT, SETTLE
from gateway.core.services import prices, teams, tenants, users
from tests.failures import sums
from tests.support.processes import Plant, until, works

AT_ONCE = 500
GATEWAYS = 4
RATE = 1_000_000
"""10⁻⁹ of money for a token of an answer: 1000 for a million of them. Prompts cost nothing."""
Limits = list[dict[str, Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plant() -> AsyncGenerator[Plant]:
    async with works(gateways=GATEWAYS) as made:
        await made.site.account("claude-console")
        price = Price("sandbox-*", input=Decimal(0), output=Decimal(1000))
        dear = Price("sandbox-*-cached-0", input=Decimal(1000), output=Decimal(1000))
        async with made.site.sessions.begin() as session:
            await prices.create(session, prices.draft([price, dear]))
        yield made


class Crowd:
    """Many clients: one with 500 connections spends its time looking through them."""

    def __init__(self, clients: Sequence[httpx.AsyncClient]) -> None:
        self._clients = clients
        self._turn = 0

    @property
    def next(self) -> httpx.AsyncClient:
        self._turn += 1
        return self._clients[self._turn % len(self._clients)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def http() -> AsyncGenerator[Crowd]:
    async with AsyncExitStack() as stack:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        clients = [httpx.AsyncClient(timeout=60, limits=limits, trust_env=False) for _ in range(25)]
        yield Crowd([await stack.enter_async_context(one) for one in clients])


class Answered:
    """What became of one request. `name`: its client's own id, which the bill has too."""

    def __init__(self, name: str, answer: httpx.Response) -> None:
        self.name = name
        self.status = answer.status_code
        self.code = "" if answer.is_success else answer.json()["error"]["code"]


class Race:
    """A key, and who asks with it."""

    def __init__(self, plant: Plant, http: Crowd, secret: str) -> None:
        self.plant, self.http, self.secret = plant, http, secret
        self._asked = 0

    async def ask(self, model: str, *, max_tokens: int = 100, text: str = "Hello there") -> Answered:
        gateway = self.plant.gateways[self._asked % GATEWAYS]
        self._asked += 1
        name = f"race-{self.secret[-6:]}-{self._asked}"
        headers = {"x-api-key": self.secret, "x-request-id": name, "x-client-request-id": name}
        body = {"model": model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": text}]}
        return Answered(name, await self.http.next.post(f"{gateway.url}/v1/messages", headers=headers, json=body))

    async def flood(self, model: str, times: int = AT_ONCE, **more: Any) -> list[Answered]:
        found = await asyncio.gather(*(self.ask(model, **more) for _ in range(times)))
        assert {one.status for one in found} <= {200, 429}, Counter((one.status, one.code) for one in found)
        return found

    async def bills(self) -> list[dict[str, Any]]:
        mine = f"race-{self.secret[-6:]}-"
        return [bill for bill in await self.plant.bill() if (bill["client_request_id"] or "").startswith(mine)]

    async def settled(self) -> None:
        await until(lambda: not self.plant.unsettled(), 30, "the ledger did not become quiet")


async def race(plant: Plant, http: Crowd, limits: Limits, **fields: Any) -> Race:
    made = Race(plant, http, await plant.site.key(limits=limits, **fields))
    await asyncio.sleep(1.2)  # until every gateway has read what its first request is to find
    return made


def let_in(answers: Sequence[Answered], code: str) -> int:
    assert {one.code for one in answers if one.status == 429} <= {code}
    return sum(one.status == 200 for one in answers)


def most_at_once(bills: Sequence[dict[str, Any]]) -> int:
    moments = sorted([(bill["started_at"], 1) for bill in bills] + [(bill["ended_at"], -1) for bill in bills])
    running = most = 0
    for _, step in moments:
        running += step
        most = max(most, running)
    return most


@pytest.mark.parametrize("per", ["minute", {"rolling": "5h"}, "day", "total"])
async def test_ten_requests_of_five_hundred(plant: Plant, http: Crowd, per: Any):
    one = await race(plant, http, [{"type": "requests", "per": per, "max": 10}])
    assert let_in(await one.flood("sandbox-tokens-5"), "rate_limited") == 10
    await one.settled()
    assert len(await one.bills()) == 10


async def test_three_at_once(plant: Plant, http: Crowd):
    one = await race(plant, http, [{"type": "concurrency", "max": 3}])
    answers = await one.flood("sandbox-tokens-5-stall-400ms")
    assert let_in(answers, "concurrency_limited") >= 3
    await one.settled()
    assert most_at_once(await one.bills()) == 3
    # There is room again, for three, at every gateway.
    for _ in range(5):
        assert [found.status for found in await one.flood("sandbox-tokens-5-stall-200ms", 3)] == [200] * 3
        await one.settled()


async def test_a_place_that_is_given_back_is_free_at_once(plant: Plant, http: Crowd):
    one = await race(plant, http, [{"type": "concurrency", "max": 3}])
    headers = {"x-api-key": one.secret}
    body: dict[str, Any] = {"model": "sandbox-tokens-200-gap-50", "max_tokens": 300, "stream": True, "messages": []}
    body["messages"] = [{"role": "user", "content": "Hello"}]
    async with AsyncExitStack() as held:
        for gateway in plant.gateways[:2]:
            stream = http.next.stream("POST", f"{gateway.url}/v1/messages", headers=headers, json=body)
            assert (await held.enter_async_context(stream)).status_code == 200
        for _ in range(20):
            assert (await one.ask("sandbox-tokens-5")).status == 200, "two run, and the third place was given back"
            await asyncio.sleep(0.02)  # the answer is out a moment before its place is given back


async def test_a_budget_worth_ten_is_spent_by_ten(plant: Plant, http: Crowd):
    """Each asks for as much as it may, and gets it: the estimate is exact."""
    one = await race(plant, http, [{"type": "budget", "per": "day", "max": str(Decimal(1000 * RATE).scaleb(-9))}])
    assert let_in(await one.flood("sandbox-tokens-100", max_tokens=100), "budget_exceeded") == 10
    await one.settled()
    rows = await plant.query("SELECT sum(cost) AS cost FROM requests WHERE model_asked = 'sandbox-tokens-100'")
    assert rows[0]["cost"] == Decimal(1)


async def test_a_budget_is_exceeded_by_the_estimates_error_alone(plant: Plant, http: Crowd):
    """Chinese text: three bytes a character, and prompts cost. The provider counts otherwise than we expect."""
    model, text = "sandbox-tokens-100-cached-0", "一二三四五六七八九十" * 10
    one = await race(plant, http, [{"type": "budget", "per": "day", "max": "2.5"}])
    answers = await one.flood(model, max_tokens=100, text=text)
    assert let_in(answers, "budget_exceeded") >= 5
    await one.settled()
    rows = await plant.query("SELECT cost, input_tokens FROM requests WHERE model_asked = $1", model)
    spent = sum(row["cost"] for row in rows)
    expected = Decimal((len(text.encode()) + 90) // 4 + 100) / 1000
    error = sum(max(Decimal(0), row["cost"] - expected) for row in rows)
    assert spent <= Decimal("2.5") + error, (spent, error, len(rows))
    assert sums.in_redis(plant)[f"key_{await _id(one)} budget day"] == int(spent * 1_000_000_000)


async def test_what_was_reserved_and_not_used_is_there_again(plant: Plant, http: Crowd):
    """0.1 is reserved, 0.02 used: the n-th passes while 0.02 (n - 1) + 0.1 is within 1."""
    one = await race(plant, http, [{"type": "budget", "per": "total", "max": "1"}])
    passed = 0
    while (await one.ask("sandbox-tokens-20", max_tokens=100)).status == 200:
        passed += 1
    assert passed == 46
    assert (await one.ask("sandbox-tokens-20", max_tokens=20)).status == 200, "for less there is room"


@pytest.mark.parametrize(
    ("reserve", "max_tokens", "expected"),
    [("worst", 500, 500), ("expected", 128_000, 1024), ("expected", 300, 300)],
)
async def test_tokens_are_reserved_and_settled(plant: Plant, http: Crowd, reserve: str, max_tokens: int, expected: int):
    """At every beginning, what ran was within the limit as it was reserved, and what was over as it was used."""
    most, used = 10 * expected, 40
    one = await race(plant, http, [{"type": "output_tokens", "per": "hour", "max": most, "reserve": reserve}])
    answers = await one.flood(f"sandbox-tokens-{used}-stall-500ms", max_tokens=max_tokens)
    assert let_in(answers, "token_limited") >= 10
    await one.settled()
    bills = await one.bills()
    assert most_at_once(bills) <= 10
    for bill in bills:
        over = sum(one["ended_at"] <= bill["started_at"] for one in bills) * used
        running = sum(one["started_at"] <= bill["started_at"] < one["ended_at"] for one in bills) * expected
        assert over + running <= most
    # In turn there is room until what was used leaves none for what is expected.
    room = (most - expected) // used + 1 - len(bills)
    for _ in range(min(room, 20)):
        assert (await one.ask(f"sandbox-tokens-{used}", max_tokens=max_tokens)).status == 200
    await one.settled()
    assert (await plant.query("SELECT sum(output_tokens) AS n FROM requests WHERE key_id = $1", await _id(one)))[0][
        "n"
    ] == used * (len(bills) + min(room, 20))


async def _id(one: Race) -> Any:
    found = await one.plant.query("SELECT id FROM keys ORDER BY created_at DESC LIMIT 1")
    return found[0]["id"]


@pytest_asyncio.fixture(loop_scope="session")
async def crowd(plant: Plant) -> dict[str, Any]:
    """A tenant, a team and a user with limits of their own."""
    everywhere: Limits = [{"type": "requests", "per": per, "max": 10_000} for per in ("minute", "day")]
    async with plant.site.sessions.begin() as session:
        tenant = await tenants.create(session, {"name": os.urandom(4).hex(), "limits": [*everywhere, *_many(60)]})
        values = {"email": f"{os.urandom(4).hex()}@x.y", "name": "u", "limits": [*everywhere, *_many(40)]}
        user = await users.create(session, values, [users.Role(tenant.id, "member")], "x", one_time=False)
        team = {"name": "t", "user_ids": [user.id], "limits": [*everywhere, *_many(50)]}
        await teams.create(session, tenant.id, team)
    await plant.site.account("claude-console", tenant_id=tenant.id)
    return {"tenant_id": tenant.id, "user_id": user.id}


def _many(most: int) -> Limits:
    return [
        {"type": "tokens", "per": "minute", "max": 10_000_000},
        {"type": "budget", "per": "month", "max": "1000000"},
        {"type": "concurrency", "max": most},
    ]


async def test_limits_of_key_user_team_and_tenant_are_one_round_trip(plant: Plant, http: Crowd, crowd: dict[str, Any]):
    one = await race(plant, http, [{"type": "requests", "per": "hour", "max": 1000}, *_many(30)], **crowd)
    assert (await one.ask("sandbox-tokens-5")).status == 200
    await one.settled()
    plant.jobs.send(signal.SIGSTOP)
    try:
        with plant.redis_client() as client, plant.redis_client() as watching, watching.monitor() as made:
            monitor: Any = made
            client.execute_command("CONFIG", "RESETSTAT")
            asked = 40
            for _ in range(asked):
                assert (await one.ask("sandbox-tokens-5")).status == 200
            calls = client.info("commandstats")["cmdstat_evalsha"]["calls"]
            client.echo("that was all")
            told: list[str] = []
            while "that was all" not in (command := monitor.next_command()["command"]):
                told.append(command)
    finally:
        plant.jobs.send(signal.SIGCONT)
    scripts = Counter(command.split(" ")[1].strip('"') for command in told if command.startswith("EVALSHA"))
    assert scripts[ADMIT.sha.decode()] == asked
    assert scripts[SETTLE.sha.decode()] == asked
    assert calls <= 2 * asked + GATEWAYS * 16, "beside these two, leases are renewed once a second"
    admitted = next(command for command in told if ADMIT.sha.decode() in command)
    assert sum(admitted.count(kind) for kind in (" S ", " D ", " C ")) == 19
    await one.settled()


async def test_the_smallest_of_them_all_holds(plant: Plant, http: Crowd, crowd: dict[str, Any]):
    """The key allows 30 at once, user 40, team 50, tenant 60; two keys of the user have 40 between them."""
    both = [await race(plant, http, _many(30), **crowd) for _ in range(2)]
    floods = await asyncio.gather(*(one.flood("sandbox-tokens-5-stall-1500ms", 250) for one in both))
    assert min(let_in(answers, "concurrency_limited") for answers in floods) >= 1
    await both[0].settled()
    bills = [await one.bills() for one in both]
    assert max(map(most_at_once, bills)) <= 30
    assert most_at_once([*bills[0], *bills[1]]) == 40
    assert not sums.held(plant)
