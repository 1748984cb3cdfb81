"""Credentials that are renewed, as an attempt meets them: ended ones before it is made, refused ones once after it.

Renewed credentials are the lease's from then on; everything else of the candidate stays.
"""

import time

from msgspec.structs import replace

from gateway.platforms.platform import Kind, NotRenewed, Scope, Verdict
from gateway.relay.blame import Outcome, unreached
from gateway.relay.exchange import Exchange
from gateway.relay.gate import Gate
from gateway.routing.fitting import Candidate
from gateway.upstream import DialFailed
from gateway.upstream.renewal import RE_AUTHORISE, RefusedAgain, due

_PAUSE = 30.0
"""Seconds for which an account is out whose token endpoint gives nothing."""


async def ready(gate: Gate, exchange: Exchange) -> Candidate:
    """The candidate with credentials that have not ended. Raises NotRenewed."""
    candidate = exchange.lease.candidate
    if due(candidate.account, time.time()):
        account = await gate.renewals.fresh(candidate.account)
        candidate = exchange.lease.candidate = replace(candidate, account=account)
    return candidate


async def refused(gate: Gate, exchange: Exchange) -> bool:
    """The upstream has refused what the candidate signed with: whether it has other credentials now. Raises
    NotRenewed."""
    candidate = exchange.lease.candidate
    try:
        account = await gate.renewals.fresh(candidate.account, refused=True)
    except RefusedAgain:
        return False
    exchange.lease.candidate = replace(candidate, account=account)
    return True


async def unrenewed(gate: Gate, exchange: Exchange, error: NotRenewed) -> Outcome:
    """What it means for the account. An endpoint that cannot be reached has revoked nothing, and a proxy's failure is
    the proxy's."""
    if error.revoked:
        return Outcome(Verdict(Kind.DISABLE, RE_AUTHORISE, scope=Scope.ACCOUNT))
    cause = error.__cause__
    if isinstance(cause, DialFailed) and cause.reason == "proxy":
        return await unreached(gate, exchange, exchange.lease.candidate, cause)
    return Outcome(Verdict(Kind.COOL_DOWN, "not_renewed", time.time() + _PAUSE, Scope.ACCOUNT))
