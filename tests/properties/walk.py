"""Random steps through two gateways; after each request, what it did at the upstream is held against what its key was
given, by the rules of this folder alone.
"""

import asyncio
import re
from collections import Counter
from contextlib import suppress
from random import Random
from typing import Any
from urllib.parse import quote

import httpx
from sqlalchemy import select

from gateway.core import models as m
from gateway.core.names import session_name
from gateway.local.sandbox import Row, Rule
from tests.properties import naming, world
from tests.properties.naming import Meaning
from tests.properties.realm import GROUPS, MODELS, Key, Realm
from tests.support.installation import Site

TROUBLES = (
    "error-429", "error-429-retry-after-2", "error-500", "error-502", "error-529", "error-401", "error-403",
    "error-400-credit", "error-400", "error-404-model", "drop", "cut-1", "stall-2", "first-error-529",
)  # fmt: skip
SESSIONS = ("s-1", "s-2")
SEGMENTS = (*("",) * 5, "openai", "switch", *GROUPS)
ALIASES = ("fast", "fast", "smart", "openai:smart")
REACHED = Counter[str]()


class Walk:
    """Random steps; after each request, what it did at the upstream is held against what its key was given."""

    def __init__(self, site: Site, realms: list[Realm], random: Random) -> None:
        self.site, self.realms, self.random = site, realms, random
        self.done: dict[str, tuple[str, Meaning | None, dict[str, set[str]]]] = {}
        """Request → its key, what it means, and the accounts it may have been tried at, each with the names of the
        models there."""
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
        elif chance < 0.86:
            await realm.change_key(random.choice(realm.keys))
        elif chance < 0.89:
            await realm.change_group()
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
        bare = random.choice((*MODELS, *ALIASES))
        left = random.choice(("claude", "openai", "OpenAI", "ccr", "gemini", "bedrock", "deepseek", "azure-openai"))
        return random.choice(_FORMS).format(b=bare, l=left, g=random.choice(GROUPS))

    async def ask(self, realm: Realm, key: Key) -> None:
        random = self.random
        named = self.written()
        path, body = _body(random.choice(_KINDS), named, stream=random.random() < 0.5)
        azure = "deployments" in path
        protocol, segment = _protocol(path), "openai" if azure else random.choice(SEGMENTS)
        headers = {"x-api-key": key.secret}
        previous = session = ""
        if random.random() < 0.4:
            session = headers["x-session-id"] = random.choice(SESSIONS)
        if path == "/v1/responses" and self.responses and random.random() < 0.5:
            own = [one for one, (owner, _) in self.responses.items() if owner == key.caller.key_id]
            previous = random.choice(own if own and random.random() < 0.6 else list(self.responses))
            body["previous_response_id"] = previous
        prefix = f"/{segment}" if segment and not azure else ""
        said = self.said(realm, key, segment, named)
        allowed = {} if said is None else self.allowed(key, said)
        name = self.site.gate.prefix_of(realm.tenant_id) + session_name(
            realm.tenant_id, key.caller.key_id, session, protocol
        )
        if session:
            assert await self.site.gate.redis.get(name) == self.sessions.get(name), "another has written it"
        bill, seen = self.site.sandbox.bill(), self.site.sandbox.sandbox.seen
        bill.clear()
        seen.clear()
        async with self.site.http.stream(
            "POST", random.choice(self.site.gateways).url + prefix + path, headers=headers, json=body
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
        REACHED["by alias"] += bool(calls) and said is not None and said.aliased
        REACHED["next targets"] += len({call.model for call in calls}) > 1
        if session:
            self.sessions[name] = await self.site.gate.redis.get(name)
        self.check(key, allowed, calls, previous, answer)
        self.done[answer.headers["x-request-id"]] = key.caller.key_id, said, allowed
        if path == "/v1/responses" and answer.status_code == 200 and (found := _RESPONSE.search(text)):
            maker = next(one.id for one in realm.accounts.values() if one.name == calls[-1].credential)
            self.responses[found[0]] = key.caller.key_id, maker

    def said(self, realm: Realm, key: Key, segment: str, named: str) -> Meaning | None:
        """What the key asks for, by the rules of this folder; None for what it may not ask."""
        slugs, groups = {one.provider for one in realm.accounts.values()}, realm.named
        where = naming.place(segment, groups)
        said = naming.meaning(named, slugs, where.group, groups, key.caller.groups)
        barred = any(naming.refused(segment, key.caller.groups, groups).values())
        if said is None or barred or not key.enabled or not naming.fits_any(said.model, key.caller.models):
            return None
        return said

    def allowed(self, key: Key, said: Meaning) -> dict[str, set[str]]:
        """Of all realms' accounts, with the upstream's names of the models."""
        found: dict[str, set[str]] = {}
        for one in (one for realm in self.realms for one in realm.accounts.values() if one.enabled):
            for way in said.ways:
                if world.given_to(key.caller, one) and world.asked_of(one, way):
                    found.setdefault(one.id, set()).add(one.model_map.get(way.model, way.model))
        return found

    def check(
        self, key: Key, allowed: dict[str, set[str]], calls: list[Row], previous: str, answer: httpx.Response
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

    async def rows(self) -> None:
        """The ledger says the same of every request."""
        await self.site.settled(15)
        ids = [realm.tenant_id for realm in self.realms]
        async with self.site.sessions() as session:
            found = (await session.execute(select(m.Request).where(m.Request.tenant_id.in_(ids)))).scalars().all()
        assert found
        for row in found:
            key_id, said, allowed = self.done[row.request_id]
            assert said is not None
            assert (row.key_id, row.model_asked) == (key_id, said.model)
            for attempt in row.attempts:
                assert attempt["model"] in allowed[attempt["account_id"]]


_FORMS = (*("{b}",) * 8, "{l},{b}", "{l}:{b}", "models/{b}", "{l}, {b}", "{g}@{b}", "{g}@{b}", "models/{g}@{l},{b}")
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
