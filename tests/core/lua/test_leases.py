"""settle, renew, sweep and mark on a real Redis: what is held comes back once, and each row is written once."""

import asyncio
import time

import pytest

from tests.core.lua.scene import Scene, limit

LIMIT = limit("C", 5)
ROW = '{"request_id":"x"}\nwith a line'


async def test_settling_gives_all_back_and_writes_the_row(scene: Scene) -> None:
    sliding = limit("S", 5, 3_600_000)
    answer = await scene.admit("x", limits=[LIMIT, sliding], row=ROW)
    charges = f"S {sliding[1]} 3600000 {answer.now} 1"
    assert await scene.settle("x", "a", LIMIT[1], sequence=7, charges=charges) == 1
    assert scene.stream() == [{"i": "gateway", "s": "7", "r": '{"row":1}', "a": "1"}]
    left = scene.dump()
    for key in ("s:a", "l", "r", LIMIT[1]):
        assert scene.name(key) not in left
    assert scene.redis.hget(scene.name(sliding[1]), "n") == "1"  # a request counts, though it is over


async def test_settling_again_takes_nothing_from_others(scene: Scene) -> None:
    await scene.admit("x", limits=[LIMIT])
    await scene.admit("y", limits=[LIMIT])
    for _ in range(3):
        await scene.settle("x", "a", LIMIT[1])
    assert scene.slots("a") == {"y"}
    assert scene.redis.zrange(scene.name(LIMIT[1]), 0, -1) == ["y"]
    assert [one["a"] for one in scene.stream()] == ["1", "0", "0"]  # the ledger knows a row by its id


async def test_a_full_stream_keeps_the_row_out_and_gives_the_lease_back(scene: Scene) -> None:
    for n in range(3):
        await scene.admit(f"n{n}")
    assert [await scene.settle(f"n{n}", "a", most=2) for n in range(3)] == [1, 1, 0]
    assert len(scene.stream()) == 2
    assert scene.slots("a") == set()


async def test_a_request_that_reached_no_account(scene: Scene) -> None:
    assert await scene.settle("x", "") == 1
    assert len(scene.stream()) == 1


async def test_a_row_is_settled_also_when_the_counters_are_cold(scene: Scene) -> None:
    await scene.admit("x")
    scene.redis.delete(scene.name("epoch"))
    assert await scene.settle("x", "a") == 1
    assert scene.slots("a") == set()
    assert [one["a"] for one in scene.stream()] == ["0"], "what it used is not in counters that nobody trusts"


async def test_renewing_keeps_slot_limit_and_reservation(scene: Scene) -> None:
    offered = [("a", 2, 50, "")]
    one = limit("C", 2)
    await scene.admit("x", limits=[one], candidates=offered, lease=250)
    await scene.admit("y", limits=[one], candidates=offered, lease=250)
    assert await scene.renew(60_000, {"x": ["s:a", one[1]]}) == 1
    await asyncio.sleep(0.27)
    assert (await scene.admit("z", limits=[one], candidates=offered)).kind == "ok"  # the place of y
    assert (await scene.admit(limits=[one], candidates=offered)).kind == "limit"
    assert (await scene.admit(candidates=offered)).kind == "full"
    assert await scene.sweep() == 1  # y
    assert scene.redis.pttl(scene.name("s:a")) > 60_000


async def test_renewing_all_of_a_process_in_one_call(scene: Scene) -> None:
    names = {f"n{n}": ["s:a", LIMIT[1]] if n % 2 else ["s:b"] for n in range(500)}
    assert await scene.renew(5000, names) == 500
    assert len(scene.slots("a")) == len(scene.slots("b")) == 250
    assert scene.redis.zcard(scene.name("l")) == 500
    assert await scene.renew(5000, {}) == 0


async def test_sweeping_writes_the_row_of_a_gateway_that_has_gone(scene: Scene) -> None:
    await scene.admit("x", row=ROW, lease=50, limits=[LIMIT])
    await scene.admit("y", row=ROW, lease=60_000, limits=[LIMIT])
    assert await scene.sweep() == 0
    await asyncio.sleep(0.06)
    assert await scene.sweep() == 1
    assert scene.stream() == [{"i": "sweep", "s": "0", "a": "a", "g": ROW, "c": ""}]
    assert scene.slots("a") == {"y"}
    assert list(scene.redis.hgetall(scene.name("r"))) == ["y"]
    assert await scene.sweep() == 0
    assert len(scene.stream()) == 1


async def test_sweeping_takes_a_batch_at_a_time(scene: Scene) -> None:
    for n in range(25):
        await scene.admit(f"n{n}", lease=1)
    await asyncio.sleep(0.01)
    assert [await scene.sweep(10) for _ in range(4)] == [10, 10, 5, 0]
    assert len(scene.stream()) == 25


