"""When an account is probed, what for, and what that changes: tables at a clock of their own."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.domain import Account, Probe, Proxy
from gateway.core.state import BREAKER, FOR_EVER, State
from gateway.jobs import aims
from gateway.jobs.aims import (
    SOURCE,
    Aim,
    Last,
    Write,
    due_at,
    holding,
    let_go,
    model_for,
    next_aim,
    prolonged,
    writes,
)
from gateway.platforms import PLATFORMS
from gateway.platforms.platform import Kind, Scope, Verdict

NOW = 1_800_000_000.0
OK = Verdict(Kind.OK)


def account(platform: str = "claude-official", every: int = 10, model: str | None = None, **more: Any) -> Account:
    base = more.pop("base_url", PLATFORMS[platform].base_url or "")
    return Account("acct_1", "ten_1", "n", platform, base, {}, probe=Probe(every, model), **more)


def last(ago: float) -> Last:
    return Last(NOW - ago, True, 200, 5, "m", "")


def limited(ahead: float, reason: str = "rate_limited", **more: Any) -> State:
    return State(reason, NOW + ahead, NOW - 60, "req_1", 429, **more)


@given(st.integers(1, 1440), st.floats(1, 2e9), st.text(max_size=9))
def test_probes_come_by_their_interval_and_out_of_step(every: int, at: float, name: str):
    one = Account(name, "ten_1", "n", "openai", "", {}, probe=Probe(every))
    when = due_at(one, Last(at, True, 200, 1, "m", ""), 0.0)
    assert 0.9 * every * 60 - 1e-3 <= when - at <= 1.1 * every * 60 + 1e-3
    assert when == due_at(one, Last(at, False, None, 9, "m", "x"), 5.0), "a new leader goes on where the old one was"
    assert 0 <= due_at(one, None, at) - at <= 60


def test_no_two_accounts_are_in_step():
    times = {due_at(Account(f"acct_{n}", "t", "n", "openai", "", {}, probe=Probe(10)), last(0), 0.0) for n in range(50)}
    assert len(times) > 45


@pytest.mark.parametrize(
    ("one", "scope", "model"),
    [
        (account(), "account", "claude-haiku-4-5"),
        (account(model="claude-opus-9"), "account", "claude-opus-9"),
        (account(models=("claude-*", "claude-sonnet-9")), "account", "claude-sonnet-9"),
        (account(), "family:haiku", "claude-haiku-4-5"),
        (account(), "family:opus", None),
        (account(model="claude-opus-9"), "family:opus", "claude-opus-9"),
        (account(model_map={"mine": "claude-opus-9"}), "family:opus", "mine"),
        (account(), "model:claude-opus-9", "claude-opus-9"),
        (account("openai"), "family:gpt-9", "gpt-9"),
        (account("openai", base_url="https://compatible.example"), "account", None),
        (account("openai", base_url="https://compatible.example", model="deepseek-x"), "account", "deepseek-x"),
    ],
)  # fmt: skip
def test_what_is_asked_for(one: Account, scope: str, model: str | None):
    assert model_for(one, scope) == model


HAIKU = "claude-haiku-4-5"


@pytest.mark.parametrize(
    ("states", "before", "aim"),
    [
        ({}, last(10), None),
        ({}, last(700), Aim(HAIKU)),
        ({"account": limited(600)}, last(700), None),
        ({"family:haiku": limited(600)}, last(700), None),
        ({f"model:{HAIKU}": limited(600)}, last(700), None),
        ({"family:opus": limited(600)}, last(700), Aim(HAIKU)),
        ({"account": limited(-5)}, last(700), Aim(HAIKU)),
        ({"account": limited(600, soft=True)}, last(700), Aim(HAIKU)),
        ({"account": State("money", FOR_EVER, NOW - 9)}, last(700), None),
        ({"account": limited(4)}, last(10), None),
        ({"account": limited(2.5)}, last(10), Aim(HAIKU, ("account", limited(2.5)))),
        ({"account": limited(2.5, soft=True)}, last(10), Aim(HAIKU, ("account", limited(2.5, soft=True)))),
        ({"account": limited(2.5), "family:haiku": limited(1)}, last(10), Aim(HAIKU, ("family:haiku", limited(1)))),
        ({"family:opus": limited(1)}, last(10), None),
    ],
)
def test_which_probe_is_next(states: dict[str, State], before: Last, aim: Aim | None):
    assert next_aim(account(), states, before, NOW - 9999, NOW) == aim


ENDING = Aim(HAIKU, ("account", limited(2)))
REGULAR = Aim(HAIKU)
COOL = Verdict(Kind.COOL_DOWN, "credentials", NOW + 1800, Scope.ACCOUNT)


def told(scope: str, reason: str, until: float, status: int = 500, faults: int = 0) -> list[Write]:
    return [Write("acct_1", scope, State(reason, until, NOW, "probe", status, faults=faults))]


@pytest.mark.parametrize(
    ("aim", "verdict", "held", "made"),
    [
        (REGULAR, OK, {}, []),
        (ENDING, OK, {"account": limited(2)}, [Write("acct_1", "account", None)]),
        (
            REGULAR, OK, {"account": limited(5), "family:haiku": limited(5), "family:opus": limited(5)},
            [Write("acct_1", "account", None), Write("acct_1", "family:haiku", None)],
        ),
        (REGULAR, OK, {"account": State("newer", NOW + 60, NOW - 0.5)}, []),
        (REGULAR, COOL, {}, told("account", "credentials", NOW + 1800)),
        (REGULAR, COOL, {"account": limited(3600)}, []),
        (REGULAR, COOL, {"account": limited(3600, soft=True)}, told("account", "credentials", NOW + 1800)),
        (ENDING, COOL, {"account": limited(2)}, told("account", "credentials", NOW + 1800)),
        (
            ENDING, Verdict(Kind.COOL_DOWN, "rate_limited", NOW + 1, Scope.ACCOUNT), {"account": limited(2)},
            told("account", "rate_limited", NOW + 32),
        ),
        (ENDING, Verdict(Kind.COOL_DOWN, "overloaded", NOW + 60), {}, told("family:haiku", "overloaded", NOW + 60)),
        (REGULAR, Verdict(Kind.DISABLE, "money", scope=Scope.ACCOUNT), {}, told("account", "money", FOR_EVER)),
        (REGULAR, Verdict(Kind.ELSEWHERE, "fault", counts=True), {}, []),
        (
            ENDING, Verdict(Kind.ELSEWHERE, "fault", counts=True), {"account": limited(2)},
            told("account", "rate_limited", NOW + 32),
        ),
        (ENDING, Verdict(Kind.ELSEWHERE, "network"), {}, told("account", "rate_limited", NOW + 32)),
        (ENDING, Verdict(Kind.ELSEWHERE, "proxy"), {"account": limited(2)}, []),
        (ENDING, Verdict(Kind.CALLER), {"account": limited(2)}, []),
        (
            Aim(HAIKU, ("family:haiku", limited(2, BREAKER, faults=5))),
            Verdict(Kind.ELSEWHERE, "slow", counts=True), {},
            told("family:haiku", BREAKER, NOW + 32, faults=6),
        ),
    ],
)  # fmt: skip
def test_what_the_outcome_changes(aim: Aim, verdict: Verdict, held: dict[str, State], made: list[Write]):
    assert writes(account(), aim, verdict, 500, held, NOW - 1, NOW) == made


def test_a_proxys_trouble_is_the_proxys():
    one = account(proxy=Proxy("prx_1", "http", "h", 1))
    dead = Verdict(Kind.COOL_DOWN, "proxy", NOW + 30, Scope.ACCOUNT)
    assert writes(one, REGULAR, dead, 0, {}, NOW - 1, NOW) == [
        Write("prx_1", "account", State("proxy", NOW + 30, NOW, "probe"))
    ]
    assert writes(one, ENDING, Verdict(Kind.ELSEWHERE, "proxy"), 0, {}, NOW - 1, NOW) == []


def test_what_was_held_for_a_probe_is_let_go():
    state = limited(2)
    held = holding(state)
    assert held.until == state.until + 30
    assert let_go(account(), ENDING, {"account": held}) == [Write("acct_1", "account", None)]
    for other in ({}, {"account": state}, {"account": limited(50)}):
        assert let_go(account(), ENDING, other) == []
    assert let_go(account(), REGULAR, {"account": held}) == []
    assert aims.SOURCE == "probe"


def test_an_overload_that_a_probe_meets_spares_those_who_have_no_other() -> None:
    met = Verdict(Kind.COOL_DOWN, "overloaded", NOW + 60, overload=True)
    [write] = writes(account(), Aim(HAIKU), met, 529, {}, NOW - 1, NOW)
    assert write.state is not None
    assert (write.state.reason, write.state.soft) == ("overloaded", True)


def test_what_is_prolonged_is_as_hard_as_it_was() -> None:
    alone = State(BREAKER, NOW + 2, NOW - 30, "req_1", 500, soft=True, key="key_1", faults=5)
    longer = prolonged(alone, NOW, 500)
    assert (longer.soft, longer.key, longer.faults, longer.request_id) == (True, "key_1", 6, SOURCE)
    assert longer.until > alone.until
