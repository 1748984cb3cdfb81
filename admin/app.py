"""The control plane: a Litestar app on a port of its own."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

from litestar import Litestar, Router
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from admin import methods, queries
from admin.api.accounts import AccountController
from admin.api.audit import AuditController
from admin.api.captures import CaptureController
from admin.api.groups import GroupController
from admin.api.keys import KeyController
from admin.api.me import MeController
from admin.api.oauth import AuthorisationController
from admin.api.pools import PoolController
from admin.api.prices import PriceController
from admin.api.proxies import ProxyController
from admin.api.refusals import RefusalController
from admin.api.requests import RequestController
from admin.api.routes import RouteController
from admin.api.session import SessionController
from admin.api.teams import TeamController
from admin.api.tenants import TenantController
from admin.api.tokens import TokenController
from admin.api.usage import UsageController
from admin.api.users import UserController
from admin.api.webhooks import WebhookController
from admin.auth import Authenticate, permitted
from admin.bodies import Received
from admin.deps import DEPENDENCIES
from admin.docs import configured
from admin.edge import Edge
from admin.errors import respond
from admin.health import health
from admin.resources import Resources, open_resources
from gateway.core.settings import Settings

BODY_LIMIT = 1 << 20
CONTROLLERS: tuple[ControllerRouterHandler, ...] = (
    SessionController,
    MeController,
    TenantController,
    UserController,
    TeamController,
    TokenController,
    KeyController,
    AccountController,
    AuthorisationController,
    PoolController,
    GroupController,
    PriceController,
    ProxyController,
    WebhookController,
    UsageController,
    RefusalController,
    RequestController,
    CaptureController,
    RouteController,
    AuditController,
)


def create_app(settings: Settings, resources: Resources | None = None) -> Litestar:
    """`resources`: opened by someone else, who closes them; by default the app's lifespan opens its own."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        if resources is not None:
            app.state.resources = resources
            yield
            return
        async with open_resources(settings) as opened:
            app.state.resources = opened
            yield

    app = Litestar(
        [Router("/admin/v1", route_handlers=CONTROLLERS, guards=[queries.check]), health],
        dependencies=DEPENDENCIES,
        middleware=[Authenticate()],
        guards=[permitted],
        request_class=Received,
        before_request=methods.answer,
        exception_handlers={HTTPException: respond, Exception: respond},
        lifespan=[lifespan],
        request_max_body_size=BODY_LIMIT,
        openapi_config=configured(),
        logging_config=None,
        debug=False,
    )
    app.state.query_parameters = queries.known(app)
    app.asgi_handler = cast("Any", Edge(app.asgi_handler, settings))
    return app
