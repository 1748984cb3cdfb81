"""counting.lua as all scripts use it, on a real Redis: amounts that are reserved, put right, given back and told by
the ledger, against a model that knows the truth of each request.

The clock is the test's own: the scripts' one question for Redis' time is answered with it, so that hours pass at once.
"""

import itertools
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import copy
from hashlib import sha1
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from gateway.core.scripts import ADMIT, COMMIT, RENEW, RESTORE, SETTLE, SWEEP, Script
from tests.core.lua.scene import Answer, Limit, Scene
from tests.core.lua.scene import scene as make

BEGINNING = 2_100_000_000_123
"""Ahead of Redis' own clock, by which keys end."""
MINUTE, HOUR = 60_000, 3_600_000
LEASE = 60_000
_numbers = itertools.count()


def clocked(script: Script) -> Script:
    """The script as it is, but for where it has the time from."""
    question = b"redis.call('TIME')"
    assert script.source.count(question) == 1
    made = copy(script)
    made.source = script.source.replace(question, b"redis.call('HMGET', p .. 'clock', 's', 'us')")
    made.sha = sha1(made.source, usedforsecurity=False).hexdigest().encode()
    return made


CLOCKED = {script.name: clocked(script) for script in (ADMIT, SETTLE, RENEW, SWEEP, COMMIT, RESTORE)}


