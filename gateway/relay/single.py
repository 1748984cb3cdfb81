"""Translation of what is asked and answered in one piece: vectors of texts, and the number of a prompt's tokens. Also
which of the translations a request needs, and the answers that need no upstream at all.
"""

import time

from msgspec import structs

from gateway.core.errors import InvalidRequest
from gateway.core.prices import Table
from gateway.platforms.platform import Asked, Headers
from gateway.protocols import CODECS
from gateway.protocols.codec import InvalidBody, Peek, Reader
from gateway.relay.convert import BodyConverter, Converter
from gateway.relay.translate import Conversation, Translation, conversation, endpoint_of, outgoing_headers, said_error
from gateway.routing.authorise import Route
from gateway.routing.call import Call
from gateway.routing.fitting import Candidate
from gateway.translation import SPEECHES, compat, counting
from gateway.translation.embeddings import EMBEDDINGS, Texts
from gateway.translation.ollama import unloads
from gateway.translation.prompt import Prompt, Untranslatable
from gateway.translation.speech import Asking, Limits

ESTIMATED = "estimated"
"""In `x-poolgate-adjusted`: the number of tokens is an estimate of our own."""


def translating(call: Call, route: Route, peek: Peek, candidate: Candidate, table: Table) -> Translation | None:
    """None where the request passes as it is. Raises InvalidRequest."""
    spoken = candidate.spoken
    if not (spoken.hub or route.compat or peek.written_in):
        return None
    match route.endpoint.operation:
        case "embed":
            return Embeddings(call, route, candidate)
        case "count":
            return Count(call, route, candidate)
        case _:
            prompt = conversation(call, route, peek)
            if not (spoken.hub or peek.written_in or compat.offered(prompt)):
                return None
            return Conversation(call, route, peek, prompt, candidate, table)


def answered_here(call: Call, route: Route, peek: Peek, candidate: Candidate) -> tuple[bytes, tuple[str, ...]] | None:
    """The answer to what no upstream needs to be asked, and what is to be known of it: tokens that nobody can count,
    Ollama's request to load a model or to let it go, which has no message. Raises InvalidRequest."""
    if not candidate.spoken.hub:
        return None
    if not candidate.spoken.protocol:
        tokens = counting.estimate(structs.replace(_counted(call, route), model=candidate.model))
        return counting.answer(route.endpoint.protocol, tokens), (ESTIMATED,)
    if route.endpoint.protocol != "ollama" or route.endpoint.operation != "generate":
        return None
    prompt = conversation(call, route, peek)
    if prompt.turns:
        return None
    at, action = int(call.received_at), route.endpoint.action
    asking = Asking(route.model, call.request_id, at, prompt, action=action, unload=unloads(call.body))
    return SPEECHES["ollama"].whole(asking, ()), ()


def _counted(call: Call, route: Route) -> Prompt:
    try:
        return counting.parse(call.body, route.endpoint)
    except (InvalidBody, Untranslatable) as error:
        raise InvalidRequest(error.message, field=error.field) from None


class _Single:
    """What both have in common."""

    def __init__(self, call: Call, route: Route, candidate: Candidate) -> None:
        self._call = call
        self._client = route.endpoint.protocol
        self._candidate = candidate
        self._upstream = candidate.spoken.protocol
        self._operation = candidate.spoken.operation
        self.adjusted: tuple[str, ...] = ()

    def meter(self, events: bool) -> Reader:
        return CODECS[self._upstream].reader(endpoint_of(self._upstream, self._operation), events)

    def error(self, status: int, body: bytes) -> bytes:
        return said_error(self._upstream, self._client, status, body, self._call.request_id)

    def _asked(self, headers: Headers, own: Headers, body: bytes) -> Asked:
        sent = outgoing_headers(headers, self._upstream, own, stream=False)
        return Asked(self._upstream, self._operation, self._candidate.model, False, b"", sent, body)


class Embeddings(_Single):
    def __init__(self, call: Call, route: Route, candidate: Candidate) -> None:
        super().__init__(call, route, candidate)
        try:
            self._texts: Texts = EMBEDDINGS[self._client].parse(call.body, route.endpoint)
        except (InvalidBody, Untranslatable) as error:
            raise InvalidRequest(error.message, field=error.field) from None
        self._texts = structs.replace(self._texts, model=route.model)

    def ask(self, headers: Headers, *, asks_usage: bool) -> Asked:
        built = EMBEDDINGS[self._upstream].build(structs.replace(self._texts, model=self._candidate.model))
        if self._operation == "embedContent" and built.operation != self._operation:
            raise InvalidRequest("The model's account embeds one text at a time.", field="input")
        self._operation, self.adjusted = built.operation, built.adjusted
        return self._asked(headers, [], built.body)

    def converter(self, events: bool) -> Converter:
        return BodyConverter(self._converted)

    def _converted(self, body: bytes) -> bytes:
        found = EMBEDDINGS[self._upstream].read(body)
        elapsed = int((time.perf_counter() - self._call.started) * 1e9)
        return EMBEDDINGS[self._client].write(self._texts, structs.replace(found, elapsed=elapsed))


class Count(_Single):
    """By an upstream that counts in another protocol than the client's."""

    def __init__(self, call: Call, route: Route, candidate: Candidate) -> None:
        super().__init__(call, route, candidate)
        self._prompt = _counted(call, route)

    def ask(self, headers: Headers, *, asks_usage: bool) -> Asked:
        try:
            built = counting.ask(self._upstream, self._prompt, Limits(self._candidate.model))
        except Untranslatable as error:
            raise InvalidRequest(error.message, field=error.field) from None
        self.adjusted = built.adjusted
        return self._asked(headers, list(built.headers), built.body)

    def converter(self, events: bool) -> Converter:
        return BodyConverter(lambda body: counting.answer(self._client, counting.told(self._upstream, body)))
