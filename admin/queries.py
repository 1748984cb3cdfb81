"""Query parameters: one that a handler does not know is refused, as an unknown field of a body is."""

from collections.abc import Mapping
from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

from admin.problem import FieldError, Problem

Known = Mapping[tuple[str, str], frozenset[str]]


def known(app: Litestar) -> Known:
    """The parameters of each handler and its dependencies, by method and path."""
    return {
        (method, route.path_format): frozenset(parameter.field_alias for parameter in model.expected_query_params)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (_, model) in route.route_handler_map.items()
    }


def check(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A guard, after the one that asks for the permission. Raises Problem naming the parameter."""
    scope: Any = connection.scope
    names: Known = connection.app.state.query_parameters
    allowed = names[scope["method"], scope["path_template"]]
    for name, text in connection.query_params.multi_items():
        if name not in allowed:
            raise _refused(name, "unknown parameter")
        if "\0" in text:
            raise _refused(name, "a NUL character cannot be stored")


def _refused(name: str, message: str) -> Problem:
    return Problem(400, "invalid_request", "the request is not valid", errors=[FieldError(name, message)])
