"""Processes that are measured or that measure: started on one core, their processor time and memory, stopped by their
own handle. Linux only: the figures are read from /proc."""

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import IO

_TICK = os.sysconf("SC_CLK_TCK")
_PATIENCE = 20.0


def many_files() -> None:
    """Let this process have as many connections as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def two_cores() -> tuple[int, int]:
    """The core of the gateways, and the core of all else (the same one where there is no other)."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


def pin(pid: int, core: int) -> None:
    """Move a process with all its threads."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), {core})


def on_core(core: int, command: Sequence[str]) -> list[str]:
    """A command that runs `command` on one core, and not longer than this process lives, however that ends.

    It sets both for itself before it becomes the command, so that what that starts stays on the core too.
    """
    # 1 is PR_SET_PDEATHSIG, see prctl(2); 15 is SIGTERM.
    become = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); "
    become += "os.sched_setaffinity(0, {int(sys.argv[1])}); os.execvp(sys.argv[2], sys.argv[2:])"
    return [sys.executable, "-c", become, str(core), *command]


@contextlib.contextmanager
def running(
    command: Sequence[str], *, core: int, log: IO[bytes] | None = None, environ: Mapping[str, str] | None = None
) -> Generator[subprocess.Popen[bytes]]:
    """Runs a command on a core; on the way out it gets SIGTERM, and SIGKILL after 20 seconds."""
    process = subprocess.Popen(
        on_core(core, command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        env=None if environ is None else dict(environ),
        # Ctrl-C comes to this process alone, which then ends the others in order.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all its threads, in seconds; exact to 1/100 s."""
    # The name in parentheses may hold anything; the fields are counted from behind it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def busy_seconds() -> float:
    """Time that all cores together have worked since the machine was started."""
    user, nice, system, _, _, irq, softirq, steal, *_ = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(map(int, (user, nice, system, irq, softirq, steal))) / _TICK


def own_seconds() -> float:
    """Time that this process has worked, and all it started that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def children(pid: int) -> dict[int, str]:
    """The processes that `pid` has started and their command lines."""
    found: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid:
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ").strip()
    return found
