"""A tunnel to an upstream through a proxy: dial the proxy, ask it for the target, TLS with the target inside.

HTTP CONNECT (RFC 9110, 9.3.6, with Basic credentials, RFC 7617) over TCP or TLS; SOCKS 5 (RFC 1928, RFC 1929) with
names left to the proxy. The proxy gets the target's host and port and its own credentials, nothing else: what goes
through is TLS with the target, under the target's certificate. An upstream never speaks first, neither in TLS nor in
HTTP/1, so a byte too many is the proxy's and ends it.
"""

import asyncio
import re
import ssl
import sys
from base64 import b64encode
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import cast

from gateway.core.domain import Proxy
from gateway.core.hosts import written
from gateway.upstream.egress import Egress
from gateway.upstream.failures import DialFailed, dial_failed
from gateway.upstream.request import Origin

ANSWER_LIMIT = 16 * 1024
"""Bytes that a proxy may say before the tunnel stands."""
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")
# What a proxy says of the target, not of itself: it takes no other account's way out.
_TARGET_STATUS = frozenset((502, 503, 504))
_TARGET_REPLY = {3: "network unreachable", 4: "host unreachable", 5: "connection refused", 6: "TTL expired"}
_OWN_REPLY = {1: "general failure", 2: "not allowed", 7: "command not supported", 8: "address type not supported"}


class Tunnel(asyncio.Protocol):
    """The connection while it is not yet the upstream's: keeps what the proxy says until it is asked for."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.transport: asyncio.Transport
        self._said = bytearray()
        self._lost = False
        self._news: asyncio.Future[None] | None = None

    async def exactly(self, count: int) -> bytes:
        """The next so many bytes. Raises DialFailed when the proxy closes before."""
        while len(self._said) < count:
            await self._wait()
        found = bytes(self._said[:count])
        del self._said[:count]
        return found

    async def head(self) -> bytes:
        """All up to the first empty line. Raises DialFailed when that is too much, or the proxy closes before."""
        while (end := self._said.find(b"\r\n\r\n", 0, ANSWER_LIMIT)) < 0:
            if len(self._said) >= ANSWER_LIMIT:
                raise self.refused(f"more than {ANSWER_LIMIT} bytes of an answer")
            await self._wait()
        return await self.exactly(end + 4)

    def silent(self) -> None:
        """Raises DialFailed when the proxy said more than it was asked, or is gone."""
        if self._said:
            raise self.refused("bytes before the upstream was asked anything")
        if self._lost or self.transport.is_closing():
            raise self.refused("closed")

    async def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """TLS with the target. Raises OSError."""
        loop = asyncio.get_running_loop()
        self.silent()
        if self.proxy.scheme == "https" and sys.version_info < (3, 12, 2):
            _mend(self.transport)
        transport = await loop.start_tls(self.transport, self, context, server_hostname=host)
        if transport is None or self._lost:
            raise ConnectionResetError("closed in the handshake")
        self.transport = transport
        self.silent()

    def become(self, protocol: asyncio.Protocol) -> None:
        """The protocol has the connection from now on, and this object nothing of it: uvloop may keep it as long."""
        transport = self.transport
        del self.transport
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    def refused(self, why: str) -> DialFailed:
        return DialFailed(f"proxy {self.proxy.id}: {why}", reason="proxy")

    def beyond(self, why: str) -> DialFailed:
        """The proxy works, and says that the target does not."""
        return DialFailed(f"through proxy {self.proxy.id}: {why}", reason="unreachable")

    async def _wait(self) -> None:
        if self._lost:
            raise self.refused("closed")
        self._news = asyncio.get_running_loop().create_future()
        await self._news

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    # ------------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._said += data
        if len(self._said) >= ANSWER_LIMIT:
            self.transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._wake()


def _mend(outer: asyncio.Transport) -> None:
    """TLS over TLS that fails is aborted by a method of the outer transport that raises TypeError in asyncio up to
    Python 3.11.7 and 3.12.1 (gh-113214). uvloop's own is sound, and cannot be set."""

    def force_close(_: Exception | None) -> None:
        _drop(outer)

    with suppress(AttributeError):
        setattr(outer, "_force_close", force_close)  # noqa: B010


async def tunnelled(egress: Egress, context: ssl.SSLContext, proxy: Proxy, origin: Origin, seconds: float) -> Tunnel:
    """An open tunnel within so many seconds, encrypted when the origin is https.

    Raises DialFailed. Reason `proxy`: it cannot be reached, may not be dialled, refuses, or talks nonsense. The other
    reasons are the target's: `egress` (a literal that may not be dialled), `unreachable` (as the proxy says), `tls`
    and `timeout` (within the tunnel).
    """
    egress.check_beyond(origin)
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    try:
        async with asyncio.timeout_at(until):
            tunnel = await _asked(egress, context, proxy, origin, seconds)
    except TimeoutError as error:
        raise DialFailed(f"proxy {proxy.id}: no tunnel in {seconds:g} s", reason="proxy") from error
    if origin.scheme != "https":
        return tunnel
    outer = tunnel.transport
    try:
        async with asyncio.timeout_at(until):
            await tunnel.encrypt(context, origin.host)
    except (OSError, TimeoutError) as error:
        _drop(outer)
        raise dial_failed(f"{origin.host} port {origin.port} through proxy {proxy.id}", error) from error
    except BaseException:
        _drop(outer)
        raise
    return tunnel


