"""Every strategy of a pool: whom it gives how much, and what it remembers."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.core.domain import Account, Pool
from gateway.core.snapshot import Snapshot, build
from gateway.routing.choose import choose, kind_of
from gateway.routing.fitting import Candidate
from gateway.routing.latency import SAMPLES
from gateway.routing.states import States
from gateway.routing.strategies import LOOK_AROUND, Turns, mode
from tests.routing.test_choose import account, route


def pooled(strategy: Any, *accounts: Account) -> Snapshot:
    return build(1, (), [Pool("p", "ten_1", "pool", strategy)], accounts)


def members(names: str = "abc", **fields: Any) -> Sequence[Account]:
    return [account(name, pools=("p",), **fields) for name in names]


def names(candidates: Sequence[Candidate]) -> str:
    return "".join(one.account.id for one in candidates)


def firsts(snapshot: Snapshot, states: States, times: int) -> Sequence[str]:
    return [choose(route(), snapshot, states, 0, turn=True)[0].account.id for _ in range(times)]


def test_what_admission_does_with_each() -> None:
    assert [mode("least_busy"), mode("round_robin")] == ["busy", "idle"]
    assert {mode("weighted"), mode("random"), mode("latency")} == {"order"}


@pytest.mark.parametrize("strategy", ["least_busy", "round_robin", "weighted", "random", "latency"])
def test_every_candidate_is_there_and_says_how_it_was_chosen(strategy: Any) -> None:
    states = States()
    for turn in (False, True):
        found = choose(route(), pooled(strategy, *members()), states, 0, turn=turn)
        assert sorted(names(found)) == ["a", "b", "c"]
        assert {one.strategy for one in found} == {strategy}


# weighted


def test_smooth_as_nginx_does_it() -> None:
    """The sequence of nginx's own description: 5, 1, 1 gives a a b a c a a."""
    accounts = [account(name, pools=("p",), weight=weight) for name, weight in (("a", 5), ("b", 1), ("c", 1))]
    assert "".join(firsts(pooled("weighted", *accounts), States(), 14)) == "aabacaa" * 2


def test_weight_nothing_is_the_last_resort_of_its_priority() -> None:
    accounts = [
        account("z", pools=("p",), weight=0),
        *members("a", weight=1),
        *members("b", weight=3),
        account("y", priority=60),
    ]
    states, snapshot = States(), pooled("weighted", *accounts)
    for _ in range(20):
        found = names(choose(route(), snapshot, states, 0, turn=True))
        assert found[2:] == "zy"
    assert names(choose(route(), pooled("weighted", account("z", pools=("p",), weight=0)), states, 0)) == "z"
    assert Counter(firsts(pooled("weighted", *members("ab", weight=0)), States(), 4)).keys() <= {"a", "b"}


def test_only_a_real_choice_moves_the_turn() -> None:
    snapshot, states = pooled("weighted", *members("ab")), States()
    asked = [names(choose(route(), snapshot, states, 0)) for _ in range(3)]
    assert len(set(asked)) == 1
    assert names(choose(route(), snapshot, states, 0, turn=True)) == asked[0]
    assert names(choose(route(), snapshot, states, 0)) != asked[0]


def test_one_that_was_away_gets_no_more_than_its_share_when_it_is_back() -> None:
    snapshot, states = pooled("weighted", *members("abc")), States()
    firsts(snapshot, states, 9)
    firsts(pooled("weighted", *members("ab")), states, 100)
    assert Counter(firsts(snapshot, states, 30)) == {"a": 10, "b": 10, "c": 10}


def test_turns_of_pools_and_families_are_apart_and_bounded() -> None:
    turns = Turns()
    turns.weights("p", "sonnet")["a"] = 5
    assert turns.weights("p", "opus") == turns.weights("q", "sonnet") == {}
    assert turns.weights("p", "sonnet") == {"a": 5}
    for at in range(5000):
        turns.weights("p", f"m{at}")
    assert turns.weights("p", "sonnet") == {}


# random


def test_random_is_uniform() -> None:
    states = States()
    states.turns = Turns(seed=5)
    tally = Counter(firsts(pooled("random", *members("abcd")), states, 8000))
    assert all(abs(count - 2000) < 200 for count in tally.values()), tally


def test_random_is_not_drawn_for_a_question() -> None:
    states = States()
    snapshot = pooled("random", *members())
    before = states.turns.random.getstate()
    states.began("a")
    assert {names(choose(route(), snapshot, states, 0)) for _ in range(5)} == {"bca"}, "least busy first"
    assert states.turns.random.getstate() == before


# round_robin


def test_round_robin_by_what_this_process_knows() -> None:
    """The exact turn is taken when it is admitted; this is whom it is offered."""
    states, snapshot = States(), pooled("round_robin", *members())
    seen: list[str] = []
    for _ in range(6):
        first = choose(route(), snapshot, states, 0, turn=True)[0].account.id
        states.began(first)
        seen.append(first)
    assert "".join(seen) == "abcabc"


# latency


def waits(states: States, **seconds: float) -> None:
    for name, each in seconds.items():
        for at in range(SAMPLES):
            states.latencies.add(kind_of(route()), account(name), each, float(at))


def test_the_fastest_first_and_now_and_then_another() -> None:
    states = States()
    states.turns = Turns(seed=9)
    waits(states, a=0.4, b=0.2, c=0.3)
    snapshot = pooled("latency", *members())
    assert names(choose(route(), snapshot, states, 0)) == "bca"
    tally = Counter(firsts(snapshot, states, 4000))
    expected = 4000 * LOOK_AROUND / 3
    assert 0.5 * expected < tally["a"] < 1.5 * expected
    assert 0.5 * expected < tally["c"] < 1.5 * expected


def test_one_that_nobody_knows_is_asked_first() -> None:
    states = States()
    waits(states, a=0.4, b=0.2)
    assert names(choose(route(), pooled("latency", *members()), states, 0)) == "cba"


def test_it_costs_microseconds() -> None:
    states = States()
    snapshot = pooled("weighted", *(account(f"a{at}", pools=("p",)) for at in range(20)))
    began = time.process_time()
    for _ in range(500):
        choose(route(), snapshot, states, 0, turn=True)
    assert (time.process_time() - began) / 500 < 0.001, "a slow machine's bound; some 50 µs are usual"
