"""Sends a request to its account and, before the first byte has gone to the client, to another when that one fails.

One after the other, never in parallel, at most `max_attempts`, and no new attempt after the deadline. A request whose
answer comes in one piece and whose body was sent moves only on an error status: after a silence it may have been
billed. Rules: spec "Failing over".
"""

import asyncio
import random
import time
from collections.abc import Iterable, Sequence
from typing import NoReturn

import structlog

from gateway.core.errors import LimitReached, Unavailable
from gateway.core.ledger import Attempt
from gateway.platforms import PLATFORMS
from gateway.platforms.judgement import HALF_HOUR
from gateway.platforms.platform import Asked, Framing, Headers, Kind, NotRenewed, Scope, Verdict
from gateway.platforms.validation import InvalidAccount
from gateway.protocols import CODECS
from gateway.protocols.codec import Reader
from gateway.relay.adapt import adapt
from gateway.relay.bindings import bind_response, legible, movable, stay_with_organisation
from gateway.relay.blame import Outcome, given_up, judged, unreached
from gateway.relay.breaker import scope_of_family
from gateway.relay.convert import Converter
from gateway.relay.exchange import Exchange
from gateway.relay.gate import Gate
from gateway.relay.learning import learn
from gateway.relay.marking import claimed, recovered, troubled
from gateway.relay.renewal import ready, refused, unrenewed
from gateway.relay.single import answered_here, translating
from gateway.relay.translate import EVENTS
from gateway.routing.fitting import Candidate
from gateway.upstream import Answer, ConnectionBroken, Failure, TimedOut, Truncated

ERROR_BODY = 1 << 20
_SHORT_WAIT = 5.0
_ERROR_SECONDS = 10.0
log = structlog.get_logger()
_REQUEST_IDS = (b"request-id", b"x-request-id", b"apim-request-id", b"x-amzn-requestid", b"x-oai-request-id")


async def send(exchange: Exchange, gate: Gate) -> Outcome:
    """The outcome to deliver: an answer that has begun, one of our own where the account need not be asked, or an error
    of the request's own to pass through.

    Raises the GatewayError of the last attempt when none of the accounts could serve.
    """
    if exchange.route.reasoning is not None:
        await stay_with_organisation(gate, exchange)
    claimed(exchange)
    tried: set[tuple[str, int]] = set()
    while True:
        candidate = exchange.lease.candidate
        if (own := answered_here(exchange.call, exchange.route, exchange.peek, candidate)) is not None:
            return Outcome(Verdict(Kind.OK), 200, own=own)
        outcome = await _attempt(gate, exchange)
        if outcome.verdict.kind in {Kind.OK, Kind.CALLER}:
            return outcome
        tried.update(_in_vain(exchange, candidate, outcome))
        others = gate.usable(exchange.route, tried)
        troubled(gate, exchange, candidate, outcome.verdict, outcome.status)
        if not _may_go_on(gate, exchange, outcome):
            return _own_fault(outcome) or _nobody_else(gate, exchange, outcome)
        if not _stays(exchange, outcome) and await _moved(gate, exchange, candidate, movable(exchange, others)):
            continue
        if not await _again(gate, exchange, candidate, outcome):
            return _own_fault(outcome) or _nobody_else(gate, exchange, outcome)


def _in_vain(exchange: Exchange, candidate: Candidate, outcome: Outcome) -> Iterable[tuple[str, int]]:
    """The account, as the target of an alias that it was asked for; as all of them where the trouble is its own."""
    broken = outcome.failure is not None and not isinstance(outcome.failure, TimedOut)
    whole = broken or outcome.verdict.scope is Scope.ACCOUNT
    targets = range(len(exchange.route.destinations)) if whole else (candidate.target,)
    return ((candidate.account.id, at) for at in targets)


async def _moved(gate: Gate, exchange: Exchange, candidate: Candidate, others: Sequence[Candidate]) -> bool:
    """Whether one of the others has taken the request; it stays where it is when none has room."""
    if not others:
        return False
    try:
        await gate.admission.move(exchange.route, others, exchange.lease)
    except (LimitReached, Unavailable):
        return False
    gate.moved(candidate.account.id, exchange.lease.candidate.account.id)
    claimed(exchange)
    return True


