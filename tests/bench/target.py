"""What is measured: a port, the processes whose time counts, and the headers a request needs."""

import socket

from msgspec import Struct


class Target(Struct, frozen=True):
    name: str
    port: int
    workers: tuple[int, ...] = ()
    """The processes of the gateway that handle requests; none for the upstream itself."""
    headers: tuple[str, ...] = ()
    limited: tuple[str, ...] = ()
    """The headers of a key that has more limits, where there is one."""
    background: tuple[int, ...] = ()
    """The processes that write what was used; their time is shown beside."""


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port
