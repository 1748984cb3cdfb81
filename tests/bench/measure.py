"""One round over all targets, phase by phase, so that what is compared was measured within seconds."""

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tests.bench.process import cpu_seconds, resident_bytes, running
from tests.bench.target import Target

CONNECTIONS = 16
STREAMS = 100
EVENTS = 100
GAP = 20.0
HELD = 500
SLOW = 2000
_SPARE = 20.0


class Scale(Struct, frozen=True):
    """How much is measured; seconds of each phase."""

    rounds: int
    busy: float
    lone: float
    held: float
    slow: float
    slow_of_nginx: bool
    limit: float
    """No phase begins after so many seconds."""


FULL = Scale(rounds=3, busy=3.0, lone=2.0, held=4.0, slow=8.0, slow_of_nginx=True, limit=200)
QUICK = Scale(rounds=1, busy=1.5, lone=1.0, held=3.0, slow=4.0, slow_of_nginx=False, limit=50)


class Sample(Struct, frozen=True):
    """One phase of one target. Times of the load's figures are microseconds."""

    round: int
    target: str
    phase: str
    load: dict[str, Any]
    cpu: float = 0.0
    """Seconds of user and system time of the gateway's workers."""
    background_cpu: float = 0.0
    """The same of the processes beside, until they were quiet again."""
    wall: float = 0.0
    memory: int = 0
    """Growth of resident memory in bytes, while the streams were held."""


class TooSlow(Exception):
    """The run has not ended in its time."""


class LoadFailed(Exception):
    """The load client did not do its work."""


class Bench:
    """Measures targets with one load client at a time."""

    def __init__(self, scale: Scale, core: int, say: Callable[[str], None]) -> None:
        self._scale = scale
        self._core = core
        self._say = say
        self._started = time.monotonic()

    def warm(self, target: Target) -> Sample:
        """Connections, caches and prepared statements are there before anything counts."""
        return self._phase(0, target, "warm", ["--seconds", "1", "--connections", str(CONNECTIONS)])

    def round(self, number: int, targets: list[Target]) -> Iterator[Sample]:
        scale = self._scale
        if number == 1:
            # Only now: later, memory of earlier streams lies ready to be used again.
            for target in targets:
                if target.workers:
                    yield self._held(number, target)
        for target in targets:
            yield self._phase(number, target, "busy", self._closed(CONNECTIONS, scale.busy))
            if target.limited:
                limited = replace(target, headers=target.limited)
                yield self._phase(number, limited, "limited", self._closed(CONNECTIONS, scale.busy))
        for target in targets:
            yield self._phase(number, target, "lone", self._closed(1, scale.lone))
        streams = ["--stream", "--events", str(EVENTS), "--gap", str(GAP), "--ramp", "0.5", "--seconds", "1"]
        for target in targets:
            yield self._phase(number, target, "streams", [*streams, "--connections", str(STREAMS)])
        if number == 1:
            for target in targets:
                if target.workers and (scale.slow_of_nginx or target.background):
                    yield self._phase(number, target, "slow", self._slow())

    def _closed(self, connections: int, seconds: float) -> list[str]:
        return ["--connections", str(connections), "--seconds", str(seconds)]

    def _slow(self) -> list[str]:
        ramp = min(2.0, self._scale.slow / 3)
        common = ["--stream", "--hold", "--events", "100000", "--gap", "1000", "--ramp", str(ramp)]
        return [*common, "--connections", str(SLOW), "--seconds", str(self._scale.slow)]

    def _phase(self, number: int, target: Target, phase: str, options: list[str]) -> Sample:
        self._check_time()
        cpu, background, start = self._used(target.workers), self._used(target.background), time.monotonic()
        with self._load(target, options) as process:
            output, _ = process.communicate(timeout=self._patience(options))
        wall, cpu = time.monotonic() - start, self._used(target.workers) - cpu
        self._settle(target)
        load = _last(output, process.returncode)
        background = self._used(target.background) - background
        return self._told(Sample(number, target.name, phase, load, cpu, background, wall))

    def _held(self, number: int, target: Target) -> Sample:
        """Streams that say nothing after their first event: what a connection costs while it waits."""
        self._check_time()
        options = ["--stream", "--hold", "--events", "3", "--gap", "60000", "--ramp", "0.5"]
        options += ["--connections", str(HELD), "--seconds", str(self._scale.held)]
        before = self._memory(target)
        with self._load(target, options) as process:
            assert process.stdout is not None
            # Either all are open, or it ends without; then its figures say how many were.
            readable, _, _ = select.select([process.stdout], [], [], self._patience(options))
            first = process.stdout.readline() if readable else b""
            time.sleep(0.5)
            memory = self._memory(target) - before
            output, _ = process.communicate(timeout=self._patience(options))
        self._settle(target)
        load = _last(first + output, process.returncode)
        return self._told(Sample(number, target.name, "held", load, memory=memory))

    def _load(self, target: Target, options: list[str]) -> AbstractContextManager[subprocess.Popen[bytes]]:
        headers = [argument for header in target.headers for argument in ("--header", header)]
        command = [sys.executable, "-m", "tests.bench.load", "--port", str(target.port), *headers, *options]
        return running(command, core=self._core)

    def _patience(self, options: list[str]) -> float:
        return float(options[options.index("--seconds") + 1]) + _SPARE

    def _used(self, pids: tuple[int, ...]) -> float:
        return sum(map(cpu_seconds, pids))

    def _memory(self, target: Target) -> int:
        return sum(map(resident_bytes, target.workers))

    def _settle(self, target: Target) -> None:
        """Wait until the processes beside are quiet: they share the core of the load client and the upstream."""
        deadline = time.monotonic() + 5
        used = self._used(target.background)
        while target.background and time.monotonic() < deadline:
            time.sleep(0.4)
            now = self._used(target.background)
            if now - used <= 0.02:
                return
            used = now

    def _check_time(self) -> None:
        if time.monotonic() - self._started > self._scale.limit:
            raise TooSlow(f"not done after {self._scale.limit:g} s")

    def _told(self, sample: Sample) -> Sample:
        load = sample.load
        self._say(
            f"round {sample.round}  {sample.target:<9} {sample.phase:<8} {load['requests']:>7} requests "
            f"{load['chunks']:>7} chunks  {load['errors']} errors {load['error_statuses'] or ''}".rstrip()
        )
        return sample


def _last(output: bytes, code: int) -> dict[str, Any]:
    lines = output.decode().strip().splitlines()
    if code != 0 or not lines:
        raise LoadFailed(f"the load client ended with {code}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found
