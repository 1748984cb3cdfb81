"""Deletes captured prompts and answers whose time is over, a few at a time."""

from gateway.core.db import Sessions
from gateway.core.pause import pause
from gateway.core.services import captures

EVERY = 60.0
BATCH = 500


async def keep(sessions: Sessions) -> None:
    """For ever."""
    while True:
        if await expire(sessions) < BATCH:
            await pause(EVERY)


async def expire(sessions: Sessions) -> int:
    """One batch. Returns its size."""
    async with sessions.begin() as session:
        return await captures.expire(session, BATCH)
