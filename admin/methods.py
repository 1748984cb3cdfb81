"""OPTIONS (RFC 9110, 9.3.7): the methods of a path, all of them. The framework's own answer knows those of the handler
that it met first."""

from typing import Any

from litestar import Request, Response
from litestar.routes import HTTPRoute


def answer(request: Request[Any, Any, Any]) -> Response[None] | None:
    """Before every handler, and in its place where OPTIONS is asked."""
    if request.method != "OPTIONS":
        return None
    path = request.scope["path_template"]
    routes = [route for route in request.app.routes if isinstance(route, HTTPRoute) and route.path_format == path]
    allowed = sorted({method for route in routes for method in route.route_handler_map})
    return Response(None, status_code=204, headers={"Allow": ", ".join(allowed)})
