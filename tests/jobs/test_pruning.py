"""What is over goes, what is needed stays: states past their end, progress of gateways that are gone."""

import asyncio
import time

import msgspec
import pytest
import redis as blocking

from gateway.core.counters import BUCKETS, Charge
from gateway.core.learned import Window, learned
from gateway.core.learned import encode as encode_learned
from gateway.core.names import TAGS, gateway_name, prefix
from gateway.core.redis import connector
from gateway.core.scripts import MARK, scripts
from gateway.core.state import FOR_EVER, State, encode
from gateway.jobs import charges, pruning
from tests.jobs.scene import Scene, row
from tests.jobs.scene import scene as make


def state(ahead: float) -> bytes:
    return encode(State(reason="model", until=time.time() + ahead))


async def test_states_that_are_over_go(database_url: str, clean_redis: str) -> None:
    async with make(database_url, clean_redis) as scene:
        for tag in (0, TAGS - 1):
            fields = {f"acct_{n}|model:{'x' * 500}{n}": state(-pruning.GRACE - 5) for n in range(2000)}
            kept = {
                "acct_1|account": state(30),
                "acct_1|family:opus": state(2 - pruning.GRACE),
                "acct_2|account": encode(State(reason="disabled", until=FOR_EVER)),
                "acct_3|account": b"not a state",
                "acct_4|account": b'{"until":"soon"}',
                "acct_5|account": b"[1]",
            }
            await scene.redis.hset(prefix(tag) + "state", mapping={**fields, **kept})
            # In another's hash of the same installation nothing is touched.
            await scene.redis.hset(prefix(tag) + "idle", "acct_1", "1")
        assert await pruning.states(scene.redis) == 4000
        assert set(await scene.redis.hkeys(prefix(0) + "state")) == set(kept)
        assert set(await scene.redis.hkeys(prefix(TAGS - 1) + "state")) == set(kept)
        assert await scene.redis.hlen(prefix(0) + "idle") == 1
        assert await pruning.states(scene.redis) == 0


async def test_limits_that_are_over_go(database_url: str, clean_redis: str) -> None:
    async with make(database_url, clean_redis) as scene:
        now = time.time()
        said = [learned((Window("requests", used=0.5, resets_at=now + ahead),), now) for ahead in (-90, -30, 30)]
        fields = {f"acct_1|m{at}": encode_learned(one) for at, one in enumerate(said)}
        await scene.redis.hset(prefix(2) + "learned", mapping={**fields, "acct_1|x": b"of another version"})
        assert await pruning.learned(scene.redis) == 2
        assert set(await scene.redis.hkeys(prefix(2) + "learned")) == {"acct_1|m1", "acct_1|m2"}
        assert await pruning.learned(scene.redis) == 0


async def test_a_newer_state_is_never_taken_for_the_old_one(database_url: str, clean_redis: str) -> None:
    """Accounts fail again, through the gateways' own script, all the while that their old states are removed."""
    fields = [f"model:m{n}" for n in range(300)]
    async with make(database_url, clean_redis) as scene, scripts(*connector(clean_redis)) as hot:
        p = prefix(3)
        for _ in range(5):
            await scene.redis.hset(p + "state", mapping={f"a|{one}": state(-900) for one in fields})
            new = [(b"a", one.encode(), state(900), msgspec.json.encode({"scope": one})) for one in fields]
            pruned, *_ = await asyncio.gather(pruning.states(scene.redis), *(hot.run(MARK, p, one) for one in new))
            assert pruned <= len(fields)
            assert await scene.redis.hlen(p + "state") == len(fields)
            assert await pruning.states(scene.redis) == 0


