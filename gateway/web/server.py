"""Runs the data plane on uvicorn: our connections, their bounds swept once a second, a shutdown that lets streams end.

SIGTERM: `/readyz` says no at once while new requests are still served for the grace; then the listener closes, kept
connections and those that came last get 503 `draining`, running streams go on up to the drain time and end with the
error event. A second signal ends at once.
"""

import asyncio
import gc
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType

import uvicorn
from litestar import Litestar

from gateway.core.errors import Unavailable
from gateway.core.settings import Settings
from gateway.relay.gate import Gate
from gateway.web.connection import ClientConnection

KEEP_ALIVE_SECONDS = 75
_SWEEP = 1.0
_FIRST_WORD = 1.0
"""How long a request that is on its way is waited for when all else has ended."""


class Server(uvicorn.Server):
    """One gateway process. Signals are noted here and acted on by the main loop's tick, ten times a second."""

    def __init__(self, config: uvicorn.Config, settings: Settings, app: Litestar) -> None:
        super().__init__(config)
        self._settings = settings
        self._app = app
        self._leaving_at: float | None = None
        self._swept = 0.0

    @property
    def gate(self) -> Gate | None:
        return self._app.state.get("gate")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What stands after the start stays for ever: the collector need not walk it again, and a request makes few
        # cycles, so that looking for them every 700 objects costs more than it frees.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._leaving_at is not None:
            self.should_exit = self.force_exit = True
            return
        self._leaving_at = asyncio.get_running_loop().time() + self._settings.drain_grace
        if self.gate is not None:
            self.gate.leaving = True

    async def on_tick(self, counter: int) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._swept >= _SWEEP:
            self._swept = now
            for connection in list(self.server_state.connections):
                if isinstance(connection, ClientConnection):
                    connection.overdue(now)
        leaving = self._leaving_at is not None and now >= self._leaving_at
        return leaving or await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._stop_listening(sockets)
        if self.gate is not None:
            self.gate.draining = True
            await self._drain(self.gate)
        for connection in list(self.server_state.connections):
            if not connection.transport.is_closing():
                connection.transport.close()
        if not self.force_exit:
            await self.lifespan.shutdown()

    async def _stop_listening(self, sockets: list[socket.socket] | None) -> None:
        """The kernel resets what still stands in the queue of a listening socket that is closed, so that is taken
        first. A socket that others listen on too is left alone: what is in its queue waits for them."""
        own = [one for server in self.servers for one in server.sockets] if sockets is None else sockets
        kept: list[socket.socket] = []
        with suppress(OSError):  # no descriptor is left: going down goes on all the same
            alone = (one for one in own if sockets is None or one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))
            kept.extend(one.dup() for one in alone)
        for closed in (*self.servers, *(sockets or ())):
            closed.close()
        await asyncio.sleep(0.01)  # uvloop closes its own in one of its next turns
        waiting = [connection for listener in kept for connection in _queued(listener)]
        for listener in kept:
            listener.close()
        loop = asyncio.get_running_loop()
        for connection in waiting:
            await loop.connect_accepted_socket(self._connection, connection)

    def _connection(self) -> ClientConnection:
        return ClientConnection(self.config, self.server_state, self.lifespan.state)

    async def _drain(self, gate: Gate) -> None:
        loop = asyncio.get_running_loop()
        began, ends = loop.time(), loop.time() + self._settings.drain_timeout
        while not self.force_exit and loop.time() < ends:
            if not self._busy(gate) and (loop.time() - began > _FIRST_WORD or not self._awaited()):
                break
            await asyncio.sleep(0.05)
        for exchange in list(gate.exchanges.values()):
            exchange.stop(Unavailable("The gateway is going down.", code="draining", retry_after=1))
        for _ in range(20):
            if not self._busy(gate):
                return
            await asyncio.sleep(0.05)

    def _busy(self, gate: Gate) -> bool:
        return bool(gate.exchanges) or any(not task.done() for task in self.server_state.tasks)

    def _awaited(self) -> bool:
        return any(one.awaited for one in self.server_state.connections if isinstance(one, ClientConnection))


def _queued(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that nobody has accepted yet."""
    listener.setblocking(False)
    while True:
        try:
            yield listener.accept()[0]
        except ConnectionAbortedError:
            continue
        except OSError:  # there are no more, or no descriptors for them
            return


def serve(app: Litestar, settings: Settings) -> None:
    """Runs until a signal. The listening socket is inherited by number when a supervisor opened it."""
    config = uvicorn.Config(
        app,
        http=ClientConnection,
        loop="uvloop" if _has_uvloop() else "asyncio",
        ws="none",
        host=settings.host,
        port=settings.gateway_port,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        log_config=None,
        lifespan="on",
        backlog=2048,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        reset_contextvars=False,
    )
    server = Server(config, settings, app)
    inherited = os.environ.get("POOLGATE_GATEWAY_FD")
    sockets: list[socket.socket] | None = [socket.socket(fileno=int(inherited))] if inherited else None
    server.run(sockets)
    if not server.started:
        raise SystemExit(3)


def _has_uvloop() -> bool:
    try:
        import uvloop
    except ImportError:
        return False
    return bool(uvloop)
