"""State that lives in one account: the responses it keeps, and the reasoning that its organisation alone can read.

Written for the key that got the answer, for 30 days. Where a response's account is asked for again is admission's (see
`gateway.relay.offer`); a request with encrypted reasoning stays with the organisation that made it, and goes to another
account once, without those pieces, when that is unusable.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from gateway.core.domain import Account
from gateway.core.errors import InvalidRequest, LimitReached, Unavailable
from gateway.core.names import reasoning_name, response_name, tenant_prefix
from gateway.core.scripts import AWAY, RedisGone, unheard
from gateway.protocols.codec import InvalidBody, Peek
from gateway.relay.exchange import Exchange
from gateway.relay.gate import Gate
from gateway.routing.call import Call
from gateway.routing.fitting import Candidate

DAYS = 30
_SECONDS = DAYS * 86_400


def organisation(account: Account) -> str:
    """Whose reasoning the account can read."""
    options = account.options
    return str(options.get("organization") or options.get("account_id") or account.id)


async def bind_response(gate: Gate, exchange: Exchange) -> None:
    """Says which account has made the response, before the client can have read its id."""
    if _tell_response(gate, exchange):
        # The loop writes it out before it comes back here: a client that answers at once finds it, at any gateway.
        await asyncio.sleep(0)


def bind_answer(gate: Gate, exchange: Exchange) -> None:
    """What is known at the answer's end: its reasoning, and a response that named itself late."""
    reader = exchange.reader
    if reader is None or exchange.codec.without_reasoning is None or exchange.converter is not None:
        return  # the ids and the reasoning of a translated answer are the gateway's own
    _tell_response(gate, exchange)
    caller = exchange.route.caller
    for digest in reader.reasoning:
        _tell(gate, exchange, reasoning_name(caller.tenant_id, caller.key_id, digest))


def _tell_response(gate: Gate, exchange: Exchange) -> bool:
    reader = exchange.reader
    found = reader.response_id if reader is not None else None
    if found is None or found == exchange.response_id:
        return False
    exchange.response_id = found
    caller = exchange.route.caller
    _tell(gate, exchange, response_name(caller.tenant_id, caller.key_id, found))
    return True


def _tell(gate: Gate, exchange: Exchange, name: str) -> None:
    tenant, account = exchange.route.caller.tenant_id, exchange.lease.candidate.account
    try:
        said = gate.scripts.command(b"SET", tenant_prefix(tenant) + name, account.id, b"EX", _SECONDS)
    except RedisGone:
        return  # then the client is told later that the response is not known, and sends its context again
    said.add_done_callback(unheard)


async def stay_with_organisation(gate: Gate, exchange: Exchange) -> None:
    """After admission: the organisation that can read the request's reasoning, and the request with one of its accounts
    where one is free. It was admitted to the very account that made the reasoning, or that could not be taken."""
    lease = exchange.lease
    held = await _maker(gate, exchange) if lease.moved else None
    if held is None:
        exchange.organisation = organisation(lease.candidate.account)
        return
    account = gate.snapshot.accounts.get(held)
    exchange.organisation = organisation(account) if account is not None else held
    before = lease.candidate.account
    if organisation(before) == exchange.organisation:
        return
    readers = [one for one in gate.usable(exchange.route, ()) if _reads(exchange, one)]
    if not readers:
        return
    try:
        await gate.admission.move(exchange.route, readers, lease)
    except (LimitReached, Unavailable):
        return
    gate.moved(before.id, lease.candidate.account.id)


async def _maker(gate: Gate, exchange: Exchange) -> str | None:
    """The account that made the reasoning. Asked for only where another was taken."""
    caller, digest = exchange.route.caller, exchange.route.reasoning or ""
    name = tenant_prefix(caller.tenant_id) + reasoning_name(caller.tenant_id, caller.key_id, digest)
    try:
        held: bytes | None = await gate.scripts.command(b"GET", name)
    except AWAY:
        return None
    return held.decode() if held is not None else None


def _reads(exchange: Exchange, candidate: Candidate) -> bool:
    return organisation(candidate.account) == exchange.organisation


def movable(exchange: Exchange, others: Sequence[Candidate]) -> Sequence[Candidate]:
    """Those of the others that may have the request next: with encrypted reasoning, the organisation's own, then once
    another."""
    if exchange.organisation is None:
        return others
    readers = [one for one in others if _reads(exchange, one)]
    return readers or (() if exchange.illegible else others)


def legible(exchange: Exchange, account: Account) -> tuple[Call, Peek]:
    """The request as the account can read it. Raises InvalidRequest."""
    remove = exchange.codec.without_reasoning
    if exchange.organisation in {None, organisation(account)} or remove is None:
        exchange.illegible = False
        return exchange.call, exchange.peek
    exchange.illegible = True
    try:
        call = msgspec.structs.replace(exchange.call, body=remove(exchange.call.body))
        return call, exchange.codec.peek(call.endpoint, call.body)
    except InvalidBody as error:
        raise InvalidRequest(error.message, field=error.field) from None
