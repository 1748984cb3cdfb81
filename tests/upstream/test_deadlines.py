"""Time limits, by the coarse timer: late by up to a tick, never early, never at the client's expense."""

import asyncio
import time
from math import inf

import pytest

from gateway.upstream import TimedOut
from gateway.upstream.deadlines import Deadlines

from .scene import TICK, Collect, Handler, both_loops, read_request, scene

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
LATE = TICK + 0.25


def script(*steps: bytes | float) -> Handler:
    """Write bytes, wait seconds, in turn; then stay."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for step in steps:
            if isinstance(step, bytes):
                writer.write(step)
            else:
                await asyncio.sleep(step)
        await reader.read()

    return handle


STALLS: dict[str, tuple[tuple[bytes | float, ...], bool, dict[str, float], str, float]] = {
    # steps, stream, limits, phase, seconds at the least
    "no head": ((), True, {"first_event": 0.1, "stream_idle": 9}, "head", 0.1),
    "1xx is no head": (
        (b"HTTP/1.1 100 C\r\n\r\n", 0.05) * 40,
        True,
        {"first_event": 0.1, "stream_idle": 9},
        "head",
        0.1,
    ),
    "no first byte": ((HEAD,), True, {"first_event": 0.1, "stream_idle": 9}, "first_event", 0.1),
    "no first byte, idle": ((HEAD,), True, {"first_event": 0.3, "stream_idle": 0.01}, "first_event", 0.3),
    "idle": ((HEAD, b"1\r\na\r\n"), True, {"first_event": 0.05, "stream_idle": 0.1}, "idle", 0.1),
    "idle is the shorter": ((HEAD, 0.12, b"1\r\na\r\n"), True, {"first_event": 9, "stream_idle": 0.1}, "idle", 0.22),
    "idle later": (
        (HEAD, *(b"1\r\na\r\n", 0.06) * 4),
        True,
        {"first_event": 0.05, "stream_idle": 0.2},
        "idle",
        0.38,
    ),
    "total, no head": ((), False, {"total": 0.1}, "total", 0.1),
    "total, however busy": ((HEAD, *(b"1\r\na\r\n", 0.02) * 100), False, {"total": 0.2}, "total", 0.2),
}  # fmt: skip


@pytest.mark.parametrize("name", STALLS)
@both_loops
async def test_stalls(name: str) -> None:
    steps, stream, limits, phase, least = STALLS[name]
    async with scene(script(*steps)) as it:
        sink = Collect()
        begun = time.monotonic()
        try:
            answer = await it.open(stream=stream, **limits)  # pyright: ignore[reportArgumentType]
            failure = await sink.outcome(answer)
        except TimedOut as raised:
            failure = raised
        took = time.monotonic() - begun
        assert isinstance(failure, TimedOut)
        assert (failure.phase, failure.sent) == (phase, True)
        assert least - 0.01 <= took <= least + LATE
        await asyncio.sleep(0.02)
        assert (it.upstream.connections, it.upstream.running) == (0, 0)


@both_loops
async def test_a_slow_stream_within_its_limits_ends_well() -> None:
    steps = (HEAD, *(b"1\r\na\r\n", 0.05) * 8, b"0\r\n\r\n")
    async with scene(script(*steps)) as it:
        sink = Collect()
        assert await sink.outcome(await it.open(first_event=0.2, stream_idle=0.2, total=0.1)) is None
        assert sink.body == b"a" * 8


@pytest.mark.parametrize("rest", [0.05, 0.38], ids=["sent while paused", "sent after"])
@both_loops
async def test_a_paused_client_is_not_an_idle_upstream(rest: float) -> None:
    async with scene(script(HEAD, b"1\r\na\r\n", rest, b"1\r\nb\r\n0\r\n\r\n")) as it:
        answer = await it.open(first_event=0.5, stream_idle=0.2)

        class Pausing(Collect):
            def data(self, chunk: bytes) -> None:
                super().data(chunk)
                if len(self.chunks) == 1:
                    answer.pause()

        sink = Pausing()
        answer.start(sink)
        await asyncio.sleep(0.2 + 2 * TICK)
        assert sink.endings == []
        answer.resume()
        await sink.over
        assert (sink.body, sink.endings) == (b"ab", [None])


@both_loops
async def test_pausing_moves_the_total_on() -> None:
    async with scene(script(HEAD, b"1\r\na\r\n")) as it:
        answer = await it.open(stream=False, total=0.15)
        sink = Collect()
        answer.start(sink)
        answer.pause()
        await asyncio.sleep(0.15 + 2 * TICK)
        assert sink.endings == []
        begun = time.monotonic()
        answer.resume()
        await sink.over
        assert 0.1 <= time.monotonic() - begun <= 0.15 + LATE
        (ending,) = sink.endings
        assert isinstance(ending, TimedOut)
        assert ending.phase == "total"


@both_loops
async def test_rearm_outlasts_the_first_byte() -> None:
    """Comments are bytes, but no event: the relay that waits for an event says so."""
    steps = (HEAD, 0.03, *(b"3\r\n:\n\n\r\n", 0.05) * 40)
    async with scene(script(*steps)) as it:
        answer = await it.open(first_event=9, stream_idle=9)
        answer.rearm(0.2)
        sink = Collect()
        failure = await sink.outcome(answer)
        assert isinstance(failure, TimedOut)
        assert failure.phase == "first_event"


@both_loops
async def test_rearm_with_none_leaves_the_idle_limit() -> None:
    async with scene(script(HEAD, b"1\r\na\r\n", 0.15, b"1\r\na\r\n")) as it:
        answer = await it.open(first_event=0.1, stream_idle=0.25)
        answer.rearm(0.1)
        answer.rearm(None)
        sink = Collect()
        begun = time.monotonic()
        failure = await sink.outcome(answer)
        assert isinstance(failure, TimedOut)
        assert failure.phase == "idle"
        assert time.monotonic() - begun >= 0.39
        assert sink.body == b"aa"


class Exchange:
    def __init__(self, due: float, *, late: bool = True) -> None:
        self.due = due
        self.late = late
        self.looked = 0
        self.expired = 0

    def overdue(self, now: float) -> bool:
        assert now >= self.due
        self.looked += 1
        if not self.late:
            self.due = inf
        return self.late

    def expire(self) -> None:
        self.expired += 1
        self.due = inf


@both_loops
async def test_the_timer_looks_only_at_what_is_due_and_survives_errors() -> None:
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("gateway.upstream.deadlines.TICK", TICK)
    ticks: list[float] = []
    reported: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    deadlines = Deadlines(ticks.append)
    due, later, moved = Exchange(0.0), Exchange(inf), Exchange(0.0, late=False)
    deadlines.active |= {due, later, moved}
    deadlines.start(loop)
    await asyncio.sleep(TICK * 1.5)
    assert [(each.looked, each.expired) for each in (due, later, moved)] == [(1, 1), (0, 0), (1, 0)]
    assert len(ticks) == 1

    class Broken(Exchange):
        def expire(self) -> None:
            deadlines.active.discard(self)
            raise ZeroDivisionError

    deadlines.active.add(Broken(0.0))
    await asyncio.sleep(TICK * 2)
    assert len(reported) == 1
    assert len(ticks) == 2
    deadlines.stop()
    await asyncio.sleep(TICK * 1.5)
    assert len(ticks) == 2
    monkeypatch.undo()
