"""httpx over the same pool and the same egress policy, for probes, account tests and renewals: not the hot path."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping

import httpx

from gateway.core.domain import Proxy, Timeouts
from gateway.platforms.platform import Outgoing
from gateway.upstream.answer import Answer
from gateway.upstream.client import Upstream
from gateway.upstream.failures import BadAnswer, DialFailed, Failure, TimedOut, Truncated

BUFFER_LIMIT = 64 * 1024
NO_LIMIT = 3600.0
"""Seconds that stand for httpx's None."""


class Transport(httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient(transport=…)`. Of httpx's timeouts `connect` and `read` are kept; `pool_key` as in `open`.

    The upstream is lent, not owned: closing the client closes no connection.
    """

    def __init__(self, upstream: Upstream, *, pool_key: str, proxy: Proxy | None = None) -> None:
        self._upstream = upstream
        self._pool_key = pool_key
        self._proxy = proxy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        outgoing = Outgoing(
            request.method,
            str(request.url.copy_with(fragment=None)),
            [(name.lower(), value) for name, value in request.headers.raw],
            await request.aread(),
        )
        timeouts = _timeouts(request.extensions.get("timeout", {}))
        try:
            answer = await self._upstream.open(
                outgoing, pool_key=self._pool_key, timeouts=timeouts, stream=True, proxy=self._proxy
            )
        except Failure as failure:
            raise _translated(failure, request) from failure
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer, request))


def _timeouts(given: Mapping[str, float | None]) -> Timeouts:
    def seconds(name: str) -> float:
        value = given.get(name)
        return NO_LIMIT if value is None else value

    read = seconds("read")
    return Timeouts(connect=seconds("connect"), first_event=read, stream_idle=read)


def _translated(failure: Failure, request: httpx.Request) -> httpx.TransportError:
    text = str(failure)
    if isinstance(failure, DialFailed):
        if failure.reason == "request":
            return httpx.UnsupportedProtocol(text, request=request)
        if failure.reason == "proxy":
            return httpx.ProxyError(text, request=request)
        kind = httpx.ConnectTimeout if failure.reason == "timeout" else httpx.ConnectError
        return kind(text, request=request)
    if isinstance(failure, TimedOut):
        return httpx.ReadTimeout(text, request=request)
    if isinstance(failure, BadAnswer | Truncated):
        return httpx.RemoteProtocolError(text, request=request)
    return httpx.ReadError(text, request=request)


class _Body(httpx.AsyncByteStream):
    """The sink and its reader: the socket is paused while more than the limit waits to be read."""

    def __init__(self, answer: Answer, request: httpx.Request) -> None:
        self._answer = answer
        self._request = request
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._over = False
        self._failure: Failure | None = None
        self._wake = asyncio.Event()

    def data(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._wake.set()
        if self._size > BUFFER_LIMIT:
            self._answer.pause()

    def end(self) -> None:
        self._over = True
        self._wake.set()

    def fail(self, failure: Failure) -> None:
        self._failure = failure
        self.end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._answer.start(self)
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._size -= len(chunk)
                yield chunk
            if self._failure is not None:
                raise _translated(self._failure, self._request)
            if self._over:
                return
            self._answer.resume()
            self._wake.clear()
            await self._wake.wait()

    async def aclose(self) -> None:
        self._answer.close()
