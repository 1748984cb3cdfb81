"""The way of a row out of the gateway: journal first, then one script that settles and puts it into the stream.

While rows go through, each is sent as it comes. When one does not (Redis away, stream full), sending stops, the
journal keeps all, and a watch sends what is not committed, in order, when Redis is back.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import hiredis
import msgspec
import structlog

from gateway.core.names import TAGS, prefix
from gateway.core.scripts import SETTLE, RedisGone, Scripts
from gateway.relay.journal import Journal, orphan_rows, orphans

STREAM_LIMIT = 100_000
_BATCH = 200
_STUCK = 10.0
log = structlog.get_logger()

Arguments = list[bytes | str | int]


class _Named(msgspec.Struct):
    request_id: str
    account_id: str | None = None


_NAMED = msgspec.json.Decoder(_Named)


class _Adopted(msgspec.Struct):
    """The journal of an instance that is gone, locked by us until all of it is committed."""

    lock: int
    last: dict[int, int]
    sent_at: float
    committed: dict[int, int] = {}


class Settler:
    """One a process. `settle` never waits; `watch` runs for the life of the process."""

    def __init__(self, journal: Journal, scripts: Scripts, spool: Path) -> None:
        self._journal = journal
        self._scripts = scripts
        self._spool = spool
        self._loop = asyncio.get_running_loop()
        self._live = True
        self._sent: dict[int, int] = {}
        """How far each tag has gone into its stream."""
        self._moved = self._loop.time()
        self._adopted: dict[Path, _Adopted] = {}
        self.resent = 0

    def settle(self, tag: int, request_id: str, account_id: str, names: list[str], row: bytes) -> None:
        """The end of a request: its row is kept, its leases are given back."""
        sequence = self._journal.append(tag, row)
        if not self._live:
            return
        arguments: Arguments = [request_id, account_id, self._journal.instance, sequence, row, STREAM_LIMIT, *names]
        try:
            self._scripts.call(SETTLE, prefix(tag), arguments).add_done_callback(partial(self._settled, tag, sequence))
        except RedisGone:
            self._live = False
        else:
            self._sent[tag] = sequence

    def _settled(self, tag: int, sequence: int, future: asyncio.Future[Any]) -> None:
        if future.cancelled() or future.exception() is not None or future.result() != 1:
            self._live = False
            self._sent[tag] = min(self._sent.get(tag, 0), sequence - 1)

    def interrupt(self) -> None:
        """Redis was away: what it had may be lost, so all that is not committed is sent again."""
        self._live = False
        self._sent.clear()
        for adopted in self._adopted.values():
            adopted.sent_at = 0.0

    @property
    def live(self) -> bool:
        return self._live

    async def watch(self) -> None:
        try:
            while True:
                await asyncio.sleep(0.5)
                if not self._scripts.connected:
                    self._live = False
                    continue
                try:
                    await self._confirm()
                    if not self._live:
                        await self._resend()
                    await self._adopt()
                except (RedisGone, hiredis.ReplyError, OSError) as error:
                    self._live = False
                    log.warning("rows wait in the journal", reason=str(error), rows=self._journal.waiting)
        finally:
            for adopted in self._adopted.values():
                os.close(adopted.lock)

    async def _confirm(self) -> None:
        """How far the jobs have committed this instance's rows."""
        now = self._loop.time()
        waiting = self._journal.tags()
        if not waiting:
            self._moved = now
            return
        for tag, committed in (await self._committed(self._journal.instance, waiting)).items():
            if committed > self._journal.committed.get(tag, 0):
                self._journal.confirm(tag, committed)
                self._moved = now
        if now - self._moved > _STUCK:
            # Committed no further for long: Redis may have lost the stream without losing the connection.
            self._moved = now
            self.interrupt()

    async def _committed(self, instance: str, tags: list[int]) -> dict[int, int]:
        asked = [self._scripts.command(b"HGET", prefix(tag) + "done", instance) for tag in tags]
        return {tag: int(await future or 0) for tag, future in zip(tags, asked, strict=True)}

    async def _resend(self) -> None:
        """Sends what is not in the streams, in order; new rows join behind. Ends live, or raises."""
        while behind := [tag for tag in range(TAGS) if self._reached(tag) < self._journal.last(tag)]:
            for tag in behind:
                rows = self._journal.rows(tag, self._reached(tag))
                self._sent[tag] = await self._send(tag, self._journal.instance, rows)
        # No await since the last look: nothing can have been kept meanwhile without being sent.
        self._live = True

    def _reached(self, tag: int) -> int:
        return max(self._sent.get(tag, 0), self._journal.committed.get(tag, 0))

    async def _send(self, tag: int, instance: str, rows: Iterator[tuple[int, bytes]]) -> int:
        """One batch; returns the last sequence that is in the stream. Raises RedisGone when the stream is full."""
        last = 0
        calls: list[asyncio.Future[Any]] = []
        for sequence, row in islice(rows, _BATCH):
            named = _NAMED.decode(row)
            arguments: Arguments = [named.request_id, named.account_id or "", instance, sequence, row, STREAM_LIMIT]
            calls.append(self._scripts.call(SETTLE, prefix(tag), arguments))
            last = sequence
        for done in await asyncio.gather(*calls):
            if done != 1:
                raise RedisGone("the stream is full")
        self.resent += len(calls)
        return last

    async def _adopt(self) -> None:
        """Journals of instances that are gone: sent under their own name, removed when they are committed."""
        for directory, lock in orphans(self._spool, self._journal.instance):
            self._adopted[directory] = _Adopted(lock, {}, 0.0)
        now = self._loop.time()
        for directory, adopted in list(self._adopted.items()):
            committed = await self._committed(directory.name, list(adopted.last))
            if committed != adopted.committed:
                adopted.committed, adopted.sent_at = committed, max(adopted.sent_at, now)
            if adopted.sent_at and all(committed[tag] >= last for tag, last in adopted.last.items()):
                shutil.rmtree(directory, ignore_errors=True)
                os.close(self._adopted.pop(directory).lock)
            elif not adopted.sent_at or now - adopted.sent_at > _STUCK:
                await self._replay(directory, adopted)
                adopted.sent_at = now

    async def _replay(self, directory: Path, adopted: _Adopted) -> None:
        """Sends what of a gone instance's rows is not committed."""
        by_tag: dict[int, list[tuple[int, bytes]]] = {}
        for tag, sequence, row in orphan_rows(directory):
            by_tag.setdefault(tag, []).append((sequence, row))
            adopted.last[tag] = max(sequence, adopted.last.get(tag, 0))
        committed = await self._committed(directory.name, list(by_tag))
        for tag, rows in by_tag.items():
            left = iter([one for one in rows if one[0] > committed[tag]])
            while await self._send(tag, directory.name, left):
                pass
