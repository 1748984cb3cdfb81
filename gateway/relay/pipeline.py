"""The request path: authenticate → authorise → choose → admit → send → deliver → settle."""

import asyncio
import time

from msgspec import structs

from gateway.core.errors import GatewayError, Internal, InvalidRequest
from gateway.core.groups import Group
from gateway.platforms import PLATFORMS
from gateway.protocols import CODECS
from gateway.protocols.codec import InvalidBody, Peek
from gateway.relay import meter, queue
from gateway.relay.admit import BoundElsewhere, Queued, SlotsTaken
from gateway.relay.authenticate import authenticate
from gateway.relay.bindings import bind_answer
from gateway.relay.convert import JSON
from gateway.relay.downstream import Downstream
from gateway.relay.estimate import Estimate
from gateway.relay.exchange import Exchange, Phase
from gateway.relay.gate import Gate
from gateway.relay.marking import release
from gateway.relay.reply import answer_headers, names_account
from gateway.relay.send import Outcome, send
from gateway.routing.authorise import Route, authorise
from gateway.routing.call import Call
from gateway.routing.choose import choose
from gateway.rules import ruled


async def relay(call: Call, gate: Gate, downstream: Downstream) -> None:
    """One request, from its head to its row. Raises the GatewayError to show while no byte has gone out."""
    exchange = await admitted(call, gate, downstream)
    try:
        if downstream.gone:
            # It left while Redis was asked, when nobody listened: a moment for what that does to this task.
            exchange.client_left()
            await asyncio.sleep(0)
        await deliver(exchange, await send(exchange, gate), gate)
    except GatewayError as error:
        exchange.failed(error)
        raise
    except asyncio.CancelledError:
        stopped = exchange.interrupted()
        if stopped is None:
            raise
        exchange.failed(stopped)
        if isinstance(stopped, GatewayError):
            raise stopped from None
    except Exception:
        exchange.failed(Internal("internal"))
        raise
    finally:
        bind_answer(gate, exchange)
        release(gate, exchange)
        exchange.settle()


async def admitted(call: Call, gate: Gate, downstream: Downstream) -> Exchange:
    """Up to the one call to Redis that takes limits and slot together. Nothing is held when it raises."""
    gate.check_open()
    caller = await authenticate(call, gate.keys, gate.snapshot)
    authenticated = time.perf_counter()
    call.body = await call.read_body()
    try:
        peek = CODECS[call.endpoint.protocol].peek(call.endpoint, call.body)
    except InvalidBody as error:
        raise InvalidRequest(error.message, field=error.field) from None
    route = authorise(call, caller, peek, gate.snapshot)
    if route.group is not None and not route.group.rules.idle:
        peek = _ruled(call, route, route.group, peek)
    candidates = choose(route, gate.snapshot, gate.states, time.time(), turn=True)
    row = meter.opening(call, route, peek)
    estimate = Estimate(route, peek, row.input_tokens, candidates, gate.means, gate.prices, row.received_at)
    chosen = time.perf_counter()
    kept = meter.reservation(row)
    asked = call.request_id, route, candidates, kept, estimate
    try:
        try:
            lease = await gate.admission.admit(*asked)
        except Queued as full:
            lease = await queue.wait(gate.admission, full, *asked, lambda: downstream.gone)
    except SlotsTaken as full:
        raise gate.no_account(route, full) from None
    except BoundElsewhere as bound:
        raise gate.bound_elsewhere(route, bound) from None
    exchange = Exchange(call, route, peek, lease, row, downstream, gate.settle)
    exchange.timing = (authenticated - call.started, chosen - authenticated, time.perf_counter() - chosen)
    gate.admitted(exchange, kept)
    return exchange


def _ruled(call: Call, route: Route, group: Group, peek: Peek) -> Peek:
    """Does to the body what the group's rules say, in the words it is written in. Raises InvalidRequest."""
    endpoint = call.endpoint
    written = endpoint if not peek.written_in else structs.replace(endpoint, protocol=peek.written_in)
    try:
        call.body = ruled(call.body, written, group.rules, route.model)
        return CODECS[endpoint.protocol].peek(endpoint, call.body)
    except InvalidBody as error:
        raise InvalidRequest(error.message, field=error.field) from None


async def deliver(exchange: Exchange, outcome: Outcome, gate: Gate) -> None:
    """Hands the answer, or the upstream's word on a fault of the request itself, to the client."""
    gate.drop_body(exchange.call)
    if outcome.own is not None:
        answer_here(exchange, *outcome.own)
        return
    if outcome.body is None:
        answer = exchange.answer
        length = answer.content_length if answer is not None and not exchange.rewritten else None
        await exchange.deliver(outcome.status, answer_headers(exchange, outcome.headers, length))
        return
    if names_account(outcome.body, exchange.lease.candidate.account):
        raise InvalidRequest("The upstream refused the request.", status=outcome.status)
    exchange.phase = Phase.OVER
    candidate = exchange.lease.candidate
    platform, body = PLATFORMS[candidate.account.platform], outcome.body
    if platform.error and candidate.spoken.protocol in CODECS:
        body = platform.error(outcome.status, body)
    if exchange.translation is not None:
        body, outcome.headers = exchange.translation.error(outcome.status, body), [(b"content-type", JSON)]
    exchange.row.status = outcome.status
    headers = answer_headers(exchange, outcome.headers, len(body))
    if exchange.recording is not None:
        exchange.recording.instead(body)
    exchange.downstream.respond(outcome.status, headers, body)


def answer_here(exchange: Exchange, body: bytes, adjusted: tuple[str, ...]) -> None:
    """Answers what no upstream needs to be asked."""
    exchange.phase = Phase.OVER
    exchange.adjusted = adjusted
    row = exchange.row
    # Nothing of an attempt that has failed before is measured.
    exchange.reader = exchange.converter = None
    row.account_id = row.platform = row.provider = row.model_used = None
    row.status, row.ending, row.first_byte_at = 200, "complete", time.time()
    exchange.downstream.respond(200, answer_headers(exchange, [(b"content-type", JSON)], len(body)), body)
