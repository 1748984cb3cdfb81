"""No key ever reaches a platform, pool, account, group or model that it was not given: whatever names, prefixes,
sessions and failovers say.

First pure, over generated worlds and every form of a name; then over two real gateways, one Redis and a real upstream
that keeps a bill of who asked it for what.
"""

import asyncio
import os
import re
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable
from contextlib import suppress
from random import Random
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio
from hypothesis import event, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from gateway.core import models as m
from gateway.core.domain import Account, Caller, Pool
from gateway.core.errors import GatewayError
from gateway.core.names import session_name
from gateway.core.snapshot import Snapshot, build
from gateway.core.state import State
from gateway.local.sandbox import Row, Rule
from gateway.platforms import PLATFORMS
from gateway.platforms.platform import Speech
from gateway.platforms.target import speech
from gateway.protocols import CODECS
from gateway.protocols.codec import InvalidBody
from gateway.routing.authorise import Route, authorise
from gateway.routing.call import Call
from gateway.routing.choose import choose, serving
from gateway.routing.paths import NoRoute, match
from gateway.routing.states import States
from tests.properties import walk, world
from tests.properties.walk import Key, Realm
from tests.properties.world import FOREIGN, MINE, NOW, Meaning, Request
from tests.support.installation import BASES, Site, installation


def routed(asked: Request, caller: Caller, snapshot: Snapshot) -> Route:
    """As the pipeline does it. Raises GatewayError, NoRoute, InvalidBody."""
    found = match("POST", asked.path.encode())
    assert found.endpoint is not None
    call = Call(
        "req_1", NOW, 0.0, found.endpoint, asked.path, b"", [], asked.headers, "127.0.0.1", _no_body,
        group=found.group, path_model=found.model,
    )  # fmt: skip
    peek = CODECS[found.endpoint.protocol].peek(found.endpoint, asked.body)
    return authorise(call, caller, peek, snapshot.providers(caller.tenant_id))


def _no_body() -> Awaitable[bytes]:
    raise AssertionError("the body is here already")


def expected(
    accounts: list[Account],
    caller: Caller,
    said: Meaning,
    route: Route,
    held: dict[tuple[str, str], State],
    bound: bool,
) -> dict[str, str]:
    """Account → upstream's model, of those that may have the request."""
    found = _expected(accounts, caller, said, route, held, bound, alone=False)
    return found or _expected(accounts, caller, said, route, held, bound, alone=True)


def _expected(
    accounts: list[Account],
    caller: Caller,
    said: Meaning,
    route: Route,
    held: dict[tuple[str, str], State],
    bound: bool,
    *,
    alone: bool,
) -> dict[str, str]:
    endpoint = route.endpoint
    found: dict[str, str] = {}
    for one in accounts:
        upstream = one.model_map.get(said.model, said.model)
        operation = endpoint.action or endpoint.operation
        if (
            world.given_to(caller, one)
            and world.asked_of(one, said)
            and speech(PLATFORMS[one.platform], one, upstream, endpoint.protocol, operation, route.stream)
            is not Speech.NONE
            and world.is_up(one, upstream, held, NOW, bound=bound, alone=alone)
        ):
            found[one.id] = upstream
    return found


def chosen(route: Route, snapshot: Snapshot, states: States) -> dict[str, str] | tuple[str, str]:
    """Account → upstream's model; or the error's code and words."""
    serving.cache_clear()
    try:
        return {one.account.id: one.model for one in choose(route, snapshot, states, NOW, turn=True)}
    except GatewayError as error:
        return error.code, error.message


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Account], dict[tuple[str, str], State]]:
    number = draw(st.integers(2, 8))
    accounts = [draw(world.accounts(at)) for at in range(number)]
    return accounts, draw(world.states(number))


def snapshot_of(accounts: list[Account]) -> Snapshot:
    strategies = ("least_busy", "weighted", "latency")
    pools = [Pool(name, MINE, name, strategies[at]) for at, name in enumerate(world.POOLS)]  # type: ignore[arg-type]
    return build(1, (), pools, accounts)


