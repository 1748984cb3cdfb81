"""The call as one account's upstream wants it: the body verbatim but for the model's name, the URL, the signature."""

import time

from msgspec import structs

from gateway.core.errors import InvalidRequest
from gateway.core.groups import Group
from gateway.platforms import PLATFORMS
from gateway.platforms.platform import Asked, Outgoing
from gateway.platforms.target import placed
from gateway.protocols import CODECS
from gateway.protocols.codec import InvalidBody, Peek
from gateway.relay.headers import upstream_headers
from gateway.relay.translate import Translation
from gateway.routing.authorise import Route
from gateway.routing.call import Call, Header, without
from gateway.routing.fitting import Candidate

_LISTS = frozenset({b"anthropic-beta", b"openai-beta"})


def adapt(
    call: Call,
    route: Route,
    peek: Peek,
    candidate: Candidate,
    translation: Translation | None = None,
    *,
    asks_usage: bool = False,
) -> tuple[Asked, Outgoing]:
    """What the platform is asked, and the signed request for one attempt. Nothing of an earlier attempt is in it.

    Raises InvalidRequest.
    """
    account = candidate.account
    platform = PLATFORMS[account.platform]
    headers = upstream_headers(call.headers, route.caller.key_id)
    if translation is not None:
        asked = translation.ask(headers, asks_usage=asks_usage)
    else:
        asked = _verbatim(call, route, peek, candidate, headers, asks_usage)
    if route.group is not None and route.group.headers:
        asked = structs.replace(asked, headers=_with_those_of(route.group, asked.headers))
    try:
        outgoing = placed(asked, account, platform)
    except InvalidBody as error:
        code = "invalid_model" if error.field == "model" else None
        raise InvalidRequest(error.message, code=code, field=error.field) from None
    return asked, platform.sign(outgoing, account, time.time())


def _verbatim(
    call: Call, route: Route, peek: Peek, candidate: Candidate, headers: list[Header], asks_usage: bool
) -> Asked:
    endpoint = route.endpoint
    codec = CODECS[endpoint.protocol]
    try:
        if asks_usage and codec.with_usage is not None:
            sent = codec.with_usage(call.body, peek, candidate.model)
        elif peek.model == candidate.model and len(peek.models) == 1:
            sent = call.body
        else:
            sent = codec.rename(endpoint, call.body, peek, candidate.model)
        if codec.without_foreign is not None:
            sent = codec.without_foreign(sent)
    except InvalidBody as error:
        raise InvalidRequest(error.message, field=error.field) from None
    query = call.query
    if query:
        # Below /openai/ the path may be Azure's, and the version with it.
        query = without(query, b"key", b"api-version") if call.path.startswith("/openai/") else without(query, b"key")
    operation = endpoint.action or endpoint.operation
    return Asked(endpoint.protocol, operation, candidate.model, peek.stream, query, headers, sent)


def _with_those_of(group: Group, headers: list[Header]) -> list[Header]:
    """With the group's headers, in place of the client's of the same name; betas are added to the client's."""
    added = {name.lower().encode("latin-1"): value.encode("latin-1") for name, value in group.headers.items()}
    for name in _LISTS & added.keys():
        added[name] = b",".join([*(value for said, value in headers if said == name), added[name]])
    return [*(pair for pair in headers if pair[0] not in added), *added.items()]
