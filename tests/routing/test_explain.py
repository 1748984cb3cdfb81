"""Explanations agree with the choice: nothing is both, nothing is missing."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import GatewayError
from gateway.core.state import State
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
    for one in told.candidates:
        assert load(one, counts) < 1
        assert not one.account.draining or one.account.id == counts.bound
    if counts.bound in candidates:
        assert candidates[0] == counts.bound
