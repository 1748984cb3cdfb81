"""One admitted request: its lease, the upstream's answer and the row, until all three are settled. Exactly once.

The upstream's bytes are pushed through `data` straight to the client; the reader listens to a copy. Nothing goes out
before the answer has begun, so until then another account can be tried; after that there is no second try.
"""

import asyncio
import time
from collections.abc import Callable
from enum import Enum, auto

from gateway.core.errors import GatewayError
from gateway.core.ledger import Attempt, Row
from gateway.platforms.platform import Framing
from gateway.protocols import CODECS
from gateway.protocols.codec import Peek, Problem, Reader, Usage, UsageFilter
from gateway.relay.admit import Lease
from gateway.relay.convert import Converter
from gateway.relay.downstream import Downstream
from gateway.relay.ending import ending, used
from gateway.relay.meter import Tap
from gateway.relay.recording import Recording
from gateway.relay.translate import Translation
from gateway.routing.authorise import Route
from gateway.routing.call import Call, Header
from gateway.upstream import Answer, Failure, TimedOut

Settled = Callable[["Exchange", Usage, str], None]
"""Called once, with the tokens of the answer and where they are from: provider, estimated or none."""

PING_SECONDS = 15.0
"""Of silence on a translated stream, until something is said to keep it alive."""
DRAIN_SECONDS = 30.0
DRAIN_BYTES = 1 << 20


class Phase(Enum):
    SENDING = auto()
    """No byte has gone to the client."""
    FLOWING = auto()
    OVER = auto()


class ClientLeft(Exception):
    """The client left while the request was being sent, and the key wants it cut then."""


