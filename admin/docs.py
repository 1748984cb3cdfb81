"""The OpenAPI document, and a page to read and try it: one file, no script from elsewhere, works offline."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Response, get

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


@get("/admin/openapi.json", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def openapi(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    return Response(request.app.openapi_schema.to_schema(), media_type=MediaType.JSON)


@get("/admin/docs", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def page() -> Response[str]:
    return Response(_PAGE, media_type=MediaType.HTML, headers={"Content-Security-Policy": _POLICY})
