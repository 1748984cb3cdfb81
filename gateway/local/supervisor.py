"""Keeps programs running until it is told to stop.

One thread and no event loop: a program is tied to the thread that starts it (see process.spawn), and looking at ten
processes twenty times a second costs nothing. Whoever starts programs holds them in a `with`, so that every way out
stops them.
"""

import signal
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol

from msgspec import Struct

from gateway.local.listening import Port
from gateway.local.process import last_words, spawn

_POLL = 0.05
_FIRST_DELAY = 0.2
_LONGEST_DELAY = 30.0
#: A program that has run for so long is not in a crash loop: its next restart is quick again.
_SETTLED = 60.0
#: Seconds between SIGTERM and SIGKILL, beyond what the program itself may take.
_MARGIN = 5.0


class Supervised(Protocol):
    title: str

    @property
    def alive(self) -> bool: ...
    def start(self) -> None: ...


class Program:
    """One process of ours and what starts it again the same way. With a port, each start inherits a socket of it."""

    def __init__(
        self,
        title: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        log: Path,
        *,
        port: Port | None = None,
    ) -> None:
        self.title = title
        self.log = log
        self._command = command
        self._environ = environ
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def last_words(self) -> str:
        return last_words(self.log)

    def start(self) -> None:
        if self._port is None:
            self._process = spawn(self._command, environ=self._environ, log=self.log)
            return
        with self._port.for_worker() as opened:
            environ = {**self._environ, "POOLGATE_GATEWAY_FD": str(opened.fileno())}
            self._process = spawn(self._command, environ=environ, log=self.log, keep=(opened.fileno(),))

    def send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def ended_by(self, deadline: float) -> bool:
        """Wait until the process has ended, or `deadline` (of time.monotonic) has passed."""
        try:
            if self._process is not None:
                self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True


@contextmanager
def stopping(programs: Sequence[Program], patience: float) -> Generator[None]:
    """On the way out, stop the programs, all at the same time: SIGTERM, `patience` seconds, SIGKILL."""
    try:
        yield
    finally:
        for program in programs:
            program.send(signal.SIGTERM)
        deadline = time.monotonic() + patience + _MARGIN
        for program in programs:
            if not program.ended_by(deadline):
                program.send(signal.SIGKILL)
                program.ended_by(time.monotonic() + _MARGIN)


@contextmanager
def interruptible(at_once: Callable[[], None]) -> Generator[None]:
    """SIGINT, SIGTERM and SIGHUP leave the `with` by KeyboardInterrupt, so that everything is unwound in order; a
    second one calls `at_once`, which must not return to waiting."""

    def first(number: int, frame: FrameType | None) -> None:
        for other in previous:
            signal.signal(other, second)
        raise KeyboardInterrupt

    def second(number: int, frame: FrameType | None) -> None:
        at_once()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, first)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Watch(Struct):
    """What is known of one program; times are of time.monotonic."""

    started: float
    failures: int = 0
    restart_at: float | None = None


class Supervisor:
    """Starts again what has ended: after 0.2 s, then twice as long each time, at most 30 s."""

    def __init__(self, watched: Sequence[Supervised], say: Callable[[str], None]) -> None:
        now = time.monotonic()
        self._watched = {program: _Watch(started=now) for program in watched}
        self._say = say

    def run(self) -> None:
        """Never returns: an exception (KeyboardInterrupt by a signal) ends it."""
        while True:
            self.look()
            time.sleep(_POLL)

    def look(self) -> None:
        """One round over all programs."""
        for program, watch in self._watched.items():
            now = time.monotonic()
            if watch.restart_at is not None:
                if now >= watch.restart_at:
                    self._start(program, watch)
            elif not program.alive:
                self._schedule(program, watch, now)

    def _schedule(self, program: Supervised, watch: _Watch, now: float) -> None:
        watch.failures = 0 if now - watch.started > _SETTLED else watch.failures
        delay = min(_FIRST_DELAY * 2**watch.failures, _LONGEST_DELAY)
        watch.failures += 1
        watch.restart_at = now + delay
        self._say(f"{program.title} has ended; starting it again in {delay:g} s")

    def _start(self, program: Supervised, watch: _Watch) -> None:
        watch.restart_at = None
        watch.started = time.monotonic()
        try:
            program.start()
        except Exception as error:
            # It is not running, so the next round schedules it again; the others must be kept running meanwhile.
            self._say(f"{program.title} cannot be started: {error}")
