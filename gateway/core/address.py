"""Networks that are trusted, and whether an address is in one of them."""

import ipaddress
from collections.abc import Iterable, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(entries: Iterable[str]) -> tuple[Network, ...]:
    """`10.0.0.0/8`, `fd00::/8`, or a single address. Raises ValueError, which names the entry."""
    return tuple(ipaddress.ip_network(entry, strict=False) for entry in entries)


def is_trusted(text: str, trusted: Sequence[Network]) -> bool:
    """False for what is no address."""
    address = read(text)
    return address is not None and any(address in network for network in trusted)


def read(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """None for what is no address. An IPv4 address that came by an IPv6 socket is itself."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if address.version == 6 else address
