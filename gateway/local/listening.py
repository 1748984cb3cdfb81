"""The ports that the supervisor takes before anything starts: a taken port is one line then, not a crash loop."""

import errno
import socket
import sys
from collections.abc import Sequence

_BACKLOG = 2048
#: What the port alone can be blamed for: it is taken, or only root may have it.
_PORT_FAULTS = frozenset({errno.EADDRINUSE, errno.EACCES, errno.EPERM})


class PortError(Exception):
    """An address cannot be listened on; the message is one line that names the setting."""


class Port:
    """One address, held for the workers that listen on it from now until `close`; port 0 takes a free one.

    On Linux each of several workers listens on a socket of its own (SO_REUSEPORT): the kernel spreads new connections
    evenly over those that listen, and a worker that drains, dies or starts is none of them. One worker alone, and
    workers elsewhere, share one socket that listens here too: a connection made while they restart waits for them.
    Raises PortError.
    """

    def __init__(self, host: str, port: int, workers: int, setting: str) -> None:
        self._own = workers > 1 and sys.platform.startswith("linux")
        self._host = host
        self._setting = setting
        # Without SO_REUSEPORT, because with it a second installation would quietly take half of the connections.
        self._held = _listening(host, port, setting)
        self.number: int = self._held.getsockname()[1]
        if self._own:
            # What is held keeps the number, and never listens: a connection to it would wait for nobody.
            self._held.close()
            self._held = _bound(host, self.number, setting, share=True)
            self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)

    def for_worker(self) -> socket.socket:
        """What one start of a worker inherits, and listens on when it can serve. The caller closes its copy: a socket
        that stays open here would take connections after the worker's end. Raises PortError."""
        return _bound(self._host, self.number, self._setting, share=True) if self._own else self._held.dup()

    def close(self) -> None:
        """Before the workers are told to end: the last of them that closes its socket is then the end of it."""
        self._held.close()


def free_port(host: str, port: int, setting: str) -> int:
    """`port` if it can be listened on, or a free one for 0; for a process that opens its own socket."""
    with _listening(host, port, setting) as opened:
        return opened.getsockname()[1]


def url(host: str, port: int) -> str:
    """Where a client on this machine reaches it; every address is reached on loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listening(host: str, port: int, setting: str) -> socket.socket:
    """Alone on its address: sockets that are only bound may be two."""
    opened = _bound(host, port, setting, share=False)
    try:
        opened.listen(_BACKLOG)
    except OSError as error:
        opened.close()
        raise _refused(host, port, setting, error) from error
    return opened


def _bound(host: str, port: int, setting: str, *, share: bool) -> socket.socket:
    try:
        family, kind, _, _, address = _resolve(host, port)[0]
        opened = socket.socket(family, kind)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if share:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            opened.bind(address)
        except OSError:
            opened.close()
            raise
    except OSError as error:
        raise _refused(host, port, setting, error) from error
    return opened


def _refused(host: str, port: int, setting: str, error: OSError) -> PortError:
    """An address that is none, or not of this machine, is no fault of the port."""
    blamed = setting if error.errno in _PORT_FAULTS else "POOLGATE_HOST"
    return PortError(f"{blamed}: cannot listen on {host}:{port}: {error.strerror or error}")


def _resolve(host: str, port: int) -> Sequence[tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)  # pyright: ignore[reportReturnType]
