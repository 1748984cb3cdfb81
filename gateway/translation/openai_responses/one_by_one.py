"""Blocks that are open side by side, put one behind the other: this protocol's clients know one open item at a time."""

from collections.abc import Iterator

from gateway.translation.events import Begun, Closed, Ended, Event, Failed, Opened


class OneByOne:
    """What comes of blocks that were opened later waits until those before them are closed. Within a block nothing
    changes its place."""

    __slots__ = ("_current", "_waiting")

    def __init__(self) -> None:
        self._current: int | None = None
        self._waiting: dict[int, list[Event]] = {}

    def put(self, event: Event) -> Iterator[Event]:
        """What may be said now."""
        if isinstance(event, Begun | Ended | Failed):
            yield event
        elif self._current is None and isinstance(event, Opened):
            self._current = event.block
            yield event
        elif event.block != self._current:
            self._waiting.setdefault(event.block, []).append(event)
        else:
            yield event
            if isinstance(event, Closed):
                yield from self._next()

    def _next(self) -> Iterator[Event]:
        self._current = None
        while self._waiting:
            block = next(iter(self._waiting))
            events = self._waiting.pop(block)
            yield from events
            if not isinstance(events[-1], Closed):
                self._current = block
                return
