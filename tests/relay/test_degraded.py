"""Limits of one process while Redis is away."""

import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.counters import BUCKETS, Counter, Taking, counter
from gateway.core.errors import LimitReached, Unavailable
from gateway.core.limits import parse
from gateway.relay.degraded import LocalLimits


def now() -> int:
    return int(time.time() * 1000)


def made(**limit: object) -> Counter:
    given = {"type": "requests", "per": "minute", "max": 10, **limit}
    return counter(parse([given], owner="key_1")[0], time.time())


def taking(one: Counter, amount: int = 1, at: int | None = None) -> Taking:
    return Taking(one, amount, now() if at is None else at)


def admitted(limits: LocalLimits, one: Counter, times: int = 200, amount: int = 1) -> int:
    done = 0
    for _ in range(times):
        try:
            limits.admit([taking(one, amount)])
        except LimitReached as error:
            assert int(error.headers["retry-after"]) >= 1
            continue
        done += 1
    return done


@pytest.mark.parametrize(("workers", "allowed"), [(1, 10), (2, 5), (3, 4), (4, 3), (100, 1)])
def test_of_what_is_not_known_an_even_share_rounded_up(workers: int, allowed: int) -> None:
    assert admitted(LocalLimits(workers), made()) == allowed


@pytest.mark.parametrize("kind", ["requests", "tokens"])
@pytest.mark.parametrize("each", [1, 2, 5, 40])
@pytest.mark.parametrize("amount", [1, 7])
def test_the_share_is_own_of_all_that_is_used(kind: str, each: int, amount: int) -> None:
    """All processes take `each` times what this one does; what it has taken stays taken."""
    limits, one = LocalLimits(9), made(type=kind, max=10_000)
    for at in range(1, 11):
        limits.note(taking(one, amount), at * each * amount)
    allowed = math.ceil(10_000 / each)
    assert admitted(limits, one, 10_100) == allowed - 10 * amount


def test_a_process_that_has_just_begun_takes_what_it_has_taken() -> None:
    limits, one = LocalLimits(1), made(max=100)
    limits.note(taking(one), 60)
    assert admitted(limits, one) == math.ceil(100 / 60) - 1


def test_what_others_used_of_a_calendars_window_before_is_not_their_share() -> None:
    """A day's counter says nothing of who takes how much now: its growth does."""
    limits, one = LocalLimits(1), made(per="day", max=10_000)
    for at in range(1, 11):
        limits.note(taking(one), 9000 + 2 * at)
    share = 10 / (1 + 9 * 2)
    assert admitted(limits, one, 2000) == math.ceil((10_000 - 9020) * share)


def test_growth_is_that_of_the_last_minute_or_two() -> None:
    limits, one, start = LocalLimits(1), made(per="day", max=1_000_000), now()
    for at in range(60):  # ours is all, then a tenth
        limits.note(taking(one, 100, start + at * 1000), (at + 1) * 100)
    used = 6000
    for at in range(60, 200):
        used += 1000
        limits.note(taking(one, 100, start + at * 1000), used)
    share = admitted(limits, one, 20_000, 100) * 100 / (1_000_000 - used)
    assert share == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("per", ["minute", "day"])
def test_a_share_is_no_nonsense_where_more_was_given_back_than_taken(per: str) -> None:
    limits, one = LocalLimits(4), made(type="tokens", per=per, max=1000)
    much = taking(one, 500)
    limits.note(much, 900)
    limits.release([much], [1])
    limits.note(taking(one), 50)
    assert 1 <= admitted(limits, one, 2000) <= 1000


def test_closed_refuses() -> None:
    with pytest.raises(Unavailable) as caught:
        LocalLimits(1).admit([taking(made()), taking(made(on_limiter_failure="closed"))])
    assert (caught.value.code, caught.value.headers["retry-after"]) == ("overloaded", "1")


def test_a_budget_is_closed_unless_it_is_said_to_be_open() -> None:
    with pytest.raises(Unavailable):
        LocalLimits(1).admit([taking(made(type="budget", per="day", max="20.00"))])
    one = made(type="budget", per="day", max="20.00", on_limiter_failure="open")
    assert admitted(LocalLimits(2), one, 20, 3_000_000_000) == 3


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "rate_limited"),
        ({"type": "tokens"}, "token_limited"),
        ({"type": "input_tokens", "per": "total"}, "token_limited"),
        ({"type": "output_tokens"}, "token_limited"),
        ({"type": "budget", "max": "0.00000001", "on_limiter_failure": "open"}, "budget_exceeded"),
        ({"type": "concurrency", "per": None}, "concurrency_limited"),
    ],
)
def test_the_code_says_which_kind(fields: dict[str, Any], code: str) -> None:
    limits, one = LocalLimits(1), made(**fields)
    for _ in range(10):
        limits.admit([taking(one)])
    with pytest.raises(LimitReached) as caught:
        limits.admit([taking(one)])
    assert caught.value.code == code