async def test_counters_whose_windows_are_over_go(database_url: str, clean_redis: str) -> None:
    now = int(time.time() * 1000)

    def sliding(age: int) -> Charge:
        """Whose last moment is so many ms ago."""
        at = now - age
        bucket = at * BUCKETS // 60_000 - BUCKETS - 1
        return Charge("S", f"w:k:tokens:minute:{age}", 60_000, bucket * 60_000 // BUCKETS, 5)

    async with make(database_url, clean_redis) as scene:
        over = (pruning.GRACE + 5) * 1000
        kept = [sliding(age) for age in (-30_000, 0, over - 20_000)]
        kept += [Charge("D", f"d:k:budget:day:x:{end}", end, now, 5) for end in (now + 5000, now - over + 20_000)]
        kept.append(Charge("D", "d:k:budget:total:x:total", 0, now, 5))
        gone = [sliding(over), sliding(over * 100), Charge("D", "d:k:budget:day:x:gone", now - over, now, 5)]
        await charges.add(scene.connection, 4, [*kept, *gone])
        for _ in range(2):
            await pruning.counters(scene.connection, asyncio.Lock())
            names = await scene.connection.fetch("SELECT name FROM counters")
            assert {one["name"] for one in names} == {one.name for one in kept}


async def age(scene: Scene, instance: str, days: float, tag: int | None = None) -> None:
    older = "UPDATE journals SET updated_at = now() - $2 * interval '1 day' WHERE instance = $1"
    await scene.connection.execute(f"{older} AND ($3::int IS NULL OR tag = $3)", instance, days, tag)


async def test_journals_of_gateways_that_are_gone_are_forgotten(database_url: str, clean_redis: str) -> None:
    async with make(database_url, clean_redis) as scene:
        for instance in ("gone", "young", "runs", "half"):
            for tag in (0, 5):
                await scene.put(tag, row(), instance, 1)
        await scene.drain(0)
        await scene.drain(5)
        await scene.redis.hset(prefix(9) + "done", "never", "7")
        for instance, days in (("gone", 31), ("young", 29), ("runs", 400), ("half", 31)):
            await age(scene, instance, days)
        await age(scene, "half", 1, tag=5)
        await scene.redis.set(gateway_name("runs"), 1)
        assert await pruning.journals(scene.redis, scene.connection, asyncio.Lock()) == 1
        left = {"young", "runs", "half"}
        assert set(await scene.journals()) == {(instance, tag) for instance in left for tag in (0, 5)}
        assert set(await scene.done(0)) == set(await scene.done(5)) == left
        assert await scene.done(9) == {}
        # An idle gateway that runs is committed further as if nothing had been.
        await scene.put(0, row(), "runs", 2)
        await scene.drain(0)
        assert (await scene.done(0))["runs"] == "2"
        assert len(await scene.rows("request_id")) == 9
        assert await scene.usage() == await scene.recomputed()


async def test_what_comes_meanwhile_is_kept(database_url: str, clean_redis: str) -> None:
    """A gateway's first rows are committed between the two looks."""
    async with make(database_url, clean_redis) as scene:
        turn = asyncio.Lock()
        await turn.acquire()
        task = asyncio.get_running_loop().create_task(pruning.journals(scene.redis, scene.connection, turn))
        await asyncio.sleep(0.1)
        assert not task.done()
        await scene.put(0, row(), "new", 1)
        await scene.drain(0)
        turn.release()
        assert await task == 0
        assert await scene.done(0) == {"new": "1"}
        assert await scene.journals() == {("new", 0): 1}


@pytest.mark.parametrize("value", [b"", b"{}", b"null", b'{"until":null}', b'{"until":-1e999}'])
async def test_what_cannot_be_read_ends_nothing(database_url: str, clean_redis: str, value: bytes) -> None:
    async with make(database_url, clean_redis) as scene:
        with blocking.Redis.from_url(clean_redis) as plain:
            plain.hset(prefix(0) + "state", mapping={"a|account": value, "b|account": state(-900)})
        assert await pruning.states(scene.redis) >= 1
        assert await scene.redis.hget(prefix(0) + "state", "b|account") is None
