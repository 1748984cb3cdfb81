"""The sockets that the supervisor opens before anything starts: a taken port is one line then, not a crash loop."""

import socket
import sys
from collections.abc import Sequence

_BACKLOG = 2048


class PortError(Exception):
    """An address cannot be listened on; the message is one line that names the setting."""


def listen(host: str, port: int, count: int, setting: str) -> list[socket.socket]:
    """`count` listening sockets on one address, one for each worker process; port 0 takes a free one.

    They stay open here for as long as the supervisor lives. So a connection made while a worker restarts waits for it
    instead of being refused. On Linux each worker has a socket of its own (SO_REUSEPORT) and the kernel spreads new
    connections evenly over them; elsewhere they share one.
    """
    # Without SO_REUSEPORT, because with it a second installation would quietly take half of the connections.
    first = _bound(host, port, setting, share=False)
    if count == 1 or not sys.platform.startswith("linux"):
        first.listen(_BACKLOG)
        return [first] * count
    port = port_of(first)
    first.close()
    sockets = [_bound(host, port, setting, share=True) for _ in range(count)]
    for opened in sockets:
        opened.listen(_BACKLOG)
    return sockets


def free_port(host: str, port: int, setting: str) -> int:
    """`port` if it can be listened on, or a free one for 0; for a process that opens its own socket."""
    with _bound(host, port, setting, share=False) as opened:
        return port_of(opened)


def port_of(opened: socket.socket) -> int:
    return opened.getsockname()[1]


def url(host: str, port: int) -> str:
    """Where a client on this machine reaches it; every address is reached on loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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
        raise PortError(f"{setting}: cannot listen on {host}:{port}: {error.strerror or error}") from error
    return opened


def _resolve(host: str, port: int) -> Sequence[tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)  # pyright: ignore[reportReturnType]
