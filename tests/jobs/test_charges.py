"""What rows change of the counters of limits: in PostgreSQL always, in Redis where nothing else has, each once."""

import datetime as dt
import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.core.counters import Charge, amount_of, read, written
from gateway.core.ledger import Row, encode
from gateway.core.names import prefix
from gateway.core.scripts import RENEW, SETTLE, SWEEP, evaluate
from gateway.jobs import charges, ledger
from gateway.jobs.charges import Arrived, differences, merged
from tests.jobs.scene import MOMENT, Scene, reservation, row
from tests.jobs.scene import scene as make

MINUTE = 60_000
AT = MOMENT + 5
TOKENS = Charge("S", "w:key_1:tokens:rolling:x", 5 * 3_600_000, AT, 0)
INPUT = Charge("S", "w:key_1:input_tokens:minute:x", MINUTE, AT, 0)
OUTPUT = Charge("D", "d:key_1:output_tokens:total:x:total", 0, AT, 0)
REQUESTS = Charge("D", "d:usr_1:requests:day:x:day:20251120", MOMENT + 86_400_000, AT, 0)
BUDGET = Charge("D", "d:ten_1:budget:month:x:month:20251101", MOMENT + 10 * 86_400_000, AT, 0)
ALL = (TOKENS, INPUT, OUTPUT, REQUESTS, BUDGET)
USED = {
    "input_tokens": 100, "cache_read_tokens": 20, "cache_write_5m_tokens": 3, "cache_write_1h_tokens": 4,
    "output_tokens": 50, "cost": 123_456_789,
}  # fmt: skip
CAME_TO = {"tokens": 177, "input_tokens": 107, "output_tokens": 50, "requests": 1, "budget": 123_456_789}


def charged(real: Row, kinds: Sequence[Charge] = ALL, at: int = AT) -> Row:
    """With the charges as its gateway writes them."""
    real.charges = written(Charge(one.kind, one.name, one.span, at, amount_of(one.type, real)) for one in kinds)
    return real


def counted(real: Row, sign: int = 1, **changed: Any) -> dict[str, Any]:
    """A row as PostgreSQL says that it has written, or replaced, it."""
    found: dict[str, Any] = {"request_id": real.request_id.partition("_")[2], "sign": sign}
    found |= {name: getattr(real, name) for name in (*USED, "base_cost")} | changed
    for name in ("cost", "base_cost"):
        found[name] = None if found[name] is None else Decimal(found[name]).scaleb(-9)
    return found


def amounts(found: Sequence[Charge]) -> dict[str, int]:
    return {one.type: one.amount for one in found}


# What is told to whom


def test_each_type_counts_its_own_tokens() -> None:
    real = charged(row(AT, **USED))
    ledger_takes, redis_takes = differences({real.request_id: Arrived(real, applied=False)}, [counted(real)])
    assert amounts(ledger_takes) == amounts(redis_takes) == CAME_TO
    assert [(one.kind, one.name, one.span, one.at) for one in ledger_takes] == [
        (one.kind, one.name, one.span, AT) for one in ALL
    ]


@pytest.mark.parametrize(("base", "amount"), [(None, 123_456_789), (61_728_394, 61_728_394), (0, 0)])
def test_an_accounts_budget_counts_what_no_multiplier_has_changed(base: int | None, amount: int) -> None:
    account = Charge("D", "d:acct_1:budget:month:x:month:20251101", BUDGET.span, AT, 0)
    real = row(AT, **USED, base_cost=base)
    real.charges = written([BUDGET, account])
    for sign in (1, -1):
        took, told = differences({real.request_id: Arrived(real, applied=False)}, [counted(real, sign)])
        assert took == told
        found = {one.name: one.amount for one in took}
        assert found.get(account.name, 0) == sign * amount
        assert found[BUDGET.name] == sign * 123_456_789


def test_redis_is_not_told_what_it_has_counted_itself() -> None:
    real = charged(row(AT, **USED))
    ledger_takes, redis_takes = differences({real.request_id: Arrived(real, applied=True)}, [counted(real)])
    assert (amounts(ledger_takes), redis_takes) == (CAME_TO, [])


