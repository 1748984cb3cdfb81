"""Connections kept for reuse, and new ones: resolve, check, dial, TLS, or the same through a proxy."""

import asyncio
import ssl
from collections import defaultdict
from typing import NamedTuple

import certifi

from gateway.core.domain import Proxy
from gateway.upstream.connection import Connection
from gateway.upstream.egress import Egress
from gateway.upstream.failures import DialFailed, dial_failed
from gateway.upstream.request import Origin
from gateway.upstream.tunnel import tunnelled

IDLE_SECONDS = 60.0
IDLE_PER_ROUTE = 128
IDLE_TOTAL = 1024
_TURNS = 10  # of the loop, within which a cut transport (TLS: over another) has closed its socket


class Route(NamedTuple):
    """What a connection may be shared for: never between accounts, nor between ways to get there."""

    origin: Origin
    proxy: Proxy | None
    account: str


def tls_context(cafile: str | None = None) -> ssl.SSLContext:
    """The context for every upstream: verifying, HTTP/1.1 only. Costs some 25 ms, so one a process."""
    context = ssl.create_default_context(cafile=cafile or certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class Pool:
    """Idle connections by route, the last used first out, so that those not needed age at the front and are closed.

    `dials` and `reuses` count; `connections` holds every open one.
    """

    def __init__(self, egress: Egress, context: ssl.SSLContext) -> None:
        self.dials = 0
        self.reuses = 0
        self.connections: dict[Connection, Route] = {}
        self._idle: defaultdict[Route, list[Connection]] = defaultdict(list)
        self._idle_count = 0
        self._egress = egress
        self._context = context

    def take(self, route: Route) -> Connection | None:
        """An idle connection of the route, alive as far as can be known."""
        idle = self._idle.get(route)
        while idle:
            connection = idle.pop()
            self._idle_count -= 1
            if connection.alive:
                self.reuses += 1
                return connection
        return None

    def give(self, connection: Connection) -> None:
        """Keep it for reuse, or close it when enough are kept."""
        idle = self._idle[self.connections[connection]]
        if self._idle_count >= IDLE_TOTAL or len(idle) >= IDLE_PER_ROUTE:
            connection.abort()
            return
        connection.idle_since = connection.loop.time()
        idle.append(connection)
        self._idle_count += 1

    def gone(self, connection: Connection) -> None:
        """It was lost or closed. `connections` misses it when the dial that made it failed."""
        route = self.connections.pop(connection, None)
        idle = None if route is None else self._idle.get(route)
        if route is None or idle is None:
            return
        if connection in idle:
            idle.remove(connection)
            self._idle_count -= 1
        if not idle:
            del self._idle[route]

    def sweep(self, now: float) -> None:
        """Close what has been idle too long; `gone` takes it off the lists, in the loop's next turn."""
        oldest = now - IDLE_SECONDS
        for idle in self._idle.values():
            for connection in idle:
                if connection.idle_since >= oldest:
                    break
                connection.abort()

    async def dial(self, route: Route, seconds: float) -> Connection:
        """A new connection within so many seconds, from the resolver to the end of the handshake. Raises DialFailed."""
        if route.proxy is not None:
            return await self._through(route, route.proxy, seconds)
        try:
            async with asyncio.timeout(seconds):
                return await self._dial(route, seconds)
        except TimeoutError as error:
            raise DialFailed(f"{route.origin.host}: no connection in {seconds:g} s", reason="timeout") from error

    async def _dial(self, route: Route, seconds: float) -> Connection:
        loop = asyncio.get_running_loop()
        addresses = await self._egress.addresses(route.origin)
        failure: DialFailed | None = None
        # An address that swallows packets must leave time for the next one.
        share = seconds / len(addresses)
        for address in addresses:
            try:
                async with asyncio.timeout(share):
                    return await self._connect(loop, route, address)
            except (OSError, TimeoutError) as error:
                failure = dial_failed(f"{route.origin.host} ({address}) port {route.origin.port}", error)
        assert failure is not None
        raise failure

    async def _connect(self, loop: asyncio.AbstractEventLoop, route: Route, address: str) -> Connection:
        origin = route.origin
        secure = origin.scheme == "https"
        self.dials += 1
        _, connection = await loop.create_connection(
            lambda: Connection(loop, self, f"{origin.host} ({address})"),
            address,  # the one that was checked, not the name
            origin.port,
            ssl=self._context if secure else None,
            server_hostname=origin.host if secure else None,
        )
        if not connection.alive:  # lost between its dial and this turn of the loop: it will tell nobody any more
            raise ConnectionResetError("closed by the upstream at once")
        self.connections[connection] = route
        return connection

    async def _through(self, route: Route, proxy: Proxy, seconds: float) -> Connection:
        self.dials += 1
        tunnel = await tunnelled(self._egress, self._context, proxy, route.origin, seconds)
        connection = Connection(asyncio.get_running_loop(), self, f"{route.origin.host} (through {proxy.id})")
        tunnel.become(connection)
        self.connections[connection] = route
        return connection

    async def close(self) -> None:
        """Cut every connection; running exchanges fail with it."""
        for connection in list(self.connections):
            connection.cut()
        for _ in range(_TURNS):
            if not self.connections:
                break
            await asyncio.sleep(0)
