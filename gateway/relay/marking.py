"""What an attempt means for its account: a state that begins, or one that ends. Written here and to Redis at once.

No user can switch an account off for the others: a state is of (account, model family) unless the upstream spoke of the
account itself, and the last usable account is only tried last when it is overloaded.
"""

import asyncio
import time

import msgspec

from gateway.core.scripts import MARK, RedisGone
from gateway.core.state import FOR_EVER, State, encode
from gateway.platforms.platform import Kind, Scope, Verdict, model_family
from gateway.relay.exchange import Exchange
from gateway.relay.gate import Gate
from gateway.routing.choose import Candidate


def scope_of(verdict: Verdict, model: str) -> str:
    """The state's scope, as it is named in Redis."""
    if verdict.scope is Scope.ACCOUNT:
        return "account"
    if verdict.scope is Scope.MODEL:
        return f"model:{model}"
    return f"family:{verdict.family or model_family(model)}"


def troubled(
    gate: Gate, exchange: Exchange, candidate: Candidate, verdict: Verdict, status: int, *, last: bool
) -> None:
    """The account failed. `last`: no other account could take this request."""
    if verdict.kind not in {Kind.COOL_DOWN, Kind.DISABLE}:
        return
    now = time.time()
    state = State(
        reason=verdict.reason,
        until=FOR_EVER if verdict.kind is Kind.DISABLE else verdict.until or now + 60,
        since=now,
        request_id=exchange.call.request_id,
        status=status,
        soft=verdict.overload and last,
    )
    _write(gate, candidate, scope_of(verdict, candidate.model), state)


def recovered(gate: Gate, exchange: Exchange, candidate: Candidate) -> None:
    """The account answered: the automatic states that covered this request are over."""
    account_id = candidate.account.id
    scopes = gate.states.scopes(account_id)
    if not scopes:
        return
    for scope in ("account", f"family:{model_family(candidate.model)}", f"model:{candidate.model}"):
        # A state that began while this request was under way is newer than its success.
        if scope in scopes and scopes[scope].since < exchange.attempt().started_at:
            _write(gate, candidate, scope, None)


def _write(gate: Gate, candidate: Candidate, scope: str, state: State | None) -> None:
    account = candidate.account
    if state is None:
        gate.states.clear(account.id, scope)
    else:
        gate.states.set(account.id, scope, state)
    entry = {"scope": scope, "at": time.time(), "state": state}
    arguments = (account.id, scope, b"" if state is None else encode(state), msgspec.json.encode(entry))
    try:
        gate.scripts.call(MARK, gate.prefix_of(account.tenant_id), arguments).add_done_callback(_seen)
    except RedisGone:
        return  # held in this process; the others see their own failures


def _seen(future: asyncio.Future[object]) -> None:
    if not future.cancelled():
        future.exception()
