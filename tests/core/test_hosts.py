"""Hosts as they may be written."""

import re

import pytest

from gateway.core.hosts import HOST, read_host, written


@pytest.mark.parametrize(
    ("text", "host", "shown"),
    [
        ("Example.COM", "example.com", "example.com"),
        ("a_b-c.example", "a_b-c.example", "a_b-c.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1", "[::1]"),
        ("[2001:DB8:0:0::1]", "2001:db8::1", "[2001:db8::1]"),
        ("[::FFFF:8]", "::ffff:8", "[::ffff:8]"),
        ("0x7f.example", "0x7f.example", "0x7f.example"),
        ("1.2.3.example", "1.2.3.example", "1.2.3.example"),
    ],
)
def test_read(text: str, host: str, shown: str) -> None:
    assert re.fullmatch(HOST, text)
    assert read_host(text) == host
    assert written(host) == shown


@pytest.mark.parametrize(
    "text",
    ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.1", "127.0.0.1.", "127.0.0.01", "256.0.0.1",
     "1.2.3.4.5", "a.0x1", "a.1", "0", "0x", "[127.0.0.1]", "[::1::]", "[12345::]", "[.]"],
)  # fmt: skip
def test_doubtful(text: str) -> None:
    with pytest.raises(ValueError):  # any of them
        read_host(text)


@pytest.mark.parametrize(
    "text",
    ["", "a b", "a\tb", "a\\b", "a/b", "a@b", "a%2eb", "a:1", "[fe80::1%eth0]", "[::1", "::1", "１２７.0.0.1",
     "ⓛocalhost", "127。0。0。1", "bücher.example", "a" * 254],
)  # fmt: skip
def test_not_a_host(text: str) -> None:
    assert re.fullmatch(HOST, text) is None
