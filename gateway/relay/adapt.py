"""The call as one account's upstream wants it: the body verbatim but for the model's name, the URL, the signature."""

import time

from gateway.core.errors import InvalidRequest
from gateway.platforms import PLATFORMS
from gateway.platforms.platform import Asked, Outgoing
from gateway.platforms.target import placed
from gateway.protocols import CODECS
from gateway.protocols.codec import InvalidBody, Peek
from gateway.relay.headers import upstream_headers
from gateway.routing.authorise import Route
from gateway.routing.call import Call, without
from gateway.routing.choose import Candidate


def adapt(
    call: Call, route: Route, peek: Peek, candidate: Candidate, *, asks_usage: bool = False
) -> tuple[Asked, Outgoing]:
    """What the platform is asked, and the signed request for one attempt. Nothing of an earlier attempt is in it.

    Raises InvalidRequest.
    """
    account = candidate.account
    platform = PLATFORMS[account.platform]
    endpoint = route.endpoint
    codec = CODECS[endpoint.protocol]
    if asks_usage and codec.with_usage is not None:
        try:
            sent = codec.with_usage(call.body, peek, candidate.model)
        except InvalidBody as error:
            raise InvalidRequest(error.message, field=error.field) from None
    elif peek.model == candidate.model and len(peek.models) == 1:
        sent = call.body
    else:
        sent = codec.rename(endpoint, call.body, peek, candidate.model)
    query = call.query
    if query:
        # Below /openai/ the path may be Azure's, and the version with it.
        query = without(query, b"key", b"api-version") if call.path.startswith("/openai/") else without(query, b"key")
    headers = upstream_headers(call.headers, route.caller.key_id)
    operation = endpoint.action or endpoint.operation
    asked = Asked(endpoint.protocol, operation, candidate.model, peek.stream, query, headers, sent)
    try:
        outgoing = placed(asked, account, platform)
    except InvalidBody as error:
        code = "invalid_model" if error.field == "model" else None
        raise InvalidRequest(error.message, code=code, field=error.field) from None
    return asked, platform.sign(outgoing, account, time.time())