def _drop(transport: asyncio.Transport) -> None:
    """Close at once. One that is closed already has no protocol any more, which asyncio of 3.11.2 does not expect."""
    with suppress(AttributeError):
        transport.abort()


async def _asked(egress: Egress, context: ssl.SSLContext, proxy: Proxy, origin: Origin, seconds: float) -> Tunnel:
    """Dials one address of the proxy after the other; the first that is connected is asked."""
    addresses = await egress.proxy_addresses(proxy)
    failure: Exception | None = None
    for address in addresses:
        try:
            # An address that swallows packets must leave time for the next one.
            async with asyncio.timeout(seconds / len(addresses)):
                tunnel = await _connected(context, proxy, address)
        except (OSError, TimeoutError) as error:
            failure = error
            continue
        try:
            await (_socks if proxy.scheme == "socks5h" else _connect)(tunnel, origin)
            tunnel.silent()
        except BaseException:
            _drop(tunnel.transport)
            raise
        return tunnel
    where = f"proxy {proxy.id}, {proxy.host} port {proxy.port}"
    raise DialFailed(f"{where}: {str(failure) or type(failure).__name__}", reason="proxy") from failure


async def _connected(context: ssl.SSLContext, proxy: Proxy, address: str) -> Tunnel:
    secure = proxy.scheme == "https"
    _, tunnel = await asyncio.get_running_loop().create_connection(
        lambda: Tunnel(proxy),
        address,  # the one that was checked, not the name
        proxy.port,
        ssl=context if secure else None,
        server_hostname=proxy.host if secure else None,
    )
    return tunnel


async def _connect(tunnel: Tunnel, origin: Origin) -> None:
    """RFC 9110, 9.3.6. What the head of a 200 says of a body is ignored, as it says there."""
    target = f"{written(origin.host)}:{origin.port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    username, password = tunnel.proxy.username, tunnel.proxy.password
    if username is not None:
        pair = f"{username.reveal()}:{password.reveal() if password else ''}"
        lines.append(f"Proxy-Authorization: Basic {b64encode(pair.encode()).decode()}")
    tunnel.transport.write("\r\n".join([*lines, "", ""]).encode())
    match = _STATUS.match(await tunnel.head())
    if match is None:
        raise tunnel.refused("the answer to CONNECT is not HTTP/1")
    status = int(match[1])
    if status in _TARGET_STATUS:
        raise tunnel.beyond(f"{origin.host} port {origin.port}: the proxy says {status}")
    if status != 200:
        raise tunnel.refused(f"it says {status} to CONNECT")


async def _socks(tunnel: Tunnel, origin: Origin) -> None:
    """RFC 1928: methods, perhaps a password (RFC 1929), the request, its reply."""
    proxy = tunnel.proxy
    tunnel.transport.write(b"\x05\x01\x00" if proxy.username is None else b"\x05\x02\x00\x02")
    version, method = await tunnel.exactly(2)
    if version != 5:
        raise tunnel.refused("not a SOCKS 5 proxy")
    if method == 2 and proxy.username is not None:
        username = proxy.username.reveal().encode()
        password = proxy.password.reveal().encode() if proxy.password else b""
        tunnel.transport.write(b"\x01%c%b%c%b" % (len(username), username, len(password), password))
        if (await tunnel.exactly(2))[1] != 0:
            raise tunnel.refused("it does not take the credentials")
    elif method != 0:
        raise tunnel.refused("no way to log in that both know")
    tunnel.transport.write(b"\x05\x01\x00" + _address(origin.host) + origin.port.to_bytes(2, "big"))
    version, reply, _, kind = await tunnel.exactly(4)
    if version == 5 and reply in _TARGET_REPLY:
        raise tunnel.beyond(f"{origin.host} port {origin.port}: {_TARGET_REPLY[reply]}")
    if version != 5 or reply != 0:
        raise tunnel.refused(f"it says {_OWN_REPLY.get(reply, reply)}")
    length = {1: 4, 4: 16}.get(kind) or ((await tunnel.exactly(1))[0] if kind == 3 else None)
    if length is None:
        raise tunnel.refused("an address of a kind that is not known")
    await tunnel.exactly(length + 2)


def _address(host: str) -> bytes:
    try:
        literal: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return b"\x03%c%b" % (len(host), host.encode("ascii"))
    return (b"\x01" if literal.version == 4 else b"\x04") + literal.packed
