"""The leader at work, in this loop and as a process of its own; and when PostgreSQL or Redis is lost."""

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.core.ledger import Row, encode
from gateway.core.names import TAGS, prefix
from gateway.core.settings import Settings
from gateway.jobs import main
from tests.jobs.scene import Scene, reservation, row
from tests.jobs.scene import scene as make

SECRET = base64.b64encode(bytes(32)).decode()
PROCESS = """
from gateway.core.settings import Settings
from gateway.jobs import run
run(Settings.from_environ())
"""


def environ(database_url: str, redis_url: str) -> dict[str, str]:
    return {
        "POOLGATE_DATABASE_URL": database_url, "POOLGATE_REDIS_URL": redis_url, "POOLGATE_MASTER_KEYS": SECRET,
        "POOLGATE_KEY_PEPPERS": SECRET,
    }  # fmt: skip


async def until(true: Callable[[], Awaitable[object]], seconds: float = 8) -> None:
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def leading(database_url: str, redis_url: str) -> AsyncGenerator[asyncio.Task[None]]:
    settings = Settings.from_environ(environ(database_url, redis_url))
    task = asyncio.get_running_loop().create_task(main.lead(settings))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def process(database_url: str, redis_url: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, env={**os.environ, **environ(database_url, redis_url)},
        stderr=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        yield made
    finally:
        if made.returncode is None:
            made.kill()
        await made.wait()


async def committed(scene: Scene, count: int) -> bool:
    return len(await scene.rows("request_id")) == count


async def test_all_the_leaders_work(database_url: str, clean_redis: str) -> None:
    async with make(database_url, clean_redis) as scene, leading(database_url, clean_redis):
        real = row()
        await scene.put(0, row(), "i", 1)
        await scene.put(15, real, "i", 1)
        await until(lambda: committed(scene, 2))
        assert (await scene.done(0), await scene.done(15)) == ({"i": "1"}, {"i": "1"})
        # Rows that come while it works are there within a second.
        for n in range(2, 12):
            await scene.put(n % TAGS, row(), "i", 1)
            await asyncio.sleep(0.02)
        await until(lambda: committed(scene, 12), seconds=1)
        epochs = [await scene.redis.get(prefix(tag) + "epoch") for tag in range(TAGS)]
        assert all(epochs)
        assert len(set(epochs)) == TAGS
        server = await scene.redis.info("server")
        assert {epoch.partition(":")[0] for epoch in epochs} == {server["run_id"]}
        # An epoch that is there is left; one that is lost is made again.
        await scene.redis.delete(prefix(3) + "epoch")
        await until(lambda: scene.redis.get(prefix(3) + "epoch"), seconds=3)
        assert await scene.redis.get(prefix(4) + "epoch") == epochs[4]
        # One that names another run of Redis is of counters that may have lost something.
        await scene.redis.set(prefix(5) + "epoch", "former:1")
        await until(lambda: renewed(scene, 5, "former:1"), seconds=3)
        made = await scene.connection.fetchval("SELECT count(*) FROM pg_class WHERE relname ~ '^requests_20.._..$'")
        assert made == 3


async def renewed(scene: Scene, tag: int, former: str) -> bool:
    return await scene.redis.get(prefix(tag) + "epoch") not in {None, former}


async def test_what_a_dead_gateway_left_is_swept(database_url: str, clean_redis: str) -> None:
    async with make(database_url, clean_redis) as scene:
        begun = reservation(row())
        p = prefix(7)
        await scene.redis.zadd(p + "l", {begun.request_id: 1})
        await scene.redis.hset(p + "r", begun.request_id, "\n\n" + encoded(begun))
        with capture_logs() as logs:
            assert await main.sweep(scene.redis) == 1
            assert await main.sweep(scene.redis) == 0
        assert [one["requests"] for one in logs] == [1]
        async with leading(database_url, clean_redis):
            await until(lambda: committed(scene, 1))
        (found,) = await scene.rows("ending, account_id")
        assert (found["ending"], found["account_id"]) == ("gateway_lost", None)


def encoded(begun: Row) -> str:
    return encode(begun).decode()


async def test_what_another_leader_took_and_left_is_found_while_leading(database_url: str, clean_redis: str) -> None:
    """A leader that has lost the lock and does not know yet takes rows, and fails to commit them."""
    async with make(database_url, clean_redis) as scene, leading(database_url, clean_redis):
        await scene.put(0, row(), "i", 1)
        await until(lambda: committed(scene, 1))
        async with scene.redis.pipeline(transaction=True) as together:  # so that nobody else is quicker
            together.xadd(prefix(0) + "u", {"i": "i", "s": "2", "r": encoded(row())})
            together.xreadgroup("ledger", "jobs", {prefix(0) + "u": ">"})
            taken = await together.execute()
        assert taken[1]
        await until(lambda: committed(scene, 2))
        assert await scene.redis.xlen(prefix(0) + "u") == 0


async def test_a_lost_connection_ends_the_lead_at_once(database_url: str, clean_redis: str) -> None:
    """Also while there is nothing to commit: the lock is somebody else's by then."""
    async with make(database_url, clean_redis) as scene, leading(database_url, clean_redis) as task:
        await until(lambda: scene.redis.get(prefix(15) + "epoch"))
        await scene.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'poolgate-jobs' AND pid <> pg_backend_pid()"
        )
        done, _ = await asyncio.wait({task}, timeout=3)
        assert done
        with pytest.raises(BaseExceptionGroup) as caught:
            task.result()
        assert caught.value.split(main._AWAY)[1] is None


