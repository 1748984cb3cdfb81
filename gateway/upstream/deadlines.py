"""Time limits of all running exchanges, by one coarse timer a process.

Setting or moving a limit is an assignment, not a timer: with thousands of streams, a `call_later` for each chunk
would cost more than the chunk. Limits are therefore late by up to one tick.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

TICK = 0.25
"""Seconds between two looks."""


class Timed(Protocol):
    due: float
    """When to look at it, in the loop's time. It may be too early (`overdue` then moves it on), never too late."""

    def overdue(self, now: float) -> bool: ...

    def expire(self) -> None: ...


class Deadlines:
    """The set of exchanges under a limit. `start` and `stop` bound the timer's life; `also` is called every tick."""

    def __init__(self, also: Callable[[float], None]) -> None:
        self.active: set[Timed] = set()
        self._also = also
        self._handle: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._handle = loop.call_later(TICK, self._tick, loop)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        # First the next tick, so that an error in one exchange cannot end the timer for all.
        self.start(loop)
        now = loop.time()
        # A copy: to expire an exchange removes it.
        for exchange in [each for each in self.active if each.due <= now]:
            if exchange.overdue(now):
                exchange.expire()
        self._also(now)
