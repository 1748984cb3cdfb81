"""The life of an embedded server: one lock, one process, one socket.

Nothing here trusts a process id, which may have been given to another program, or belong to a dead one that nobody
has collected. A lock file beside the data says who is alive: the server inherits the locked descriptor, so the lock is
free exactly when no process of that server is left. Free means: clear what a killed server left behind, and start.
Held means: another `poolgate` started it; wait until it answers and use it, but leave its end to its owner.
"""

import fcntl
import hashlib
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from msgspec import Struct

from gateway.local.privilege import Account, private_directory
from gateway.local.process import last_words, spawn

#: Seconds; a first start takes under one, a long crash recovery is why this is not shorter.
START_DEADLINE = 120.0
STOP_DEADLINE = 20.0
_POLL = 0.02
#: A socket's path must fit in 107 bytes on Linux, 103 on macOS.
_LONGEST_SOCKET = 100

#: A server's whole environment: nothing of ours (PGHOST, PGDATA, LD_PRELOAD …) may change how it runs.
ENVIRON = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PATH": "/usr/bin:/bin"}


class ServerError(Exception):
    """An embedded server cannot be had; the message is one line that says what to do."""


class Build(Struct, frozen=True):
    """One set of a server's programs. Data directories are not interchangeable between majors, hence the name."""

    programs: Path
    product: str
    major: int

    @property
    def name(self) -> str:
        return f"{self.product}-{self.major}"


def program_version(program: Path) -> str:
    """What `program --version` says, e.g. `postgres (PostgreSQL) 18.6`; empty if it cannot run."""
    try:
        done = subprocess.run(
            [program, "--version"], check=True, capture_output=True, text=True, timeout=20, env=ENVIRON, cwd="/"
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def choose_build(builds: Iterable[Build], state: Path, products: Sequence[str], setting: str) -> Build:
    """The first build whose data is there already; else, on a new installation, the first one of all.

    Raises ServerError if there is none, or if the data belongs to a major that is no longer installed: starting
    empty beside it would look like losing everything.
    """
    found = list(builds)
    if not found:
        raise ServerError(f"no {products[0]} server is installed: pip install 'poolgate[local]', or set {setting}")
    existing = sorted(path.name for product in products for path in state.glob(f"{product}-*") if path.is_dir())
    for build in found:
        if not existing or build.name in existing:
            return build
    have = ", ".join(build.name for build in found)
    raise ServerError(f"the data in {state} is of {existing[-1]}, but here is only {have}: install it or set {setting}")


class Server(ABC):
    """One server in `state/<product>-<major>`; use it as a context manager, or call start and stop.

    `durable=False` trades safety after a power cut for speed: for tests. Call start from the main thread (see spawn).
    """

    title: str
    socket_name: ClassVar[str]
    #: Sent one after the other, each with STOP_DEADLINE to obey, before SIGKILL.
    stop_signals: ClassVar[tuple[signal.Signals, ...]]

    def __init__(self, build: Build, state: Path, logs: Path, *, account: Account | None, durable: bool) -> None:
        self.build = build
        self.account = account
        self.durable = durable
        self.directory = state / build.name
        self.data = self.directory / "data"
        self.log = logs / f"{self.title.lower()}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._run = self.directory / "run"
        if len(os.fsencode(self._run / self.socket_name)) > _LONGEST_SOCKET:
            digest = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
            self._run = Path("/tmp") / f"poolgate-{digest}"  # noqa: S108 - private_directory checks whose it is

    @property
    @abstractmethod
    def url(self) -> str:
        """As in POOLGATE_DATABASE_URL or POOLGATE_REDIS_URL."""

    @abstractmethod
    def answers(self) -> bool:
        """Would a client be served now?"""

    @abstractmethod
    def _command(self) -> list[str | Path]: ...

    @abstractmethod
    def _prepare(self, lock: int) -> None:
        """With the lock held: make the data directory if there is none, and clear what a killed server left."""

    @property
    def socket(self) -> Path:
        return self._run / self.socket_name

    @property
    def pid(self) -> int | None:
        """None when the server is not running or was started by another process."""
        return None if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        lock = self._take_lock()
        if lock is not None:
            os.close(lock)
        return lock is None

    def start(self) -> None:
        """Start the server, or find it running. Raises ServerError."""
        self._make_directories()
        deadline = time.monotonic() + START_DEADLINE
        while (lock := self._take_lock()) is None:
            if self.answers():
                return
            if time.monotonic() > deadline:
                raise ServerError(f"{self.title} in {self.directory} is held by a process that does not answer")
            time.sleep(_POLL)
        try:
            private_directory(self._run, self.account)
            self._prepare(lock)
            self._process = self._spawn(self._command(), lock)
        except OSError as error:
            raise ServerError(f"{self.title} cannot be started: {error}") from error
        finally:
            os.close(lock)
        self._wait(deadline)

    def stop(self) -> None:
        """Stop the server if this object started it, losing nothing. Does nothing otherwise."""
        process, self._process = self._process, None
        if process is None:
            return
        for number in (*self.stop_signals, signal.SIGKILL):
            process.send_signal(number)
            try:
                process.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                continue
            return

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def _make_directories(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.directory.chmod(0o711)
            self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ServerError(f"{self.title} cannot be started: {error}") from error

    def _take_lock(self) -> int | None:
        descriptor = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def _spawn(self, command: list[str | Path], lock: int) -> subprocess.Popen[bytes]:
        return spawn(
            command,
            environ=ENVIRON,
            log=self.log,
            account=self.account,
            keep=(lock,),
            on_parent_death=self.stop_signals[0],
            directory=Path("/"),
        )

    def _wait(self, deadline: float) -> None:
        while not self.answers():
            if not self.alive:
                self._process = None
                raise ServerError(f"{self.title} stopped at once: {last_words(self.log)} (see {self.log})")
            if time.monotonic() > deadline:
                self.stop()
                raise ServerError(f"{self.title} does not answer after {START_DEADLINE:.0f} s (see {self.log})")
            time.sleep(_POLL)
