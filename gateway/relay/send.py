"""Sends a request to its account and, before the first byte has gone to the client, to another when that one fails.

One after the other, never in parallel, at most `max_attempts`, and no new attempt after the deadline. A request whose
answer comes in one piece and whose body was sent moves only on an error status: after a silence it may have been
billed. Rules: spec "Failing over".
"""

import asyncio
import random
import time
from collections.abc import Sequence

import structlog
from msgspec import Struct

from gateway.core.errors import GatewayError, LimitReached, NotFound, Unavailable, UpstreamFailed, UpstreamTimeout
from gateway.core.ledger import Attempt
from gateway.platforms import PLATFORMS
from gateway.platforms.grounds import Ground
from gateway.platforms.judgement import HALF_HOUR
from gateway.platforms.network import NetworkFault, network_verdict
from gateway.platforms.platform import Framing, Headers, Kind, Scope, Verdict
from gateway.platforms.validation import InvalidAccount
from gateway.relay.adapt import adapt
from gateway.relay.exchange import Exchange
from gateway.relay.gate import Gate
from gateway.relay.marking import recovered, troubled
from gateway.routing.choose import Candidate
from gateway.upstream import Answer, BadAnswer, ConnectionBroken, DialFailed, Failure, TimedOut

ERROR_BODY = 1 << 20
_SHORT_WAIT = 5.0
_ERROR_SECONDS = 10.0
log = structlog.get_logger()
_REQUEST_IDS = (b"request-id", b"x-request-id", b"apim-request-id", b"x-amzn-requestid")


class Outcome(Struct):
    """What one attempt came to. `body` is the whole answer when the status is an error's."""

    verdict: Verdict
    status: int = 0
    headers: Headers = []
    body: bytes | None = None
    failure: Failure | None = None


async def send(exchange: Exchange, gate: Gate) -> Outcome:
    """The outcome to deliver: an answer that has begun, or an error of the request's own to pass through.

    Raises the GatewayError of the last attempt when none of the accounts could serve.
    """
    tried: set[str] = set()
    while True:
        candidate = exchange.lease.candidate
        tried.add(candidate.account.id)
        outcome = await _attempt(gate, exchange, candidate)
        if outcome.verdict.kind in {Kind.OK, Kind.CALLER}:
            return outcome
        others = gate.usable(exchange.route, tried)
        troubled(gate, exchange, candidate, outcome.verdict, outcome.status, last=not others)
        if not _may_go_on(gate, exchange, outcome):
            raise given_up(gate, exchange, outcome)
        if not _stays(exchange, outcome) and await _moved(gate, exchange, candidate, others):
            continue
        if not await _again(gate, exchange, candidate, outcome):
            raise given_up(gate, exchange, outcome)


async def _moved(gate: Gate, exchange: Exchange, candidate: Candidate, others: Sequence[Candidate]) -> bool:
    """Whether one of the others has taken the request; it stays where it is when none has room."""
    if not others:
        return False
    try:
        await gate.admission.admit(exchange.call.request_id, exchange.route, others, b"", exchange.lease)
    except (LimitReached, Unavailable):
        return False
    gate.moved(candidate.account.id, exchange.lease.candidate.account.id)
    return True


def _stays(exchange: Exchange, outcome: Outcome) -> bool:
    """A kept connection had gone stale under a body that must not reach two accounts: only the same one may have it."""
    return isinstance(outcome.failure, ConnectionBroken) and not exchange.peek.stream


def _may_go_on(gate: Gate, exchange: Exchange, outcome: Outcome) -> bool:
    settings = gate.settings
    if exchange.downstream.gone or len(exchange.row.attempts) >= settings.max_attempts:
        return False
    if time.time() >= _deadline(gate, exchange):
        return False
    failure = outcome.failure
    if failure is None or not failure.sent or exchange.peek.stream:
        return True
    return isinstance(failure, ConnectionBroken) and failure.stale


def _deadline(gate: Gate, exchange: Exchange) -> float:
    return exchange.call.received_at + gate.settings.failover_deadline


async def _again(gate: Gate, exchange: Exchange, candidate: Candidate, outcome: Outcome) -> bool:
    """No other account is left: whether the same one may be tried once more, after its wait."""
    verdict, failure = outcome.verdict, outcome.failure
    if isinstance(failure, ConnectionBroken) and failure.stale:
        return sum(attempt.account_id == candidate.account.id for attempt in exchange.row.attempts) == 1
    if failure is not None or not verdict.transient:
        return False
    wait = 0.5 * 2 ** (len(exchange.row.attempts) - 1) * random.uniform(0.8, 1.2)  # noqa: S311  # jitter
    if verdict.until is not None and not verdict.overload:
        wait = max(wait, verdict.until - time.time())
    if wait > _SHORT_WAIT or time.time() + wait >= _deadline(gate, exchange):
        return False
    await asyncio.sleep(wait)
    return True


async def _attempt(gate: Gate, exchange: Exchange, candidate: Candidate) -> Outcome:
    """One account's turn. An upstream that does not know how it is asked for usage is asked once more without."""
    account = candidate.account
    asks = gate.asks_usage(account, exchange.codec, exchange.peek)
    outcome = await _request(gate, exchange, candidate, asks_usage=asks)
    if asks and outcome.status in {400, 422} and b"stream_options" in (outcome.body or b""):
        outcome = await _request(gate, exchange, candidate, asks_usage=False)
        if outcome.verdict.kind is Kind.OK:
            # Only now: a client's own fault in `stream_options` must not end the asking for the others.
            gate.refuses_usage(account.id)
    return outcome


