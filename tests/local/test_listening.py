"""Sockets for the workers: even, patient, and honest about a port that is taken."""

import socket
import sys
from collections import Counter

import pytest

from gateway.local.listening import PortError, free_port, listen, port_of, url


@pytest.mark.parametrize("count", [1, 3])
def test_every_worker_has_a_socket_on_the_same_port(count: int):
    sockets = listen("127.0.0.1", 0, count, "PORT")
    assert len({port_of(opened) for opened in sockets}) == 1
    assert len(sockets) == count
    close(sockets)


def test_a_connection_waits_for_a_worker_that_is_not_there_yet():
    sockets = listen("127.0.0.1", 0, 1, "PORT")
    with socket.create_connection(("127.0.0.1", port_of(sockets[0])), timeout=5) as client:
        client.sendall(b"early")
        accepted, _ = sockets[0].accept()
        assert accepted.recv(10) == b"early"
        accepted.close()
    close(sockets)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the workers share one socket")
def test_connections_are_spread_over_the_workers():
    sockets = listen("127.0.0.1", 0, 2, "PORT")
    clients = [socket.create_connection(("127.0.0.1", port_of(sockets[0])), timeout=5) for _ in range(64)]
    counts: Counter[int] = Counter()
    for number, opened in enumerate(sockets):
        opened.setblocking(False)
        while True:
            try:
                accepted, _ = opened.accept()
            except BlockingIOError:
                break
            accepted.close()
            counts[number] += 1
    assert sum(counts.values()) == 64
    assert min(counts.values()) >= 10
    close([*sockets, *clients])


@pytest.mark.parametrize("count", [1, 2])
def test_a_taken_port_is_one_line_that_names_the_setting(count: int):
    taken = listen("127.0.0.1", 0, count, "PORT")
    port = port_of(taken[0])
    expected = rf"^POOLGATE_GATEWAY_PORT: cannot listen on 127.0.0.1:{port}: Address"
    with pytest.raises(PortError, match=expected):
        listen("127.0.0.1", port, 2, "POOLGATE_GATEWAY_PORT")
    with pytest.raises(PortError, match=expected):
        free_port("127.0.0.1", port, "POOLGATE_GATEWAY_PORT")
    close(taken)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_that_is_not_ours_is_one_line(host: str):
    with pytest.raises(PortError, match="cannot listen on"):
        listen(host, 0, 1, "POOLGATE_HOST")


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


def close(sockets: list[socket.socket]) -> None:
    for opened in sockets:
        opened.close()
