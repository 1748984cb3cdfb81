"""The data plane as a Litestar application: health, and the edge that takes everything else. No admin route is here."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import MethodNotAllowedException
from litestar.types import ASGIApp

from gateway.core import logs
from gateway.core.settings import Settings
from gateway.relay import background
from gateway.relay.gate import open_gate
from gateway.web.edge import Edge
from gateway.web.health import alive, method_not_allowed, ready
from gateway.web.metrics import metrics
from gateway.web.server import serve


def create_app(settings: Settings) -> Litestar:
    """Opens its resources in the application's lifespan; `app.state.gate` holds them."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        async with open_gate(settings) as gate, background.running(gate):
            app.state.gate = gate
            app.asgi_handler = beside(app.asgi_handler, Edge(gate), frozenset(route.path for route in app.routes))
            yield

    return Litestar(
        [alive, ready, *([metrics] if settings.metrics_allow else [])],
        lifespan=[lifespan],
        openapi_config=None,
        exception_handlers={MethodNotAllowedException: method_not_allowed},
        logging_config=None,
        state=State(),
    )


def beside(routed: ASGIApp, edge: Edge, paths: frozenset[str]) -> ASGIApp:
    """Health and metrics are the framework's; all else goes to the edge past the framework's own routing, which would
    read the path a second time and cost as much as a tenth of the relay."""
    relayed: Any = edge

    def handle(scope: Any, receive: Any, send: Any) -> Any:
        return (routed if scope["path"] in paths else relayed)(scope, receive, send)

    return handle


def run(settings: Settings) -> None:
    """One gateway process, until a signal. Raises UnknownRevision when the database is not of this version."""
    logs.configure()
    serve(create_app(settings), settings)
