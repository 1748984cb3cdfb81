"""The edge: every request that is not a health question. Reads the path once, then relays or answers by ourselves."""

import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import structlog

from gateway.core.address import is_trusted, networks
from gateway.core.errors import GatewayError, Internal, InvalidRequest, NotFound, Refused
from gateway.core.ledger import new_request
from gateway.protocols.codec import Endpoint
from gateway.relay.gate import Gate
from gateway.relay.pipeline import relay
from gateway.relay.reply import own_headers
from gateway.routing.call import Call
from gateway.routing.paths import Match, NoRoute, match, protocol_near
from gateway.web import cors
from gateway.web.downstream import EXTENSION, SocketDownstream
from gateway.web.errors import method_not_allowed, rendered
from gateway.web.own import answer

_NO_ENDPOINT = Endpoint("openai_chat", "own", "")
log = structlog.get_logger()


class Edge:
    """An ASGI application over one gate. It writes through the connection's own write side, never through `send`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        started = time.perf_counter()
        settings = self._gate.settings
        downstream: SocketDownstream = scope["extensions"][EXTENSION]
        request_id, received_at = new_request()
        headers = scope["headers"]
        header = dict(reversed(headers))
        raw_path: bytes = scope["raw_path"]
        call = Call(
            request_id=request_id,
            received_at=received_at,
            started=started,
            endpoint=_NO_ENDPOINT,
            path=raw_path.decode("latin-1"),
            query=scope["query_string"],
            headers=headers,
            header=header,
            client_ip=client_ip(scope["client"], headers, settings.trusted_proxies),
            read_body=_no_body,
            client_request_id=own_id(header[b"x-request-id"]) if b"x-request-id" in header else None,
        )
        protocol = ""
        if settings.cors_origins:
            downstream.extra = cors.granted(header.get(b"origin"), settings.cors_origins)
            if downstream.extra and cors.is_preflight(scope["method"], header):
                downstream.respond(200, [*cors.preflight(header), *own_headers(call)], b"")
                return
        try:
            try:
                found = _match(scope["method"], raw_path, header)
                if found.endpoint is not None:
                    protocol = found.endpoint.protocol
                await self._serve(call, found, downstream, receive)
            except Exception as error:
                self._fail(call, error, protocol or protocol_near(raw_path, header, call.query), downstream)
        finally:
            self._gate.drop_body(call)

    async def _serve(self, call: Call, found: Match, downstream: SocketDownstream, receive: Any) -> None:
        gate = self._gate

        async def read_body() -> bytes:
            return await _read(call, gate, downstream, receive)

        call.read_body = read_body
        if found.endpoint is None:
            status, headers, body = await answer(call, found, gate)
            headers += own_headers(call)
            if protocol_near(b"", call.header, b"") == "anthropic":
                headers.append((b"request-id", call.request_id.encode()))
            downstream.respond(status, headers, body)
            return
        call.endpoint, call.group, call.compat, call.path_model = found.endpoint, found.group, found.compat, found.model
        if b"content-encoding" in call.header and call.header[b"content-encoding"].lower() != b"identity":
            raise Refused("A compressed request body is not accepted.", status=415, code="unsupported_encoding")
        await relay(call, gate, downstream)

    def _fail(self, call: Call, error: Exception, protocol: str, downstream: SocketDownstream) -> None:
        if not isinstance(error, GatewayError):
            log.exception("a request failed", request_id=call.request_id)
            error = Internal("Something went wrong in the gateway.")
        self._gate.refusals.count(call, error.code, error.http_status)
        if error.code == "draining" or isinstance(error, Refused):
            downstream.close_after()
        status, headers, body = rendered(error, protocol, call.request_id, call.client_request_id)
        downstream.respond(status, headers, body)


async def _no_body() -> bytes:
    return b""


def _match(method: str, raw_path: bytes, header: dict[bytes, bytes]) -> Match:
    try:
        return match(method, raw_path)
    except NoRoute as error:
        if not error.allow:
            raise NotFound("There is nothing at this path.") from None
        if header.get(b"upgrade", b"").lower() == b"websocket" and raw_path.endswith(b"/responses"):
            raise Refused(
                "WebSocket is not offered here: use HTTP.",
                status=426,
                code="websocket_not_offered",
                headers={"upgrade": "websocket"},
            ) from None
        raise method_not_allowed(error.allow) from None


async def _read(call: Call, gate: Gate, downstream: SocketDownstream, receive: Any) -> bytes:
    """The request's body, within the bounds of size, of time without progress, and of this process's memory."""
    limit = gate.settings.body_limit
    told = call.header.get(b"content-length")
    if told is not None and told.isdigit() and int(told) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidRequest("The client left before the request was complete.")
        if downstream.body_fault is not None:
            raise downstream.body_fault
        part: bytes = message["body"]
        if part:
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            gate.hold_body(call, len(part))
            parts.append(part)
        if not message["more_body"]:
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> Refused:
    return Refused(f"The request's body is larger than {limit} bytes.", status=413, code="request_too_large")


def own_id(value: bytes) -> str | None:
    """A client's own request id is kept when it is short and visible ASCII."""
    if not 0 < len(value) <= 128 or not all(33 <= byte <= 126 for byte in value):
        return None
    return value.decode("ascii")


_trusted = lru_cache(16)(networks)


def client_ip(peer: tuple[str, int] | None, headers: Iterable[tuple[bytes, bytes]], trusted: tuple[str, ...]) -> str:
    """The client's address: the peer's, or behind trusted proxies the first of X-Forwarded-For, from the right, that
    is not one of them."""
    address = peer[0] if peer else ""
    if not trusted or not address:
        return address
    hops = [
        hop.strip().decode("latin-1")
        for name, value in headers
        if name == b"x-forwarded-for"
        for hop in value.split(b",")
    ]
    while hops and is_trusted(address, _trusted(trusted)):
        address = hops.pop()
    return address
