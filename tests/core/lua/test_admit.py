"""admit.lua on a real Redis: what it grants, what it refuses, and that a refusal takes nothing."""

import asyncio
import random
import time
from collections import Counter

import pytest

from tests.core.lua.scene import Scene, limit
from tests.core.lua.scene import scene as another

A, B, C = ("a", 0, 50, ""), ("b", 0, 50, ""), ("c", 0, 50, "")


async def until(moment: int) -> None:
    """Until the wall clock, which is Redis' clock too, shows this millisecond."""
    await asyncio.sleep(max(0.0, moment / 1000 - time.time()))


# What an admission leaves


async def test_what_is_taken(scene: Scene) -> None:
    day = int(time.time() * 1000) + 5000
    limits = [limit("S", 9, 60_000), limit("C", 9), limit("D", 9, day), limit("D", 9, 0, "total")]
    answer = await scene.admit("r1", limits=limits, row='{"x":1}\n2', sticky="k:1", life=100)
    assert (answer.kind, answer.account, answer.bound, list(answer.used)) == ("ok", "a", False, [1, 1, 1, 1])
    ends = answer.now + 60_000
    bucket = str(answer.now * 60 // 60_000)
    moment = scene.redis.hget(scene.name("idle"), "a") or ""
    assert len(moment) == 16
    assert int(moment) // 1000 == answer.now, "in microseconds"
    charges = " ".join(f"{kind} {name} {span} {answer.now} 1" for kind, name, _, span in (limits[0], *limits[2:]))
    assert scene.dump() == {
        scene.name(key): value
        for key, value in sorted(
            {
                "epoch": "1",
                "s:a": [("r1", ends)],
                "l": [("r1", ends)],
                "r": {"r1": f'a\n{charges}\n{{"x":1}}\n2'},
                "idle": {"a": moment},
                "k:1": "a",
                limits[0][1]: {"n": "1", "o": bucket, bucket: "1"},
                limits[1][1]: [("r1", ends)],
                limits[2][1]: "1",
                limits[3][1]: "1",
            }.items()
        )
    }
    for key, longest in {limits[0][1]: 120_000, limits[1][1]: 120_000, "s:a": 120_000, "k:1": 100_000}.items():
        assert 0 < scene.redis.pttl(scene.name(key)) <= longest
    assert 3_600_000 < scene.redis.pttl(scene.name(limits[2][1])) <= 3_605_000
    assert scene.redis.pttl(scene.name(limits[3][1])) == -1


async def test_cold_without_an_epoch(scene: Scene) -> None:
    scene.redis.delete(scene.name("epoch"))
    assert (await scene.admit(limits=[limit("S", 9, 1000)], sticky="k:1")).kind == "cold"
    assert scene.dump() == {}


# All or nothing

PLENTY = [limit("S", 100, 3_600_000, "plenty"), limit("C", 100, 0, "plenty"), limit("D", 100, 0, "plenty")]
REFUSING = [limit("S", 1, 3_600_000, "one"), limit("C", 1, 0, "one"), limit("D", 1, 0, "one")]


@pytest.mark.parametrize("last", REFUSING, ids=["sliding", "concurrency", "calendar"])
@pytest.mark.parametrize("at", [0, 1, 3])
async def test_a_refused_request_takes_nothing(scene: Scene, last, at: int) -> None:
    limits = [*PLENTY[:at], last, *PLENTY[at:]]
    assert (await scene.admit(limits=limits)).kind == "ok"
    before = scene.dump()
    for _ in range(5):
        answer = await scene.admit(limits=limits, sticky="k:2")
        assert (answer.kind, answer.index) == ("limit", at + 1)
        assert list(answer.used) == [1, 1, 1, 1]
        assert answer.wait == answer.waits[at] > 0
    assert scene.dump() == before


async def test_a_request_without_a_slot_takes_nothing(scene: Scene) -> None:
    offered = [("a", 1, 50, ""), ("b", 2, 60, "")]
    assert [(await scene.admit(candidates=offered)).account for _ in range(3)] == ["a", "b", "b"]
    before = scene.dump()
    answer = await scene.admit(candidates=offered, limits=PLENTY, sticky="k:3")
    assert answer.kind == "full"
    assert scene.dump() == before


async def test_the_limit_that_makes_it_wait_is_told(scene: Scene) -> None:
    soon, late = limit("S", 1, 60_000), limit("S", 1, 3_600_000)
    limits = [soon, late, limit("C", 1)]
    assert (await scene.admit(limits=limits)).kind == "ok"
    answer = await scene.admit(limits=limits)
    assert (answer.kind, answer.index) == ("limit", 2)
    assert 3_540_000 < answer.wait <= 3_660_000


async def test_of_two_platforms_the_one_that_passes_first_is_told(scene: Scene) -> None:
    soon, late = limit("S", 1, 60_000, "soon"), limit("S", 1, 3_600_000, "late")
    offered = [("a", 0, 50, "10"), ("b", 0, 50, "01")]
    assert [(await scene.admit(limits=[soon, late], candidates=offered)).kind for _ in range(2)] == ["ok", "ok"]
    answer = await scene.admit(limits=[soon, late], candidates=offered)
    assert (answer.kind, answer.index) == ("limit", 1)
    assert answer.wait <= 61_000


async def test_a_thing_limited_twice_is_counted_once(scene: Scene) -> None:
    for kind, span in (("S", 3_600_000), ("C", 0), ("D", 0)):
        limits = [limit(kind, 9, span, "twice"), limit(kind, 3, span, "twice")]
        answers = [await scene.admit(limits=limits) for _ in range(4)]
        assert [answer.kind for answer in answers] == ["ok", "ok", "ok", "limit"]
        assert list(answers[2].used) == [3, 3]
        assert answers[3].index == 2


async def test_a_maximum_of_nothing(scene: Scene) -> None:
    for kind, span in (("S", 60_000), ("C", 0), ("D", 0)):
        answer = await scene.admit(limits=[limit(kind, 0, span)])
        assert (answer.kind, list(answer.used)) == ("limit", [0])
        assert answer.wait > 0


# Sliding windows


async def test_never_more_than_the_maximum_in_any_interval(redis_url: str) -> None:
    await asyncio.gather(*(arrivals(redis_url, *case) for case in ((700, 3), (1000, 7), (1100, 1), (1001, 25))))


async def arrivals(url: str, span: int, most: int) -> None:
    async with another(url) as scene:
        source = random.Random(span)
        one = limit("S", most, span)
        admitted: list[int] = []
        refused = 0
        end = time.monotonic() + 2.6
        while time.monotonic() < end:
            asked = (scene.admit(limits=[one], lease=1000) for _ in range(source.randrange(1, 6)))
            answers = await asyncio.gather(*asked)
            admitted += [answer.now for answer in answers if answer.kind == "ok"]
            refused += sum(answer.kind == "limit" for answer in answers)
            await asyncio.sleep(source.choice((0.001, 0.01, 0.05)))
        assert refused
        assert broken(sorted(admitted), most, span) == []
        # and no place stays empty: with arrivals all the time, as many as there are places
        assert len(admitted) >= most * (2.6 * 1000 // (span * 61 / 60 + 100))


def broken(admitted: list[int], most: int, span: int) -> list[tuple[int, int]]:
    """Intervals that hold one too many."""
    return [(one, beyond) for one, beyond in zip(admitted, admitted[most:], strict=False) if beyond - one < span]


def test_the_check_would_see_one_too_many() -> None:
    assert broken([0, 10, 20, 1000, 1010, 1020], 3, 1000) == []
    assert broken([0, 10, 20, 995, 1010], 3, 1000) == [(0, 995)]


@pytest.mark.parametrize("span", [600, 1000, 1001])
async def test_a_place_is_free_when_it_was_said_and_not_much_later(scene: Scene, span: int) -> None:
    one = limit("S", 1, span)
    first = await scene.admit(limits=[one])
    refused = await scene.admit(limits=[one])
    free = refused.now + refused.wait
    assert span <= free - first.now <= span + span / 60 + 1
    assert first.now + first.waits[0] == free
    await until(free - 15)
    early = await scene.admit(limits=[one])
    assert early.kind == "limit" or early.now >= free
    if early.kind == "limit":
        await until(free + 1)
        assert (await scene.admit(limits=[one])).kind == "ok"


async def test_a_lowered_maximum_waits_for_more_than_one_bucket(scene: Scene) -> None:
    span = 1200
    for _ in range(3):
        assert (await scene.admit(limits=[limit("S", 3, span)])).kind == "ok"
        await asyncio.sleep(0.05)
    many = await scene.admit(limits=[limit("S", 3, span)])
    few = await scene.admit(limits=[limit("S", 1, span)])
    assert (many.kind, few.kind, list(few.used)) == ("limit", "limit", [3])
    assert few.wait > many.wait + 60  # the last of the three has to leave
    await until(few.now + few.wait + 1)
    assert (await scene.admit(limits=[limit("S", 1, span)])).kind == "ok"


async def test_a_clock_that_was_set_back_loses_no_place(scene: Scene) -> None:
    one = limit("S", 3, 600)
    answer = await scene.admit(limits=[one])
    # What a server whose clock was ahead by a few buckets has left behind.
    bucket = answer.now * 60 // 600 + 5
    scene.redis.delete(scene.name(one[1]))
    scene.redis.hset(scene.name(one[1]), mapping={"n": 1, "o": bucket, str(bucket): 1})
    assert [(await scene.admit(limits=[one])).kind for _ in range(3)] == ["ok", "ok", "limit"]
    await asyncio.sleep(0.75)
    assert [(await scene.admit(limits=[one])).kind for _ in range(4)] == ["ok", "ok", "ok", "limit"]


async def test_buckets_against_a_model(scene: Scene) -> None:
    """Random histories put straight into Redis; what the script counts is what the model counts."""
    source = random.Random(7)
    for number in range(120):
        span = source.choice([977, 60_000, 3_600_000, 18_000_000, 7 * 86_400_000])
        one = limit("S", 1 << 30, span, f"model-{number}")
        now = round(time.time() * 1000)
        current = now * 60 // span
        oldest = current - source.randrange(0, 125)
        held = {
            b: source.randrange(1, 9) for b in range(oldest, min(oldest + 61, current + 1)) if source.random() < 0.3
        }
        held[oldest] = 2
        fields = {str(bucket): count for bucket, count in held.items()}
        scene.redis.hset(scene.name(one[1]), mapping={**fields, "n": sum(held.values()), "o": oldest})
        answer = await scene.admit(limits=[one])
        live = {b: count for b, count in held.items() if b >= answer.now * 60 // span - 60}
        assert answer.used[0] == sum(live.values()) + 1, (number, span)
        first = min(live, default=answer.now * 60 // span)
        assert answer.waits[0] == -(-(first + 61) * span // 60) - answer.now
        left = {int(k): int(v) for k, v in scene.redis.hgetall(scene.name(one[1])).items() if k.isdigit()}
        assert sum(left.values()) == answer.used[0]
        assert min(left) == int(scene.redis.hget(scene.name(one[1]), "o") or 0)


# Calendar windows and concurrency


async def test_a_calendar_window_counts_to_its_end(scene: Scene) -> None:
    end = int(time.time() * 1000) + 90_000
    one = limit("D", 2, end)
    answers = [await scene.admit(limits=[one]) for _ in range(3)]
    assert [answer.kind for answer in answers] == ["ok", "ok", "limit"]
    assert answers[2].now + answers[2].wait == end
    following = limit("D", 2, end + 86_400_000, "tomorrow")
    assert (await scene.admit(limits=[following])).kind == "ok"


async def test_concurrency_is_given_back_by_settling_and_by_itself(scene: Scene) -> None:
    one = limit("C", 2)
    assert (await scene.admit("x", limits=[one], lease=300)).kind == "ok"
    assert (await scene.admit("y", limits=[one], lease=60_000)).kind == "ok"
    assert (await scene.admit(limits=[one])).kind == "limit"
    await scene.settle("y", "a", one[1])
    assert (await scene.admit("z", limits=[one], lease=60_000)).kind == "ok"
    assert (await scene.admit(limits=[one])).kind == "limit"
    await asyncio.sleep(0.32)
    assert (await scene.admit(limits=[one])).kind == "ok"
    assert set(scene.redis.zrange(scene.name(one[1]), 0, -1)) >= {"z"}
    assert "x" not in scene.redis.zrange(scene.name(one[1]), 0, -1)


async def test_slots_are_given_back_by_themselves(scene: Scene) -> None:
    offered = [("a", 1, 50, "")]
    assert (await scene.admit("x", candidates=offered, lease=200)).kind == "ok"
    assert (await scene.admit(candidates=offered)).kind == "full"
    await asyncio.sleep(0.22)
    assert (await scene.admit("y", candidates=offered)).kind == "ok"
    assert scene.slots("a") == {"y"}


# Which account


async def test_the_least_busy_by_its_share(scene: Scene) -> None:
    offered = [("a", 10, 50, ""), ("b", 2, 50, "")]
    taken = Counter([(await scene.admit(candidates=offered)).account for _ in range(12)])
    assert taken == {"a": 10, "b": 2}
    assert (await scene.admit(candidates=offered)).kind == "full"


async def test_of_two_as_busy_the_one_longest_idle(scene: Scene) -> None:
    for name in ("b", "a", "c"):
        await scene.admit(name, candidates=[(name, 0, 50, "")])
        await asyncio.sleep(0.003)
        await scene.settle(name, name)
    order = []
    for n in range(6):
        answer = await scene.admit(f"n{n}", candidates=[A, B, C])
        order.append(answer.account)
        await scene.settle(f"n{n}", answer.account)
        await asyncio.sleep(0.003)
    assert order == ["b", "a", "c", "b", "a", "c"]


async def test_one_never_used_comes_before_one_that_was(scene: Scene) -> None:
    await scene.admit("x", candidates=[A])
    await scene.settle("x", "a")
    assert (await scene.admit(candidates=[A, B])).account == "b"


async def test_a_lower_tier_waits_until_the_upper_is_full(scene: Scene) -> None:
    offered = [("a", 1, 10, ""), ("b", 2, 10, ""), ("c", 0, 20, "")]
    found = [(await scene.admit(candidates=offered)).account for _ in range(5)]
    assert sorted(found[:3]) == ["a", "b", "b"]
    assert found[3:] == ["c", "c"]


async def test_in_order_the_first_with_a_slot(scene: Scene) -> None:
    offered = [("b", 2, 50, ""), ("a", 0, 50, "")]
    found = [(await scene.admit(candidates=offered, mode="order")).account for _ in range(4)]
    assert found == ["b", "b", "a", "a"]


# Sticky sessions


async def test_a_session_stays_while_its_account_is_a_candidate(scene: Scene) -> None:
    first = await scene.admit(candidates=[A, B], sticky="k:s")
    assert not first.bound
    for _ in range(5):
        answer = await scene.admit(candidates=[B, A], sticky="k:s")
        assert (answer.account, answer.bound) == (first.account, True)
    assert (await scene.admit(candidates=[A, B], sticky="k:other")).account != first.account


async def test_the_bound_account_wins_over_the_tier(scene: Scene) -> None:
    await scene.admit(candidates=[("b", 0, 90, "")], sticky="k:s")
    assert (await scene.admit(candidates=[("a", 0, 1, ""), ("b", 0, 90, "")], sticky="k:s")).account == "b"


async def test_its_life_is_renewed_on_use(scene: Scene) -> None:
    await scene.admit(sticky="k:s", life=100)
    scene.redis.expire(scene.name("k:s"), 5)
    await scene.admit(sticky="k:s", life=100)
    assert scene.redis.ttl(scene.name("k:s")) > 90


async def test_a_full_account_is_left(scene: Scene) -> None:
    offered = [("a", 1, 50, ""), ("b", 0, 60, "")]
    assert (await scene.admit(candidates=offered, sticky="k:s")).account == "a"
    moved = await scene.admit(candidates=offered, sticky="k:s")
    assert (moved.account, moved.bound) == ("b", False)
    assert scene.redis.get(scene.name("k:s")) == "b"


async def test_an_account_refused_by_a_limit_is_left(scene: Scene) -> None:
    one = limit("D", 1)
    offered = [("a", 0, 50, "1"), ("b", 0, 60, "0")]
    assert (await scene.admit(candidates=offered, limits=[one], sticky="k:s")).account == "a"
    assert (await scene.admit(candidates=offered, limits=[one], sticky="k:s")).account == "b"


async def test_bound_to_one_that_is_not_offered(scene: Scene) -> None:
    await scene.admit(candidates=[C], sticky="k:s")
    before = scene.dump()
    answer = await scene.admit(candidates=[A, B], sticky="k:s", whole=False)
    assert (answer.kind, answer.account) == ("bound", "c")
    assert scene.dump() == before
    assert (await scene.admit(candidates=[A, B], sticky="k:s", whole=True)).account == "a"
    assert scene.redis.get(scene.name("k:s")) == "a"


# Masks: a limit that is narrowed by platform


async def test_a_narrowed_limit_counts_and_refuses_only_there(scene: Scene) -> None:
    one, both = limit("S", 1, 3_600_000), limit("C", 9)
    offered = [("a", 0, 10, "11"), ("b", 0, 20, "01")]
    first = await scene.admit(candidates=offered, limits=[one, both])
    assert (first.account, list(first.used)) == ("a", [1, 1])
    second = await scene.admit(candidates=offered, limits=[one, both])
    assert (second.account, list(second.used)) == ("b", [1, 2])
    assert scene.redis.hget(scene.name(one[1]), "n") == "1"
    alone = await scene.admit(candidates=[("a", 0, 10, "11")], limits=[one, both])
    assert (alone.kind, alone.index) == ("limit", 1)


# Further attempts


async def test_a_failover_moves_the_slot_and_keeps_the_reservation(scene: Scene) -> None:
    one = limit("C", 1)
    assert (await scene.admit("x", candidates=[A], limits=[one], row='{"n":1}\n', sticky="k:s")).account == "a"
    moved = await scene.admit("x", candidates=[B], row="", leaving="a", sticky="k:s")
    assert (moved.kind, moved.account) == ("ok", "b")
    assert (scene.slots("a"), scene.slots("b")) == (set(), {"x"})
    assert scene.redis.hget(scene.name("r"), "x") == 'b\n\n{"n":1}\n'
    assert scene.redis.get(scene.name("k:s")) == "b"
    assert scene.redis.zcard(scene.name("l")) == 1
    assert scene.redis.zcard(scene.name(one[1])) == 1


async def test_a_failover_that_finds_all_full_keeps_what_it_has(scene: Scene) -> None:
    await scene.admit("x", candidates=[A])
    await scene.admit("y", candidates=[("b", 1, 50, "")])
    before = scene.dump()
    assert (await scene.admit("x", candidates=[("b", 1, 50, "")], row="", leaving="a")).kind == "full"
    assert scene.dump() == before


async def test_the_same_account_again_is_no_second_slot(scene: Scene) -> None:
    offered = [("a", 1, 50, "")]
    await scene.admit("x", candidates=offered)
    again = await scene.admit("x", candidates=offered, row="", leaving="a")
    assert (again.kind, scene.slots("a")) == ("ok", {"x"})


# Many at once


async def test_500_at_once_from_four_connections(redis_url: str) -> None:
    async with (
        another(redis_url) as one,
        another(redis_url) as two,
        another(redis_url) as three,
        another(redis_url) as four,
    ):
        scenes = (one, two, three, four)
        for other in scenes:
            other.prefix = one.prefix
        ten = limit("S", 10, 3_600_000)
        answers = await asyncio.gather(*(scenes[n % 4].admit(limits=[ten]) for n in range(500)))
        assert Counter(answer.kind for answer in answers) == {"ok": 10, "limit": 490}
        assert sorted(answer.used[0] for answer in answers if answer.kind == "ok") == list(range(1, 11))


async def test_never_more_than_three_at_once(redis_url: str) -> None:
    async with (
        another(redis_url) as one,
        another(redis_url) as two,
        another(redis_url) as three,
        another(redis_url) as four,
    ):
        scenes = (one, two, three, four)
        for other in scenes:
            other.prefix = one.prefix
        key, slots = limit("C", 3), [("a", 2, 50, ""), ("b", 2, 50, "")]
        running: set[str] = set()
        most = done = 0

        async def request(n: int) -> None:
            nonlocal most, done
            scene, identity = scenes[n % 4], f"r{n}"
            answer = await scene.admit(identity, limits=[key], candidates=slots)
            if answer.kind != "ok":
                return
            running.add(identity)
            most = max(most, len(running))
            await asyncio.sleep(0.002)
            running.discard(identity)  # before it is given back: from now on another may run
            await scene.settle(identity, answer.account, key[1])
            done += 1

        for wave in range(5):
            await asyncio.gather(*(request(wave * 100 + n) for n in range(100)))
        assert most == 3
        assert done >= 15
        assert one.redis.zcard(one.name(key[1])) == 0
        assert one.slots("a") | one.slots("b") == set()


# Whose turn it is, exactly


async def test_round_robin_is_exact_however_many_ask_at_once(scene: Scene) -> None:
    offered = [(name, 9 if name == "a" else 0, 50, "") for name in "abcde"]
    answers = await asyncio.gather(*(scene.admit(candidates=offered, mode="idle") for _ in range(40)))
    order = [answer.account for answer in answers]
    assert order == list("abcde") * 8, "whatever slots and load they have"


async def test_round_robin_leaves_out_the_full_and_goes_on(scene: Scene) -> None:
    offered = [("a", 1, 50, ""), ("b", 0, 50, ""), ("c", 0, 50, ""), ("d", 0, 60, "")]
    found = [(await scene.admit(candidates=offered, mode="idle")).account for _ in range(6)]
    assert found == ["a", "b", "c", "b", "c", "b"]


# What an account's flag says

DRAINING, SLOW = ("a", 0, 50, "", "d"), ("a", 0, 50, "", "s")
HALF_OPEN = ("a", 0, 50, "", "pfamily:f")


async def test_a_draining_account_is_for_what_is_bound_to_it(scene: Scene) -> None:
    assert (await scene.admit(candidates=[A], sticky="k:1")).account == "a"
    assert (await scene.admit(candidates=[DRAINING, B], sticky="k:1")).account == "a"
    assert (await scene.admit(candidates=[DRAINING, B], sticky="k:2")).account == "b"
    before = scene.dump()
    none = await scene.admit(candidates=[DRAINING], sticky="k:3")
    assert (none.kind, none.busy, none.capped) == ("full", 0, 0)
    assert scene.dump() == before


async def test_a_session_does_not_stay_with_a_slow_account(scene: Scene) -> None:
    assert (await scene.admit(candidates=[A], sticky="k:1")).account == "a"
    later = ("b", 0, 1050, "")
    moved = await scene.admit(candidates=[("b", 0, 50, ""), ("a", 0, 1050, "", "s")], sticky="k:1")
    assert (moved.account, moved.bound, scene.redis.get(scene.name("k:1"))) == ("b", False, "b")
    assert (await scene.admit(candidates=[SLOW], sticky="k:2")).account == "a", "when there is no other, it serves"
    assert (await scene.admit(candidates=[("a", 0, 50, ""), later], sticky="k:1")).account == "b"


async def test_one_request_probes_a_half_open_account(scene: Scene) -> None:
    answers = await asyncio.gather(*(scene.admit(f"r{at}", candidates=[HALF_OPEN, B]) for at in range(10)))
    assert Counter(answer.account for answer in answers) == {"a": 1, "b": 9}
    name = scene.name("probe:a|family:f")
    probing = next(f"r{at}" for at, answer in enumerate(answers) if answer.account == "a")
    assert scene.redis.get(name) == probing
    assert 59_000 < scene.redis.pttl(name) <= 60_000
    again = await scene.admit(probing, candidates=[HALF_OPEN], row="", leaving="a")
    assert again.account == "a", "its own probe stops nobody"
    alone = await scene.admit(candidates=[HALF_OPEN])
    assert (alone.kind, alone.busy, alone.capped, alone.wait) == ("full", 0, 1, 1000)
    other = ("a", 0, 50, "", "pfamily:g")
    assert (await scene.admit(candidates=[other])).account == "a", "each scope has its own"
    scene.redis.delete(name)
    assert (await scene.admit(candidates=[HALF_OPEN])).account == "a"


async def test_an_account_that_is_not_taken_is_not_claimed(scene: Scene) -> None:
    offered = [("b", 0, 10, ""), HALF_OPEN]
    assert (await scene.admit(candidates=offered)).account == "b"
    assert not scene.redis.exists(scene.name("probe:a|family:f"))


async def test_a_session_waits_for_no_probe(scene: Scene) -> None:
    await scene.admit(candidates=[A], sticky="k:1")
    scene.redis.set(scene.name("probe:a|family:f"), "another")
    moved = await scene.admit(candidates=[HALF_OPEN, B], sticky="k:1")
    assert (moved.account, moved.bound) == ("b", False)


# Bound by what only one account knows

MUST, PREFER = ("must", "R:1"), ("prefer", "E:1")


async def test_it_must_be_known(scene: Scene) -> None:
    before = scene.dump()
    assert (await scene.admit(candidates=[A, B], binding=MUST, sticky="k:1")).kind == "unknown"
    assert scene.dump() == before


async def test_it_goes_there_or_nowhere(scene: Scene) -> None:
    scene.redis.set(scene.name("R:1"), "b", ex=100)
    taken = await scene.admit(candidates=[A, ("b", 1, 90, "", "s")], binding=MUST, sticky="k:1")
    assert (taken.account, taken.bound, taken.moved) == ("b", True, False)
    assert scene.redis.get(scene.name("k:1")) == "b", "the session goes along"
    full = await scene.admit(candidates=[A, ("b", 1, 90, "")], binding=MUST)
    assert (full.kind, full.busy) == ("full", 1)
    for whole in (True, False):
        away = await scene.admit(candidates=[A, C], binding=MUST, whole=whole)
        assert (away.kind, away.account) == ("bound", "b")
    assert scene.redis.ttl(scene.name("R:1")) > 90, "its life is the response's"


async def test_a_draining_account_goes_on_with_its_responses(scene: Scene) -> None:
    scene.redis.set(scene.name("R:1"), "a")
    assert (await scene.admit(candidates=[B, DRAINING], binding=MUST)).account == "a"


async def test_a_limit_of_the_caller_refuses_it_as_any_other(scene: Scene) -> None:
    scene.redis.set(scene.name("R:1"), "a")
    one = limit("D", 0)
    assert (await scene.admit(candidates=[A, B], binding=MUST, limits=[one])).kind == "limit"


async def test_what_is_preferred_and_what_comes_instead(scene: Scene) -> None:
    unknown = await scene.admit(candidates=[A, B], binding=PREFER)
    assert (unknown.account, unknown.bound, unknown.moved) == ("a", False, False)
    scene.redis.set(scene.name("E:1"), "c")
    taken = await scene.admit(candidates=[A, B, ("c", 1, 90, "")], binding=PREFER, sticky="k:1")
    assert (taken.account, taken.bound, taken.moved) == ("c", True, False)
    full = await scene.admit(candidates=[A, B, ("c", 1, 90, "")], binding=PREFER, sticky="k:1")
    assert (full.account, full.bound, full.moved) == ("b", False, True)
    stays = await scene.admit(candidates=[A, B], binding=PREFER, sticky="k:1")
    assert (stays.account, stays.moved) == ("b", True), "the session counts where the preferred one cannot be had"
    behind = await scene.admit(candidates=[A, B], binding=PREFER, whole=False)
    assert (behind.kind, behind.account) == ("bound", "c")


# Accounts' own limits


async def test_an_account_at_its_own_limit_is_no_candidate(scene: Scene) -> None:
    own = [limit("S", 2, 3_600_000, "a"), limit("C", 1, 0, "b")]
    offered = [("a", 0, 10, "10"), ("b", 0, 20, "01"), ("c", 1, 30, "00")]
    answers = [await scene.admit(candidates=offered, own=own) for _ in range(5)]
    assert [answer.account for answer in answers] == ["a", "a", "b", "c", ""]
    assert (answers[4].kind, answers[4].busy, answers[4].capped) == ("full", 1, 2)
    assert answers[4].wait == 1000, "the concurrent one comes back first"
    assert scene.redis.hget(scene.name(own[0][1]), "n") == "2"
    assert scene.redis.zcard(scene.name(own[1][1])) == 1


async def test_the_callers_limits_come_first_and_are_what_a_client_is_told(scene: Scene) -> None:
    caller, own = limit("D", 1, 0, "caller"), limit("D", 1, 0, "account")
    offered = [("a", 0, 10, "11")]
    assert (await scene.admit(candidates=offered, limits=[caller], own=[own])).kind == "ok"
    both = await scene.admit(candidates=offered, limits=[caller], own=[own])
    assert (both.kind, both.index) == ("limit", 1)
    alone = await scene.admit(candidates=[("a", 0, 10, "1")], own=[own])
    assert (alone.kind, alone.capped) == ("full", 1)
    mixed = [("a", 0, 10, "01"), ("b", 0, 10, "10")]
    capped = await scene.admit(candidates=mixed, limits=[caller], own=[own])
    assert (capped.kind, capped.capped) == ("full", 1), "the caller's limit did not refuse the other"


async def test_a_session_leaves_an_account_at_its_limit(scene: Scene) -> None:
    own = limit("D", 1)
    offered = [("a", 0, 10, "1"), ("b", 0, 20, "0")]
    assert [(await scene.admit(candidates=offered, own=[own], sticky="k:1")).account for _ in range(2)] == ["a", "b"]


async def test_a_failover_gives_back_what_the_account_counted(scene: Scene) -> None:
    own, other = limit("C", 1, 0, "a"), limit("C", 1, 0, "b")
    await scene.admit("x", candidates=[("a", 0, 10, "1")], own=[own])
    assert scene.redis.zcard(scene.name(own[1])) == 1
    moved = await scene.admit(
        "x", candidates=[("b", 0, 10, "1")], own=[other], row="", leaving="a", given_back=[own[1]]
    )
    assert moved.account == "b"
    assert scene.redis.zcard(scene.name(own[1])) == 0
    assert scene.redis.zrange(scene.name(other[1]), 0, -1) == ["x"]
    full = await scene.admit("x", candidates=[("a", 1, 10, "")], row="", leaving="b", given_back=[])
    assert full.kind == "ok"
    await scene.admit("y", candidates=[("c", 1, 10, "")])
    kept = await scene.admit("x", candidates=[("c", 1, 10, "")], row="", leaving="a", given_back=[other[1]])
    assert kept.kind == "full"
    assert scene.redis.zrange(scene.name(other[1]), 0, -1) == ["x"], "nothing is given back for nothing"
