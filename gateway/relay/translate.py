"""One attempt at an account that does not speak the client's protocol, or at a model without tools: how the request is
said to the upstream, and how its answer is said to the client. Conversations here; what is asked and answered in one
piece is in `gateway.relay.single`.
"""

import time
from typing import Protocol

from msgspec import structs

from gateway.core.errors import InvalidRequest
from gateway.core.prices import Table, max_output
from gateway.platforms.platform import Asked, Headers
from gateway.protocols import CODECS
from gateway.protocols.codec import Endpoint, InvalidBody, Peek, Reader
from gateway.protocols.edits import edited
from gateway.relay.convert import JSON, Converter, StreamConverter, WholeConverter
from gateway.relay.estimate import prompt_tokens
from gateway.routing.authorise import Route
from gateway.routing.call import Call
from gateway.routing.fitting import Candidate
from gateway.routing.speaking import generating
from gateway.translation import SPEECHES, UPSTREAMS, compat
from gateway.translation.prompt import Prompt, Untranslatable
from gateway.translation.speech import Asking, Limits, Speech, Upstream

EVENTS = b"text/event-stream"
#: All that the upstream gets of the client's headers: the others belong to the client's protocol.
_KEPT = frozenset({b"user-agent", b"traceparent", b"tracestate", b"baggage"})
#: What an upstream's protocol wants in every request, and what makes its stream one of events.
_ADDED: dict[str, Headers] = {"anthropic": [(b"anthropic-version", b"2023-06-01")]}
_QUERY = {"streamGenerateContent": b"alt=sse"}
_OWN_STREAMS = frozenset({"ollama", "converse"})


class Translation(Protocol):
    """One attempt's way there and back."""

    adjusted: tuple[str, ...]
    """What was clamped or left out, for `x-poolgate-adjusted`; once the request was built."""

    def ask(self, headers: Headers, *, asks_usage: bool) -> Asked:
        """`headers`: the client's, as an upstream may see them. Raises InvalidRequest."""
        ...

    def meter(self, events: bool) -> Reader:
        """What listens to the upstream's bytes for the ledger; `events`: they are a stream of them."""
        ...

    def converter(self, events: bool) -> Converter: ...

    def error(self, status: int, body: bytes) -> bytes:
        """An error answer of the upstream, in the client's protocol."""
        ...


class Conversation:
    """The prompt is in the neutral form; tools are written into it as text in compatibility mode."""

    def __init__(
        self, call: Call, route: Route, peek: Peek, prompt: Prompt, candidate: Candidate, table: Table
    ) -> None:
        self._client: Speech = SPEECHES[route.endpoint.protocol]
        self._upstream: Upstream = UPSTREAMS[candidate.spoken.protocol]
        self._operation = generating(self._upstream.name, peek.stream)
        self._stream = peek.stream
        offered = () if prompt.choice.mode == "none" else prompt.tools
        self._tools = offered if route.compat and compat.offered(prompt) else None
        self._prompt = prompt if self._tools is None else compat.disguised(prompt)
        self._limits = Limits(candidate.model, max_output(table, candidate.account.platform, candidate.model))
        started = call.started
        self._asking = Asking(
            route.model,
            call.request_id,
            int(call.received_at),
            prompt,
            action=route.endpoint.action,
            estimated=prompt_tokens(call.body),
            array=route.endpoint.action == "streamGenerateContent" and b"alt=sse" not in call.query,
            elapsed=lambda: int((time.perf_counter() - started) * 1e9),
        )
        self._calls = 0
        self.adjusted: tuple[str, ...] = ()

    def ask(self, headers: Headers, *, asks_usage: bool) -> Asked:
        protocol, model, stream = self._upstream.name, self._limits.model, self._stream
        try:
            built = self._upstream.build(self._prompt, self._limits)
        except Untranslatable as error:
            raise InvalidRequest(error.message, field=error.field) from None
        self.adjusted = built.adjusted
        body = built.body
        if stream and not asks_usage and protocol == "openai_chat":
            body = edited(body, {}, {"stream_options"})
        sent = outgoing_headers(headers, protocol, list(built.headers), stream=stream)
        return Asked(protocol, self._operation, model, stream, _QUERY.get(self._operation, b""), sent, body)

    def meter(self, events: bool) -> Reader:
        if self._upstream.meter is not None:
            return self._upstream.meter(events)
        return CODECS[self._upstream.name].reader(endpoint_of(self._upstream.name, self._operation), events)

    def converter(self, events: bool) -> Converter:
        reader = self._upstream.reader(events)
        finder = None if self._tools is None else compat.Finder(self._tools, self._new_id)
        if self._stream:
            return StreamConverter(reader, finder, self._client.writer(self._asking))
        return WholeConverter(reader, finder, self._client, self._asking)

    def error(self, status: int, body: bytes) -> bytes:
        return said_error(self._upstream.name, self._client.name, status, body, self._asking.request_id)

    def _new_id(self) -> str:
        """Of a call that was found in a text: of no other answer's."""
        self._calls += 1
        return f"call_{self._asking.request_id.removeprefix('req_').replace('-', '')[-20:]}{self._calls:02d}"


def conversation(call: Call, route: Route, peek: Peek) -> Prompt:
    """The request in the neutral form, its model the one that was asked for. Raises InvalidRequest."""
    speech = SPEECHES[peek.written_in or route.endpoint.protocol]
    try:
        prompt = speech.parse(call.body, route.endpoint)
    except (InvalidBody, Untranslatable) as error:
        raise InvalidRequest(error.message, field=error.field) from None
    return structs.replace(prompt, model=route.model)


def outgoing_headers(headers: Headers, protocol: str, own: Headers, *, stream: bool) -> Headers:
    """Little of the client's, and what the upstream's protocol wants; `own`: what this request alone needs."""
    said = {name for name, _ in own}
    return [
        *(pair for pair in headers if pair[0] in _KEPT),
        (b"content-type", JSON),
        (b"accept", EVENTS if stream and protocol not in _OWN_STREAMS else JSON),
        *(pair for pair in _ADDED.get(protocol, ()) if pair[0] not in said),
        *own,
    ]


def endpoint_of(protocol: str, operation: str) -> Endpoint:
    """The endpoint of an upstream's protocol, by its operation or action."""
    return next(one for one in CODECS[protocol].endpoints if operation == (one.action or one.operation))


def said_error(upstream: str, client: str, status: int, body: bytes, request_id: str) -> bytes:
    """An error of an upstream's, in the words of the client's protocol."""
    problem = UPSTREAMS[upstream].failure(status, body)
    return CODECS[client].error(structs.replace(problem, request_id=request_id))
