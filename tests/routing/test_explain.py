"""Explanations agree with the choice: nothing is both, nothing is missing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.domain import Limit
from gateway.core.errors import GatewayError
from gateway.core.state import BREAKER, State
from gateway.routing.choose import choose
from gateway.routing.explain import Counts, explain, load
from gateway.routing.states import States
from tests.routing.test_choose import NOW, account, route, snapshot

ACCOUNTS = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "draining": st.booleans(),
        "priority": st.integers(1, 3),
        "max_concurrency": st.integers(1, 3),
        "models": st.sampled_from([("*",), ("gpt-*",)]),
        "platform": st.sampled_from(["claude-console", "openai"]),
        "explicit_only": st.booleans(),
    },
)


@given(
    held=st.lists(ACCOUNTS, max_size=6),
    cooling=st.sets(st.integers(0, 5)),
    busy=st.dictionaries(st.integers(0, 5), st.integers(0, 3)),
    bound=st.one_of(st.none(), st.integers(0, 5)),
)
def test_every_account_is_either_a_candidate_or_excluded(
    held: list[dict[str, Any]], cooling: set[int], busy: dict[int, int], bound: int | None
) -> None:
    accounts = [account(f"a{at}", **fields) for at, fields in enumerate(held)]
    states = States()
    for at in cooling:
        states.set(f"a{at}", "account", State("x", NOW + 60))
    states.in_flight = {f"a{at}": n for at, n in busy.items()}
    counts = Counts(states.in_flight, bound=None if bound is None else f"a{bound}")
    asked, known = route(session="s" if bound is not None else None), snapshot(*accounts)
    told = explain(asked, known, states, counts, NOW)
    candidates = [one.account.id for one in told.candidates]
    out = [one.id for one, _ in told.excluded]
    assert sorted([*candidates, *out]) == sorted(one.id for one in accounts)
    try:
        chosen = [one.account.id for one in choose(asked, known, states, NOW)]
    except GatewayError:
        assert told.error is not None
        chosen = []
    assert set(candidates) <= set(chosen)
    assert (told.error is None) == bool(candidates)
    for one in told.candidates:
        assert load(one, counts) < 1
        assert not one.account.draining or one.account.id == counts.bound
    if counts.bound in candidates:
        assert candidates[0] == counts.bound


FULL, CAPPED = {"max_concurrency": 1}, {"limits": (Limit("requests", 1, scope="account"),)}


@pytest.mark.parametrize(
    ("held", "counts", "code", "words"),
    [
        ([FULL], Counts({"a0": 1}), "overloaded", "0 cooling down, 1 busy, 0 disabled"),
        ([FULL, CAPPED], Counts({"a0": 1}, {"a1": NOW + 9}), "overloaded", "1 cooling down, 1 busy, 0 disabled"),
        ([CAPPED], Counts(at_limit={"a0": NOW + 9}), "no_account", "1 cooling down, 0 busy, 0 disabled"),
        ([CAPPED], Counts(at_limit={"a0": None}), "no_account", "1 cooling down, 0 busy, 0 disabled"),
        ([{"draining": True}], Counts(), "no_account", "0 cooling down, 0 busy, 1 disabled"),
        ([{"draining": True}, CAPPED], Counts(at_limit={"a1": NOW + 9}), "no_account", "1 cooling down, 0 busy"),
        ([CAPPED, {"enabled": False}], Counts(at_limit={"a0": NOW + 9}), "no_account", "1 cooling down, 0 busy, 1 dis"),
    ],
)
def test_without_any_room_the_client_is_told_so(
    held: list[dict[str, Any]], counts: Counts, code: str, words: str
) -> None:
    accounts = [account(f"a{at}", **fields) for at, fields in enumerate(held)]
    told = explain(route(session="s"), snapshot(*accounts), States(), counts, NOW)
    assert (len(told.candidates), len(told.excluded)) == (0, len(held))
    assert told.error is not None
    assert (told.error.http_status, told.error.code) == (503, code)
    assert words in told.error.message


def test_a_probe_that_another_request_makes_leaves_no_room() -> None:
    states = States()
    states.set("a0", "account", State(BREAKER, NOW - 1, NOW - 31, faults=5))
    known = snapshot(account("a0"))
    assert [one.account.id for one in explain(route(), known, states, Counts(), NOW).candidates] == ["a0"]
    told = explain(route(), known, states, Counts(probed=frozenset({"a0"})), NOW)
    assert [(one.id, out.reason) for one, out in told.excluded] == [("a0", "breaker")]
    assert told.error is not None
    assert (told.error.code, told.error.headers["retry-after"]) == ("no_account", "1")