async def test_a_leader_without_redis_waits_for_it(database_url: str, clean_redis: str) -> None:
    async with make(database_url, clean_redis) as scene, leading(database_url, clean_redis) as task:
        await scene.put(0, row(), "i", 1)
        await until(lambda: committed(scene, 1))
        await scene.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
        with capture_logs():
            await asyncio.sleep(0.1)
            await scene.put(0, row(), "i", 2)
            await until(lambda: committed(scene, 2))
        assert not task.done()
        # Emptied: the group is made again.
        await scene.redis.flushall()
        await scene.put(0, row(), "i", 3)
        await until(lambda: committed(scene, 3))
        assert not task.done()


async def test_a_process_stops_on_a_signal(database_url: str, clean_redis: str) -> None:
    async with make(database_url, clean_redis) as scene, process(database_url, clean_redis) as one:
        assert one.stderr is not None
        first = json.loads(await asyncio.wait_for(one.stderr.readline(), 15))
        assert first["event"] == "this process leads the jobs"
        await scene.put(0, row(), "i", 1)
        await until(lambda: committed(scene, 1))
        one.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(one.wait(), 5) == 0


async def test_a_process_whose_server_goes_leads_again(database_url: str, clean_redis: str) -> None:
    async with make(database_url, clean_redis) as scene, process(database_url, clean_redis) as one:
        for sequence in (1, 2, 3):
            await scene.put(0, row(), "i", sequence)
            await until(lambda sequence=sequence: committed(scene, sequence), 15)
            await scene.connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'poolgate-jobs' AND pid <> pg_backend_pid()"
            )
        assert one.returncode is None


async def test_a_process_that_is_killed_loses_and_doubles_nothing(database_url: str, clean_redis: str) -> None:
    async with make(database_url, clean_redis) as scene:
        rows = [row() for _ in range(4000)]
        async with process(database_url, clean_redis) as one, process(database_url, clean_redis):
            for n, real in enumerate(rows, 1):
                await scene.put(0, real, "i", n)
                if n == 2000:
                    await until(lambda: scene.redis.hget(prefix(0) + "done", "i"), seconds=15)
                    one.kill()
            await until(lambda: committed(scene, 4000), seconds=15)
            await until(lambda: empty(scene), seconds=10)
        assert await scene.usage() == await scene.recomputed()
        assert sum(one[6] for one in await scene.usage()) == 4000
        assert await scene.done() == {"i": "4000"}


async def empty(scene: Scene) -> bool:
    return await scene.redis.xlen(prefix(0) + "u") == 0


async def test_a_process_refuses_a_database_it_does_not_know(empty_database: str, clean_redis: str) -> None:
    async with process(empty_database, clean_redis) as one:
        _, errors = await asyncio.wait_for(one.communicate(), 15)
    assert one.returncode != 0
    assert b"run `poolgate migrate`" in errors


async def test_a_broken_job_does_not_end_the_others() -> None:
    times: list[int] = []

    async def broken() -> None:
        times.append(1)
        raise KeyError("a bug")

    with capture_logs() as logs:
        task = asyncio.get_running_loop().create_task(main._every(0.01, broken))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert len(times) > 2
    assert {one["event"] for one in logs} == {"background work failed"}


async def test_what_is_not_the_ledger_cannot_stop_it(
    database_url: str, clean_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.Event()

    async def broken(*_: object) -> None:
        failed.set()
        raise RuntimeError("a webhook cannot be told")

    monkeypatch.setattr(main.webhooks, "keep", broken)
    with capture_logs():
        async with make(database_url, clean_redis) as scene, leading(database_url, clean_redis):
            await failed.wait()
            await scene.put(0, row(), "i", 1)
            await until(lambda: committed(scene, 1))
