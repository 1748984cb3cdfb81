"""Sockets for the workers: even, patient, and honest about a port that is taken."""

import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from gateway.local.listening import Port, PortError, free_port, url

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the workers share one socket")


@contextmanager
def workers(count: int, port: int = 0) -> Generator[tuple[Port, list[socket.socket]]]:
    """A port and the sockets of its workers, none of which listens yet unless it is the one that all share."""
    held = Port("127.0.0.1", port, count, "PORT")
    sockets = [held.for_worker() for _ in range(count)]
    try:
        yield held, sockets
    finally:
        held.close()
        for opened in sockets:
            opened.close()


def dial(port: Port, count: int = 1) -> list[socket.socket]:
    return [socket.create_connection(("127.0.0.1", port.number), timeout=5) for _ in range(count)]


def accepted(opened: socket.socket) -> int:
    """How many connections waited in it."""
    opened.setblocking(False)
    count = 0
    while True:
        try:
            opened.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def close(sockets: list[socket.socket]) -> None:
    for opened in sockets:
        opened.close()


@pytest.mark.parametrize("count", [1, 3])
def test_every_worker_has_a_socket_on_the_same_port(count: int):
    with workers(count) as (port, sockets):
        assert {opened.getsockname()[1] for opened in sockets} == {port.number}


def test_a_connection_waits_for_the_one_worker_that_is_not_there_yet():
    with workers(1) as (port, (worker,)):
        worker.close()
        with socket.create_connection(("127.0.0.1", port.number), timeout=5) as client, port.for_worker() as again:
            client.sendall(b"early")
            served, _ = again.accept()
            assert served.recv(10) == b"early"
            served.close()


@linux
def test_connections_are_spread_over_the_workers():
    with workers(2) as (port, sockets):
        for opened in sockets:
            opened.listen(64)
        clients = dial(port, 64)
        counts = [accepted(opened) for opened in sockets]
        assert sum(counts) == 64
        assert min(counts) >= 10
        close(clients)


@linux
def test_no_connection_waits_for_a_worker_that_ended_or_has_not_begun():
    with workers(3) as (port, (ended, serving, starting)):
        ended.listen(64)
        serving.listen(64)
        ended.close()
        clients = dial(port, 64)
        assert accepted(serving) == 64
        with port.for_worker() as again:
            again.listen(64)
            clients += dial(port, 64)
            assert accepted(again) >= 10
        starting.listen(64)
        close(clients)


@pytest.mark.parametrize("count", [1, 2])
def test_after_the_last_worker_nothing_listens(count: int):
    with workers(count) as (port, sockets):
        for opened in sockets:
            opened.listen(64)
        port.close()
        close(dial(port))
        close(sockets)
        with pytest.raises(ConnectionRefusedError):
            dial(port)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("listening", [True, False])
def test_a_taken_port_is_one_line_that_names_the_setting(count: int, listening: bool):
    """Whether its workers serve already, or start."""
    with workers(count) as (taken, sockets):
        for opened in sockets if listening else ():
            opened.listen(64)
        expected = rf"^POOLGATE_GATEWAY_PORT: cannot listen on 127.0.0.1:{taken.number}: Address"
        for again in (1, 2):
            with pytest.raises(PortError, match=expected):
                Port("127.0.0.1", taken.number, again, "POOLGATE_GATEWAY_PORT")
        with pytest.raises(PortError, match=expected):
            free_port("127.0.0.1", taken.number, "POOLGATE_GATEWAY_PORT")


@pytest.mark.parametrize("count", [1, 2])
def test_a_port_is_free_again_at_once(count: int):
    """Though the connections of those before are still being forgotten by the kernel."""
    with workers(count) as (port, sockets):
        for opened in sockets:
            opened.listen(64)
        (client,) = dial(port)
        for opened in sockets:
            accepted(opened)  # closed by the server: its side waits
        client.close()
    for again in (1, 2):
        with workers(again, port.number):
            pass


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_that_is_not_ours_is_no_fault_of_the_port(host: str):
    for count in (1, 2):
        with pytest.raises(PortError, match=r"^POOLGATE_HOST: cannot listen on"):
            Port(host, 0, count, "POOLGATE_GATEWAY_PORT")


def test_a_free_port_can_be_listened_on():
    port = free_port("127.0.0.1", 0, "PORT")
    assert free_port("127.0.0.1", port, "PORT") == port


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:1"),
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("::", "http://[::1]:1"),
        ("gateway.example", "http://gateway.example:1"),
    ],
)
def test_where_a_client_finds_it(host: str, expected: str):
    assert url(host, 1) == expected
