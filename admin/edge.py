"""The outermost layer: every answer has a request id, every request a Host that is ours. Before any routing."""

import re
from collections.abc import Iterable
from http import HTTPStatus

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from admin import problem
from admin.address import Network, client_address, networks
from admin.problem import Problem
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
        scope["state"]["address"] = client_address(
            peer[0] if peer else None,
            [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"],
            self._trusted,
        )

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode()), *_HEADERS]
            await send(message)

        refusal = None if scope["path"] == HEALTH else self._refusal(scope["headers"])
        if refusal is None:
            await self._app(scope, receive, marked)
        else:
            await _answer(refusal, request_id, marked)

    def _refusal(self, headers: Iterable[tuple[bytes, bytes]]) -> Problem | None:
        """DNS rebinding ends here: a name that is not ours is not answered (RFC 9110, 15.5.20)."""
        named = [value.decode("latin-1") for name, value in headers if name == b"host"]
        host = _HOST.fullmatch(named[0]) if len(named) == 1 else None
        if host is None:
            return Problem(400, "bad_host", "one Host header is needed")
        if not {host[0].lower(), host["name"].lower()} & self._hosts:
            return Problem(421, "unknown_host", "this name is not answered here: see POOLGATE_ADMIN_HOSTS")
        return None


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
