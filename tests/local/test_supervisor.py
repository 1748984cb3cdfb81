"""Restart with back-off, and an end that is in order, bounded, or at once."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.local import supervisor
from gateway.local.listening import Port
from gateway.local.supervisor import Program, Supervisor, stopping
from tests.local.waiting import wait_for

ENVIRON = {"PATH": "/usr/bin:/bin"}
TRAP = "trap 'echo asked; sleep 0.2; exit 0' TERM; echo up; while :; do sleep 0.05; done"
DEAF = "trap '' TERM; echo up; while :; do sleep 0.05; done"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Fake:
    """Something supervised whose life the test decides."""

    title = "fake"

    def __init__(self, *, broken: bool = False) -> None:
        self.alive = True
        self.starts = 0
        self.broken = broken

    def start(self) -> None:
        self.starts += 1
        if self.broken:
            raise OSError("no such file")
        self.alive = True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(supervisor.time, "monotonic", clock.monotonic)
    yield clock
    monkeypatch.undo()


def delays(watching: Supervisor, fake: Fake, clock: Clock, rounds: int) -> list[float]:
    """Let it end at once after each start; the seconds until the next start."""
    found: list[float] = []
    for _ in range(rounds):
        fake.alive = False
        began, starts = clock.now, fake.starts
        while fake.starts == starts:
            watching.look()
            clock.now += 0.1
        found.append(clock.now - began)
    return found


def test_the_wait_before_a_restart_doubles_up_to_half_a_minute(clock: Clock):
    fake = Fake()
    watching = Supervisor([fake], lambda line: None)
    assert delays(watching, fake, clock, 10) == pytest.approx(
        [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30], abs=0.21
    )


def test_a_program_that_ran_for_a_minute_is_restarted_quickly_again(clock: Clock):
    fake = Fake()
    watching = Supervisor([fake], lambda line: None)
    delays(watching, fake, clock, 6)
    clock.now += 61
    assert delays(watching, fake, clock, 2) == pytest.approx([0.2, 0.4], abs=0.21)


def test_a_program_that_cannot_be_started_is_tried_again_and_the_others_go_on(clock: Clock):
    said: list[str] = []
    broken, other = Fake(broken=True), Fake()
    watching = Supervisor([broken, other], said.append)
    delays(watching, broken, clock, 3)
    assert delays(watching, other, clock, 1) == pytest.approx([0.2], abs=0.21)
    assert "fake cannot be started: no such file" in said
    assert "fake has ended; starting it again in 0.2 s" in said


def test_a_real_program_is_started_again(tmp_path: Path):
    program = Program("sleeper", ["/bin/sleep", "60"], ENVIRON, tmp_path / "log")
    with stopping([program], 1):
        program.start()
        watching = Supervisor([program], lambda line: None)
        watching.look()
        first = program.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: watching.look() is None and program.alive and program.pid != first)
    assert not program.alive


#: A gateway in miniature: it serves one connection after the other on the socket that it inherits.
SERVER = """
import os, socket
opened = socket.socket(fileno=int(os.environ["POOLGATE_GATEWAY_FD"]))
opened.listen()
while True:
    accepted, _ = opened.accept()
    accepted.sendall(b"%d" % os.getpid())
    accepted.close()
"""


def served(port: Port) -> bytes:
    with socket.create_connection(("127.0.0.1", port.number), timeout=5) as client:
        return client.recv(10)


def refused(port: Port) -> bool:
    try:
        served(port)
    except ConnectionError:
        return True
    return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the workers share one socket")
def test_no_connection_waits_for_a_program_that_has_ended(tmp_path: Path):
    port = Port("127.0.0.1", 0, 2, "PORT")
    command = [sys.executable, "-c", SERVER]
    programs = [Program(f"server {n}", command, ENVIRON, tmp_path / f"{n}", port=port) for n in range(2)]
    with stopping(programs, 1):
        for program in programs:
            program.start()
        pids = {b"%d" % (program.pid or 0) for program in programs}
        found: set[bytes] = set()
        wait_for(lambda: not refused(port) and found.add(served(port)) is None and found == pids)
        programs[0].send(signal.SIGKILL)
        programs[0].ended_by(time.monotonic() + 5)
        assert {served(port) for _ in range(20)} == {b"%d" % (programs[1].pid or 0)}
        programs[0].start()
        wait_for(lambda: served(port) == b"%d" % (programs[0].pid or 0))
        port.close()
    assert refused(port)


def test_all_are_asked_at_once_and_awaited(tmp_path: Path):
    programs = [Program(f"p{n}", ["/bin/sh", "-c", TRAP], ENVIRON, tmp_path / f"{n}") for n in range(5)]
    began = time.monotonic()
    with stopping(programs, 10):
        for program in programs:
            program.start()
        for program in programs:
            wait_for(lambda program=program: program.last_words == "up")
        began = time.monotonic()
    assert 0.15 < time.monotonic() - began < 0.9, "one after the other would take a second"
    assert {program.last_words for program in programs} == {"asked"}


def test_who_does_not_obey_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(supervisor, "_MARGIN", 0.2)
    deaf = Program("deaf", ["/bin/sh", "-c", DEAF], ENVIRON, tmp_path / "log")
    with stopping([deaf], 0.1):
        deaf.start()
        wait_for(lambda: deaf.last_words == "up")
    assert not deaf.alive


def test_an_error_stops_the_programs_too(tmp_path: Path):
    program = Program("sleeper", ["/bin/sleep", "60"], ENVIRON, tmp_path / "log")
    with pytest.raises(ValueError, match="half-way"), stopping([program], 1):
        program.start()
        raise ValueError("half-way")
    assert not program.alive


def test_programs_that_never_started_are_no_trouble(tmp_path: Path):
    with stopping([Program("never", ["/bin/false"], ENVIRON, tmp_path / "log")], 1):
        pass


#: A miniature of `up`: the order of the end is what it prints.
MINIATURE = """
import os, signal, sys
from pathlib import Path
from gateway.local.supervisor import Program, Supervisor, interruptible, stopping

program = Program("child", ["/bin/sh", "-c", sys.argv[2]], {"PATH": "/usr/bin:/bin"}, Path(sys.argv[1]))

def at_once():
    print("at once", flush=True)
    program.send(signal.SIGKILL)
    os._exit(130)

with interruptible(at_once):
    try:
        with stopping([program], 20):
            program.start()
            print("ready", flush=True)
            Supervisor([program], print).run()
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_in_order(tmp_path: Path, number: signal.Signals):
    output, code, _ = miniature(tmp_path, TRAP, [number])
    assert (output, code) == (["ready", "stopped"], 0)
    assert (tmp_path / "log").read_text().split() == ["up", "asked"]


def test_a_second_signal_ends_at_once(tmp_path: Path):
    output, code, seconds = miniature(tmp_path, DEAF, [signal.SIGINT, signal.SIGTERM])
    assert (output, code) == (["ready", "at once"], 130)
    assert seconds < 5


def miniature(folder: Path, child: str, numbers: list[signal.Signals]) -> tuple[list[str], int, float]:
    parent = subprocess.Popen(
        [sys.executable, "-c", MINIATURE, str(folder / "log"), child], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    ready = parent.stdout.readline()
    wait_for(lambda: (folder / "log").exists() and (folder / "log").read_text() == "up\n")
    began = time.monotonic()
    for number in numbers:
        parent.send_signal(number)
        time.sleep(0.3)
    output, _ = parent.communicate(timeout=20)
    return [ready.strip(), *output.splitlines()], parent.returncode, time.monotonic() - began
