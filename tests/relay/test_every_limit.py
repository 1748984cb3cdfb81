"""Every type of limit, in every period, of every owner, through a gateway: it lets in what it should, refuses the rest
in the right words, and what it shows as used is what the rows say.

All cases run together, in rounds, in one installation; each is a test of its own. A limit has room for two requests of
three, so where it applies the third is refused, and where it is narrowed to something else nobody is.
"""

import asyncio
import itertools
import os
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
import pytest_asyncio
from msgspec import Struct

from gateway.core.inspection import read_limits
from gateway.core.limits import all_of, parse, window
from gateway.core.prices import Price, cost
from gateway.core.sealing import Sealer
from gateway.core.services import accounts, keys, teams, tenants, users
from gateway.core.services import prices as versions
from gateway.protocols.codec import Usage
from gateway.relay.estimate import prompt_tokens
from tests.relay.world import MESSAGES
from tests.support.installation import Site

KINDS = ("requests", "tokens", "input_tokens", "output_tokens", "budget")
PERIODS: tuple[Any, ...] = ("minute", "hour", "day", "week", "month", "total", {"rolling": "5h"})
OWNERS = ("key", "user", "team", "tenant", "account")
NARROWED: tuple[tuple[dict[str, Any], bool], ...] = (
    ({"models": ["sandbox-*"]}, True),
    ({"models": ["other-*"]}, False),
    ({"platforms": ["claude"]}, True),
    ({"platforms": ["openai"]}, False),
    ({"models": ["sandbox-*"], "platforms": ["claude-console"]}, True),
)
CODES = {"requests": "rate_limited", "budget": "budget_exceeded", "concurrency": "concurrency_limited"}
LONGEST = {"minute": 61, "hour": 3660, "day": 86_400, "week": 7 * 86_400, "month": 31 * 86_400, "total": 86_400}
"""Seconds of `Retry-After`: a sliding window's and the sixtieth of it that a place may come back late."""
MODEL = "sandbox-tokens-10"
BODY = {"model": MODEL, "max_tokens": 10, "messages": [{"role": "user", "content": "Hello there"}]}
SLOW = {**BODY, "model": f"{MODEL}-stall-400ms"}
AT_ONCE = 24
RATES = Price("sandbox-*", Decimal(1000), Decimal(2000), cache_read=Decimal(100))


class Case(Struct, frozen=True):
    owner: str
    kind: str
    per: Any = None
    narrowed: dict[str, Any] = {}
    applies: bool = True

    def __str__(self) -> str:
        period = self.per["rolling"] if isinstance(self.per, dict) else self.per
        narrowed = [f"{name}={','.join(patterns)}" for name, patterns in self.narrowed.items()]
        return " ".join([self.owner, self.kind, *([period] if period else []), *narrowed])

    def limit(self, most: int | str) -> dict[str, Any]:
        per = {} if self.per is None else {"per": self.per}
        return {"type": self.kind, "max": most, **per, **self.narrowed}


CASES = (
    *itertools.starmap(Case, itertools.product(OWNERS, KINDS, PERIODS)),
    *(Case(owner, "concurrency") for owner in OWNERS),
    *(
        Case(owner, kind, None if kind == "concurrency" else "hour", narrowed, applies)
        for owner, kind, (narrowed, applies) in itertools.product(("key", "account"), (*KINDS, "concurrency"), NARROWED)
    ),
)


class Outcome(Struct):
    answers: list[httpx.Response]
    shown: dict[str, Any]
    """The limit as `/v1/key` has it; an account's, as an operator sees it."""


class Spent(Struct, frozen=True):
    """What a request uses of each kind, and what it reserves."""

    used: dict[str, int]
    held: dict[str, int]

    def room_for_two(self, kind: str) -> int | str:
        """The first has come to what it used when the second reserves, and both when the third does."""
        if kind in {"requests", "concurrency"}:
            return 2
        most = self.used[kind] + self.held[kind]
        return f"{Decimal(most).scaleb(-9):f}" if kind == "budget" else most


class Owners:
    """Makes what the cases need, in one transaction."""

    def __init__(self, site: Site, session: Any, tenant_id: str) -> None:
        self._site, self._session, self._tenant = site, session, tenant_id

    async def account(self, tenant_id: str, limits: Sequence[dict[str, Any]] = ()) -> str:
        values = {"platform": "claude-console", "name": os.urandom(6).hex(), "models": ["*"], "limits": list(limits)}
        values |= {"base_url": self._site.sandbox.url, "provider": "claude-console"}
        sealer = Sealer(self._site.settings.master_key_bytes)
        return (await accounts.create(self._session, sealer, tenant_id, values, {"api_key": "sk-upstream-0001"})).id

    async def key(self, tenant_id: str, **fields: Any) -> str:
        values = {"name": "k", "platforms": ["*"], "models": ["*"], **fields}
        return (await keys.issue(self._session, self._site.settings.peppers, tenant_id, values))[1].reveal()

    async def _user(self, limits: Sequence[dict[str, Any]] = ()) -> str:
        values = {"email": f"{os.urandom(6).hex()}@x.y", "name": "u", "limits": list(limits)}
        role = users.Role(self._tenant, "member")
        return (await users.create(self._session, values, [role], "-", one_time=True)).id

    async def owning(self, owner: str, limits: list[dict[str, Any]]) -> tuple[str, str, str]:
        """(key, tenant, account "" but for an account's limit)."""
        session, name = self._session, os.urandom(6).hex()
        if owner == "key":
            return await self.key(self._tenant, limits=limits), self._tenant, ""
        if owner in {"user", "team"}:
            user = await self._user(limits if owner == "user" else ())
            if owner == "team":
                await teams.create(session, self._tenant, {"name": name, "user_ids": [user], "limits": limits})
            return await self.key(self._tenant, user_id=user), self._tenant, ""
        tenant = (await tenants.create(session, {"name": name, "limits": limits if owner == "tenant" else []})).id
        await session.flush()
        account = await self.account(tenant, limits if owner == "account" else ())
        return await self.key(tenant), tenant, account if owner == "account" else ""