EXAMPLES = int(os.environ.get("REACH_EXAMPLES", "400"))


@settings(max_examples=EXAMPLES, deadline=None)
@given(worlds(), st.data())
def test_candidates_are_those_that_the_key_was_given(
    made: tuple[list[Account], dict[tuple[str, str], State]], data: st.DataObject
) -> None:
    accounts, held = made
    snapshot, states = snapshot_of(accounts), States()
    for (owner, scope), state in held.items():
        states.set(owner, scope, state)
    slugs = {one.provider for one in accounts if one.tenant_id == MINE}
    caller = data.draw(world.callers(len(accounts)))
    for _ in range(6):
        written = data.draw(world.names())
        asked = data.draw(world.requests(written))
        said = world.meaning(written, slugs)
        try:
            route = routed(asked, caller, snapshot)
        except (NoRoute, InvalidBody):
            event("no request")
            continue
        except GatewayError as error:
            event(error.code)
            _rightly_refused(error, asked, caller, said, written)
            continue
        assert not asked.group, "no tenant has groups yet: none may be reached"
        assert said is not None
        assert world.fits_any(said.model, caller.models)
        reached = chosen(route, snapshot, states)
        wanted = expected(accounts, caller, said, route, held, asked.bound)
        event("served" if wanted else "nobody")
        assert (reached if isinstance(reached, dict) else {}) == wanted
        # What the key was not given might as well not be there, but for the words "not your platform".
        others = [one for one in accounts if one.tenant_id != FOREIGN]
        assert chosen(route, snapshot_of(others), states) == reached


def _rightly_refused(error: GatewayError, asked: Request, caller: Caller, said: Meaning | None, written: str) -> None:
    """Permission comes before existence, and nobody is refused what was given."""
    group_given = world.fits_any(asked.group, caller.groups)
    match error.code:
        case "group_forbidden":
            assert asked.group
            assert not group_given
        case "not_found":
            assert asked.group
            assert group_given
        case "platform_forbidden":
            assert said is not None
            assert not world.platforms_given(caller.platforms) & said.platforms
        case "model_forbidden":
            assert said is not None
            assert not world.fits_any(said.model, caller.models)
        case "invalid_model" | "invalid_request":
            assert said is None or not world.printable(written) or not written
        case other:
            pytest.fail(f"unexpected {other}")


ids = st.text(st.sampled_from("ab\0|{}:,"), max_size=4)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(("t1", "t2")), st.sampled_from(("k1", "k2")), ids, ids), min_size=2, max_size=2)
)
def test_no_two_keys_share_a_session(pair: list[tuple[str, str, str, str]]) -> None:
    """The name under which a session's account is kept: another key's same session is another name."""
    one, two = (session_name(*each) for each in pair)
    if pair[0][:2] != pair[1][:2]:
        assert one != two


# ---------------------------------------------------------------- for real


STEPS = int(os.environ.get("REACH_STEPS", "1000"))
TROUBLES = (
    "error-429", "error-429-retry-after-2", "error-500", "error-502", "error-529", "error-401", "error-403",
    "error-400-credit", "error-400", "error-404-model", "drop", "cut-1", "stall-2", "first-error-529",
)  # fmt: skip
SESSIONS = ("s-1", "s-2")
REACHED = Counter[str]()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    async with installation(database_url, redis_url) as made:
        await made.start_gateway()
        yield made


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.relay.send.random.uniform", lambda low, high: 0.01)