@pytest.mark.parametrize("applied", [False, True])
def test_of_what_replaces_a_lost_row_the_difference(applied: bool) -> None:
    real = charged(row(AT, **USED))
    lost = {"input_tokens": 90, "cache_read_tokens": 0, "cache_write_5m_tokens": 0, "cache_write_1h_tokens": 0}
    was = counted(real, -1, **lost, output_tokens=0, cost=1000)
    ledger_takes, redis_takes = differences({real.request_id: Arrived(real, applied)}, [counted(real), was])
    difference = {"tokens": 87, "input_tokens": 17, "output_tokens": 50, "budget": 123_455_789}
    assert amounts(ledger_takes) == difference
    # What the lost row counted was told; what the request really used Redis knows when it was settled there.
    taken_back = {"tokens": -90, "input_tokens": -90, "requests": -1, "budget": -1000}
    assert amounts(redis_takes) == (taken_back if applied else difference)


def test_of_what_is_not_written_nothing_counts() -> None:
    real = charged(row(AT, **USED))
    assert differences({real.request_id: Arrived(real, applied=False)}, []) == ([], [])
    bare = row(AT)
    assert differences({bare.request_id: Arrived(bare, applied=False)}, [counted(bare)]) == ([], [])
    assert differences({}, [counted(real)]) == ([], [])


def test_what_nobody_has_a_price_for_costs_nothing_yet() -> None:
    real = charged(row(AT, **{**USED, "cost": None}))
    ledger_takes, _ = differences({real.request_id: Arrived(real, applied=False)}, [counted(real)])
    assert amounts(ledger_takes) == {kind: amount for kind, amount in CAME_TO.items() if kind != "budget"}


def test_sums_are_those_of_a_bucket() -> None:
    inside, beyond = AT - AT % 1000, AT - AT % 1000 + 1000
    parts = [
        Charge(INPUT.kind, INPUT.name, MINUTE, at, amount)
        for at, amount in ((inside, 1), (inside + 999, 2), (beyond, 4), (beyond + 5, -4), (inside + 5, 8))
    ]
    assert [(one.at, one.amount) for one in merged(parts)] == [(inside, 11)]


# In PostgreSQL


@pytest_asyncio.fixture(loop_scope="session")
async def scene(database_url: str, clean_redis: str) -> AsyncGenerator[Scene]:
    async with make(database_url, clean_redis) as made:
        await made.redis.set(prefix(0) + "epoch", "1")
        yield made


async def in_ledger(scene: Scene, tag: int = 0) -> dict[str, int]:
    """By type."""
    rows: Any = await scene.connection.fetch("SELECT name, sum(amount) FROM counters WHERE tag = $1 GROUP BY 1", tag)
    return {one[0].split(":")[2]: int(one[1]) for one in rows}


async def in_redis(scene: Scene, tag: int = 0) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in ALL:
        name = prefix(tag) + one.name
        value = await (scene.redis.hget(name, "n") if one.kind == "S" else scene.redis.get(name))
        if value is not None:
            found[one.type] = int(value)
    return found


