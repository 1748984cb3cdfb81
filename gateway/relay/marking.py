"""What an attempt means for its account: a state that begins, or one that ends. Written here and to Redis at once.

No user can switch an account off for the others: a state is of (account, model family) unless the upstream spoke of the
account itself, and one that is overloaded still serves those who have no other. A proxy has states of its own, for all
accounts that go through it.
"""

import time
from functools import partial

import msgspec

from gateway.core.domain import Account
from gateway.core.scripts import MARK, RedisGone, unheard
from gateway.core.state import BREAKER, FOR_EVER, State, encode
from gateway.platforms.platform import Kind, Scope, Verdict
from gateway.relay import breaker
from gateway.relay.exchange import Exchange
from gateway.relay.gate import Gate
from gateway.routing.fitting import Candidate

CLAIMED = 55.0
"""Seconds within which a probe's claim is certainly still this request's (admit gives it 60)."""


def scope_of(verdict: Verdict, model: str) -> str:
    """The state's scope, as it is named in Redis."""
    if verdict.scope is Scope.ACCOUNT:
        return "account"
    if verdict.scope is Scope.MODEL:
        return f"model:{model}"
    return f"family:{verdict.family}" if verdict.family else breaker.scope_of_family(model)


def troubled(gate: Gate, exchange: Exchange, candidate: Candidate, verdict: Verdict, status: int) -> None:
    """The account failed, or its proxy."""
    gate.states.answering.discard(candidate.account.id)
    if verdict.counts:
        exchange.claim = None  # the count gives it back as it opens the breaker again
        _count(gate, exchange, candidate, status)
    if verdict.kind not in {Kind.COOL_DOWN, Kind.DISABLE}:
        release(gate, exchange)
        return
    now = time.time()
    state = State(
        reason=verdict.reason,
        until=FOR_EVER if verdict.kind is Kind.DISABLE else verdict.until or now + 60,
        since=now,
        request_id=exchange.call.request_id,
        status=status,
        soft=verdict.overload,
    )
    account = candidate.account
    owner = account.proxy.id if verdict.reason == "proxy" and account.proxy else account.id
    scope = scope_of(verdict, candidate.model)
    held = gate.states.scopes(owner).get(scope)
    if held is not None and not held.soft and held.until >= state.until:
        return  # this request was under way when a longer one began, whose end must not come sooner
    _write(gate, account, owner, scope, state)
    release(gate, exchange)


def _count(gate: Gate, exchange: Exchange, candidate: Candidate, status: int) -> None:
    account, caller = candidate.account, exchange.route.caller
    scope = breaker.scope_of_family(candidate.model)
    field = f"{account.id}|{scope}"
    breaker.count(
        gate.scripts,
        gate.prefix_of(account.tenant_id),
        field,
        exchange.call.request_id,
        caller.key_id,
        serves_others=gate.reached.serves_others(field, caller.key_id, time.time()),
        opens=partial(_open, gate, exchange, account, scope, status),
    )


def _open(
    gate: Gate,
    exchange: Exchange,
    account: Account,
    scope: str,
    status: int,
    seconds: float,
    faults: int,
    shared: bool,
) -> None:
    """What one key alone has met does not keep the account from others who have none beside."""
    now, request_id = time.time(), exchange.call.request_id
    key = "" if shared else exchange.route.caller.key_id
    state = State(BREAKER, now + seconds, now, request_id, status, soft=not shared, key=key, faults=faults)
    _write(gate, account, account.id, scope, state)


def recovered(gate: Gate, exchange: Exchange, candidate: Candidate) -> None:
    """The account answered: the automatic states that covered this request are over, its proxy's too."""
    account = candidate.account
    gate.states.answering.add(account.id)
    family = breaker.scope_of_family(candidate.model)
    gate.reached.served(f"{account.id}|{family}", exchange.route.caller.key_id, time.time())
    started_at = exchange.attempt().started_at
    if scopes := gate.states.scopes(account.id):
        for scope in ("account", family, f"model:{candidate.model}"):
            # A state that began while this request was under way is newer than its success.
            if scope in scopes and scopes[scope].since < started_at:
                _write(gate, account, account.id, scope, None, by=exchange.call.request_id)
    release(gate, exchange)
    if account.proxy is not None:
        held = gate.states.scopes(account.proxy.id).get("account")
        if held is not None and held.since < started_at:
            _write(gate, account, account.proxy.id, "account", None, by=exchange.call.request_id)


def claimed(exchange: Exchange) -> None:
    """Admission gave the request its account, and with it perhaps the one probe of a half-open breaker."""
    scope = exchange.lease.candidate.probe
    exchange.claim = (scope, time.time()) if scope else None


def release(gate: Gate, exchange: Exchange) -> None:
    """The probe that this request had is over, however it went: another may try."""
    claim, exchange.claim = exchange.claim, None
    if claim is None or time.time() - claim[1] > CLAIMED:
        return
    account = exchange.lease.candidate.account
    name = f"{gate.prefix_of(account.tenant_id)}probe:{account.id}|{claim[0]}"
    try:
        gate.scripts.command(b"DEL", name).add_done_callback(unheard)
    except RedisGone:
        return


def _write(gate: Gate, account: Account, owner: str, scope: str, state: State | None, by: str = "") -> None:
    """`owner`: the id of the account or of its proxy."""
    if state is None:
        gate.states.clear(owner, scope)
    else:
        gate.states.set(owner, scope, state)
    entry = {"scope": scope, "at": time.time(), "state": state, "request_id": by}
    arguments = (owner, scope, b"" if state is None else encode(state), msgspec.json.encode(entry))
    try:
        gate.scripts.call(MARK, gate.prefix_of(account.tenant_id), arguments).add_done_callback(unheard)
    except RedisGone:
        return  # held in this process; the others see their own failures
