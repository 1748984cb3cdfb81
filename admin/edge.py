"""The outermost layer: every answer has a request id, every request a Host that is ours. Before any routing."""

import re
from http import HTTPStatus

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from admin import problem
from admin.address import client_address
from admin.problem import Problem
from gateway.core.address import Network, is_trusted, networks
from gateway.core.ids import new_id
from gateway.core.settings import Settings

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
#: Answered whatever the Host: load balancers probe by address, and it tells nothing.
HEALTH = "/health"
_HOST = re.compile(r"(?P<name>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?P<port>:[0-9]{1,5})?", re.IGNORECASE)
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)


class Edge:
    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in settings.admin_hosts or LOOPBACK)
        self._trusted: tuple[Network, ...] = networks(settings.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_id("req")
        peer = scope.get("client")
        scope["state"]["request_id"] = request_id
        said_for = _values(scope, b"x-forwarded-for")
        scope["state"]["address"] = client_address(peer[0] if peer else None, said_for, self._trusted)
        proxied = peer is not None and is_trusted(peer[0], self._trusted)
        behind_tls = proxied and _values(scope, b"x-forwarded-proto") == ["https"]
        scope["state"]["https"] = scope["scheme"] == "https" or behind_tls

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode()), *_HEADERS]
            await send(message)

        refusal = None if scope["path"] == HEALTH else self._bad_host(scope) or _bad_body(scope)
        if refusal is None:
            await self._app(scope, receive, marked)
        else:
            await _answer(refusal, request_id, marked)

    def _bad_host(self, scope: Scope) -> Problem | None:
        """DNS rebinding ends here: a name that is not ours is not answered (RFC 9110, 15.5.20)."""
        named = _values(scope, b"host")
        host = _HOST.fullmatch(named[0]) if len(named) == 1 else None
        if host is None:
            return Problem(400, "bad_host", "one Host header is needed")
        if not {host[0].lower(), host["name"].lower()} & self._hosts:
            return Problem(421, "unknown_host", "this name is not answered here: see POOLGATE_ADMIN_HOSTS")
        return None


def _values(scope: Scope, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]


def _bad_body(scope: Scope) -> Problem | None:
    """Only JSON: a form that another site sends for the browser's user is never read."""
    said = _values(scope, b"content-type")
    if not said or all(value.partition(";")[0].strip().lower() == "application/json" for value in said):
        return None
    return Problem(415, "unsupported_media_type", "the body must be application/json")


async def _answer(refusal: Problem, request_id: str, send: Send) -> None:
    content = problem.body(refusal, request_id)
    await send(
        {
            "type": "http.response.start",
            "status": HTTPStatus(refusal.status),
            "headers": [
                (b"content-type", problem.MEDIA_TYPE.encode()),
                (b"content-length", str(len(content)).encode()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": content, "more_body": False})