async def test_counters_add_up_and_know_when_they_end(scene: Scene) -> None:
    parts = [Charge(one.kind, one.name, one.span, AT, 5) for one in ALL]
    for _ in range(3):
        await charges.add(scene.connection, 0, parts)
    await charges.add(scene.connection, 1, parts[:1])
    await charges.add(scene.connection, 1, [])
    rows: Any = await scene.connection.fetch("SELECT * FROM counters WHERE tag = 0 ORDER BY name")
    ends = {one.name: None for one in ALL if one.kind == "D" and not one.span}
    ends |= {one.name: one.span for one in ALL if one.kind == "D" and one.span}
    ends |= {one.name: (one.bucket + 61) * one.span // 60 for one in ALL if one.kind == "S"}
    for one in rows:
        assert one["amount"] == 15
        end = ends[one["name"]]
        assert one["ends_at"] == (None if end is None else dt.datetime.fromtimestamp(end / 1000, dt.UTC))
    assert {one["name"]: (one["bucket"], one["span"]) for one in rows} == {
        one.name: (one.bucket, one.span) for one in ALL
    }


async def test_batches_are_numbered_and_the_last_is_kept(scene: Scene) -> None:
    assert [await charges.batch(scene.connection, tag, text) for tag, text in ((0, "a"), (0, "b"), (3, "c"))] == [
        1,
        2,
        1,
    ]
    rows: Any = await scene.connection.fetch("SELECT tag, batch, charges FROM batches ORDER BY tag")
    assert [tuple(one) for one in rows] == [(0, 2, "b"), (3, 1, "c")]


# On their whole way


def of_now(**fields: Any) -> Row:
    """A row whose sliding windows count still."""
    now = dt.datetime.now(dt.UTC)
    at = int(now.timestamp() * 1000)
    later = [
        Charge(one.kind, one.name, at + 86_400_000 if one.kind == "D" and one.span else one.span, at, 0) for one in ALL
    ]
    return charged(row(at, **{**USED, **fields}), later, at)


async def settle(scene: Scene, real: Row, sequence: int) -> None:
    arguments = (real.request_id, "", "i", sequence, encode(real), 10_000, "", "", real.charges)
    assert await evaluate(scene.redis, SETTLE, prefix(0), arguments) == 1


async def reserve(scene: Scene, real: Row, amount: int = 1000, lease: int = 60_000) -> None:
    """As admission does it."""
    text = written(Charge(one.kind, one.name, one.span, one.at, amount) for one in read(real.charges))
    kept = f"\n{text}\n{encode(reservation(real)).decode()}"
    await evaluate(scene.redis, RENEW, prefix(0), (lease, real.request_id, kept, 0))


async def test_a_request_without_a_reservation_counts_when_it_is_in_the_ledger(scene: Scene) -> None:
    real = of_now()
    await settle(scene, real, 1)
    assert (await in_redis(scene), await in_ledger(scene)) == ({}, {})
    await scene.drain()
    assert await in_redis(scene) == await in_ledger(scene) == CAME_TO
    for sequence in (1, 2):  # sent again, and under another number
        await settle(scene, real, sequence)
        await scene.drain()
    assert await in_redis(scene) == await in_ledger(scene) == CAME_TO


async def test_one_that_was_settled_counts_in_redis_at_once_and_there_once(scene: Scene) -> None:
    real = of_now()
    await reserve(scene, real)
    assert set((await in_redis(scene)).values()) == {1000}
    await settle(scene, real, 1)
    assert await in_redis(scene) == CAME_TO
    await scene.drain()
    assert await in_redis(scene) == await in_ledger(scene) == CAME_TO


async def test_one_that_was_swept_counts_as_estimated_until_its_row_comes(scene: Scene) -> None:
    real = of_now()
    await reserve(scene, real, lease=-1)
    await settle(scene, other := of_now(), 1)
    assert await evaluate(scene.redis, SWEEP, prefix(0), (10,)) == 1
    assert await in_redis(scene) == {}
    await scene.drain()
    estimated = {"tokens": 177 + 3, "input_tokens": 107 + 3, "output_tokens": 50, "requests": 2, "budget": other.cost}
    assert await in_redis(scene) == await in_ledger(scene) == estimated
    await settle(scene, real, 2)
    await scene.drain()
    both = {kind: 2 * amount for kind, amount in CAME_TO.items()}
    assert await in_redis(scene) == await in_ledger(scene) == both


async def test_swept_and_renewed_by_a_gateway_that_stood_still(scene: Scene) -> None:
    real = of_now()
    await reserve(scene, real, lease=-1)
    assert await evaluate(scene.redis, SWEEP, prefix(0), (10,)) == 1
    await reserve(scene, real)
    await scene.drain()
    await settle(scene, real, 1)
    await scene.drain()
    assert await in_redis(scene) == await in_ledger(scene) == CAME_TO


@pytest.mark.parametrize("told", [False, True])
async def test_a_leader_that_dies_between_the_commit_and_telling(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """The next tells, once: whether Redis had heard it or only the answer was lost."""
    tell = ledger._tell

    async def dies(*arguments: Any) -> None:
        if told:
            await tell(*arguments)
        raise RedisConnectionError("gone")

    await scene.drain()
    await settle(scene, of_now(), 1)
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "_tell", dies)
        with pytest.raises(RedisConnectionError):
            await ledger.drain(scene.redis, scene.connection, 0)
    assert await in_ledger(scene) == CAME_TO
    assert await in_redis(scene) == (CAME_TO if told else {})
    for _ in range(3):
        await ledger.tell_again(scene.redis, scene.connection, 0)
        await scene.drain(pending=True)
        assert await in_redis(scene) == await in_ledger(scene) == CAME_TO
    await settle(scene, of_now(), 2)
    await scene.drain()
    assert await in_redis(scene) == await in_ledger(scene) == {kind: 2 * one for kind, one in CAME_TO.items()}


@pytest.mark.parametrize("bad", [0, 3, 7])
@pytest.mark.parametrize("dies", [False, True])
async def test_a_batch_that_is_halved_is_told_as_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, bad: int, dies: bool
) -> None:
    await scene.drain()
    for sequence in range(1, 9):
        real = of_now(cost=10**21) if sequence - 1 == bad else of_now()
        await settle(scene, real, sequence)
    expected = {kind: 7 * amount for kind, amount in CAME_TO.items()}
    if dies:

        async def gone(*_: Any) -> None:
            raise RedisConnectionError("gone")

        with monkeypatch.context() as patch:
            patch.setattr(ledger, "_tell", gone)
            with pytest.raises(RedisConnectionError):
                await ledger.drain(scene.redis, scene.connection, 0)
        await ledger.tell_again(scene.redis, scene.connection, 0)
    await scene.drain(pending=dies)
    assert await in_ledger(scene) == expected
    assert await in_redis(scene) == expected


