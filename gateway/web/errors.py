"""Errors as clients read them: in their own protocol, always JSON, with a stable code and the request's id."""

import time

from gateway.core.errors import GatewayError, LimitReached, Refused
from gateway.protocols import CODECS
from gateway.protocols.codec import Problem
from gateway.relay.standing import limit_headers
from gateway.routing.call import Header


def rendered(
    error: GatewayError, protocol: str, request_id: str, echoed: str | None
) -> tuple[int, list[Header], bytes]:
    """Status, headers and body of an error answer that we make."""
    codec = CODECS[protocol]
    body = codec.error(Problem(error.http_status, error.code, error.message, error.field, request_id))
    headers: list[Header] = [(b"content-type", b"application/json"), (b"x-request-id", request_id.encode())]
    if codec.request_id_header:
        headers.append((codec.request_id_header, request_id.encode()))
    if echoed:
        headers.append((b"x-client-request-id", echoed.encode()))
    if isinstance(error, LimitReached):
        headers += limit_headers(codec.limit_headers, error.standings, time.time())
    headers += [(name.encode(), value.encode()) for name, value in error.headers.items()]
    return error.http_status, headers, body


def method_not_allowed(allow: str) -> Refused:
    """`allow`: the methods that are, as in the header Allow."""
    return Refused("The method is not allowed here.", status=405, code="method_not_allowed", headers={"allow": allow})