class Exchange:
    """Made when a request is admitted; `settle` ends it."""

    def __init__(
        self,
        call: Call,
        route: Route,
        peek: Peek,
        lease: Lease,
        row: Row,
        downstream: Downstream,
        on_settled: Settled,
    ) -> None:
        self.call = call
        self.route = route
        self.peek = peek
        self.lease = lease
        self.row = row
        self.downstream = downstream
        self.codec = CODECS[route.endpoint.protocol]
        self.phase = Phase.SENDING
        self.answer: Answer | None = None
        self.reader: Reader | None = None
        self.failure: Failure | None = None
        self.events = False
        self.answered_at = 0.0
        self.timing = (0.0, 0.0, 0.0)
        """Seconds of authenticate, choose, admit."""
        self.claim: tuple[str, float] | None = None
        """The scope of the half-open breaker whose one probe this request is, and since when."""
        self.organisation: str | None = None
        """Whose encrypted reasoning the request holds; None when it holds none."""
        self.illegible = False
        """The request's encrypted reasoning was taken out, since this account cannot read it."""
        self.adjusted: tuple[str, ...] = ()
        """What translation clamped or left out for this account."""
        self.response_id: str | None = None
        """Of the answer, once it is bound to the account."""
        self.ended = False
        self.drained = 0
        self.tap: Tap | None = None
        self.recording: Recording | None = None
        """Of a tenant that wants prompts and answers kept."""
        self.framing: Framing | None = None
        self.filter: UsageFilter | None = None
        self.translation: Translation | None = None
        """Of this attempt, where the account is asked in other words than the client's."""
        self.converter: Converter | None = None
        """Of a translated answer: what makes the client's bytes of the upstream's."""
        self._said_at = 0.0
        self._alarms: list[asyncio.TimerHandle] = []
        self._held: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._stopped: GatewayError | ClientLeft | None = None
        self._task = asyncio.current_task()
        self._on_settled: Settled | None = on_settled
        downstream.on_gone = self.client_left

    # ------------------------------------------------------------ sending

    async def listen(
        self,
        answer: Answer,
        reader: Reader,
        *,
        events: bool,
        framing: Framing | None,
        usage: UsageFilter | None,
        converter: Converter | None = None,
    ) -> None:
        """Takes the answer's bytes until it has begun: its first event or byte, its end, or its failure. One that is
        translated in one piece is taken whole: its status is known at its end.

        `events`: it is an event stream, by its content type. `framing` comes before everything that reads or passes on.
        """
        self.answer, self.reader, self.events, self.filter = answer, reader, events, usage
        self.framing, self.converter = framing, converter
        self.failure, self.ended = None, False
        self._held.clear()
        encoding = answer.header(b"content-encoding").lower()
        self.tap = Tap(reader if self.recording is None else self.recording.over(reader), encoding)
        answer.start(self)
        if not self._begun():
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
            self._waiter = None

    @property
    def rewritten(self) -> bool:
        """The client gets other bytes than the upstream's, and so another length."""
        return self.filter is not None or self.framing is not None or self.converter is not None

    def _begun(self) -> bool:
        if self.ended or self.failure is not None:
            return True
        held_back = self.converter is not None and not self.peek.stream
        return not held_back and self.reader is not None and self.reader.begun

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # ------------------------------------------------------------ the upstream's side (gateway.upstream.Sink)

    def data(self, chunk: bytes) -> None:
        if self.framing is None or (chunk := self.framing.feed(chunk)):
            self._pass(chunk)

    def _pass(self, chunk: bytes) -> None:
        assert self.tap is not None  # set before the answer was started
        plain = self.tap.feed(chunk)
        if self.converter is not None:
            chunk = self.converter.feed(plain)
        elif self.filter is not None:
            chunk = self.filter.feed(chunk)
        if self.phase is not Phase.FLOWING:
            self._held.append(chunk)
            if self._begun():
                self._wake()
            return
        downstream = self.downstream
        if downstream.gone:
            self._drain(len(chunk))
        elif chunk:
            if self._said_at:
                self._said_at = asyncio.get_running_loop().time()
            downstream.write(chunk)
            if downstream.paused and self.answer is not None:
                self.answer.pause()

    def end(self) -> None:
        if self.framing is not None and (last := self.framing.close()):
            self._pass(last)
        self.ended = True
        if self.reader is not None:
            self.reader.close()
        last_to_say = self.converter or self.filter
        if last_to_say is not None and (rest := last_to_say.close()):
            if self.phase is Phase.FLOWING:
                self.downstream.write(rest)
            else:
                self._held.append(rest)
        if self.phase is Phase.FLOWING:
            self.downstream.end()
            self.phase = Phase.OVER
        self._wake()

    def fail(self, failure: Failure) -> None:
        self.failure = failure
        if self.reader is not None:
            self.reader.close()
        if self.phase is Phase.FLOWING:
            if self.downstream.gone:
                self._stop()
            elif isinstance(failure, TimedOut):
                self._break("stalled", "upstream_timeout", "The upstream stopped sending.")
            else:
                self._break("upstream_error", "upstream_error", "The upstream's answer was cut off.")
        self._wake()

    # ------------------------------------------------------------ the client's side

    async def deliver(self, status: int, headers: list[Header]) -> None:
        """Hands the answer to the client; returns when it is over, however it ends."""
        downstream, answer = self.downstream, self.answer
        self.row.status = status
        self.row.first_byte_at = time.time()
        self.row.overhead_us = self._overhead()
        body = b"".join(self._held)
        self._held.clear()
        if self.ended:
            self.phase = Phase.OVER
            if self.peek.stream:
                downstream.begin(status, headers, body)
                downstream.end()
            else:
                downstream.respond(status, headers, body)
            return
        self.phase = Phase.FLOWING
        downstream.on_writable = self._resume
        downstream.begin(status, headers, body)
        if self.failure is not None:
            self.fail(self.failure)
        elif downstream.paused and answer is not None:
            answer.pause()
        if self.phase is Phase.FLOWING:
            self._watch_silence()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def _watch_silence(self) -> None:
        """A translated stream is the gateway's own: it says something when the upstream is silent."""
        if self.converter is None or not self.peek.stream:
            return
        loop = asyncio.get_running_loop()
        self._said_at = loop.time()
        self._alarms.append(loop.call_later(PING_SECONDS, self._ping, loop))

    def _ping(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.phase is not Phase.FLOWING or self.downstream.gone or self.converter is None:
            return
        due = self._said_at + PING_SECONDS
        if loop.time() >= due:
            if not self.downstream.paused:
                self.downstream.write(self.converter.ping())
            self._said_at, due = loop.time(), loop.time() + PING_SECONDS
        self._alarms[:] = [loop.call_at(due, self._ping, loop)]

    def _overhead(self) -> int:
        """Microseconds between the request's arrival and now that were ours: all but the wait for the upstream."""
        spent = sum(self.timing) + time.perf_counter() - self.answered_at
        return int(spent * 1_000_000)

    def _resume(self) -> None:
        if self.answer is not None:
            self.answer.resume()

    def _break(self, ending: str, code: str, message: str, status: int = 502) -> None:
        """After the first byte: the protocol's own error event, or a cut; never a faked normal end."""
        self.row.ending = ending
        self.row.error_code = code
        if not self.downstream.gone:
            problem = Problem(status, code, message, request_id=self.call.request_id)
            said = self._last_word(problem)
            if said is None:
                self.downstream.abort()
            else:
                self.downstream.write(said)
                self.downstream.end()
        self._stop()

    def _last_word(self, problem: Problem) -> bytes | None:
        """The protocol's error where it can still be said; None in an answer of one piece or of a length that was told,
        and inside an element."""
        if self.converter is not None:
            return self.converter.fail(problem) if self.peek.stream else None
        if self.answer is not None and self.answer.content_length is not None and not self.rewritten:
            return None
        if self.events:
            return self.codec.stream_error(problem)
        if not self.peek.stream or self.reader is None or self.codec.array_error is None:
            return None
        return self.codec.array_error(problem, self.reader)

    def _stop(self) -> None:
        self.phase = Phase.OVER
        if self.answer is not None:
            self.answer.close()
        self._wake()

    # ------------------------------------------------------------ stopped from outside

    def client_left(self) -> None:
        """The key's `on_disconnect` decides for streams; an answer in one piece is always read to its end."""
        if self.phase is Phase.OVER:
            return
        policy = self.route.caller.on_disconnect or ("abort" if self.peek.stream else "drain")
        if not self.peek.stream or policy == "drain":
            self.row.ending = "client_abort_drained"
            if self.answer is not None:
                self.answer.resume()
            if self.peek.stream:
                self._drain(sum(map(len, self._held)))
                self._alarms.append(asyncio.get_running_loop().call_later(DRAIN_SECONDS, self._drained))
        elif self.phase is Phase.FLOWING:
            self.row.ending = "client_abort_cut"
            self._stop()
        else:
            self._interrupt(ClientLeft())

    def _drain(self, size: int) -> None:
        self.drained += size
        if self.peek.stream and self.drained > DRAIN_BYTES:
            self._drained()

    def _drained(self) -> None:
        """Its time, or its bytes, are used up."""
        if self.phase is Phase.FLOWING:
            self.row.ending = "client_abort_cut"
            self._stop()
        elif self.phase is Phase.SENDING:
            self._interrupt(ClientLeft())

    def stop(self, error: GatewayError) -> None:
        """Ends it now: the key was cut off, or the process is going down."""
        if self.phase is Phase.FLOWING:
            ended = "upstream_error" if error.code == "internal" else "client_abort_cut"
            self._break(ended, error.code, error.message, error.http_status)
        elif self.phase is Phase.SENDING:
            self._interrupt(error)

    def _interrupt(self, stopped: GatewayError | ClientLeft) -> None:
        if self._stopped is None and self._task is not None:
            self._stopped = stopped
            self._task.cancel()

    def interrupted(self) -> GatewayError | ClientLeft | None:
        """Why a CancelledError was raised, when it was this exchange that caused it."""
        if self._stopped is not None and self._task is not None:
            self._task.uncancel()
        return self._stopped

    # ------------------------------------------------------------ the end

    def failed(self, error: GatewayError | ClientLeft) -> None:
        """It ends without an answer: the client gets this error, or has left."""
        if isinstance(error, ClientLeft):
            self.row.ending = "client_abort_cut"
        elif self.row.ending == "gateway_lost":
            self.row.status = error.http_status
            self.row.error_code = error.code

    @property
    def stopped(self) -> bool:
        """It was ended from outside while its request was being sent."""
        return self._stopped is not None

    @property
    def served(self) -> bool:
        """Whether the upstream gave what was asked for, to its end or to the client's leaving."""
        reader = self.reader
        return reader is not None and reader.begun and reader.failure is None and self.failure is None

    def attempt(self) -> Attempt:
        return self.row.attempts[-1]

    def settle(self) -> None:
        """The end, however it came: the answer is closed, the row is complete but for its price. Once."""
        on_settled, self._on_settled = self._on_settled, None
        if on_settled is None:
            return
        self.phase = Phase.OVER
        for alarm in self._alarms:
            alarm.cancel()
        if self.answer is not None:
            self.answer.close()
        row = self.row
        usage, source = used(self)
        if row.ending == "gateway_lost":
            row.ending = ending(self)
        elif row.ending == "client_abort_drained" and source != "provider" and not self.ended:
            row.ending = "client_abort_cut"
        if row.attempts and not row.attempts[-1].ended_at:
            row.attempts[-1].ended_at = time.time()
        on_settled(self, usage, source)