def _own_fault(outcome: Outcome) -> Outcome | None:
    """What this account does not do and no other was there for: the upstream's own words say more than ours would."""
    passes = outcome.verdict.reason == "unmet" and 400 <= outcome.status < 500 and outcome.body is not None
    return outcome if passes and outcome.status not in {401, 403, 404} else None


def _nobody_else(gate: Gate, exchange: Exchange, outcome: Outcome) -> NoReturn:
    raise given_up(gate, exchange, outcome)


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
    if isinstance(failure, ConnectionBroken) and (failure.stale or exchange.peek.stream):
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


async def _attempt(gate: Gate, exchange: Exchange) -> Outcome:
    """One account's turn. Credentials that it refuses are renewed once, where they can be, and it is asked again."""
    outcome = await _asked(gate, exchange)
    if outcome.verdict.renew and _may_go_on(gate, exchange, outcome):
        try:
            if await refused(gate, exchange):
                outcome = await _asked(gate, exchange)
        except NotRenewed as error:
            outcome.verdict = (await unrenewed(gate, exchange, error)).verdict
    return outcome


async def _asked(gate: Gate, exchange: Exchange) -> Outcome:
    """An upstream that does not know how it is asked for usage is asked once more without."""
    candidate = exchange.lease.candidate
    account = candidate.account
    asks = gate.asks_usage(account, CODECS.get(candidate.spoken.protocol), exchange.peek, candidate.spoken.hub)
    outcome = await _request(gate, exchange, asks_usage=asks)
    if asks and outcome.status in {400, 422} and b"stream_options" in (outcome.body or b""):
        if not _may_go_on(gate, exchange, outcome):
            # The client has not asked for what is refused here.
            return Outcome(Verdict(Kind.ELSEWHERE, "fault"), outcome.status, outcome.headers)
        outcome = await _request(gate, exchange, asks_usage=False)
        if outcome.verdict.kind is Kind.OK:
            # Only now: a client's own fault in `stream_options` must not end the asking for the others.
            gate.refuses_usage(account.id)
    return outcome


async def _request(gate: Gate, exchange: Exchange, *, asks_usage: bool) -> Outcome:
    """One request to one account, up to the moment its answer has begun or has failed."""
    candidate = exchange.lease.candidate
    row, account = exchange.row, candidate.account
    row.account_id, row.platform, row.provider = account.id, account.platform, account.provider
    row.model_used = candidate.model
    attempt = Attempt(account.id, account.platform, candidate.model, time.time())
    row.attempts.append(attempt)
    try:
        candidate = await ready(gate, exchange)
        outcome = await _exchange(gate, exchange, candidate, asks_usage=asks_usage)
        gate.reached.answered(account, scope_of_family(candidate.model))
    except Failure as failure:
        outcome = await unreached(gate, exchange, candidate, failure)
    except NotRenewed as error:
        outcome = await unrenewed(gate, exchange, error)
    except InvalidAccount as error:
        log.error("an account's stored values cannot be used", account=account.id, field=error.field)
        outcome = Outcome(Verdict(Kind.COOL_DOWN, "credentials", time.time() + HALF_HOUR, Scope.ACCOUNT))
    if outcome.failure is not None and outcome.failure.sent:
        # Nobody says whether it was billed: the upstream had the prompt.
        attempt.input_tokens, attempt.usage_source = row.input_tokens, "estimated"
    attempt.status = outcome.status
    attempt.outcome = outcome.verdict.reason or outcome.verdict.kind
    attempt.upstream_request_id = _request_id(outcome.headers)
    learn(gate, exchange, candidate, outcome)
    if outcome.verdict.kind is Kind.OK:
        recovered(gate, exchange, candidate)
    else:
        attempt.ended_at = time.time()
    return outcome


