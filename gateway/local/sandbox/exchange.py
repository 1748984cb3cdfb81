"""One request to the simulated provider, from its credential to its row in the bill."""

import asyncio
import hashlib
import itertools
import os
import re
import time
from collections import deque
from collections.abc import Iterable
from email.utils import formatdate
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from gateway.local.sandbox import catalogue, oauth, replay, routes
from gateway.local.sandbox.answer import Answer, Ask, Invalid, compose, members_of, with_script
from gateway.local.sandbox.authority import Authority
from gateway.local.sandbox.bill import Bill, Outcome, Row
from gateway.local.sandbox.dialect import Dialect, Fault, Target
from gateway.local.sandbox.script import Rule, Rulebook, Script, decode_rules
from gateway.local.sandbox.server import Headers, Reply, Request, Rest
from gateway.local.sandbox.vectors import vector
from gateway.protocols.codec import Usage

_NONE = Usage()
_CREDENTIALS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")
_SECRET = (*_CREDENTIALS, "cookie", "proxy-authorization")
_LATE = 5
"""Events that come before the error of `late-error`."""
_SIGV4 = re.compile(r"Credential=([^/,\s]+)")


class Seen(Struct, frozen=True):
    """A request as it arrived, credentials masked to their last four characters."""

    method: str
    target: str
    headers: Headers
    body_sha256: str
    body_length: int


class Entry(Struct):
    """A request on its way to the bill."""

    request_id: str
    serial: str
    dialect: Dialect
    target: Target
    request: Request
    credential: str
    started_at: float
    model: str = ""
    stream: bool = False
    id: str = ""
    usage: Usage = _NONE


