"""One leader at a time, among processes that are killed and connections that are lost."""

import asyncio
import signal
import sys
import time
from contextlib import AsyncExitStack

import pytest

from gateway.jobs.leader import connect, leadership

PROCESS = """
import asyncio, sys
from gateway.jobs.leader import leadership
async def main():
    async with leadership(sys.argv[1]) as connection:
        print("leads", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


async def contend(url: str, name: str, leading: list[str], history: list[tuple[str, ...]]) -> None:
    """Leads until its connection is lost, then tries again: `history` holds who led together."""
    while True:
        try:
            async with leadership(url) as connection:
                leading.append(name)
                history.append(tuple(leading))
                try:
                    while True:
                        await connection.fetchval("SELECT 1")
                        await asyncio.sleep(0.02)
                finally:
                    leading.remove(name)
        except Exception:
            await asyncio.sleep(0.05)


async def test_two_never_lead_at_once_and_the_lead_passes(database_url: str) -> None:
    leading: list[str] = []
    history: list[tuple[str, ...]] = []
    own = await connect(database_url)
    tasks = [asyncio.get_running_loop().create_task(contend(database_url, name, leading, history)) for name in "abc"]
    try:
        for turn in range(3):
            async with asyncio.timeout(5):
                while len(history) <= turn or not leading:
                    await asyncio.sleep(0.01)
            holder = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database ="
            pid = await own.fetchval(f"{holder} (SELECT oid FROM pg_database WHERE datname = current_database())")
            assert await own.fetchval("SELECT pg_terminate_backend($1)", pid)
            async with asyncio.timeout(5):
                while len(history) == turn + 1:
                    await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            while len(history) < 4:
                await asyncio.sleep(0.01)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await own.close()
    assert all(len(together) == 1 for together in history)


async def test_a_killed_process_is_replaced(database_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, database_url, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 10) == b"leads\n"
        waiting = asyncio.get_running_loop().create_task(lead_once(database_url))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        begin = time.monotonic()
        process.send_signal(signal.SIGKILL)
        async with asyncio.timeout(5):
            await waiting
        assert time.monotonic() - begin < 3
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def lead_once(url: str) -> None:
    async with leadership(url):
        pass


async def test_the_lead_ends_with_the_context(database_url: str) -> None:
    for _ in range(3):
        async with asyncio.timeout(5), AsyncExitStack() as stack:
            await stack.enter_async_context(leadership(database_url))


async def test_a_waiting_one_can_be_cancelled(database_url: str) -> None:
    async with leadership(database_url):
        waiting = asyncio.get_running_loop().create_task(lead_once(database_url))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_times_are_utc_on_its_connection(database_url: str) -> None:
    connection = await connect(database_url)
    assert await connection.fetchval("SHOW timezone") == "UTC"
    await connection.close()
