"""Starting a program that never outlives its parent."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gateway.local.privilege import Account

#: prctl(2): the signal that this process gets when the thread that forked it ends.
_PR_SET_PDEATHSIG = 1
_LOG_LIMIT = 8 << 20


def spawn(
    command: Sequence[str | Path],
    *,
    environ: Mapping[str, str],
    log: Path | None = None,
    account: Account | None = None,
    keep: Sequence[int] = (),
    on_parent_death: signal.Signals = signal.SIGTERM,
    directory: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, so that a Ctrl-C of the terminal reaches only its parent.

    On Linux the program gets `on_parent_death` when this process ends, however it ends. The kernel ties that to the
    *thread* that forks: call this from the main thread. `keep` are descriptors that the program inherits; output goes
    to the end of `log`, or where this process writes. Raises OSError when the program cannot be started.
    """
    output = None if log is None else _open_log(log)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environ),
            cwd=directory,
            start_new_session=True,
            pass_fds=tuple(keep),
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else (),
            # It runs after the change of user, which would clear the death signal; it takes no lock and allocates
            # nothing that another thread could hold.
            preexec_fn=_tie_to_parent(on_parent_death),  # noqa: PLW1509
        )
    finally:
        if output is not None:
            os.close(output)


def last_words(log: Path) -> str:
    """The last line of a log, for the one line that says why a program ended."""
    lines = log.read_text(errors="replace").strip().splitlines()[-1:] if log.exists() else []
    return lines[0].strip() if lines else "it said nothing"


def _open_log(log: Path) -> int:
    """A log that has grown large is set aside when its program starts again; one older file is kept."""
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".old.log"))
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _tie_to_parent(number: signal.Signals) -> Callable[[], None] | None:
    """None where the kernel cannot do it (macOS): there a left-over server is found again by its lock."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died between the fork and the line above
            os._exit(1)

    return tie