class Sandbox:
    """The provider's state: rules, bill, recordings, and what was last received."""

    def __init__(self, rules: Iterable[Rule] = (), recordings: Iterable[replay.Recording] = ()) -> None:
        self.bill = Bill()
        self.rules = Rulebook(rules)
        self.recordings = list(recordings)
        self.seen: deque[Seen] = deque(maxlen=1000)
        self._tokens = oauth.TokenEndpoint()
        self._authority = Authority()
        self._boot = os.urandom(7).hex()
        self._numbers = itertools.count(1)
        self._date = (0, "")

    def handle(self, request: Request, reply: Reply) -> Rest | None:
        """The server's handler: answers, or gives the coroutine function that does."""
        if request.path.startswith("/_"):
            return self._control(request, reply)
        self.seen.append(_seen(request))
        if played := replay.find(request, self.recordings):
            return partial(played.send, reply)
        if request.header("upgrade") == "websocket":
            reply.send(426, "upgrade: websocket\r\n", b"", close=True)
            return None
        if "/oauth" in request.path:
            return self._authorise(request, reply)
        route = routes.find(request)
        if route is None:
            return _elsewhere(request, reply)
        credential = _credential(request)
        entry = self._open(request, route, credential)
        if not route[0].free and (not credential or "revoked" in credential):
            return self._refuse(entry, reply, Fault(401))
        if route[0].verify and (fault := route[0].verify(request)):
            return self._refuse(entry, reply, fault)
        try:
            return self._operate(entry, reply, credential)
        except Invalid as error:
            return self._refuse(entry, reply, Fault(error.status, error.message, param=error.param))

    def _authorise(self, request: Request, reply: Reply) -> Rest | None:
        if self._authority.handle(request, reply):
            return None
        if request.path.endswith(oauth.PATHS):
            return self._tokens.handle(request, reply, self.rules)
        return _elsewhere(request, reply)

    def _open(self, request: Request, route: routes.Route, credential: str) -> Entry:
        serial = f"{self._boot}{next(self._numbers):010x}"
        return Entry(f"req_sandbox{serial}", serial, *route, request, credential[-4:], time.time(), route[1].model)

    def _operate(self, entry: Entry, reply: Reply, credential: str) -> Rest | None:
        operation = entry.target.operation
        if operation in {"list", "model", "show", "version"}:
            return self._list(entry, reply)
        dialect, target = entry.dialect, entry.target
        members = members_of(entry.request.body)
        if operation == "generate":
            # Ollama's form of it, which asks for no credential, asks for no version either.
            if dialect.name == "anthropic" and not dialect.free and not entry.request.header("anthropic-version"):
                raise Invalid("anthropic-version: header is required")
            ask = dialect.ask(target, members)
            entry.model, entry.stream = ask.model, ask.stream
            return self._generate(entry, reply, ask, self.rules.find(ask.model, credential))
        asked = dialect.vectors(target, members) if operation == "embed" and dialect.vectors else None
        entry.model = asked.model if asked else target.model or str(_model(members))
        script = self.rules.find(entry.model, credential)
        if script.error:
            return self._refuse(entry, reply, _fault(script, script.error))
        if asked and dialect.embedded:
            rows = [vector(text, asked.dimensions) for text in asked.texts]
            entry.usage = with_script(Usage(input_tokens=asked.tokens), script)
            return self._whole(entry, reply, dialect.embedded(target, asked, rows))
        return self._whole(entry, reply, dialect.count(target, members) if dialect.count else b"{}")

    def _list(self, entry: Entry, reply: Reply) -> Rest | None:
        operation = entry.target.operation
        body = catalogue.listing(entry.dialect.name, entry.target) if operation in {"list", "model"} else b""
        body = body or (b'{"version":"0.12.0"}' if operation == "version" else b'{"details":{},"model_info":{}}')
        reply.send(200, self._headers(entry, None), body)
        return None

    def _generate(self, entry: Entry, reply: Reply, ask: Ask, script: Script) -> Rest | None:
        if not ask.stream and (script.first_error or script.late_error):
            script = msgspec.structs.replace(script, error=script.first_error or script.late_error)
        if script.error is not None or script.drop:
            return self._fail(entry, reply, script)
        answer = compose(ask, script, entry.serial, int(entry.started_at))
        entry.id = entry.dialect.identify(answer)
        if ask.stream:
            return partial(self._stream, entry, reply, ask, answer, script)
        body = entry.dialect.whole(ask, answer)
        entry.usage = answer.usage
        if script.stall or script.cut is not None:
            return partial(self._slow, entry, reply, body, script)
        return self._whole(entry, reply, body)

    def _fail(self, entry: Entry, reply: Reply, script: Script) -> Rest | None:
        if script.drop:
            self._close(entry, "error", 0)
            return reply.reset
        fault = _fault(script, script.error or 500)
        if not script.stall:
            return self._refuse(entry, reply, fault)
        return partial(self._refuse_late, entry, reply, fault, script.stall)

    async def _refuse_late(self, entry: Entry, reply: Reply, fault: Fault, stall: float) -> None:
        await asyncio.sleep(stall)
        self._refuse(entry, reply, fault)

    def _refuse(self, entry: Entry, reply: Reply, fault: Fault) -> None:
        reply.send(fault.status, self._headers(entry, fault), entry.dialect.fault(fault, entry.request_id))
        self._close(entry, "error", fault.status)

    def _whole(self, entry: Entry, reply: Reply, body: bytes) -> None:
        reply.send(200, self._headers(entry, None), body)
        self._close(entry, "complete", 200)

    async def _slow(self, entry: Entry, reply: Reply, body: bytes, script: Script) -> None:
        outcome: Outcome = "client_gone"
        usage, entry.usage = entry.usage, msgspec.structs.replace(entry.usage, output_tokens=0, reasoning_tokens=0)
        try:
            await asyncio.sleep(script.stall)
            # The answer exists from here on: whoever leaves now has it on the bill.
            entry.usage = usage
            if script.cut is None:
                reply.send(200, self._headers(entry, None), body)
                outcome = "complete"
            else:
                outcome = "cut"
                reply.start(200, self._headers(entry, None), len(body))
                await reply.raw(body[: len(body) // 2])
                await reply.reset()
        finally:
            self._close(entry, outcome, reply.status)

    async def _stream(self, entry: Entry, reply: Reply, ask: Ask, answer: Answer, script: Script) -> None:
        outcome: Outcome = "client_gone"
        full, entry.usage = answer.usage, msgspec.structs.replace(answer.usage, output_tokens=0, reasoning_tokens=0)
        spoken = 0
        try:
            if script.stall:
                await asyncio.sleep(script.stall)
            reply.start(200, self._headers(entry, None, stream=ask.sse))
            failing = 0 if script.first_error else _LATE if script.late_error else None
            for index, (event, tokens) in enumerate(entry.dialect.events(ask, answer)):
                if index == failing:
                    outcome = "error"
                    fault = Fault(script.first_error or script.late_error or 529, first=index == 0)
                    await reply.chunk(entry.dialect.event_fault(ask, answer, fault))
                    break
                if index == script.cut:
                    outcome = "cut"
                    await reply.reset()
                    return
                await _pause(index, script)
                spoken = tokens
                await reply.chunk(event)
            else:
                outcome = "complete"
            reply.end()
        finally:
            generated = full.output_tokens if outcome == "complete" else spoken
            thought = min(full.reasoning_tokens, generated)
            entry.usage = msgspec.structs.replace(full, output_tokens=generated, reasoning_tokens=thought)
            self._close(entry, outcome, reply.status)

    def _headers(self, entry: Entry, fault: Fault | None, *, stream: bool = False) -> str:
        dialect = entry.dialect
        kind = dialect.stream_type if stream else dialect.json_type
        lines = f"date: {self._today()}\r\ncontent-type: {kind}\r\n{dialect.headers(entry.request_id, fault)}"
        return f"{lines}cache-control: no-cache\r\n" if stream else lines

    def _today(self) -> str:
        now = int(time.time())
        if self._date[0] != now:
            self._date = (now, formatdate(now, usegmt=True))
        return self._date[1]

    def _close(self, entry: Entry, outcome: Outcome, status: int) -> None:
        usage = _NONE if outcome == "error" else entry.usage
        self.bill.add(
            Row(
                id=entry.id,
                request_id=entry.request_id,
                protocol=entry.dialect.name,
                operation=entry.target.operation,
                model=entry.model,
                credential=entry.credential,
                path=entry.request.path,
                stream=entry.stream,
                status=status,
                outcome=outcome,
                input_tokens=usage.input_tokens,
                cache_read_tokens=usage.cache_read_tokens,
                cache_write_5m_tokens=usage.cache_write_5m_tokens,
                cache_write_1h_tokens=usage.cache_write_1h_tokens,
                output_tokens=usage.output_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                client_request_id=entry.request.header("x-client-request-id"),
                started_at=entry.started_at,
                ended_at=time.time(),
            )
        )

    def _control(self, request: Request, reply: Reply) -> Rest | None:
        """`/_bill`, `/_requests`, `/_script`, `/_fixtures`: for who runs the sandbox, asks for no credential."""
        status, body = 200, b"{}"
        match request.method, request.path:
            case "GET", "/_bill":
                body = msgspec.json.encode(self.bill.as_dict())
            case "DELETE", "/_bill":
                self.bill.clear()
            case "GET", "/_requests":
                last = request.query.get("last", "")
                rows = list(self.seen)
                body = msgspec.json.encode(rows[max(0, len(rows) - int(last)) :] if last.isdigit() else rows)
            case "PUT", "/_script":
                status, body = self._replace_rules(request.body)
            case "GET", "/_fixtures":
                body = replay.index(self.recordings)
            case _:
                status, body = 404, b'{"error":"no such page"}'
        reply.send(status, "content-type: application/json\r\n", body)
        return None

    def _replace_rules(self, body: bytes) -> tuple[int, bytes]:
        try:
            self.rules.replace(decode_rules(body))
        except ValueError as error:
            return 400, msgspec.json.encode({"error": str(error)})
        return 200, b"{}"


async def _pause(index: int, script: Script) -> None:
    if script.gap:
        await asyncio.sleep(script.gap)
    if script.stall_after and index == script.stall_after[0]:
        await asyncio.sleep(script.stall_after[1])


def _fault(script: Script, status: int) -> Fault:
    return Fault(status, reason=script.reason, retry_after=script.retry_after)


def _model(members: Any) -> Any:
    return msgspec.json.decode(members["model"]) if "model" in members else ""


def _credential(request: Request) -> str:
    """The credential in any of its forms; of a SigV4 signature the access key's id. Empty when there is none."""
    for name in _CREDENTIALS:
        if not (value := request.header(name)):
            continue
        if name == "authorization":
            signed = _SIGV4.search(value)
            return signed[1] if signed else value.partition(" ")[2].strip()
        return value
    return request.query.get("key", "")


def _seen(request: Request) -> Seen:
    headers = [(k, f"…{v[-4:]}" if k in _SECRET else v) for k, v in request.headers]
    target = re.sub(r"([?&]key=)[^&]*?([^&]{0,4})(?=&|$)", r"\1…\2", request.target)
    return Seen(request.method, target, headers, hashlib.sha256(request.body).hexdigest(), len(request.body))


def _elsewhere(request: Request, reply: Reply) -> None:
    """Paths that are no provider's: the root says what this is, everything else is 404."""
    if request.path in {"/", "/api/hello"} and request.method in {"GET", "HEAD"}:
        reply.send(200, "content-type: application/json\r\n", b'{"name":"poolgate sandbox","bill":"/_bill"}')
        return
    body = b'{"error":{"message":"Not found","type":"not_found_error","param":null,"code":null}}'
    reply.send(404, "content-type: application/json\r\n", body)
