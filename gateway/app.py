"""The data plane as a Litestar application: health, and the edge that takes everything else. No admin route is here."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, asgi
from litestar.datastructures import State
from litestar.exceptions import MethodNotAllowedException
from litestar.types import Receive, Scope, Send

from gateway.core import logs
from gateway.core.settings import Settings
from gateway.relay import background
from gateway.relay.gate import open_gate
from gateway.web.edge import Edge
from gateway.web.health import alive, method_not_allowed, ready
from gateway.web.server import serve


def create_app(settings: Settings) -> Litestar:
    """Opens its resources in the application's lifespan; `app.state.gate` holds them."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        async with open_gate(settings) as gate, background.running(gate):
            app.state.gate = gate
            app.state.edge = Edge(gate)
            yield

    return Litestar(
        [alive, ready, edge],
        lifespan=[lifespan],
        openapi_config=None,
        exception_handlers={MethodNotAllowedException: method_not_allowed},
        logging_config=None,
        state=State(),
    )


@asgi("/", is_mount=True, copy_scope=False)
async def edge(scope: Scope, receive: Receive, send: Send) -> None:
    serve: Any = scope["litestar_app"].state.edge
    await serve(scope, receive, send)


def run(settings: Settings) -> None:
    """One gateway process, until a signal. Raises UnknownRevision when the database is not of this version."""
    logs.configure()
    serve(create_app(settings), settings)
