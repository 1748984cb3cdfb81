"""What an attempt means for its account, in this process and in Redis."""

from typing import Any

import pytest

from gateway.core.state import State
from gateway.platforms.platform import Kind, Scope, Verdict
from gateway.relay.marking import scope_of
from tests.relay.world import OK, Raw, World, answer, anthropic_error

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
