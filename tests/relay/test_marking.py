"""What an attempt means for its account, in this process and in Redis."""

import asyncio
import json
import random
from typing import Any

import pytest

from gateway.core.state import State
from gateway.platforms.platform import Kind, Scope, Verdict
from gateway.relay.marking import scope_of
from tests.relay.world import OK, Raw, Said, World, answer, anthropic_error, drop, silence

ONE = "sk-mark-0001"
MODEL = "claude-sonnet-x"


@pytest.mark.parametrize(
    ("verdict", "scope"),
    [
        (Verdict(Kind.COOL_DOWN, scope=Scope.ACCOUNT), "account"),
        (Verdict(Kind.COOL_DOWN, scope=Scope.MODEL), f"model:{MODEL}"),
        (Verdict(Kind.COOL_DOWN), "family:sonnet"),
        (Verdict(Kind.COOL_DOWN, family="opus"), "family:opus"),
    ],
)
def test_scopes(verdict: Verdict, scope: str) -> None:
    assert scope_of(verdict, MODEL) == scope


async def test_a_state_of_one_family_leaves_the_others(world: World, raw: Raw) -> None:
    account = await world.account(secret=ONE, base_url=raw.url)
    await world.account(base_url=raw.url, secret="sk-mark-0002", models=["claude-sonnet-*"])
    raw.say("sk-mark-0002", OK)
    raw.say(ONE, answer(429, anthropic_error("rate_limit_error"), "retry-after: 60"))
    key = await world.key(debug=True)
    for _ in range(4):
        assert (await world.ask(key, MODEL)).status_code == 200
    raw.say(ONE, OK)
    got = await world.ask(key, "claude-opus-x")
    assert got.headers["x-poolgate-account"] == account
    state = await world.state(account)
    assert (state["usable"], [one["scope"] for one in state["cooldowns"]]) == (True, ["family:sonnet"])


async def test_a_success_lifts_only_what_is_older_than_its_request(world: World, raw: Raw) -> None:
    account = await world.account(secret=ONE, base_url=raw.url)
    key = await world.key()
    raw.say(ONE, answer(529), OK)
    assert (await world.ask(key, MODEL)).status_code == 200
    state = await world.state(account)
    assert state["cooldowns"] == []
    assert [one["reason"] for one in state["recent"]] == ["recovered", "overloaded"]
    gate = world.site.gate

    async def marks(reader: Any, writer: Any) -> None:

        gate.states.set(account, "family:sonnet", State("rate_limited", 4e9, since=4e9 - 1))
        writer.write(OK)

    raw.say(ONE, marks)
    assert (await world.ask(key, MODEL)).status_code == 200
    assert gate.states.scopes(account)["family:sonnet"].reason == "rate_limited"


#: What a request may be made to provoke, whoever sends it.
PROVOKED: dict[str, Said] = {
    "invalid": answer(
        400, anthropic_error("invalid_request_error", "messages: your account has no organization 'key'")
    ),
    "filtered": answer(400, {"error": {"message": "The response was filtered", "code": "content_filter"}}),
    "refused": answer(403, {"error": "Content violates usage guidelines. Team: t, API key ID: k", "code": "denied"}),
    "missing": answer(404, anthropic_error("not_found_error", "Not found")),
    "gone": answer(409, anthropic_error("invalid_request_error", "conflict")),
    "large": answer(413, anthropic_error("request_too_large", "too large")),
    "odd": answer(422, {"detail": [{"loc": ["body"], "msg": "credit balance is too low"}]}),
    "slow": answer(408),
    "dependency": answer(424),
    "fault": answer(500, anthropic_error("api_error", "Internal server error for key")),
    "bad gateway": answer(502),
    "late": answer(504),
    "not made": answer(501),
    "reset": drop,
    "silence": silence,
    "garbage": b"what is this\r\n\r\n",
    "cut": b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 100\r\n\r\n",
}


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_one_key_provokes_another_goes_on(
    world: World, raw: Raw, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.relay.send.random.uniform", lambda low, high: 0.001)
    timeouts = {"connect": 5, "first_event": 0.05, "stream_idle": 5, "total": 0.3}
    await world.account(secret=ONE, base_url=raw.url, timeouts=timeouts)
    good, bad = await world.key(), await world.key()
    draw = random.Random(seed)

    async def by_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = PROVOKED.get(json.loads(raw.asked[-1].body)["messages"][0]["content"], OK)
        if not isinstance(said, bytes):
            await said(reader, writer)
            return
        writer.write(said)
        if said.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream"):
            raise ConnectionResetError

    raw.say(ONE, by_request)
    assert (await world.ask(good, MODEL)).status_code == 200
    for _ in range(6):
        favourite = draw.choice(list(PROVOKED))
        for _ in range(6):
            what = draw.choice([favourite, favourite, draw.choice(list(PROVOKED))])
            model = draw.choice([MODEL, MODEL, "claude-opus-x"])
            said = [{"role": "user", "content": what}]
            assert (await world.ask(bad, model, stream=draw.random() < 0.5, messages=said)).status_code != 200
        for model in (MODEL, "claude-haiku-x"):
            assert (await world.ask(good, model)).status_code == 200, (what, model)


async def test_a_longer_state_is_not_shortened_by_an_older_request(world: World, raw: Raw) -> None:
    account = await world.account(secret=ONE, base_url=raw.url)
    key = await world.key()
    limited = answer(429, anthropic_error("rate_limit_error"), "retry-after: 600")
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await go_on.wait()
        writer.write(answer(429, anthropic_error("rate_limit_error"), "retry-after: 30"))

    raw.say(ONE, late, limited)
    waiting = asyncio.ensure_future(world.ask(key, MODEL))
    await asked.wait()
    assert (await world.ask(key, MODEL)).status_code == 503
    (before,) = (await world.state(account))["cooldowns"]
    go_on.set()
    assert (await waiting).status_code == 503
    assert (await world.state(account))["cooldowns"] == [before]