class Clocked(Scene):
    """A scene whose time stands still until it is moved. Each history has a prefix of its own."""

    now = BEGINNING

    async def run(self, script: Script, *arguments: Any) -> Any:
        return await super().run(CLOCKED[script.name], *arguments)

    def at(self, now: int) -> None:
        self.now = now
        self.redis.hset(self.name("clock"), mapping={"s": now // 1000, "us": now % 1000 * 1000})

    def fresh(self) -> None:
        self.prefix = f"{{pg:c{next(_numbers)}}}:"
        self.redis.set(self.name("epoch"), "1")
        self.at(BEGINNING)

    def buckets(self, name: str) -> dict[int, int]:
        """Those of a sliding window; what it keeps beside them must agree."""
        found = {field: int(value) for field, value in self.redis.hgetall(self.name(name)).items()}
        if not found:
            return {}
        total, oldest = found.pop("n"), found.pop("o")
        buckets = {int(field): value for field, value in found.items()}
        assert total == sum(buckets.values()) > 0
        assert min(buckets.values()) > 0
        assert oldest <= min(buckets)  # it was given back: the next look goes on from there
        return buckets

    def used(self, limit: Limit) -> int:
        """As an admission would see it."""
        if limit[0] == "S":
            low = self.now * 60 // limit[3] - 60
            return sum(amount for bucket, amount in self.buckets(limit[1]).items() if bucket >= low)
        value = self.redis.get(self.name(limit[1]))
        assert value is None or int(value) > 0
        return int(value or 0)


@asynccontextmanager
async def clocked_scene(url: str) -> AsyncGenerator[Clocked]:
    async with make(url) as plain:
        made = Clocked(plain.scripts, url)
        try:
            made.fresh()
            yield made
        finally:
            made.redis.close()


@pytest_asyncio.fixture(loop_scope="session")
async def scene(redis_url: str) -> AsyncGenerator[Clocked]:
    async with clocked_scene(redis_url) as made:
        yield made


def sliding(amount: int = 1, most: int = 1000, span: int = MINUTE, name: str = "s") -> Limit:
    return "S", f"w:key_1:tokens:{name}:0", most, span, amount


def calendar(amount: int = 1, most: int = 1000, end: int = 0, name: str = "d") -> Limit:
    return "D", f"d:key_1:budget:{name}:0", most, end, amount


def charge(limit: Limit, at: int, amount: int) -> str:
    return f"{limit[0]} {limit[1]} {limit[3]} {at} {amount}"


# What one request takes and gives back


@pytest.mark.parametrize("used", [0, 1, 299, 300, 301, 5000])
@pytest.mark.parametrize("later", [0, 1, 30_000, 59_999, 61_000, 70_000])
async def test_settling_puts_right_what_was_reserved_where_it_was_reserved(
    scene: Clocked, used: int, later: int
) -> None:
    limits = [sliding(300), calendar(300, end=BEGINNING + HOUR), calendar(300, name="total")]
    other = [(*one[:4], 7) for one in limits]
    await scene.admit("x", limits=limits)
    await scene.admit("y", limits=other)
    scene.at(BEGINNING + later)
    assert await scene.settle("x", "a", charges=" ".join(charge(one, BEGINNING, used) for one in limits)) == 1
    assert scene.stream()[-1]["a"] == "1"
    expected = {BEGINNING * 60 // MINUTE: used + 7}
    gone = later >= 61_000
    assert scene.used(limits[0]) == (0 if gone else used + 7)
    assert gone or scene.buckets(limits[0][1]) == expected
    assert [scene.used(one) for one in limits[1:]] == [used + 7, used + 7]


async def test_amounts_are_exact_to_the_last_unit(scene: Clocked) -> None:
    """Money is counted in 10⁻⁹: sums have 16 digits."""
    most = 2**53 - 1
    for one in (sliding(most - 5, most), calendar(most - 5, most)):
        await scene.admit("x", limits=[one])
        assert scene.used(one) == most - 5
        assert (await scene.admit("y", limits=[(*one[:4], 6)])).kind == "limit"
        assert (await scene.admit("y", limits=[(*one[:4], 5)])).kind == "ok"
        assert scene.used(one) == most
        await scene.settle("x", "a", charges=charge(one, BEGINNING, most - 12_345_678))
        assert scene.used(one) == most - 12_345_678 + 5


@pytest.mark.parametrize("kind", [sliding, calendar])
async def test_what_is_too_much_is_refused_and_what_just_fits_is_not(scene: Clocked, kind: Any) -> None:
    assert (await scene.admit("x", limits=[kind(60, 100)])).kind == "ok"
    before = scene.dump()
    refused = await scene.admit("y", limits=[kind(41, 100)])
    assert (refused.kind, list(refused.used)) == ("limit", [60])
    assert scene.dump() == before
    answer = await scene.admit("z", limits=[kind(40, 100)])
    assert (answer.kind, list(answer.used)) == ("ok", [100])
    assert (await scene.admit("z2", limits=[kind(0, 100)])).kind == "limit", "nothing is left, not even for nothing"


async def test_what_never_fits_waits_for_a_whole_length(scene: Clocked) -> None:
    answer = await scene.admit(limits=[sliding(101, 100)])
    assert (answer.kind, answer.wait) == ("limit", MINUTE)


async def test_the_wait_is_until_enough_is_free(scene: Clocked) -> None:
    for second, amount in ((0, 10), (10, 20), (20, 30), (30, 40)):
        scene.at(BEGINNING + second * 1000)
        assert (await scene.admit(limits=[sliding(amount, 100)])).kind == "ok"
    for amount, until in ((1, 0), (10, 0), (11, 10), (30, 10), (31, 20), (61, 30), (100, 30)):
        refused = await scene.admit(limits=[sliding(amount, 100)])
        said = scene.now + refused.wait
        assert BEGINNING + until * 1000 + MINUTE <= said <= BEGINNING + until * 1000 + MINUTE + 1001, amount
        scene.at(said - 1)
        assert (await scene.admit(limits=[sliding(amount, 100)])).kind == "limit"
        scene.at(BEGINNING + 30_000)
    scene.at(BEGINNING + 61_001)
    assert (await scene.admit(limits=[sliding(10, 100)])).kind == "ok"


async def test_nothing_is_reserved_of_nothing_and_yet_put_right(scene: Clocked) -> None:
    """A model without a price: a budget has nothing to reserve."""
    one = calendar(0)
    assert (await scene.admit("x", limits=[one])).kind == "ok"
    assert scene.used(one) == 0
    await scene.settle("x", "a", charges=charge(one, BEGINNING, 8))
    assert (scene.used(one), scene.stream()[-1]["a"]) == (8, "1")


async def test_a_limit_that_is_said_twice_is_counted_once_to_the_end(scene: Clocked) -> None:
    limits = [sliding(30, 100), sliding(30, 50)]
    assert (await scene.admit("x", limits=limits)).kind == "ok"
    assert scene.used(limits[0]) == 30
    await scene.settle("x", "a", charges=charge(limits[0], BEGINNING, 12))
    assert scene.used(limits[0]) == 12


async def test_a_calendar_window_that_is_long_over_is_not_begun_again(scene: Clocked) -> None:
    one = calendar(5, end=BEGINNING + 1000)
    await scene.admit("x", limits=[one])
    scene.redis.delete(scene.name(one[1]))  # as its own end does
    scene.at(BEGINNING + 1000 + HOUR)
    await scene.settle("x", "a", charges=charge(one, BEGINNING, 500))
    assert not scene.redis.exists(scene.name(one[1]))


# Who counts


async def test_a_row_that_comes_again_counts_once(scene: Clocked) -> None:
    one = calendar(10)
    await scene.admit("x", limits=[one])
    for _ in range(3):
        await scene.settle("x", "a", charges=charge(one, BEGINNING, 4))
    assert scene.used(one) == 4
    assert [entry["a"] for entry in scene.stream()] == ["1", "0", "0"]


async def test_a_full_stream_keeps_the_reservation_for_the_row_that_comes_again(scene: Clocked) -> None:
    one = sliding(10)
    said = charge(one, BEGINNING, 4)
    for name in ("x", "y"):
        await scene.admit(name, limits=[one])
    assert [await scene.settle(name, "a", most=1, charges=said) for name in ("x", "y", "y")] == [1, 0, 0]
    assert (scene.used(one), scene.slots("a")) == (14, set())
    scene.at(BEGINNING + LEASE + 1)
    assert await scene.sweep() == 0, "its row is on its way: it is not lost"
    assert await scene.settle("y", "a", most=2, charges=said) == 1
    assert (scene.used(one), scene.stream()[-1]["a"]) == (8, "1")


async def test_what_was_swept_is_given_back_and_its_row_says_what_it_was(scene: Clocked) -> None:
    limits = [sliding(10), calendar(20)]
    await scene.admit("x", limits=limits, row='{"row":1}')
    scene.at(BEGINNING + LEASE)
    assert await scene.sweep() == 1
    reserved = " ".join(charge(one, BEGINNING, amount) for one, amount in zip(limits, (10, 20), strict=True))
    assert scene.stream() == [{"i": "sweep", "s": "0", "a": "a", "g": '{"row":1}', "c": reserved}]
    assert [scene.used(one) for one in limits] == [0, 0]
    # The gateway stood still and settles it all the same: whoever has the ledger counts it.
    await scene.settle("x", "a", charges=reserved)
    assert (scene.stream()[-1]["a"], [scene.used(one) for one in limits]) == ("0", [0, 0])


async def test_renewing_counts_what_redis_has_lost_and_nothing_twice(scene: Clocked) -> None:
    one = sliding(10)
    said = charge(one, BEGINNING, 10)
    for _ in range(3):
        await scene.renew(LEASE, {"x": ["s:a"]}, charges=said)
        assert scene.used(one) == 10
    await scene.settle("x", "a", charges=charge(one, BEGINNING, 3))
    assert (scene.used(one), scene.stream()[-1]["a"]) == (3, "1")


async def test_renewing_keeps_what_admission_wrote(scene: Clocked) -> None:
    one = sliding(10)
    await scene.admit("x", limits=[one])
    await scene.renew(LEASE, {"x": ["s:a"]}, row='{"new":1}', charges=charge(one, BEGINNING + 5000, 99))
    assert scene.redis.hget(scene.name("r"), "x") == f'a\n{charge(one, BEGINNING, 10)}\n{{"new":1}}'
    assert scene.used(one) == 10


async def test_a_failover_gives_back_what_the_account_counted_and_not_what_the_caller_did(scene: Clocked) -> None:
    caller, asked, used = sliding(10, name="caller"), sliding(1, name="asked"), sliding(10, name="used")
    other = sliding(10, name="other")
    await scene.admit("x", limits=[caller], own=[asked, used])
    scene.at(BEGINNING + 5000)
    moved = await scene.admit(
        "x", candidates=[("b", 0, 50, "")], own=[other], row="", leaving="a", given_back=[used[1]]
    )
    assert moved.account == "b"
    assert [scene.used(one) for one in (caller, asked, used, other)] == [10, 1, 0, 10]
    said = [charge(one, BEGINNING, 1) for one in (caller, asked)] + [charge(other, BEGINNING + 5000, 4)]
    await scene.settle("x", "b", charges=" ".join(said))
    assert [scene.used(one) for one in (caller, asked, used, other)] == [1, 1, 0, 4]


async def test_a_request_that_was_stopped_while_it_moved_is_charged_as_its_row_says(scene: Clocked) -> None:
    """Its gateway never heard of the other account."""
    first, second = sliding(10, name="first"), sliding(10, name="second")
    await scene.admit("x", own=[first])
    await scene.admit("x", candidates=[("b", 0, 50, "")], own=[second], row="", leaving="a", given_back=[first[1]])
    await scene.settle("x", "a", charges=charge(first, BEGINNING, 3))
    assert [scene.used(one) for one in (first, second)] == [3, 0]
    assert (scene.slots("a"), scene.slots("b")) == (set(), set())


# Cold counters


async def test_cold_counters_are_not_written(scene: Clocked) -> None:
    one, day = sliding(10), calendar(10)
    await scene.admit("x", limits=[one, day])
    await scene.admit("y", limits=[one, day])
    counters = scene.redis.hgetall(scene.name(one[1])), scene.redis.get(scene.name(day[1]))
    scene.redis.delete(scene.name("epoch"))
    scene.at(BEGINNING + LEASE)
    await scene.settle("x", "a", charges=charge(one, BEGINNING, 3))
    await scene.renew(LEASE, {"z": ["s:a"]}, charges=charge(one, BEGINNING, 10))
    assert await scene.sweep() == 1
    await tell(scene, 1, charge(one, BEGINNING, 5))
    assert (scene.redis.hgetall(scene.name(one[1])), scene.redis.get(scene.name(day[1]))) == counters
    assert [entry.get("a") for entry in scene.stream()] == ["0", "a"]
    assert scene.redis.hkeys(scene.name("r")) == ["z"]


async def tell(scene: Clocked, batch: int | str, charges: str, *rest: Any) -> int:
    return await scene.run(COMMIT, "ledger", batch, charges, *(rest or (0,)))


async def restore(scene: Clocked, *rows: tuple[str, int, int, int], epoch: str = "run:1", batch: Any = "") -> int:
    return await scene.run(RESTORE, epoch, batch, *(value for row in rows for value in row))


async def test_counters_are_what_the_ledger_says_and_what_runs_now(scene: Clocked) -> None:
    one, day = sliding(10), calendar(10)
    scene.redis.delete(scene.name("epoch"))
    scene.at(BEGINNING + 30_000)
    await scene.renew(LEASE, {"x": ["s:a"]}, charges=f"{charge(one, BEGINNING, 10)} {charge(day, BEGINNING, 10)}")
    bucket = (BEGINNING + 20_000) * 60 // MINUTE
    assert await restore(scene, (one[1], MINUTE, bucket, 7), (day[1], 0, 0, 5), epoch="") == 1
    assert (await scene.admit(limits=[one])).kind == "cold", "there is more to come"
    assert await restore(scene, (one[1], MINUTE, bucket + 3, 2), batch=4) == 1
    assert scene.buckets(one[1]) == {BEGINNING * 60 // MINUTE: 10, bucket: 7, bucket + 3: 2}
    assert scene.used(day) == 15
    assert await restore(scene, (day[1], 0, 0, 5)) == 0, "they are trusted now"
    # What runs is older than what the ledger has: it is put right all the same.
    await scene.settle("x", "a", charges=f"{charge(one, BEGINNING, 1)} {charge(day, BEGINNING, 1)}")
    assert scene.buckets(one[1]) == {BEGINNING * 60 // MINUTE: 1, bucket: 7, bucket + 3: 2}
    assert (scene.used(one), scene.used(day)) == (10, 6)
    assert [scene.redis.get(scene.name(key)) for key in ("epoch", "batch")] == ["run:1", "4"]


@pytest.mark.parametrize("span", [977, 1001, MINUTE, HOUR, 5 * HOUR, 7 * 24 * HOUR, 999_999 * 24 * HOUR])
async def test_a_bucket_is_restored_to_its_own_place(scene: Clocked, span: int) -> None:
    scene.redis.delete(scene.name("epoch"))
    current = BEGINNING * 60 // span
    one = sliding(span=span)
    rows = [(one[1], span, current - ago, 1 + ago) for ago in (60, 59, 31, 1, 0)]
    await restore(scene, *rows)
    assert scene.buckets(one[1]) == {row[2]: row[3] for row in rows}


async def test_what_has_ended_and_whose_row_waits_is_counted_by_its_row(scene: Clocked) -> None:
    """The stream was full, and its leases are given back; then Redis was lost, but not that."""
    one = calendar(10)
    await scene.admit("x", limits=[one])
    await scene.settle("x", "a", most=0, charges=charge(one, BEGINNING, 4))
    scene.redis.delete(scene.name("epoch"), scene.name(one[1]))
    await restore(scene)
    assert scene.used(one) == 0
    await scene.settle("x", "a", charges=charge(one, BEGINNING, 4))
    assert scene.stream()[-1]["a"] == "0"


# What the ledger tells


async def test_a_batch_counts_once_however_often_it_is_told(scene: Clocked) -> None:
    one = calendar(10)
    for batch, expected in ((1, 3), (1, 3), (2, 6), (1, 6), (2, 6), (9, 9)):
        await tell(scene, batch, charge(one, BEGINNING, 3))
        assert scene.used(one) == expected
    await tell(scene, "", charge(one, BEGINNING, 3))
    assert scene.used(one) == 9, "without a number nothing is said"


async def test_entries_go_and_journals_are_told(scene: Clocked) -> None:
    stream = scene.name("u")
    scene.redis.xgroup_create(stream, "ledger", id="0", mkstream=True)
    ids = [scene.redis.xadd(stream, {"i": "i", "s": str(n)}) for n in (1, 2, 3)]
    scene.redis.xreadgroup("ledger", "jobs", {stream: ">"}, count=2)
    assert await tell(scene, "", "", 2, *ids[:2], "i", 2, "j", 7) == 2
    assert [identity for identity, _ in scene.redis.xrange(stream)] == ids[2:]
    assert scene.redis.xpending(stream, "ledger")["pending"] == 0
    assert scene.redis.hgetall(scene.name("done")) == {"i": "2", "j": "7"}
    assert await tell(scene, "", "", 2, *ids[:2]) == 0


async def test_a_refund_is_never_more_than_there_is(scene: Clocked) -> None:
    """An operator has forgotten what was counted, while a request runs."""
    one, day = sliding(100), calendar(100)
    await scene.admit("x", limits=[one, day])
    scene.redis.delete(scene.name(one[1]), scene.name(day[1]))
    await scene.admit("y", limits=[sliding(5)])
    await scene.settle("x", "a", charges=f"{charge(one, BEGINNING, 1)} {charge(day, BEGINNING, 1)}")
    assert (scene.used(one), scene.used(day)) == (0, 0)


# Any history, against the truth of each request

SPANS = (MINUTE, 90_000, HOUR)
LIMITS: Sequence[Limit] = (
    *(sliding(0, most, span, str(span)) for span, most in zip(SPANS, (120, 150, 700), strict=True)),
    calendar(0, 1500, BEGINNING + 40 * MINUTE, "day"),
    calendar(0, 3000, 0, "total"),
)


class Truth(Struct):
    """What one request counts at the moment, under each limit: what it reserved, or what it used."""

    at: int
    amounts: dict[str, int]
    lease: int = 0
    kept: bool = True
    """Redis has its reservation."""
    over: bool = False
    row: str = ""
    """Its charges, when its row is not in the ledger yet and nobody has counted them."""
    lost: bool = False


class Model:
    """What Redis must say at every moment."""

    def __init__(self) -> None:
        self.now = BEGINNING
        self.requests: dict[str, Truth] = {}
        self.ledger: dict[str, Mapping[str, int]] = {}
        self.batch = 0
        self.warm = True

    def used(self, limit: Limit) -> int:
        name, span = limit[1], limit[3]
        counted = [(one.at, one.amounts.get(name, 0)) for one in self.requests.values()]
        if limit[0] == "D":
            return sum(amount for _, amount in counted)
        low = self.now * 60 // span - 60
        return sum(amount for at, amount in counted if at * 60 // span >= low)

    def running(self) -> Iterator[str]:
        return (name for name, one in self.requests.items() if not one.over)


amounts = st.integers(0, 60) | st.sampled_from((1, 100, 150))
STEPS = st.one_of(
    st.tuples(st.just("admit"), st.tuples(*[amounts] * len(LIMITS)), st.sets(st.integers(0, len(LIMITS) - 1))),
    st.tuples(st.just("admit"), st.tuples(*[amounts] * len(LIMITS)), st.just({0, 1, 4})),
    st.tuples(st.just("settle"), st.integers(0, 30), st.tuples(*[amounts] * len(LIMITS))),
    st.tuples(st.just("settle"), st.integers(0, 30), st.tuples(*[amounts] * len(LIMITS))),
    st.tuples(st.just("pass"), st.integers(0, 3000) | st.integers(0, 70_000) | st.just(20 * MINUTE), st.none()),
    st.tuples(st.just("renew"), st.none(), st.none()),
    st.tuples(st.just("sweep"), st.none(), st.none()),
    st.tuples(st.just("commit"), st.booleans(), st.none()),
    st.tuples(st.just("lose"), st.none(), st.none()),
)


class History:
    """Runs steps on the scripts and on the model, and compares after each."""

    def __init__(self, scene: Clocked) -> None:
        self.scene, self.model = scene, Model()
        self.admitted: list[tuple[int, dict[str, int]]] = []

    async def step(self, kind: str, one: Any, two: Any) -> None:
        await getattr(self, f"_{kind}")(one, two)
        for limit in LIMITS:
            assert self.scene.used(limit) == self.model.used(limit), (kind, limit)

    async def _admit(self, wanted: Sequence[int], under: set[int]) -> None:
        model, name = self.model, f"r{len(self.model.requests)}"
        limits = [(*LIMITS[at][:4], wanted[at]) for at in sorted(under)]
        answer = await self.scene.admit(name, limits=limits, lease=LEASE)
        refused = [
            at for at, one in enumerate(limits) if model.used(one) >= one[2] or model.used(one) + one[4] > one[2]
        ]
        assert answer.kind == ("limit" if refused else "ok")
        if refused:
            assert answer.index - 1 in refused
            self._waits(answer, limits)
            return
        assert list(answer.used) == [model.used(one) + one[4] for one in limits]
        model.requests[name] = Truth(model.now, {one[1]: one[4] for one in limits}, model.now + LEASE)

    def _waits(self, answer: Answer, limits: Sequence[Limit]) -> None:
        """It says when the request would pass, to the millisecond, if nothing else happened."""
        for limit, wait in zip(limits, answer.waits, strict=True):
            used, most, amount = self.model.used(limit), limit[2], limit[4]
            if limit[0] != "S" or amount > most or (used < most and used + amount <= most):
                continue
            before = self.model.now
            for moment, passes in ((before + wait - 1, False), (before + wait, True)):
                self.model.now = moment
                left = self.model.used(limit)
                assert (left < most and left + amount <= most) is passes
            self.model.now = before

    def _row(self, name: str, truth: Truth) -> str:
        kinds = {one[1]: one for one in LIMITS}
        return " ".join(charge(kinds[limit], truth.at, amount) for limit, amount in truth.amounts.items())

    async def _settle(self, which: int, really: Sequence[int]) -> None:
        running = list(self.model.running())
        if not running:
            return
        name = running[which % len(running)]
        truth = self.model.requests[name]
        used = {one[1]: really[at] for at, one in enumerate(LIMITS) if one[1] in truth.amounts}
        said = self._row(name, Truth(truth.at, used))
        assert await self.scene.settle(name, "a", charges=said, most=10**6) == 1
        assert self.scene.stream()[-1]["a"] == ("1" if truth.kept else "0")
        truth.over, truth.amounts = True, used
        if not truth.kept:  # it counts when its row is in the ledger
            truth.row, truth.amounts = said, {}

    async def _pass(self, milliseconds: int, _: Any) -> None:
        self.model.now += milliseconds
        self.scene.at(self.model.now)

    async def _renew(self, _: Any, __: Any) -> None:
        """Of gateways that live: they know what they have reserved."""
        for name in self.model.running():
            truth = self.model.requests[name]
            if truth.kept:
                await self.scene.renew(LEASE, {name: ["s:a"]}, charges=self._row(name, truth))
                truth.lease = self.model.now + LEASE

    async def _sweep(self, _: Any, __: Any) -> None:
        gone = [
            one for one in self.model.requests.values() if one.kept and not one.over and one.lease <= self.model.now
        ]
        assert await self.scene.sweep(1000) == len(gone)
        for one in gone:
            one.kept, one.lost, one.amounts = False, True, dict.fromkeys(one.amounts, 0)

    async def _commit(self, twice: bool, _: Any) -> None:
        """The jobs: rows that nobody has counted, in one batch."""
        waiting = [one for one in self.model.requests.values() if one.row]
        self.model.batch += 1
        for _ in range(2 if twice else 1):
            await tell(self.scene, self.model.batch, " ".join(one.row for one in waiting))
        for one in waiting:
            found = [part.split() for part in one.row.replace(" S ", "\nS ").replace(" D ", "\nD ").splitlines()]
            one.amounts, one.row = {words[1]: int(words[4]) for words in found}, ""

    async def _lose(self, _: Any, __: Any) -> None:
        """Emptied, and made anew from what the ledger has: all that is over and counted."""
        kept = {key: self.scene.dump()[key] for key in (self.scene.name("clock"),)}
        self.scene.redis.delete(*self.scene.dump())
        self.scene.redis.hset(self.scene.name("clock"), mapping=kept[self.scene.name("clock")])
        running = [name for name in self.model.running() if self.model.requests[name].kept]
        for name in running:
            truth = self.model.requests[name]
            await self.scene.renew(LEASE, {name: ["s:a"]}, charges=self._row(name, truth))
            truth.lease = self.model.now + LEASE
        sums: dict[tuple[str, int, int], int] = {}
        for truth in self.model.requests.values():
            if truth.over and not truth.row:
                for limit in LIMITS:
                    bucket = truth.at * 60 // limit[3] if limit[0] == "S" else 0
                    place = limit[1], limit[3], bucket
                    sums[place] = sums.get(place, 0) + truth.amounts.get(limit[1], 0)
        rows = [(*place, amount) for place, amount in sorted(sums.items()) if amount]
        for row in rows:
            assert await restore(self.scene, row, epoch="") == 1
        assert await restore(self.scene, batch=self.model.batch or "") == 1


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, min_size=8, max_size=45))
async def test_redis_says_the_truth_of_every_request(scene: Clocked, steps: list[tuple[str, Any, Any]]) -> None:
    scene.fresh()
    history = History(scene)
    for kind, one, two in steps:
        await history.step(kind, one, two)
    for at in range(len(list(history.model.running()))):
        await history.step("settle", 0, [at] * len(LIMITS))
    await history.step("commit", False, None)
    truths = history.model.requests.values()
    assert all(one.over for one in truths)
    await history.step("pass", 2 * HOUR, None)
    assert [scene.used(one) for one in LIMITS[:3]] == [0, 0, 0]


# No interval has more than the maximum, and no place stays taken


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from((MINUTE, 61_007, HOUR)),
    st.integers(1, 40),
    st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 12), st.integers(1, 4)), min_size=10, max_size=50),
)
async def test_no_interval_has_more_than_the_maximum_and_a_place_is_free_a_sixtieth_late_at_most(
    scene: Clocked, span: int, most: int, arrivals: list[tuple[int, int, int]]
) -> None:
    """`arrivals`: thousandths of the length since the one before, amount, and how many come at that moment."""
    scene.fresh()
    taken: list[tuple[int, int]] = []
    for after, amount, times in arrivals:
        scene.at(scene.now + after * span // 1000)
        for _ in range(times):
            answer = await scene.admit(limits=[sliding(amount, most, span)])
            # In the length before this moment, and in one that is a sixtieth longer.
            near = sum(one for at, one in taken if at > scene.now - span)
            far = sum(one for at, one in taken if at > scene.now - span - -(-span // 60))
            if answer.kind == "ok":
                taken.append((scene.now, amount))
                assert near + amount <= most
            else:
                assert far + amount > most
    for at, _ in taken:
        assert sum(one for moment, one in taken if at <= moment < at + span) <= most


# Clocks that jump


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(-3 * MINUTE, 3 * MINUTE) | st.integers(-2 * HOUR, 2 * HOUR), amounts, st.integers(0, 9)),
        max_size=40,
    )
)
async def test_a_clock_that_jumps_leaves_nothing_behind_for_ever(
    scene: Clocked, steps: list[tuple[int, int, int]]
) -> None:
    """Whatever a failover does to Redis' time: sums agree, nothing is negative, and a length later all is free."""
    scene.fresh()
    one, running, latest = sliding(0, 10_000), list[tuple[str, int]](), BEGINNING
    for jump, amount, which in steps:
        scene.at(scene.now + jump)
        latest = max(latest, scene.now)
        name = f"r{next(_numbers)}"
        assert (await scene.admit(name, limits=[sliding(amount, 10_000)])).kind == "ok"
        running.append((name, scene.now))
        scene.buckets(one[1])
        if which < len(running):
            name, at = running.pop(which)
            await scene.settle(name, "a", charges=charge(one, at, amount))
            scene.buckets(one[1])
    scene.at(latest + 61 * MINUTE // 60 + 1)
    answer = await scene.admit(limits=[sliding(10_000, 10_000)])
    assert answer.kind == "ok"