class Walk:
    """Random steps; after each request, what it did at the upstream is held against what its key was given."""

    def __init__(self, site: Site, realms: list[Realm], random: Random) -> None:
        self.site, self.realms, self.random = site, realms, random
        self.done: dict[str, tuple[str, dict[str, set[str]]]] = {}
        """Request → its key, and the accounts it may have been tried at, each with the names of the model there."""
        self.responses: dict[str, tuple[str, str]] = {}
        """Response → the key that got it and the account that made it."""
        self.sessions: dict[str, bytes | str | None] = {}

    async def step(self) -> None:
        realm, random = self.random.choice(self.realms), self.random
        chance = random.random()
        if chance < 0.7:
            working = [key for key in realm.keys if key.enabled and key.caller.platforms]
            await self.ask(realm, random.choice(working if working and random.random() < 0.9 else realm.keys))
        elif chance < 0.77:
            await realm.change_account(random.choice(list(realm.accounts)))
        elif chance < 0.81:
            await realm.switch_account(random.choice(list(realm.accounts)))
        elif chance < 0.82:
            gone = random.choice(list(realm.accounts))
            if all(key.caller.account_id != gone for key in realm.keys):
                platform = realm.accounts[gone].platform
                await realm.delete_account(gone)
                await realm.add_account(platform)
        elif chance < 0.87:
            await realm.change_key(random.choice(realm.keys))
        elif chance < 0.93:
            self.trouble()
        else:
            self.site.sandbox.rules([])
            await realm.heal()

    def trouble(self) -> None:
        numbers = [one.name for realm in self.realms for one in realm.accounts.values()]
        rules = [
            Rule(self.random.choice(TROUBLES), credential=f"*{number}", times=self.random.randint(1, 3))
            for number in self.random.sample(numbers, len(numbers) // 2)
        ]
        self.site.sandbox.rules(rules)

    def written(self) -> str:
        random = self.random
        bare = random.choice(walk.MODELS)
        left = random.choice(("claude", "openai", "OpenAI", "ccr", "gemini", "bedrock", "deepseek", "azure-openai"))
        return random.choice((*("{b}",) * 6, "{l},{b}", "{l}:{b}", "models/{b}", "{l}, {b}")).format(b=bare, l=left)

    async def ask(self, realm: Realm, key: Key) -> None:
        random = self.random
        named = self.written()
        path, body = _body(random.choice(_KINDS), named, stream=random.random() < 0.5)
        protocol = _protocol(path)
        headers = {"x-api-key": key.secret}
        previous = session = ""
        if random.random() < 0.4:
            session = headers["x-session-id"] = random.choice(SESSIONS)
        if path == "/v1/responses" and self.responses and random.random() < 0.5:
            own = [one for one, (owner, _) in self.responses.items() if owner == key.caller.key_id]
            previous = random.choice(own if own and random.random() < 0.6 else list(self.responses))
            body["previous_response_id"] = previous
        allowed = self.allowed(realm, key, named)
        name = self.site.gate.prefix_of(realm.tenant_id) + session_name(
            realm.tenant_id, key.caller.key_id, session, protocol
        )
        if session:
            assert await self.site.gate.redis.get(name) == self.sessions.get(name), "another has written it"
        bill, seen = self.site.sandbox.bill(), self.site.sandbox.sandbox.seen
        bill.clear()
        seen.clear()
        async with self.site.http.stream(
            "POST", random.choice(self.site.gateways).url + path, headers=headers, json=body
        ) as answer:
            text = ""
            with suppress(httpx.RemoteProtocolError):  # the upstream broke off
                text = (await answer.aread()).decode()
        REACHED[str(answer.status_code)] += 1
        async with asyncio.timeout(8):
            while len(bill.rows) < len(seen):
                await asyncio.sleep(0.01)
        calls = list(bill.rows)
        REACHED["calls"] += len(calls)
        REACHED["failovers"] += len({call.credential for call in calls}) > 1
        if session:
            self.sessions[name] = await self.site.gate.redis.get(name)
        self.check(realm, key, allowed, calls, previous, answer)
        if path == "/v1/responses" and answer.status_code == 200 and (found := _RESPONSE.search(text)):
            maker = next(one.id for one in realm.accounts.values() if one.name == calls[-1].credential)
            self.responses[found[0]] = key.caller.key_id, maker

    def allowed(self, realm: Realm, key: Key, named: str) -> dict[str, set[str]]:
        """By the rules of this folder, of all realms' accounts."""
        slugs = {one.provider for one in realm.accounts.values()}
        said = world.meaning(named, slugs)
        if said is None or not key.enabled or not world.fits_any(said.model, key.caller.models):
            return {}
        return {
            one.id: {one.model_map.get(said.model, said.model)}
            for other in self.realms
            for one in other.accounts.values()
            if world.given_to(key.caller, one) and world.asked_of(one, said) and one.enabled
        }

    def check(
        self,
        realm: Realm,
        key: Key,
        allowed: dict[str, set[str]],
        calls: list[Row],
        previous: str,
        answer: httpx.Response,
    ) -> None:
        accounts = {one.name: one for other in self.realms for one in other.accounts.values()}
        for call in calls:
            account = accounts[call.credential]
            assert account.id in allowed, (account, key.caller)
            assert call.model in allowed[account.id]
        if previous:
            owner, maker = self.responses[previous]
            if owner != key.caller.key_id:
                assert not calls
                assert answer.status_code != 200
            assert all(accounts[call.credential].id == maker for call in calls)
            REACHED["continued"] += bool(calls)
        self.done[answer.headers["x-request-id"]] = key.caller.key_id, allowed

    async def rows(self) -> None:
        """The ledger says the same of every request."""
        await self.site.settled(15)
        ids = [realm.tenant_id for realm in self.realms]
        async with self.site.sessions() as session:
            found = (await session.execute(select(m.Request).where(m.Request.tenant_id.in_(ids)))).scalars().all()
        assert found
        for row in found:
            key_id, allowed = self.done[row.request_id]
            assert row.key_id == key_id
            for attempt in row.attempts:
                assert attempt["model"] in allowed[attempt["account_id"]]


_RESPONSE = re.compile(r"resp_[A-Za-z0-9]+")
_KINDS = ("messages", "messages", "chat", "responses", "responses", "gemini", "azure", "count")


def _protocol(path: str) -> str:
    if "/messages" in path:
        return "anthropic"
    if path.endswith("/responses"):
        return "openai_responses"
    return "gemini" if "v1beta" in path else "openai_chat"


def _body(kind: str, named: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    messages = [{"role": "user", "content": "Hello"}]
    chat: dict[str, Any] = {"model": named, "messages": messages, "stream": stream}
    match kind:
        case "messages":
            return "/v1/messages", {**chat, "max_tokens": 9}
        case "count":
            return "/v1/messages/count_tokens", {"model": named, "messages": messages}
        case "chat":
            return "/v1/chat/completions", chat
        case "responses":
            return "/v1/responses", {"model": named, "input": "Hello", "stream": stream}
        case "azure":
            return f"/openai/deployments/{quote(named, safe='')}/chat/completions?api-version=2024-10-21", chat
        case _:
            action = "streamGenerateContent?alt=sse" if stream else "generateContent"
            contents = [{"role": "user", "parts": [{"text": "Hello"}]}]
            return f"/v1beta/models/{quote(named, safe='')}:{action}", {"contents": contents}


@pytest.mark.parametrize("seed", [int(os.environ.get("REACH_SEED", "3"))])
async def test_a_walk_through_two_gateways(site: Site, seed: int) -> None:
    random = Random(seed)
    realms = [await Realm.make(site, random, 1000 * (at + 1)) for at in range(2)]
    for realm in realms:
        for platform in [*BASES, "azure-openai", "bedrock"] * 2:
            await realm.add_account(platform)
        for _ in range(5):
            await realm.add_key()
    going = Walk(site, realms, random)
    for _ in range(STEPS):
        await going.step()
    await going.rows()
    assert REACHED["200"] > STEPS / 20, "it reached something"
    assert REACHED["failovers"] > 3