@pytest.mark.parametrize(
    "text",
    ["x", "S w:a:b 1 2 3", "S w 1 2 3", "C c:a:concurrency::x 0 1 1", "S w:a:tokens:m:x 0 1 1", "D d:a:b:c x 1 1"],
)
async def test_charges_that_cannot_be_read_are_in_nobodys_way(scene: Scene, text: str) -> None:
    broken = of_now()
    broken.charges = text
    await settle(scene, broken, 1)
    await settle(scene, of_now(), 2)
    await scene.drain()
    assert await scene.done() == {"i": "2"}
    assert await in_ledger(scene) == CAME_TO


@pytest.mark.parametrize("seed", range(5))
async def test_random_histories(scene: Scene, seed: int) -> None:
    """Rows in any order, settled, swept, renewed, sent again; leaders that die: both agree in the end."""
    source = random.Random(seed)
    await scene.drain()
    running: list[Row] = []
    done: list[Row] = []
    sequence = 0
    for _ in range(60):
        match source.randrange(6):
            case 0 | 1:
                real = of_now(output_tokens=source.randrange(500), cost=source.choice((None, 0, 5, 10**12)))
                if source.random() < 0.8:
                    await reserve(scene, real, source.randrange(1, 2000), source.choice((-1, 60_000)))
                running.append(real)
            case 2 if running:
                real = running.pop(source.randrange(len(running)))
                sequence += 1
                await settle(scene, real, sequence)
                done.append(real)
            case 3 if done:
                sequence += 1
                await settle(scene, source.choice(done), sequence)
            case 4:
                await evaluate(scene.redis, SWEEP, prefix(0), (source.randrange(1, 4),))
            case _:
                if source.random() < 0.3:
                    await ledger.tell_again(scene.redis, scene.connection, 0)
                await ledger.drain(scene.redis, scene.connection, 0, pending=source.random() < 0.2)
    for real in running:
        sequence += 1
        await settle(scene, real, sequence)
    await scene.drain(pending=True)
    await scene.drain()
    truth: dict[str, int] = {}
    for real in running + done:
        for one in read(real.charges):
            truth[one.type] = truth.get(one.type, 0) + one.amount
    expected = {kind: amount for kind, amount in truth.items() if amount}
    found: Mapping[str, int] = await in_ledger(scene)
    assert {kind: amount for kind, amount in found.items() if amount} == await in_redis(scene) == expected