async def _request(gate: Gate, exchange: Exchange, candidate: Candidate, *, asks_usage: bool) -> Outcome:
    """One request to one account, up to the moment its answer has begun or has failed."""
    row, account = exchange.row, candidate.account
    row.account_id, row.platform, row.provider = account.id, account.platform, account.provider
    row.model_used = candidate.model
    attempt = Attempt(account.id, account.platform, candidate.model, time.time())
    row.attempts.append(attempt)
    try:
        outcome = await _exchange(gate, exchange, candidate, asks_usage=asks_usage)
        gate.network_failures.pop(account.id, None)
    except Failure as failure:
        outcome = Outcome(_network(gate, exchange, candidate, failure), failure=failure)
    except InvalidAccount as error:
        log.error("an account's stored values cannot be used", account=account.id, field=error.field)
        outcome = Outcome(Verdict(Kind.COOL_DOWN, "credentials", time.time() + HALF_HOUR, Scope.ACCOUNT))
    attempt.status = outcome.status
    attempt.outcome = outcome.verdict.reason or outcome.verdict.kind
    attempt.upstream_request_id = _request_id(outcome.headers)
    if outcome.verdict.kind is Kind.OK:
        recovered(gate, exchange, candidate)
    else:
        attempt.ended_at = time.time()
    return outcome


async def _exchange(gate: Gate, exchange: Exchange, candidate: Candidate, *, asks_usage: bool) -> Outcome:
    call, route, peek, account = exchange.call, exchange.route, exchange.peek, candidate.account
    codec = exchange.codec
    exchange.answer = exchange.reader = None  # nothing of an earlier attempt is measured
    asked, outgoing = adapt(call, route, peek, candidate, asks_usage=asks_usage)
    timeouts = account.timeouts
    answer = await gate.upstream.open(
        outgoing, pool_key=account.id, timeouts=timeouts, stream=peek.stream, proxy=account.proxy
    )
    exchange.answered_at = time.perf_counter()
    if not 200 <= answer.status < 300:
        exchange.answer = answer
        if peek.stream:
            answer.rearm(_ERROR_SECONDS)  # an error is said at once; the silence of a stream is not meant for it
        return _judged(candidate, answer.status, answer.headers, await _error_body(answer))
    if peek.stream:
        answer.rearm(timeouts.first_event)
    content_type = next((value for name, value in answer.headers if name == b"content-type"), b"")
    platform = PLATFORMS[account.platform]
    framing = platform.framing(asked, content_type) if platform.framing else None
    if framing is not None:
        content_type = framing.content_type
    events = peek.stream and content_type.startswith(b"text/event-stream")
    reader = codec.reader(route.endpoint, events)
    taken_out = codec.usage_filter() if asks_usage and events and codec.usage_filter else None
    await exchange.listen(answer, reader, events=events, framing=framing, usage=taken_out)
    if exchange.failure is not None and not (peek.stream and reader.begun):
        raise exchange.failure
    if reader.failure is not None and reader.failed_first and peek.stream:
        outcome = _judged(candidate, reader.failure.status, answer.headers, reader.failure.body)
        if outcome.verdict.kind is not Kind.CALLER:
            answer.close()
            return outcome
    if peek.stream:
        answer.rearm(None)
    return Outcome(Verdict(Kind.OK), answer.status, reframed(answer.headers, framing))


def reframed(headers: Headers, framing: Framing | None) -> Headers:
    """The upstream's headers, with the content type that its re-framed body has."""
    if framing is None:
        return headers
    kept = [header for header in headers if header[0] not in {b"content-type", b"content-length"}]
    return [*kept, (b"content-type", framing.content_type)]


async def _error_body(answer: Answer) -> bytes:
    try:
        return await answer.read(ERROR_BODY)
    except Failure:
        return b""


def _judged(candidate: Candidate, status: int, headers: Headers, body: bytes) -> Outcome:
    names = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    verdict = PLATFORMS[candidate.account.platform].judge(status, names, body, time.time())
    return Outcome(verdict, status, headers, body)


def _network(gate: Gate, exchange: Exchange, candidate: Candidate, failure: Failure) -> Verdict:
    if isinstance(failure, TimedOut):
        return network_verdict(NetworkFault.SLOW, 0, time.time())
    if isinstance(failure, DialFailed):
        fault = NetworkFault.TLS if failure.reason == "tls" else NetworkFault.CONNECT
    else:
        fault = NetworkFault.GARBLED if isinstance(failure, BadAnswer) else NetworkFault.RESET
    in_a_row = gate.network_failed(candidate.account.id)
    return network_verdict(fault, in_a_row, time.time())


def _request_id(headers: Headers) -> str | None:
    return next((value[:200].decode("latin-1") for name, value in headers if name in _REQUEST_IDS), None)


def given_up(gate: Gate, exchange: Exchange, outcome: Outcome) -> GatewayError:
    """What the client is told when no account could serve: the last attempt decides."""
    verdict, status, failure = outcome.verdict, outcome.status, outcome.failure
    if isinstance(failure, TimedOut) or status in {408, 424, 504}:
        return UpstreamTimeout("The upstream did not answer in time.")
    if failure is not None:
        return UpstreamFailed("The upstream could not be reached.")
    if verdict.reason == Ground.MODEL.value or (verdict.reason == "unmet" and status == 404):
        name = exchange.route.model
        return NotFound(f"No account serves the model {name!r} so.", code="model_not_found", field="model")
    if verdict.reason in {"credentials", "disabled", "forbidden", "region"} or status in {401, 403}:
        return UpstreamFailed("The upstream refused the account.", code="upstream_auth_failed")
    if status in {402, 429, 503, 529} or verdict.reason == "money":
        return gate.no_account(exchange.route)
    return UpstreamFailed("The upstream failed.")
