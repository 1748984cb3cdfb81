"""The answer's head for the client: the upstream's, less what it may not see, with what we add."""

import time
from typing import Any

import msgspec

from gateway.core.domain import Account
from gateway.relay.exchange import Exchange
from gateway.relay.headers import client_headers
from gateway.relay.standing import limit_headers
from gateway.routing.call import Call, Header

_STREAM: list[Header] = [(b"cache-control", b"no-cache, no-transform"), (b"x-accel-buffering", b"no")]
_IDS = ("organization", "project", "account_id", "entra_tenant_id", "client_id")
"""Options that name the account's owner. The others (regions, versions, names of headers) are the vendor's words."""
_OF_A_KEY_FILE = ("project_id", "client_email", "client_id", "private_key_id", "private_key")
_REPLACED = frozenset({b"cache-control", b"x-accel-buffering"})
WITHOUT_REASONING = "encrypted_content"
"""In `x-poolgate-adjusted`: the account could not read the request's encrypted reasoning."""


def own_headers(call: Call) -> list[Header]:
    """On every answer: the request's id, which is the ledger's; the client's own, echoed."""
    added: list[Header] = [(b"x-request-id", call.request_id.encode())]
    if call.client_request_id:
        added.append((b"x-client-request-id", call.client_request_id.encode()))
    return added


def answer_headers(exchange: Exchange, headers: list[Header], length: int | None) -> list[Header]:
    """The head of an answer that came from an upstream. `length`: of the body in bytes, None when not known."""
    call, codec = exchange.call, exchange.codec
    kept = client_headers(headers)
    answer = exchange.answer
    if exchange.peek.stream and answer is not None and answer.status < 300:
        kept = [pair for pair in kept if pair[0] not in _REPLACED] + _STREAM
    if length is not None:
        kept.append((b"content-length", b"%d" % length))
    kept += own_headers(call)
    kept += limit_headers(codec.limit_headers, exchange.lease.standings, time.time())
    kept.append((b"server-timing", _timing(exchange)))
    adjusted = (WITHOUT_REASONING, *exchange.adjusted) if exchange.illegible else exchange.adjusted
    if adjusted:
        kept.append((b"x-poolgate-adjusted", ", ".join(adjusted).encode("ascii", "replace")))
    if exchange.route.caller.debug:
        account = exchange.lease.candidate.account
        kept += [
            (b"x-poolgate-account", account.id.encode()),
            (b"x-poolgate-platform", account.platform.encode()),
            (b"x-poolgate-attempts", b"%d" % len(exchange.row.attempts)),
        ]
    return kept


def _timing(exchange: Exchange) -> bytes:
    """Milliseconds of each step (https://www.w3.org/TR/server-timing/)."""
    auth, choose, admit = exchange.timing
    upstream = max(0.0, exchange.answered_at - exchange.call.started - auth - choose - admit)
    return b"auth;dur=%.3f, choose;dur=%.3f, admit;dur=%.3f, upstream;dur=%.3f" % (
        auth * 1000,
        choose * 1000,
        admit * 1000,
        upstream * 1000,
    )


def names_account(body: bytes, account: Account) -> bool:
    """Whether an error that would pass through holds this account's own ids or secrets."""
    values = [text for secret in account.credentials.values() for text in _texts(secret.reveal())]
    values += [value for name in _IDS if isinstance(value := account.options.get(name), str)]
    return any(len(value) >= 6 and value.encode() in body for value in values)


def _texts(secret: str) -> list[str]:
    """A secret; of a service account's key file what is its own, since much of it is the same for everybody."""
    try:
        held = msgspec.json.decode(secret, type=dict[str, Any]) if secret.startswith("{") else {}
    except msgspec.MsgspecError:
        held = {}
    return [secret, *(str(held[name]) for name in _OF_A_KEY_FILE if name in held)]
