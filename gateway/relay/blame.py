"""What one attempt came to, whose fault that was, and what the client is told when it was the last."""

import time

from msgspec import Struct

from gateway.core.errors import GatewayError, NotFound, UpstreamFailed, UpstreamTimeout
from gateway.platforms import PLATFORMS
from gateway.platforms.grounds import Ground
from gateway.platforms.network import NetworkFault, network_verdict
from gateway.platforms.platform import Headers, Verdict
from gateway.relay.breaker import scope_of_family, served_anywhere
from gateway.relay.exchange import Exchange
from gateway.relay.gate import Gate
from gateway.routing.fitting import Candidate
from gateway.upstream import BadAnswer, ConnectionBroken, DialFailed, Failure, TimedOut, Truncated
from gateway.upstream.renewal import RE_AUTHORISE

_PART_OF_WORDS = 3
"""Names up to this length occur inside of others."""


class Outcome(Struct):
    """What one attempt came to. `body` is the whole answer when the status is an error's."""

    verdict: Verdict
    status: int = 0
    headers: Headers = []
    body: bytes | None = None
    failure: Failure | None = None
    own: tuple[bytes, tuple[str, ...]] | None = None
    """The gateway's own answer, where nobody needs to be asked, and what is to be known of it."""


def judged(candidate: Candidate, status: int, headers: Headers, body: bytes) -> Outcome:
    """The outcome of an error answer, or of the error that is a stream's first event."""
    names = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    # Clients name models, and upstreams repeat the name: none of its words may decide about the account.
    said = body.replace(candidate.model.encode(), b"?") if len(candidate.model) > _PART_OF_WORDS else body
    verdict = PLATFORMS[candidate.account.platform].judge(status, names, said, time.time())
    return Outcome(verdict, status, headers, body)


async def unreached(gate: Gate, exchange: Exchange, candidate: Candidate, failure: Failure) -> Outcome:
    """The outcome of an attempt without an answer; failures in a row are counted."""
    now = time.time()
    fault = fault_of(failure)
    in_a_row = 0
    account, key_id = candidate.account, exchange.route.caller.key_id
    if fault is NetworkFault.PROXY and account.proxy is not None:
        in_a_row = gate.reached.failed(account.proxy.id, key_id).count
    elif fault in {NetworkFault.CONNECT, NetworkFault.TLS}:
        # Nothing of the request was written: it has no part in this, whoever sent it.
        in_a_row = gate.reached.failed(account.id, key_id).count
    elif fault is NetworkFault.RESET and not (isinstance(failure, ConnectionBroken) and failure.stale):
        # A kept connection that had gone stale is the way of every server, and is made anew at once.
        in_a_row = await _broken(gate, exchange, f"{account.id}|{scope_of_family(candidate.model)}", now)
    return Outcome(network_verdict(fault, in_a_row, now), failure=failure)


async def _broken(gate: Gate, exchange: Exchange, field: str, now: float) -> int:
    """How many answers in a row count as broken off. Only one key's: where no gateway has served another meanwhile."""
    caller = exchange.route.caller
    row = gate.reached.failed(field, caller.key_id, exchange.call.request_id)
    alone = not gate.reached.serves_others(field, caller.key_id, now)
    if alone and row.count > 1 and len(row.by_key) == 1:
        prefix = gate.prefix_of(caller.tenant_id)
        alone = not await served_anywhere(gate.scripts, prefix, field, caller.key_id, now)
    return row.counted(alone=alone)


def fault_of(failure: Failure) -> NetworkFault:
    match failure:
        case TimedOut():
            return NetworkFault.SLOW
        case DialFailed(reason="request"):
            return NetworkFault.UNSENDABLE
        case DialFailed(reason="proxy"):
            return NetworkFault.PROXY
        case DialFailed(reason="tls"):
            return NetworkFault.TLS
        case DialFailed():
            return NetworkFault.CONNECT
        case BadAnswer():
            return NetworkFault.GARBLED
        case ConnectionBroken() | Truncated() | _:
            return NetworkFault.RESET


def given_up(gate: Gate, exchange: Exchange, outcome: Outcome) -> GatewayError:
    """What the client is told when no account could serve: the last attempt decides."""
    verdict, status, failure = outcome.verdict, outcome.status, outcome.failure
    if isinstance(failure, TimedOut) or status in {408, 424, 504}:
        return UpstreamTimeout("The upstream did not answer in time.")
    if isinstance(failure, Truncated | BadAnswer):
        return UpstreamFailed("The upstream's answer was cut off, or cannot be read.")
    if failure is not None:
        return UpstreamFailed("The upstream could not be reached.")
    if verdict.reason == Ground.MODEL.value or (verdict.reason == "unmet" and status == 404):
        name = exchange.route.model
        return NotFound(f"No account serves the model {name!r} so.", code="model_not_found", field="model")
    if verdict.reason in {"credentials", "disabled", "forbidden", "region", RE_AUTHORISE} or status in {401, 403}:
        return UpstreamFailed("The upstream refused the account.", code="upstream_auth_failed")
    if status in {402, 429, 503, 529} or verdict.reason == "money":
        return gate.no_account(exchange.route)
    return UpstreamFailed("The upstream failed.")
