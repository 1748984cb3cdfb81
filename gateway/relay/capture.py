"""Keeps prompts and answers of the tenants that want them kept: redacted, sealed, and written behind the requests.

Nothing waits for it. What does not fit into memory, takes too long to redact, or meets a PostgreSQL that is away is
dropped and counted; the ledger is not concerned.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import structlog
from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError

from gateway.core import db
from gateway.core.domain import Capture
from gateway.core.sealing import Sealer
from gateway.core.services import captures
from gateway.core.services.captures import Content, Side
from gateway.relay.exchange import Exchange
from gateway.relay.recording import Recording
from gateway.relay.redaction import Redactor

MEMORY = 128 << 20
"""Bytes that running and waiting captures may take."""
REST = 60.0
"""Seconds without captures for a tenant whose patterns took too long."""
LAST = 2.0
"""Seconds for what waits when the process ends."""
_AT_ONCE = 20
_COMPLAIN_EVERY = 60.0
log = structlog.get_logger()


class _Ended(Struct):
    request_id: str
    received_at: float
    tenant_id: str
    key_id: str
    recording: Recording


class Captures:
    """One a process, open while it runs."""

    def __init__(self, sessions: db.Sessions, sealer: Sealer) -> None:
        self._sessions = sessions
        self._sealer = sealer
        self._redactor = Redactor()
        self._waiting: deque[_Ended] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._held = 0
        self._resting: dict[str, float] = {}
        self._complained_at = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST):
                await self._idle.wait()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._redactor.close()

    def begin(self, exchange: Exchange, wanted: Mapping[str, Capture]) -> None:
        """A request was admitted. `wanted`: of the tenants that want it."""
        tenant_id = exchange.route.caller.tenant_id
        capture = wanted.get(tenant_id)
        if capture is None:
            return
        if self._held + _cost(capture) > MEMORY or self._resting.get(tenant_id, 0.0) > time.monotonic():
            self._drop("too many wait, or the patterns take too long")
            return
        self._held += _cost(capture)
        exchange.recording = Recording(capture, exchange.call.body)

    def end(self, exchange: Exchange, recording: Recording) -> None:
        """The request is over, however it ended."""
        row = exchange.row
        self._waiting.append(_Ended(row.request_id, row.received_at, row.tenant_id, row.key_id, recording))
        self._idle.clear()
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
                try:
                    await self._write(batch)
                except (SQLAlchemyError, OSError, TimeoutError) as error:
                    self._drop(type(error).__name__, len(batch))
                except Exception:
                    log.exception("captures were not written")
                    self._drop("an error of our own", len(batch))
                finally:
                    self._held -= sum(_cost(one.recording.capture) for one in batch)
            self._idle.set()

    async def _write(self, batch: list[_Ended]) -> None:
        rows = [row for one in batch if (row := await self._row(one)) is not None]
        if rows:
            async with self._sessions.begin() as session:
                await captures.store(session, rows)

    async def _row(self, one: _Ended) -> dict[str, Any] | None:
        """As it is stored; None when it could not be redacted."""
        recording = one.recording
        texts = await self._redactor.redact(recording.task())
        if texts is None:
            self._resting[one.tenant_id] = time.monotonic() + REST
            self._drop("the patterns take too long")
            return None
        request = Side(texts[0], recording.request_bytes, recording.request_bytes > recording.capture.max_bytes)
        answer = None
        if recording.answered:
            answer = Side(texts[1], recording.answer_bytes, recording.answer_bytes > recording.capture.max_bytes)
        received_at = datetime.fromtimestamp(one.received_at, UTC)
        return {
            "request_id": one.request_id,
            "received_at": received_at,
            "tenant_id": one.tenant_id,
            "key_id": one.key_id,
            "content": captures.sealed(Content(request, answer), self._sealer, one.request_id),
            "expires_at": received_at + timedelta(days=recording.capture.retention_days),
        }

    def _drop(self, reason: str, count: int = 1) -> None:
        self.dropped += count
        now = time.monotonic()
        if now - self._complained_at > _COMPLAIN_EVERY:
            self._complained_at = now
            log.warning("captures are dropped", reason=reason, dropped=self.dropped)


def _cost(capture: Capture) -> int:
    return 2 * capture.max_bytes
