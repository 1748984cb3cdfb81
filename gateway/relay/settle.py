"""The way of a row out of the gateway: journal first, then one script that settles and puts it into the stream.

While rows go through, each is sent as it comes. When one does not (Redis away, stream full), sending stops, the
journal keeps all, and a watch sends what is not in the stream, in order, when it takes rows again. What Redis may have
lost (it was away, or is empty) is sent again from the last row that is committed.
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

from gateway.core.ledger import LOST, decode
from gateway.core.names import TAGS, gateway_name, prefix
from gateway.core.pause import pause
from gateway.core.scripts import SETTLE, RedisGone, Scripts
from gateway.relay.journal import Journal, leave, lost, orphan_rows, orphans

STREAM_LIMIT = 100_000
_BATCH = 200
_STUCK = 10.0
_LONGEST_STUCK = 600.0
_KNOWN_EVERY = 60.0
_KNOWN_FOR = 86400
_NOBODY = ("", "")
"""A row that is sent late says nothing of who is served now."""
log = structlog.get_logger()

Arguments = list[bytes | str | int]


class StreamFull(Exception):
    """The jobs are behind."""


class _Named(msgspec.Struct):
    request_id: str = ""
    """Counts of refusals have none."""
    account_id: str | None = None
    charges: str = ""
    ending: str = ""


_NAMED = msgspec.json.Decoder(_Named)


class _Adopted(msgspec.Struct):
    """The journal of an instance that is gone, locked by us until all of it is committed."""

    lock: int
    last: dict[int, int]
    """By tag, the last sequence in its files."""
    sent_at: float = 0.0


class Settler:
    """One a process. `settle` never waits; `watch` runs for the life of the process."""

    def __init__(self, journal: Journal, scripts: Scripts, spool: Path) -> None:
        self._journal = journal
        self._scripts = scripts
        self._spool = spool
        self._loop = asyncio.get_running_loop()
        self._live = True
        self._sent: dict[tuple[str, int], int] = {}
        """By instance and tag: all up to this sequence is in the stream, as far as is known."""
        self._names: dict[tuple[int, int], list[str]] = {}
        """Concurrency limits that rows of this process are to give back when they are sent."""
        self._moved = self._loop.time()
        self._patience = _STUCK
        self._adopted: dict[Path, _Adopted] = {}
        self._complaint = ""
        self._known_at = float("-inf")
        self.resent = 0

    def settle(
        self,
        tag: int,
        request_id: str,
        account_id: str,
        names: list[str],
        row: bytes,
        charges: str = "",
        served: tuple[str, str] = _NOBODY,
    ) -> None:
        """The end of a request: its row is kept, its leases are given back. `charges`: what it counts under limits, as
        the row says it too; `served`: "ACCOUNT|SCOPE" and the key, of a request that was served."""
        sequence = self._journal.append(tag, row, request_id)
        if not self._live:
            self._keep(tag, sequence, names)
            return
        arguments: Arguments = [request_id, account_id, self._journal.instance, sequence, row, STREAM_LIMIT]
        arguments += (*served, charges, *names)
        try:
            future = self._scripts.call(SETTLE, prefix(tag), arguments)
        except RedisGone:
            self._keep(tag, sequence, names)
            self.interrupt()
        else:
            future.add_done_callback(partial(self._settled, tag, sequence, names))

    def _keep(self, tag: int, sequence: int, names: list[str]) -> None:
        if names:
            self._names[tag, sequence] = names

    def _settled(self, tag: int, sequence: int, names: list[str], future: asyncio.Future[Any]) -> None:
        if future.cancelled() or future.exception() is not None:
            self._keep(tag, sequence, names)
            self.interrupt()
        elif future.result() != 1:
            self._live = False
        elif self._live:
            self._sent[self._journal.instance, tag] = sequence

    def interrupt(self) -> None:
        """What Redis had may be lost, so all that is not committed is sent again."""
        self._live = False
        self._sent.clear()
        self._known_at = float("-inf")

    @property
    def live(self) -> bool:
        return self._live

    async def watch(self) -> None:
        try:
            while True:
                await pause(0.5)
                try:
                    await self._look()
                    self._complaint = ""
                except StreamFull as error:
                    self._live = False
                    self._complain(error)
                except Exception as error:
                    self.interrupt()
                    self._complain(error)
        finally:
            for adopted in self._adopted.values():
                os.close(adopted.lock)

    async def _look(self) -> None:
        self._journal.flush()
        if not self._scripts.connected:
            self._live = False
            return
        await self._stay_known()
        await self._confirm()
        if not self._live:
            await self._resend()
        await self._adopt()

    async def _stay_known(self) -> None:
        """Says that the journals held here are in use: how far they are committed must not be forgotten."""
        if self._loop.time() - self._known_at < _KNOWN_EVERY:
            return
        held = [self._journal.instance, *(directory.name for directory in self._adopted)]
        for future in [self._scripts.command(b"SET", gateway_name(one), 1, b"EX", _KNOWN_FOR) for one in held]:
            await future
        self._known_at = self._loop.time()

    def _complain(self, error: Exception) -> None:
        """Once for each reason: this is tried twice a second."""
        reason = f"{type(error).__name__}: {error}"
        if reason != self._complaint:
            self._complaint = reason
            expected = isinstance(error, RedisGone | StreamFull | hiredis.ReplyError | OSError)
            log.warning("rows wait in the journal", reason=reason, rows=self._journal.waiting, exc_info=not expected)

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
                self._moved, self._patience = now, _STUCK
        if now - self._moved > self._patience:
            # Committed no further for long: the jobs are away, or rows were lost unnoticed. Sending again costs little
            # and is done less and less often.
            self._moved, self._patience = now, min(self._patience * 2, _LONGEST_STUCK)
            self.interrupt()

    async def _committed(self, instance: str, tags: list[int]) -> dict[int, int]:
        asked = [self._scripts.command(b"HGET", prefix(tag) + "done", instance) for tag in tags]
        return {tag: int(await future or 0) for tag, future in zip(tags, asked, strict=True)}

    async def _resend(self) -> None:
        """Sends what is not in the stream, in order; new rows join behind. Ends live, or raises."""
        own, journal = self._journal.instance, self._journal
        while behind := [tag for tag in range(TAGS) if self._reached(tag) < journal.last(tag)]:
            for tag in behind:
                last = journal.last(tag)
                rows = journal.rows(tag, self._reached(tag))
                while await self._send(tag, own, rows):
                    pass
                if self._reached(tag) < last:
                    log.error("rows are missing in the journal", tag=tag, after=self._reached(tag), last=last)
                    self._sent[own, tag] = last
        # No await since the last look: nothing can have been kept meanwhile without being sent.
        self._live = True

    def _reached(self, tag: int) -> int:
        return max(self._journal.committed.get(tag, 0), self._sent.get((self._journal.instance, tag), 0))

    async def _send(self, tag: int, instance: str, rows: Iterator[tuple[int, bytes]]) -> bool:
        """One batch; whether there was one. Raises StreamFull or RedisGone."""
        calls: list[tuple[int, asyncio.Future[Any]]] = []
        for sequence, row in islice(rows, _BATCH):
            named = _NAMED.decode(row)
            if named.ending == LOST:
                calls.append((sequence, self._send_lost(tag, instance, sequence, named, row)))
                continue
            names = self._names.get((tag, sequence), []) if instance == self._journal.instance else []
            arguments: Arguments = [named.request_id, named.account_id or "", instance, sequence, row, STREAM_LIMIT]
            arguments += (*_NOBODY, named.charges, *names)
            calls.append((sequence, self._scripts.call(SETTLE, prefix(tag), arguments)))
        full = False
        for sequence, call in calls:
            full = await call == 0 or full
            if not full:
                self._sent[instance, tag] = sequence
                self.resent += 1
                if instance == self._journal.instance:
                    self._names.pop((tag, sequence), None)
        if full:
            raise StreamFull("the stream takes no more rows")
        return bool(calls)

    def _send_lost(self, tag: int, instance: str, sequence: int, named: _Named, row: bytes) -> asyncio.Future[Any]:
        """As the sweep does it: what it reserved is given back when its lease ends, the jobs charge the estimate."""
        fields = ("i", instance, "s", sequence, "a", named.account_id or "", "g", row, "c", named.charges)
        return self._scripts.command(b"XADD", prefix(tag) + "u", b"*", *fields)

    async def _adopt(self) -> None:
        """Journals of instances that are gone: sent under their own name, removed when they are committed."""
        for directory, lock in orphans(self._spool, self._journal.instance):
            last = {tag: sequence for tag, sequence, _ in orphan_rows(directory)}
            try:
                await self._bury(directory, last)
            except BaseException:
                os.close(lock)  # another look will find it
                raise
            self._adopted[directory] = _Adopted(lock, last)
        for directory, adopted in list(self._adopted.items()):
            committed = await self._committed(directory.name, list(adopted.last))
            if all(committed[tag] >= last for tag, last in adopted.last.items()):
                log.info("the rows of a gateway that has gone are committed", instance=directory.name)
                shutil.rmtree(directory, ignore_errors=True)
                os.close(self._adopted.pop(directory).lock)
            else:
                await self._replay(directory, adopted, committed)

    async def _bury(self, directory: Path, last: dict[int, int]) -> None:
        """What ran in an instance that was killed becomes rows of its journal: they exist whatever Redis knows."""
        found = lost(directory).values()
        committed = await self._committed(directory.name, sorted({tag for tag, *_ in found}))
        rows: list[tuple[int, int, bytes]] = []
        for tag, account, charges, begun in found:
            row = decode(begun)
            row.account_id, row.charges = account.decode() or None, charges.decode()
            last[tag] = max(last.get(tag, 0), committed[tag]) + 1
            # Said aloud, though it is the default: by that it is known on the way.
            rows.append((tag, last[tag], msgspec.json.encode({**msgspec.to_builtins(row), "ending": LOST})))
        if rows:
            leave(directory, rows)
            log.warning("requests of a gateway that has gone are in its journal", requests=len(rows))

    async def _replay(self, directory: Path, adopted: _Adopted, committed: dict[int, int]) -> None:
        """Sends what of a gone instance's rows is neither committed nor in the stream."""
        name, now = directory.name, self._loop.time()
        if now - adopted.sent_at > _LONGEST_STUCK:
            for tag in adopted.last:
                self._sent.pop((name, tag), None)
        for tag, last in adopted.last.items():
            reached = max(committed[tag], self._sent.get((name, tag), 0))
            if reached < last:
                rows = ((found, row) for at, found, row in orphan_rows(directory) if at == tag and found > reached)
                while await self._send(tag, name, rows):
                    adopted.sent_at = now
