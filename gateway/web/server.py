"""Runs the data plane on uvicorn: our connections, their bounds swept once a second, a shutdown that lets streams end.

SIGTERM: `/readyz` says no at once while new requests are still served for the grace; then the listener closes, kept
connections get 503 `draining`, running streams go on up to the drain time and end with the error event. A second
signal ends at once.
"""

import asyncio
import gc
import os
import socket
from types import FrameType

import uvicorn
from litestar import Litestar

from gateway.core.errors import Unavailable
from gateway.core.settings import Settings
from gateway.relay.gate import Gate
from gateway.web.connection import ClientConnection

KEEP_ALIVE_SECONDS = 75
_SWEEP = 1.0


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
        for server in self.servers:
            server.close()
        for opened in sockets or []:
            opened.close()
        if self.gate is not None:
            self.gate.draining = True
            await self._drain(self.gate)
        for connection in list(self.server_state.connections):
            if not connection.transport.is_closing():
                connection.transport.close()
        if not self.force_exit:
            await self.lifespan.shutdown()

    async def _drain(self, gate: Gate) -> None:
        ends = asyncio.get_running_loop().time() + self._settings.drain_timeout
        while self._busy(gate) and not self.force_exit and asyncio.get_running_loop().time() < ends:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        for exchange in list(gate.exchanges.values()):
            exchange.stop(Unavailable("The gateway is going down.", code="draining", retry_after=1))
        for _ in range(20):
            if not self._busy(gate):
                return
            await asyncio.sleep(0.05)

    def _busy(self, gate: Gate) -> bool:
        return bool(gate.exchanges) or any(not task.done() for task in self.server_state.tasks)


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
