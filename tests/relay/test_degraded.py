"""Limits of one process while Redis is away."""

import pytest

from gateway.core.counters import Counter, counter
from gateway.core.errors import LimitReached, Unavailable
from gateway.core.limits import parse
from gateway.relay.degraded import LocalLimits


def made(**limit: object) -> Counter:
    return counter(parse([{"type": "requests", "per": "minute", "max": 10, **limit}], owner="key_1")[0], 0)


def admitted(limits: LocalLimits, one: Counter, times: int = 50) -> int:
    done = 0
    for _ in range(times):
        try:
            limits.admit([one])
        except LimitReached as error:
            assert int(error.headers["retry-after"]) >= 1
            continue
        done += 1
    return done


@pytest.mark.parametrize(("workers", "allowed"), [(1, 10), (2, 5), (3, 4), (4, 3), (100, 1)])
def test_of_what_is_not_known_an_even_share_rounded_up(workers: int, allowed: int) -> None:
    assert admitted(LocalLimits(workers), made()) == allowed


@pytest.mark.parametrize(("own_each", "allowed"), [(1, 10), (2, 6), (5, 3)])
def test_the_share_is_that_of_the_last_minute(own_each: int, allowed: int) -> None:
    limits, one = LocalLimits(1), made()
    for at in range(10):
        limits.note(one, 1 + at * own_each, at)
    assert admitted(limits, one) == allowed


def test_closed_refuses() -> None:
    with pytest.raises(Unavailable) as caught:
        LocalLimits(1).admit([made(), made(on_limiter_failure="closed")])
    assert (caught.value.code, caught.value.headers["retry-after"]) == ("overloaded", "1")


def test_concurrency_comes_back() -> None:
    limits = LocalLimits(2)
    one = counter(parse([{"type": "concurrency", "max": 4}])[0], 0)
    assert admitted(limits, one) == 2
    limits.release([one])
    assert admitted(limits, one) == 1
    for _ in range(9):
        limits.release([one])
    assert admitted(limits, one) == 2


def test_what_was_used_of_a_day_is_not_given_out_again() -> None:
    limits, one = LocalLimits(1), made(per="day")
    limits.note(one, 7, 0)
    assert admitted(limits, one) == 3


def test_all_or_nothing() -> None:
    limits, wide, narrow = LocalLimits(1), made(), made(per="hour", max=2)
    for _ in range(2):
        limits.admit([wide, narrow])
    for _ in range(5):
        with pytest.raises(LimitReached):
            limits.admit([wide, narrow])
    assert admitted(limits, wide) == 8
