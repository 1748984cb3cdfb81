"""Where connections may go: the one choke point for everything that leaves.

The policy is pure (`refusal`); `addresses` adds the resolver. An address is refused unless it is public, or the
operator's allow list names it; our own listening ports are refused always; plain http goes to allowed private
addresses only. What passed is what is dialled: the caller connects to an address of the answer, never to the name.
Through a proxy, its own address and a target that is an address are checked; a name is resolved by the proxy.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from msgspec import Struct

from gateway.core.domain import Proxy
from gateway.upstream.failures import DialFailed
from gateway.upstream.request import Origin

Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) → its addresses, as text. Raises OSError."""

# IANA special-purpose registries. Kept here, since `is_global` differs between the Python versions we run on.
_SPECIAL_V4 = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),  # carrier-grade NAT
    IPv4Network("127.0.0.0/8"),
    IPv4Network("169.254.0.0/16"),  # link-local, and the clouds' metadata
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.0.2.0/24"),
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv4Network("192.168.0.0/16"),
    IPv4Network("198.18.0.0/15"),
    IPv4Network("198.51.100.0/24"),
    IPv4Network("203.0.113.0/24"),
    IPv4Network("224.0.0.0/4"),  # multicast
    IPv4Network("240.0.0.0/4"),  # reserved, broadcast
)
# Public IPv6 is within this block. All outside of it is refused together: loopback, mapped and compatible IPv4,
# NAT64, unique local, link-local, multicast.
_UNICAST_V6 = IPv6Network("2000::/3")
_SPECIAL_V6 = (
    IPv6Network("2001::/23"),  # protocol assignments, Teredo
    IPv6Network("2001:db8::/32"),
    IPv6Network("2002::/16"),  # 6to4
    IPv6Network("3fff::/20"),
)

_PLAIN = "plain http goes to allowed private addresses only"
_LOCAL = "through a proxy it would be the proxy's own machine"


def is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in block for block in _SPECIAL_V4)
    return address in _UNICAST_V6 and not any(address in block for block in _SPECIAL_V6)


class Allowed(Struct, frozen=True):
    """One entry of the allow list: a network, and the only port that it is for (None: every port)."""

    network: IPv4Network | IPv6Network
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Allowed":
        """Read `cidr[:port]` (`10.0.0.0/8`, `127.0.0.1:9000`, `fd00::/8:443`). Raises ValueError naming the entry."""
        text = text.strip()
        try:
            return cls(ip_network(text.strip("[]")))
        except ValueError:
            network, colon, digits = text.rpartition(":")
        try:
            if not colon or not digits.isascii() or not digits.isdigit() or not 0 < int(digits) < 65536:
                raise ValueError
            return cls(ip_network(network.strip("[]")), int(digits))
        except ValueError:
            raise ValueError(f"not an entry of the form cidr[:port]: {text!r}") from None

    def names(self, address: Address, port: int) -> bool:
        return self.port in (None, port) and address in self.network


def is_this_machine(address: Address) -> bool:
    """Whether a connection to the address would stay on this machine. Sends nothing: it asks the routing table."""
    if address.is_loopback or address.is_unspecified:
        return True
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return is_this_machine(mapped)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 9))
        except OSError:
            return False
        return ip_address(probe.getsockname()[0]) == address


async def resolve(host: str, port: int) -> Sequence[str]:
    """The system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Egress:
    """The policy with its resolver.

    `allow`: entries `cidr[:port]`, ValueError when one cannot be read. `own_ports`: the ports this installation
    listens on, refused on every address of this machine, whatever the allow list says.
    """

    def __init__(
        self, allow: Iterable[str] = (), *, own_ports: Iterable[int] = (), resolver: Resolver = resolve
    ) -> None:
        self._allow = tuple(Allowed.parse(entry) for entry in allow)
        self._own_ports = frozenset(own_ports)
        self._resolver = resolver

    def refusal(
        self, scheme: str, address: Address, port: int, own: Callable[[Address], bool] = is_this_machine
    ) -> str | None:
        """Why this address may not be dialled; None when it may."""
        if port in self._own_ports and own(address):
            return "it is a port of our own"
        if is_public(address):
            return _PLAIN if scheme == "http" else None
        if any(entry.names(address, port) for entry in self._allow):
            return None
        return "it is not a public address, and the allow list does not name it"

    async def addresses(self, origin: Origin) -> list[str]:
        """Resolve and check. Every address must pass: a name that also points inside is not half trusted.

        Raises DialFailed with reason `dns` or `egress`.
        """
        return await self._addresses(origin.scheme, origin.host, origin.port)

    async def proxy_addresses(self, proxy: Proxy) -> list[str]:
        """Of the proxy itself, which may be public whatever it speaks: what goes through it is encrypted.

        Raises DialFailed with reason `proxy`.
        """
        try:
            return await self._addresses("proxy", proxy.host, proxy.port)
        except DialFailed as failure:
            raise DialFailed(f"proxy {proxy.id}: {failure}", reason="proxy") from failure

    def check_beyond(self, origin: Origin) -> None:
        """A target that a proxy will dial: an address is checked as if it were dialled from here, a name is the
        proxy's to resolve, and the certificate says who is there. Raises DialFailed with reason `egress`.
        """
        host, port = origin.host, origin.port
        try:
            why = self.refusal(origin.scheme, ip_address(host), port)
        except ValueError:
            why = _LOCAL if f".{host.rstrip('.')}".endswith(".localhost") else None
            if origin.scheme == "http":
                why = _PLAIN
        if why is not None:
            raise DialFailed(f"{host} port {port} is refused: {why}", reason="egress")

    async def _addresses(self, scheme: str, host: str, port: int) -> list[str]:
        try:
            found: Sequence[str] = [str(ip_address(host))]
        except ValueError:
            try:
                found = await self._resolver(host, port)
            except (OSError, UnicodeError) as error:
                raise DialFailed(f"{host} does not resolve: {error}", reason="dns") from error
        checked: dict[str, None] = {}
        for text in found:
            why = self.refusal(scheme, ip_address(text), port)
            if why is not None:
                raise DialFailed(f"{host} ({text}) port {port} is refused: {why}", reason="egress")
            checked[text] = None
        if not checked:
            raise DialFailed(f"{host} has no address", reason="dns")
        return list(checked)