async def ask(site: Site, key: str, body: dict[str, Any] = BODY) -> httpx.Response:
    return await site.http.post(MESSAGES, headers={"x-api-key": key}, json=body)


async def measured(site: Site, key: str) -> Spent:
    answer = await ask(site, key)
    asked, said = answer.json()["usage"]["input_tokens"], answer.json()["usage"]["output_tokens"]
    prompt, most = prompt_tokens(answer.request.content), BODY["max_tokens"]

    def kinds(fresh: int, output: int) -> dict[str, int]:
        money = cost(site.gate.prices, "claude-console", MODEL, 2e9, Usage(fresh, output_tokens=output))
        assert money
        return {
            "requests": 1,
            "tokens": fresh + output,
            "input_tokens": fresh,
            "output_tokens": output,
            "budget": money,
        }

    return Spent(kinds(asked, said), kinds(prompt, most))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def spent(site: Site) -> Spent:
    async with site.sessions.begin() as session:
        await versions.create(session, versions.draft([RATES]))
    await site.account("claude-console")
    return await measured(site, await site.key())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def outcomes(site: Site, spent: Spent) -> AsyncGenerator[dict[str, Outcome]]:
    limits = {str(case): [case.limit(spent.room_for_two(case.kind))] for case in CASES}
    async with site.sessions.begin() as session:
        owners = Owners(site, session, await site.tenant())
        made = {str(case): await owners.owning(case.owner, limits[str(case)]) for case in CASES}
    await site.reload()
    found = {str(case): Outcome([], {}) for case in CASES}
    gate = asyncio.Semaphore(AT_ONCE)

    async def once(case: Case) -> None:
        async with gate:
            found[str(case)].answers.append(await ask(site, made[str(case)][0]))

    async def at_once(case: Case) -> None:
        key = made[str(case)][0]
        found[str(case)].answers += await asyncio.gather(*(ask(site, key, SLOW) for _ in range(3)))

    one_by_one = [case for case in CASES if case.kind != "concurrency"]
    for _ in range(3):
        await asyncio.gather(*map(once, one_by_one))
        await site.settled(20)
    await asyncio.gather(*(at_once(case) for case in CASES if case.kind == "concurrency"))
    await site.settled(20)
    for case in CASES:
        key, tenant, account = made[str(case)]
        if account:
            listed = all_of([("account", account, limits[str(case)])])
            found[str(case)].shown = (await read_limits(site.gate.redis, tenant, listed))[0]
        else:
            listed = (await site.http.get("/v1/key", headers={"x-api-key": key})).json()["limits"]
            (found[str(case)].shown,) = listed
    yield found


def waits(case: Case, answer: httpx.Response) -> None:
    """The wait that it is told, and whether it is to ask again at all."""
    seconds = int(answer.headers["retry-after"])
    if case.kind == "concurrency":
        assert seconds == 1
    elif isinstance(case.per, dict):
        assert 18_000 - 60 < seconds <= 18_301
    else:
        assert 1 <= seconds <= LONGEST[case.per]
        assert case.per != "total" or seconds == 86_400
    if case.owner != "account":
        never = seconds > 60 or case.kind == "budget"
        assert (answer.headers.get("x-should-retry") == "false") is never


def refused(case: Case, answer: httpx.Response) -> None:
    error = answer.json()["error"]
    if case.owner == "account":
        assert (answer.status_code, error["code"]) == (503, "no_account"), "an account's cap is nobody's refusal"
    else:
        assert (answer.status_code, error["code"]) == (429, CODES.get(case.kind, "token_limited"))
        assert f"The {case.owner}'s" in error["message"] or f"the {case.owner}'s" in error["message"]
    waits(case, answer)


def headed(case: Case, limit: dict[str, Any], answer: httpx.Response) -> None:
    """A client is shown its own limits on requests and tokens, and when a window of the calendar ends."""
    word = "requests" if case.kind == "requests" else "tokens"
    said = {name.rpartition("-")[2]: text for name, text in answer.headers.items() if f"ratelimit-{word}-" in name}
    if case.owner == "account" or case.kind in {"budget", "concurrency"} or not case.applies:
        assert not said or "platforms" in case.narrowed
        return
    assert said["limit"] == str(limit["max"])
    assert ("reset" in said) is (case.per != "total")
    if case.per in ("day", "week", "month"):
        received = datetime.strptime(answer.headers["date"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
        assert datetime.fromisoformat(said["reset"]) == window(*parse([limit]), received)[1]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_limit_holds(outcomes: dict[str, Outcome], spent: Spent, case: Case) -> None:
    found = outcomes[str(case)]
    statuses = [answer.status_code for answer in found.answers]
    no = [answer for answer in found.answers if answer.status_code != 200]
    assert len(statuses) == 3 and statuses.count(200) == (2 if case.applies else 3), statuses
    if case.kind != "concurrency":
        assert statuses[:2] == [200, 200]
    for answer in no:
        refused(case, answer)
    headed(case, case.limit(spent.room_for_two(case.kind)), found.answers[0])
    used = 0 if case.kind == "concurrency" or not case.applies else 2 * spent.used[case.kind]
    shown = int(Decimal(found.shown["used"]).scaleb(9)) if case.kind == "budget" else found.shown["used"]
    assert (found.shown["scope"], shown) == (case.owner, used)