def test_concurrency_comes_back() -> None:
    limits = LocalLimits(2)
    one = counter(parse([{"type": "concurrency", "max": 4}])[0], 0)
    assert admitted(limits, one) == 2
    limits.release([taking(one)])
    assert admitted(limits, one) == 1
    for _ in range(9):
        limits.release([taking(one)])
    assert admitted(limits, one) == 2


def test_what_began_while_redis_was_there_still_runs_when_it_has_gone() -> None:
    limits, one = LocalLimits(1), counter(parse([{"type": "concurrency", "max": 4}])[0], 0)
    for running in (1, 2, 3):
        limits.note(taking(one), running)
    assert admitted(limits, one) == 1


def test_of_what_runs_the_mean_share_counts() -> None:
    limits, one = LocalLimits(1), counter(parse([{"type": "concurrency", "max": 100}])[0], 0)
    for _ in range(200):  # alternately one of two and one of four
        for of in (2, 4):
            limits.note(taking(one), of)
            limits.release([taking(one)])
    assert 35 <= admitted(limits, one) <= 41


def test_what_was_used_of_a_day_is_not_given_out_again() -> None:
    limits, one = LocalLimits(1), made(per="day")
    limits.note(taking(one), 7)
    assert admitted(limits, one) == 3


def test_amounts_are_put_right() -> None:
    limits, one = LocalLimits(1), made(type="tokens", max=100)
    first, second = taking(one, 60), taking(one, 40)
    limits.admit([first])
    limits.admit([second])
    assert admitted(limits, one) == 0
    limits.release([first], [10])
    assert admitted(limits, one) == 50
    limits.release([second], [45])
    assert admitted(limits, one) == 0


@pytest.mark.parametrize("per", ["minute", "total"])
def test_what_does_not_fit_is_refused(per: str) -> None:
    limits, one = LocalLimits(1), made(type="tokens", per=per, max=100)
    assert admitted(limits, one, 5, 101) == 0
    assert admitted(limits, one, 5, 60) == 1
    assert admitted(limits, one, 5, 40) == 1
    assert admitted(limits, one, 5, 0) == 0


def test_all_or_nothing() -> None:
    limits, wide, narrow = LocalLimits(1), made(), made(per="hour", max=2)
    for _ in range(2):
        limits.admit([taking(wide), taking(narrow)])
    for _ in range(5):
        with pytest.raises(LimitReached):
            limits.admit([taking(wide), taking(narrow)])
    assert admitted(limits, wide) == 8


def test_the_same_thing_limited_twice_is_counted_once() -> None:
    limits, wide, narrow = LocalLimits(1), made(), made(max=4)
    for _ in range(4):
        limits.admit([taking(wide), taking(narrow)])
    with pytest.raises(LimitReached):
        limits.admit([taking(wide), taking(narrow)])
    assert admitted(limits, wide) == 6


def test_an_accounts_own_limits_are_looked_at_and_then_taken() -> None:
    limits, one, closed = LocalLimits(1), made(max=2), made(on_limiter_failure="closed", models=["x"])
    for _ in range(2):
        assert limits.room([taking(one)])
        limits.take([taking(one)])
    assert not limits.room([taking(one)])
    assert not limits.room([taking(closed)])


def test_recovered_it_begins_again_with_what_redis_says() -> None:
    limits, one = LocalLimits(1), made(per="total", max=10)
    assert admitted(limits, one) == 10
    limits.recovered()
    limits.note(taking(one), 4)
    assert admitted(limits, one) == 6


moves = st.lists(
    st.tuples(st.integers(0, 40_000), st.integers(0, 50), st.none() | st.integers(0, 80)), min_size=1, max_size=60
)


@given(st.booleans(), moves)
def test_a_window_here_is_what_its_requests_came_to(noted: bool, steps: list[tuple[int, int, int | None]]) -> None:
    """Each (ms since the last, amount, what it really was when it is over at once, None: it goes on)."""
    limits, one = LocalLimits(1), made(type="tokens", max=1_000_000)
    at, truth, running = 1_790_000_000_000, list[tuple[int, int]](), list[Taking]()
    for after, amount, really in steps:
        at += after
        new = taking(one, amount, at)
        if noted:
            limits.note(new, 10**6)
        else:
            limits.take([new])
        running.append(new)
        if really is not None:
            ended = running.pop(really % len(running))
            limits.release([ended], [really])
            truth.append((ended.at, really))
        own = limits._of(one)
        counted = [(taken.at, taken.amount) for taken in running] + truth
        low = at * BUCKETS // 60_000 - BUCKETS
        assert own.slide(at) == sum(value for moment, value in counted if moment * BUCKETS // 60_000 >= low)
        assert own.sum == sum(bucket[1] for bucket in own.buckets)
        assert [bucket[0] for bucket in own.buckets] == sorted({bucket[0] for bucket in own.buckets})
