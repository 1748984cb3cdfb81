"""The client's address: the socket's, or behind trusted proxies the last one that they saw."""

from collections.abc import Sequence

from gateway.core.address import Network, is_trusted, read


def client_address(peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> str | None:
    """`forwarded`: the values of X-Forwarded-For. Read from the right, and only as far as proxies are trusted."""
    if peer is None or not is_trusted(peer, trusted):
        return peer
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    for hop in reversed(hops):
        if read(hop) is None:
            break
        peer = hop
        if not is_trusted(hop, trusted):
            break
    return peer
