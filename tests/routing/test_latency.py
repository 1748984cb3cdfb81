"""Who is slow against its peers, and that it is looked at again."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from gateway.routing.latency import LOOK_REQUESTS, LOOK_SECONDS, SAMPLES, Latencies, Peers
from tests.routing.test_choose import account

KIND = ("ten_1", "sonnet", "generate", True)
NAMES = [f"a{at}" for at in range(8)]


def told(peers: Peers, seconds: dict[str, float], times: int = SAMPLES, start: float = 0.0, step: float = 1.0) -> float:
    now = start
    for _ in range(times):
        now += step
        for name, each in seconds.items():
            peers.add(account(name), each, now)
    return now


@pytest.mark.parametrize(
    ("seconds", "slow"),
    [
        ([0.2, 0.2, 0.2, 0.2, 5.0], {4}),
        ([0.2, 5.0], {1}),
        ([5.0], set()),
        ([0.2, 0.25, 0.3, 0.69], set()),  # more than thrice, but not half a second more
        ([1.0, 1.0, 1.0, 2.9], set()),  # more than half a second, but not thrice
        ([1.0, 1.0, 1.0, 3.1], {3}),
        ([0.1, 0.1, 9.0, 9.0], {2, 3}),
        ([0.1, 9.0, 9.0], set()),  # most of them are no exception
        ([0.1, 0.1, 0.1, 9.0, 9.0], {3, 4}),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.35], {6}),
    ],
)
def test_against_the_median_of_the_others(seconds: list[float], slow: set[int]) -> None:
    peers = Peers(0)
    told(peers, dict(zip(NAMES, seconds, strict=False)))
    assert peers.slow == {NAMES[at] for at in slow}


def test_a_few_answers_say_nothing() -> None:
    peers = Peers(0)
    told(peers, {"a": 0.1, "b": 9.0}, SAMPLES - 1)
    assert peers.slow == frozenset()
    told(peers, {"a": 0.1, "b": 9.0}, 1, start=10)
    assert peers.slow == {"b"}


@pytest.mark.parametrize("step", [0.1, 1.0, 60.0])
def test_one_answer_that_hung_is_no_slow_account(step: float) -> None:
    peers = Peers(0)
    now = told(peers, {"a": 0.3, "b": 0.3, "c": 0.3}, 20, step=step)
    peers.add(account("c"), 300.0, now + step)
    told(peers, {"a": 0.3, "b": 0.3}, 1, start=now + step)
    assert peers.slow == frozenset()


@pytest.mark.parametrize("step", [0.5, 1.0, 20.0])
def test_one_that_becomes_slow_is_seen_soon_and_one_that_recovers_too(step: float) -> None:
    peers = Peers(0)
    now = told(peers, {"a": 0.3, "b": 0.3, "c": 0.3}, 30, step=step)
    now = told(peers, {"a": 0.3, "b": 0.3, "c": 5.0}, 6, start=now, step=step)
    assert peers.slow == {"c"}
    # It is only looked at now and then.
    for _ in range(6):
        now = told(peers, {"a": 0.3, "b": 0.3, "c": 0.3}, 1, start=now, step=LOOK_SECONDS)
    assert peers.slow == frozenset()


def test_other_priorities_are_no_peers() -> None:
    peers = Peers(0)
    for at in range(SAMPLES + 1):
        for name, seconds, priority in (("a", 0.1, 1), ("b", 0.1, 1), ("c", 9.0, 2), ("d", 9.0, 2)):
            peers.add(account(name, priority=priority), seconds, at)
    assert peers.slow == frozenset()


def test_what_was_not_seen_for_an_hour_is_forgotten() -> None:
    peers = Peers(0)
    now = told(peers, {"a": 0.1, "b": 0.1, "c": 9.0})
    assert peers.slow == {"c"}
    told(peers, {"a": 0.1, "b": 0.1}, 1, start=now + 3601)
    assert peers.slow == frozenset()
    assert peers.mean("c") == 0.0


def test_looks_are_rare_by_requests_and_by_time() -> None:
    peers = Peers(0)
    assert [peers.look(LOOK_SECONDS + 1) for _ in range(LOOK_REQUESTS)] == [False] * (LOOK_REQUESTS - 1) + [True]
    peers.looked(100)
    assert not any(peers.look(100 + LOOK_SECONDS / 2) for _ in range(LOOK_REQUESTS * 2))
    assert peers.look(100 + LOOK_SECONDS)


def test_the_one_unseen_longest_is_looked_at() -> None:
    peers = Peers(0)
    for at, name in enumerate("cab"):
        peers.add(account(name), 1.0, at)
    assert peers.longest_unseen(["a", "b"]) == "a"
    assert peers.longest_unseen(["a", "b", "c"]) == "c"
    assert peers.longest_unseen(["z"]) is None
    assert peers.longest_unseen([]) is None


def test_kinds_are_apart_and_bounded() -> None:
    latencies = Latencies()
    for at in range(10_050):
        latencies.add((f"ten_{at}", "f", "generate", True), account("a"), 1.0, at)
    assert latencies.of(("ten_0", "f", "generate", True)) is None
    assert latencies.of(("ten_10049", "f", "generate", False)) is None
    kept = latencies.of(("ten_10049", "f", "generate", True))
    assert kept is not None
    assert kept.mean("a") == 1.0


def test_noise_alone_makes_nobody_slow() -> None:
    """Twenty alike, times to the first byte as they are in life: log-normal, some ten times the median."""
    source = random.Random(3)
    peers, now = Peers(0), 0.0
    judged: Counter[bool] = Counter()
    names: Sequence[str] = [f"a{at}" for at in range(20)]
    for _ in range(20_000):
        now += 0.1
        peers.add(account(source.choice(names)), source.lognormvariate(-0.5, 0.6), now)
        judged[bool(peers.slow)] += 1
    assert judged[True] < 0.02 * judged.total()


def test_what_was_told_gives_the_same_order_elsewhere() -> None:
    here, there = Latencies(), Latencies()
    for at in range(SAMPLES):
        for name, seconds in (("a", 0.3), ("b", 0.2), ("c", 5.0)):
            here.add(KIND, account(name), seconds, at)
    ((kind, paces),) = here.untold(9)
    there.believe(kind, paces, 9.0)
    one, two = here.of(KIND), there.of(KIND)
    assert one is not None
    assert two is not None
    assert two.slow == one.slow == {"c"}
    assert [two.mean(name) for name in "abcd"] == [one.mean(name) for name in "abcd"]


def test_only_what_is_new_is_given_out_and_no_more_than_is_kept() -> None:
    latencies = Latencies()
    kinds = [(f"ten_{at}", "f", "generate", True) for at in range(10_050)]
    for kind in kinds:
        latencies.add(kind, account("a"), 1.0, 0.0)
    latencies.add(kinds[-1], account("a"), 1.0, 1.0)
    assert [kind for kind, _ in latencies.untold(2)] == kinds[50:52]
    assert len(latencies.untold(20_000)) == 9_998
    assert latencies.untold(1) == []
    latencies.add(kinds[60], account("b"), 2.0, 1.0)
    ((kind, paces),) = latencies.untold(9)
    assert (kind, set(paces)) == (kinds[60], {"a", "b"})