async def test_a_request_that_moved_is_swept_from_where_it_is(scene: Scene) -> None:
    await scene.admit("x", candidates=[("a", 0, 1, "")], row=ROW, lease=50)
    await scene.admit("x", candidates=[("b", 0, 1, "")], row="", leaving="a", lease=50)
    await asyncio.sleep(0.06)
    assert await scene.sweep() == 1
    assert scene.stream() == [{"i": "sweep", "s": "0", "a": "b", "g": ROW, "c": ""}]
    assert scene.slots("b") == set()


async def test_one_that_was_settled_is_not_swept(scene: Scene) -> None:
    await scene.admit("x", lease=1)
    await scene.settle("x", "a")
    await asyncio.sleep(0.01)
    assert await scene.sweep() == 0
    assert len(scene.stream()) == 1


async def test_one_that_is_renewed_after_the_sweep_is_swept_again_when_its_gateway_goes(scene: Scene) -> None:
    """A gateway that stood still for longer than its lease; the ledger takes a row of one id once."""
    await scene.admit("x", lease=1, row=ROW)
    await asyncio.sleep(0.01)
    assert await scene.sweep() == 1
    await scene.renew(30, {"x": ["s:a"]}, row=ROW)
    assert (await scene.admit(candidates=[("a", 1, 50, "")])).kind == "full"
    await asyncio.sleep(0.05)
    assert await scene.sweep() == 1
    assert [one["g"] for one in scene.stream()] == [ROW, ROW]
    assert (await scene.admit(candidates=[("a", 1, 50, "")])).kind == "ok"


async def test_renewing_brings_back_what_redis_has_lost(scene: Scene) -> None:
    await scene.admit("x", limits=[LIMIT], row=ROW)
    before = scene.dump()
    scene.redis.delete(*(scene.name(key) for key in ("s:a", "l", "r", LIMIT[1])))
    await scene.renew(60_000, {"x": ["s:a", LIMIT[1]]}, row=ROW)
    after = scene.dump()
    assert set(after) == set(before)
    assert after[scene.name("r")] == before[scene.name("r")] == {"x": f"a\n\n{ROW}"}
    assert scene.slots("a") == {"x"}


@pytest.mark.parametrize("scope", ["account", "family:opus", "model:gpt-5"])
async def test_marking(scene: Scene, scope: str) -> None:
    assert await scene.mark("a", scope, "", '{"n":0}') == 0  # nothing was there: no history either
    assert await scene.mark("a", scope, '{"reason":"r"}', '{"n":1}') == 1
    assert scene.redis.hgetall(scene.name("state")) == {f"a|{scope}": '{"reason":"r"}'}
    assert await scene.mark("a", scope, "", '{"n":2}') == 1
    assert scene.redis.hgetall(scene.name("state")) == {}
    history = scene.name("h:a:" + scope.partition(":")[0])
    assert scene.redis.zrange(history, 0, -1, desc=True) == ['{"n":2}', '{"n":1}']
    assert 604_000 < scene.redis.ttl(history) <= 604_800
    now = time.time() * 1e6
    assert all(now - 5e6 < moment < now + 5e6 for _, moment in scene.redis.zrange(history, 0, -1, withscores=True))


async def test_the_history_is_bounded(scene: Scene) -> None:
    """A thousand changes of each kind; a hundred were too few for seven days."""
    for n in range(1_020):
        await scene.mark("a", "account", "{}", str(n))
    found = scene.redis.zrange(scene.name("h:a:account"), 0, -1, desc=True)
    assert found == [str(n) for n in range(1_019, 19, -1)]


async def test_what_clients_name_pushes_nothing_else_out(scene: Scene) -> None:
    await scene.mark("a", "account", "{}", "account")
    await scene.mark("a", "family:opus", "{}", "family")
    for n in range(1_100):
        await scene.mark("a", f"model:chosen:by-clients-{n}", "{}", str(n))
    histories = {kind: scene.redis.zrange(scene.name("h:a:" + kind), 0, -1) for kind in ("account", "family", "model")}
    assert (histories["account"], histories["family"], len(histories["model"])) == (["account"], ["family"], 1_000)


async def test_what_is_older_than_seven_days_goes(scene: Scene) -> None:
    now, history = int(time.time() * 1e6), scene.name("h:a:account")
    scene.redis.zadd(history, {"old": now - 604_801 * 10**6, "kept": now - 604_700 * 10**6})
    await scene.mark("a", "account", "{}", "new")
    assert scene.redis.zrange(history, 0, -1) == ["kept", "new"]
