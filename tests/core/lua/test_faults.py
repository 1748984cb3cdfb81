"""fault, settle's memory of who was served, and prune on a real Redis: when a breaker opens, and how long it stays."""

import itertools
import time
from typing import Any

import msgspec
import pytest

from gateway.core.scripts import FAULT, PRUNE
from gateway.core.state import BREAKER, State, encode
from tests.core.lua.scene import Scene

FIELD = "a|family:sonnet"
_ids = itertools.count()


async def fault(
    scene: Scene, key: str = "key_1", identity: str = "", *, others: bool = False, field: str = FIELD
) -> Any:
    return await scene.run(FAULT, field, identity or f"{key}-req", key, time.time(), "1" if others else "0")


async def faults(scene: Scene, *keys: str, **more: Any) -> list[Any]:
    """Each of another request."""
    return [await fault(scene, key, f"req-{next(_ids)}", **more) for key in keys]


async def hold(scene: Scene, state: State) -> None:
    await scene.mark("a", "family:sonnet", encode(state).decode(), "{}")


async def test_the_fifth_fault_opens_and_the_count_begins_anew(scene: Scene) -> None:
    assert await faults(scene, "x", "y", "x", "y", "x") == [None] * 4 + [[30, 5, 1]]
    assert await faults(scene, "x", "y", "x", "y") == [None] * 4
    assert await faults(scene, *"xyxy", field="a|family:opus") == [None] * 4
    assert scene.redis.pttl(scene.name("faults:" + FIELD)) <= 30_000


async def test_a_request_counts_once_however_often_it_is_tried(scene: Scene) -> None:
    assert [await fault(scene, "x", "req-1") for _ in range(9)] == [None] * 9
    assert await faults(scene, *"yyyy") == [None] * 3 + [[30, 5, 1]]


async def test_one_key_alone_opens_what_serves_nobody_else(scene: Scene) -> None:
    await scene.settle("r", "a", served=(FIELD, "x"))  # its own success is no other's
    assert (await faults(scene, *"xxxxx"))[-1] == [30, 5, 0]


async def test_one_key_alone_takes_nothing_from_another_that_is_served(scene: Scene) -> None:
    await scene.settle("r", "a", served=(FIELD, "y"))
    for _ in range(3):
        await scene.settle("r", "a", served=(FIELD, "x"))
    assert await faults(scene, *"xxxxxxxxxx") == [None] * 10
    assert (await fault(scene, "y"))[0] == 30, "the other meets it too"


async def test_who_was_served_at_another_model_does_not_count(scene: Scene) -> None:
    await scene.settle("r", "a", served=("a|family:opus", "y"))
    await scene.settle("r", "b", served=("b|family:sonnet", "y"))
    assert (await faults(scene, *"xxxxx"))[-1] == [30, 5, 0]


async def test_a_gateway_knows_of_a_success_before_it_is_settled(scene: Scene) -> None:
    assert await faults(scene, *"xxxxxx", others=True) == [None] * 6
    assert (await faults(scene, "y", others=True))[-1] == [30, 7, 1]


@pytest.mark.parametrize(("served", "kept"), [("xyx", "yx"), ("xyz", "yx"), ("xx", "x"), ("xyy", "yx")])
async def test_two_different_keys_are_kept(scene: Scene, served: str, kept: str) -> None:
    for key in served:
        await scene.settle("r", "a", served=(FIELD, key))
    held = str(scene.redis.get(scene.name("served:" + FIELD))).split()
    assert held[::2] == list(kept)
    assert all(abs(time.time() - int(at) / 1000) < 5 for at in held[1::2])
    assert 0 < scene.redis.pttl(scene.name("served:" + FIELD)) <= 30_000


@pytest.mark.parametrize(
    ("held", "key", "kept"),
    [
        ("x {old} y {old}", "z", "z {now} x {old}"),
        ("x {old} y {old}", "x", "x {now} y {old}"),
        ("x {old} y {old}", "y", "y {now} x {old}"),
        ("x {now} y {old}", "z", "z {now} x {now}"),
        ("x {now} y {old}", "x", "x {now} y {old}"),
        ("x {now} ", "x", "x {now} "),
        ("x {now} y {now}", "z", "x {now} y {now}"),
    ],
)
async def test_they_are_written_anew_when_they_are_old(scene: Scene, held: str, key: str, kept: str) -> None:
    now = int(time.time())

    def filled(text: str) -> str:
        return text.format(old=(now - 10) * 1000, now=now * 1000)

    scene.redis.set(scene.name("served:" + FIELD), filled(held))
    await scene.settle("r", "a", served=(FIELD, key))
    written = str(scene.redis.get(scene.name("served:" + FIELD))).replace(str((now + 1) * 1000), str(now * 1000))
    assert written == filled(kept)


