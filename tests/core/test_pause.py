"""A loop that was told to end ends at its pause, whatever swallowed the cancellation on the way."""

import asyncio
import contextlib
import time

from gateway.core.pause import pause


async def test_it_sleeps() -> None:
    before = time.monotonic()
    await pause(0.05)
    assert time.monotonic() - before >= 0.04


async def test_a_cancellation_that_was_swallowed_ends_the_loop_all_the_same() -> None:
    rounds = 0

    async def deaf() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            with contextlib.suppress(asyncio.CancelledError):  # as some clients do
                await asyncio.sleep(5)
            await pause(0)

    task = asyncio.get_running_loop().create_task(deaf())
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=2)
    assert done
    assert task.cancelled()
    assert rounds == 1


async def test_a_cancellation_in_the_pause_is_at_once() -> None:
    task = asyncio.get_running_loop().create_task(pause(60))
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=2)
    assert done
    assert task.cancelled()
