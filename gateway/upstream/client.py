"""The client of upstreams: one object a process, one call an exchange."""

import asyncio
import ssl
from types import TracebackType
from typing import Self

from gateway.core.domain import Proxy, Timeouts
from gateway.platforms.platform import Outgoing
from gateway.upstream.answer import Answer
from gateway.upstream.deadlines import Deadlines
from gateway.upstream.egress import Egress
from gateway.upstream.failures import DialFailed
from gateway.upstream.pool import Pool, Route, tls_context
from gateway.upstream.request import Origin, encode_head, split

_ORIGINS_KEPT = 1024


class Upstream:
    """Opens exchanges over kept or new connections. An async context manager: leaving it cuts what still runs.

    `dials`, `reuses` (of kept connections), `connections` (open now) and `running` (exchanges) are for metrics.
    """

    def __init__(self, egress: Egress, *, ssl: ssl.SSLContext | None = None) -> None:
        self._pool = Pool(egress, ssl or tls_context())
        self._deadlines = Deadlines(self._pool.sweep)
        self._origins: dict[str, Origin] = {}

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._deadlines.start(self._loop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.stop()
        await self._pool.close()

    @property
    def dials(self) -> int:
        return self._pool.dials

    @property
    def reuses(self) -> int:
        return self._pool.reuses

    @property
    def connections(self) -> int:
        return len(self._pool.connections)

    @property
    def running(self) -> int:
        return len(self._deadlines.active)

    async def open(
        self, outgoing: Outgoing, *, pool_key: str, timeouts: Timeouts, stream: bool, proxy: Proxy | None = None
    ) -> Answer:
        """Send the request and return when the head of the answer is in; the caller then owns the answer.

        `pool_key` is the account: connections are never shared between two. Redirects are answers like others.
        Raises a Failure; never sends twice.
        """
        started = self._loop.time()
        origin, target = self._origin(outgoing.url)
        head = encode_head(outgoing, target, origin.authority)
        route = Route(origin, proxy, pool_key)
        connection = self._pool.take(route)
        if connection is None:
            seconds = timeouts.connect if stream else min(timeouts.connect, timeouts.total)
            connection = await self._pool.dial(route, seconds)
        answer = Answer(connection, self._deadlines, timeouts, stream=stream, started=started)
        connection.send(answer, head, outgoing.body)
        try:
            await answer.head
        except BaseException:
            answer.close()
            raise
        return answer

    def _origin(self, url: str) -> tuple[Origin, str]:
        try:
            text, target = split(url)
            origin = self._origins.get(text)
            if origin is None:
                origin = Origin.parse(text)
                if len(self._origins) >= _ORIGINS_KEPT:
                    self._origins.clear()
                self._origins[text] = origin
        except ValueError as error:
            raise DialFailed(str(error), reason="request") from error
        return origin, target
