"""The sleep of background loops: the place where a loop that was told to end ends."""

import asyncio


async def pause(seconds: float) -> None:
    """Sleeps. Raises CancelledError at once when the task was cancelled before and something on its way swallowed that:
    clients do (redis-py, asyncio.wait_for up to Python 3.11), and a loop would then go on for ever, its owner waiting.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    await asyncio.sleep(seconds)
