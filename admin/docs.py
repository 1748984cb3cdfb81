"""The OpenAPI document, and a page to read and try it: one file, no script from elsewhere, works offline."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Response, Router
from litestar.exceptions import NotFoundException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from admin.answers import completed
from admin.sessions import COOKIE

_PAGE = (Path(__file__).parent / "page.html").read_text()


def _digest(tag: str) -> str:
    """The hash by which a Content-Security-Policy allows one inline element (CSP level 3, 2.3.1)."""
    found = re.search(f"<{tag}>(.*?)</{tag}>", _PAGE, re.DOTALL)
    assert found is not None
    return "'sha256-" + base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode() + "'"


_POLICY = (
    f"default-src 'none'; script-src {_digest('script')}; style-src {_digest('style')}; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Page(OpenAPIRenderPlugin):
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return _PAGE.encode()


class Document(JsonRenderPlugin):
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, completed(request.app, openapi_schema))


def _finish(response: Response[Any]) -> Response[Any]:
    """The framework's own page for unknown paths is a problem here as everywhere."""
    if response.status_code == 404:
        raise NotFoundException
    response.headers["Content-Security-Policy"] = _POLICY
    return response


def configured() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="poolgate admin API",
        version="1",
        description="Errors are RFC 9457 problems with a stable `code`. Lists are `{data, next_cursor, has_more}`.",
        openapi_router=Router(
            "/admin", route_handlers=[], opt={"public": True}, include_in_schema=False, after_request=_finish
        ),
        render_plugins=[Page(path="/docs"), Document(media_type=MediaType.JSON)],
        security=[{"token": []}],
        components=Components(
            security_schemes={
                "token": SecurityScheme(type="http", scheme="bearer", description="pgadm_…"),
                "cookie": SecurityScheme(
                    type="apiKey",
                    name=COOKIE,
                    security_scheme_in="cookie",
                    description="POST /admin/v1/session sets it",
                ),
                "csrf": SecurityScheme(
                    type="apiKey",
                    name="X-CSRF-Token",
                    security_scheme_in="header",
                    description="`csrf_token` of the log-in: with the cookie, on all that changes something",
                ),
            }
        ),
    )
