"""The process's copy of the accounts' states."""

import time

from gateway.core.learned import Learned, Window, learned
from gateway.core.learned import encode as encode_learned
from gateway.core.state import BREAKER, HALF_OPEN_FOR, State, encode
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


# What upstreams said of their limits

NOW = time.time()


def said(used: float, at: float = NOW, ahead: float = 60) -> Learned:
    return learned((Window("tokens", used=used, resets_at=at + ahead),), at)


def test_learned_limits_hold_for_their_family_until_their_end() -> None:
    states = States()
    assert states.learn("a", "sonnet", said(0.99))
    assert states.near_limit("a", "sonnet", NOW + 59)
    assert not states.near_limit("a", "sonnet", NOW + 60)
    assert not states.near_limit("a", "opus", NOW)
    states.learn("a", "sonnet", said(0.2, NOW + 1))
    assert not states.near_limit("a", "sonnet", NOW + 1)


def test_they_are_written_once_a_second_at_most() -> None:
    states = States()
    written = [states.learn("a", "f", said(0.5, NOW + at / 10)) for at in range(25)]
    assert [at for at, one in enumerate(written) if one] == [0, 10, 20]
    assert states.learn("a", "g", said(0.5, NOW))
    assert states.learn("a", "f", said(0.5, NOW - 100)), "a clock that was set back is no reason to be silent"


def test_of_what_others_learned_the_newest_counts() -> None:
    states = States()
    states.learn("a", "f", said(0.99, NOW))
    old = {"a|f": encode_learned(said(0.1, NOW - 5)).decode(), "b|f": encode_learned(said(0.99)).decode(), "c|f": "{"}
    states.replace_learned(old, NOW)
    assert states.near_limit("a", "f", NOW)
    assert states.near_limit("b", "f", NOW)
    states.replace_learned({"a|f": encode_learned(said(0.1, NOW + 5)).decode()}, NOW + 5)
    assert not states.near_limit("a", "f", NOW + 5)
    states.replace_learned({}, NOW + 3600)
    assert states.near == {}


def test_a_half_open_breaker_stays_known_after_its_end() -> None:
    states, now = States(), time.time()
    opened = State(BREAKER, now - 1)
    states.replace({"a|family:f": field(opened), "b|family:f": field(State("x", now - 1))}, {})
    assert states.half_open("a", "f", "m", "key_1", now) == "family:f"
    assert states.half_open("a", "g", "m", "key_1", now) == ""
    assert states.half_open("b", "f", "m", "key_1", now) == ""
    assert states.of("a", "f", "m", now) is None
    states.set("c", "account", opened)
    states.replace({}, {})
    assert states.half_open("c", "f", "m", "key_1", now) == "account"
    assert states.half_open("c", "f", "m", "key_1", now + HALF_OPEN_FOR) == ""
