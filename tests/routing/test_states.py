"""The process's copy of the accounts' states."""

import time

from gateway.core.state import State, encode
from gateway.routing.states import States

SOON = time.time() + 86_400


def field(state: State) -> str:
    return encode(state).decode()


def test_the_longest_and_the_hard_count() -> None:
    states = States()
    states.set("a", "account", State("x", SOON))
    states.set("a", "family:f", State("y", SOON + 1))
    states.set("a", "model:m", State("z", SOON + 9, soft=True))
    found = states.of("a", "f", "m", time.time())
    assert found is not None
    assert found.reason == "y"
    assert states.of("a", "g", "n", SOON) is None
    assert states.of("b", "f", "m", 0) is None


def test_a_copy_replaces_what_others_wrote_and_keeps_what_it_cannot_have_yet() -> None:
    states = States()
    states.set("a", "account", State("old", SOON))
    asked = states.written()
    states.set("b", "account", State("new", SOON))
    states.replace(
        {"c|account": field(State("theirs", SOON)), "d|account": "not json", "e|account": field(State("past", 1))},
        asked,
    )
    assert {name: [s.reason for s in states.scopes(name).values()] for name in "abcde"} == {
        "a": [], "b": ["new"], "c": ["theirs"], "d": [], "e": [],
    }  # fmt: skip
    states.replace({}, states.written())
    assert not states.scopes("b")


def test_a_state_that_was_cleared_here_does_not_come_back_with_an_older_copy() -> None:
    states = States()
    states.replace({"a|account": field(State("x", SOON))}, {})
    asked = states.written()
    states.clear("a", "account")
    states.replace({"a|account": field(State("x", SOON))}, asked)
    assert not states.scopes("a")
    asked = states.written()
    states.replace({"a|account": field(State("y", SOON))}, asked)
    assert states.scopes("a")["account"].reason == "y"


def test_requests_are_counted() -> None:
    states = States()
    states.began("a")
    states.began("a")
    states.ended("a")
    assert states.in_flight == {"a": 1}
    states.ended("a")
    states.ended("a")
    assert states.in_flight == {}