async def _exchange(gate: Gate, exchange: Exchange, candidate: Candidate, *, asks_usage: bool) -> Outcome:
    route, account = exchange.route, candidate.account
    call, peek = legible(exchange, account)
    exchange.answer = exchange.reader = exchange.converter = None  # nothing of an earlier attempt is measured
    exchange.translation = translating(call, route, peek, candidate, gate.prices)
    asked, outgoing = adapt(call, route, peek, candidate, exchange.translation, asks_usage=asks_usage)
    exchange.adjusted = () if exchange.translation is None else exchange.translation.adjusted
    sent_at = time.perf_counter()
    answer = await gate.upstream.open(
        outgoing, pool_key=account.id, timeouts=account.timeouts, stream=peek.stream, proxy=account.proxy
    )
    exchange.answered_at = time.perf_counter()
    if not 200 <= answer.status < 300:
        exchange.answer = answer
        if peek.stream:
            answer.rearm(_ERROR_SECONDS)  # an error is said at once; the silence of a stream is not meant for it
        return judged(candidate, answer.status, answer.headers, await _error_body(answer))
    if peek.stream:
        # Its head has used some of the time that the first event has.
        answer.rearm(max(0.001, account.timeouts.first_event - (time.perf_counter() - sent_at)))
    return await _begun(gate, exchange, candidate, asked, answer, asks_usage=asks_usage)


async def _begun(
    gate: Gate, exchange: Exchange, candidate: Candidate, asked: Asked, answer: Answer, *, asks_usage: bool
) -> Outcome:
    """A good head came: waits until the answer has begun, which may be with an error all the same."""
    stream, translation = exchange.peek.stream, exchange.translation
    codec = CODECS.get(asked.protocol)
    content_type = answer.header(b"content-type")
    platform = PLATFORMS[candidate.account.platform]
    framing = platform.framing(asked, content_type) if platform.framing else None
    if framing is not None:
        content_type = framing.content_type
    events = stream and content_type.startswith(codec.stream_type if codec is not None else EVENTS)
    taken_out = None
    if translation is not None:
        reader = translation.meter(events)
    else:
        assert codec is not None  # only translation speaks what no client does
        reader = codec.reader(exchange.route.endpoint, events)
        plain = asks_usage and not answer.header(b"content-encoding")
        taken_out = codec.usage_filter() if plain and events and codec.usage_filter else None
    converter = translation.converter(events) if translation is not None else None
    await exchange.listen(answer, reader, events=events, framing=framing, usage=taken_out, converter=converter)
    if exchange.failure is not None and not (stream and reader.begun):
        raise exchange.failure
    in_one_piece = framing is not None or converter is not None
    if not stream and in_one_piece and (failed := _not_assembled(candidate, answer, reader, framing, converter)):
        return failed
    if reader.failure is not None and reader.failed_first and stream:
        outcome = judged(candidate, reader.failure.status, answer.headers, reader.failure.body)
        if outcome.verdict.kind is not Kind.CALLER:
            answer.close()
            return outcome
    if stream:
        answer.rearm(None)
    if reader.response_id is not None and converter is None:
        await bind_response(gate, exchange)
    if converter is not None:
        return Outcome(Verdict(Kind.OK), answer.status, [(b"content-type", converter.content_type)])
    return Outcome(Verdict(Kind.OK), answer.status, reframed(answer.headers, framing))


def _not_assembled(
    candidate: Candidate, answer: Answer, reader: Reader, framing: Framing | None, converter: Converter | None
) -> Outcome | None:
    """What was wrong with an answer that was put together, before any of it went out: an error inside is the answer.
    Raises Truncated for one without its end: the upstream may have billed it."""
    if reader.failure is not None:
        return judged(candidate, reader.failure.status, reframed(answer.headers, framing), reader.failure.body)
    if not reader.complete:
        raise Truncated("the answer ended before its end")
    if converter is not None and converter.failed is not None:
        raise Truncated(converter.failed.message)
    return None


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


def _request_id(headers: Headers) -> str | None:
    for name, value in headers:
        if name in _REQUEST_IDS:
            return value[:200].decode("latin-1")
    return None