async def test_a_request_that_was_not_served_is_not_kept(scene: Scene) -> None:
    await scene.settle("r", "a")
    assert not scene.redis.exists(scene.name("served:" + FIELD))


async def test_what_fails_while_the_breaker_is_open_was_sent_before(scene: Scene) -> None:
    now = time.time()
    await hold(scene, State(BREAKER, now + 5, now - 25, faults=5))
    assert await faults(scene, *"xyxyxy") == [None] * 6
    assert not scene.redis.exists(scene.name("faults:" + FIELD))


@pytest.mark.parametrize(("paused", "again"), [(30, 60), (60, 120), (240, 300), (300, 300)])
async def test_a_failed_probe_opens_it_again_for_twice_as_long(scene: Scene, paused: int, again: int) -> None:
    now = time.time()
    await hold(scene, State(BREAKER, now - 1, now - 1 - paused, faults=5))
    claim = scene.name(f"probe:{FIELD}")
    scene.redis.set(claim, "req-1")
    assert await fault(scene, "x", "req-1") == [again, 6, 1]
    assert not scene.redis.exists(claim)


async def test_another_requests_claim_stays(scene: Scene) -> None:
    now = time.time()
    await hold(scene, State(BREAKER, now - 1, now - 31, faults=5))
    scene.redis.set(scene.name(f"probe:{FIELD}"), "req-2")
    assert await fault(scene, "x", "req-1") == [60, 6, 1]
    assert scene.redis.get(scene.name(f"probe:{FIELD}")) == "req-2"


async def test_a_breaker_that_nobody_tried_for_ten_minutes_is_forgotten(scene: Scene) -> None:
    now = time.time()
    await hold(scene, State(BREAKER, now - 601, now - 631, faults=5))
    assert await fault(scene, "x") is None


async def test_another_state_that_keeps_it_out_is_not_shortened(scene: Scene) -> None:
    await hold(scene, State("rate_limited", time.time() + 3600))
    assert await faults(scene, *"xyxyx") == [None] * 5
    await hold(scene, State("overloaded", time.time() + 3600, soft=True))
    assert (await faults(scene, *"xyxyx"))[-1] == [30, 5, 1], "tried all the same, so it may open"


async def test_a_flood_keeps_its_bound(scene: Scene) -> None:
    for n in range(260):
        await fault(scene, "x", f"req-{n}", others=True)
    assert scene.redis.zcard(scene.name("faults:" + FIELD)) == 200


async def test_pruning_keeps_a_half_open_breaker(scene: Scene) -> None:
    now = time.time()
    states = {
        "family:half": State(BREAKER, now - 300, now - 330),
        "family:over": State(BREAKER, now - 700, now - 730),
        "family:limit": State("rate_limited", now - 300),
    }
    for scope, state in states.items():
        await scene.mark("a", scope, encode(state).decode(), msgspec.json.encode({}).decode())
    assert (await scene.run(PRUNE, "0", 60, 660))[1] == 2
    assert scene.redis.hkeys(scene.name("state")) == ["a|family:half"]


async def test_what_one_key_alone_opened_is_judged_anew_for_the_others(scene: Scene) -> None:
    now = time.time()
    await hold(scene, State("breaker", now + 20, now - 10, soft=True, key="x", faults=5))
    assert await faults(scene, *"xxxxxx") == [None] * 6, "out for this key: what fails now was sent before"
    assert await faults(scene, *"yyyyy") == [None] * 4 + [[30, 5, 0]]
    await hold(scene, State("breaker", now - 1, now - 31, soft=True, key="x", faults=5))
    assert await fault(scene, "y", "req-y") is None
    assert await fault(scene, "x", "req-x") == [60, 6, 0]
