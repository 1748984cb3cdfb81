"""The value that says why an account is not used."""

import msgspec

from gateway.core.state import BREAKER, FOR_EVER, HALF_OPEN_FOR, State, encode, ending, rfc3339


def test_times() -> None:
    assert rfc3339(1_700_000_000) == "2023-11-14T22:13:20.000Z"
    assert rfc3339(1_700_000_000.0625) == "2023-11-14T22:13:20.062Z"
    assert rfc3339(FOR_EVER) == "2100-01-01T00:00:00.000Z"
    assert [ending(moment) for moment in (1_700_000_000, FOR_EVER, None)] == ["2023-11-14T22:13:20.000Z", None, None]


def test_a_state_comes_back() -> None:
    state = State("rate_limited", 5.0, 1.0, "req_1", 429, soft=True)
    assert msgspec.json.decode(encode(state), type=State) == state


def test_half_open_from_its_end_for_a_while() -> None:
    state = State(BREAKER, 100.0, faults=5)
    moments = (99.9, 100.0, 100.0 + HALF_OPEN_FOR - 0.1, 100.0 + HALF_OPEN_FOR)
    assert [state.half_open(now) for now in moments] == [False, True, True, False]
    assert not State("overloaded", 100.0).half_open(101.0)
    assert msgspec.json.decode(encode(state), type=State) == state


def test_whom_a_soft_state_spares() -> None:
    assert State("overloaded", 9.0, soft=True).spares("key_1")
    assert not State("rate_limited", 9.0).spares("key_1")
    alone = State("breaker", 9.0, soft=True, key="key_1")
    assert (alone.spares("key_1"), alone.spares("key_2")) == (False, True)
