"""Networks as settings name them, and what is in them."""

import pytest

from gateway.core.address import is_trusted, networks


@pytest.mark.parametrize(
    ("entry", "inside", "outside"),
    [
        ("10.1.2.3/8", "10.255.0.1", "11.0.0.1"),
        ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
        ("fd00::/8", "fd00::1", "fe80::1"),
    ],
)
def test_networks(entry: str, inside: str, outside: str):
    assert is_trusted(inside, networks([entry]))
    assert not is_trusted(outside, networks([entry]))
    assert not is_trusted("nonsense", networks([entry]))


@pytest.mark.parametrize("entry", ["10.0.0.0/8:443", "[::1]:443", "[::1]", "localhost", "10.0.0.0/33", ""])
def test_what_is_no_network(entry: str):
    with pytest.raises(ValueError, match="IPv4 or IPv6 network"):
        networks([entry])
