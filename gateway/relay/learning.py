"""What an attempt tells of its account: how long the first byte took, and how near the account is to a limit.

Both are held in this process at once and used for the next choice. Limits are also written to Redis for the other
gateways and for operators, at most once a second per account and model family; times for operators alone.
"""

import time

from gateway.core import paces
from gateway.core.learned import encode, learned
from gateway.core.names import pace_name
from gateway.core.scripts import RedisGone, unheard
from gateway.platforms.learned import windows
from gateway.platforms.platform import Headers, Kind, model_family
from gateway.relay.blame import Outcome
from gateway.relay.exchange import Exchange
from gateway.relay.gate import Gate
from gateway.routing.choose import kind_of
from gateway.routing.fitting import Candidate
from gateway.upstream import TimedOut

_KINDS = 32
"""Kinds of requests whose times are written at once, so that a gateway is not kept from its requests."""
_TWO_HOURS = 7200


def learn(gate: Gate, exchange: Exchange, candidate: Candidate, outcome: Outcome) -> None:
    """To be called when the answer has begun, or when there will be none."""
    now, route = time.time(), exchange.route
    # Counting tokens has limits of its own.
    if outcome.headers and route.endpoint.operation != "count":
        _limits(gate, candidate, outcome.headers, now)
    # What was waited for in vain has taken at least so long; other failures say nothing of an account's pace.
    if outcome.verdict.kind is Kind.OK or isinstance(outcome.failure, TimedOut):
        seconds = max(0.0, now - exchange.attempt().started_at)
        gate.states.latencies.add(kind_of(route, candidate.target), candidate.account, seconds, now)


def _limits(gate: Gate, candidate: Candidate, headers: Headers, now: float) -> None:
    found = windows(headers, now)
    if not found:
        return
    account, family = candidate.account, model_family(candidate.model)
    value = learned(tuple(found), now)
    if not gate.states.learn(account.id, family, value):
        return
    name, field = gate.prefix_of(account.tenant_id) + "learned", f"{account.id}|{family}"
    try:
        gate.scripts.command(b"HSET", name, field, encode(value)).add_done_callback(unheard)
    except RedisGone:
        return  # the next answer after Redis is back says it again


async def tell(gate: Gate) -> None:
    """Writes the times to the first byte that have changed: an operator is shown the order that requests meet."""
    now, instance = time.time(), gate.journal.instance
    if not gate.scripts.connected:
        return
    for kind, known in gate.states.latencies.untold(_KINDS):
        name = gate.prefix_of(kind[0]) + pace_name(kind, now)
        for command in ((b"HSET", name, instance, paces.encode(known)), (b"EXPIRE", name, _TWO_HOURS)):
            gate.scripts.command(*command).add_done_callback(unheard)
