"""The gateway's own copy of its rows until PostgreSQL has them: lines in files under the spool.

Each row is in its file when it has been taken, without fsync: it survives the process, not the machine. Each tag of the
instance has its own sequence, and rows of a tag enter the tag's stream in that order; so one number, how far the
tag is committed, says which lines are still needed. A file is removed when all that is in it is committed. A request
that has begun has a line too, without a sequence: what is known of it when the process is killed. The lock file tells a
living instance from one whose files wait for the next process on this disk.

A disk that takes nothing never stops a request: its row stays in memory, and is written when the disk takes it again.
"""

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import msgspec
import structlog

SEGMENT_BYTES = 8 << 20
_NAME = "rows-{:06d}"
_AT_ONCE = 512
_BEGUN = b"o"
log = structlog.get_logger()


class _Segment:
    __slots__ = ("begun", "last", "path", "size")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last: dict[int, int] = {}
        self.begun: dict[str, bytes] = {}
        """Lines of requests that are not over, by their id."""
        self.size = 0


class Journal:
    """Open for the life of a process; `close` leaves the files that are still needed."""

    def __init__(self, directory: Path, lock: int, limit: int) -> None:
        self.instance = directory.name
        self.directory = directory
        self._lock = lock
        self._limit = limit
        self._segment_bytes = min(SEGMENT_BYTES, limit // 4)
        self._segments: list[_Segment] = []
        self._file: int | None = None
        self._out: list[bytes] = []
        self._written = 0
        """Bytes of the first line of `_out` that are in the file already."""
        self._begun: dict[str, _Segment] = {}
        self._sequence: dict[int, int] = {}
        self.committed: dict[int, int] = {}
        self.failing = ""
        """Why the disk takes nothing; empty while it does."""

    @classmethod
    def open(cls, spool: Path, limit: int = 1 << 30) -> "Journal":
        """A new instance's journal, of at most about `limit` bytes. Raises OSError."""
        name = uuid4().hex
        # Under a name that nobody adopts, until the lock is held.
        unfinished = spool / f".{name}"
        unfinished.mkdir(parents=True, mode=0o700)
        lock = take_lock(unfinished)
        if lock is None:
            raise OSError(f"{unfinished} is locked by another process")
        return cls(unfinished.rename(spool / name), lock, limit)

    def begin(self, tag: int, request_id: str, account_id: str, charges: str, row: bytes) -> None:
        """Keeps what a request leaves when this process is killed: see `lost`. It is in the file when this returns: the
        request may be on its way to the upstream within the same loop tick, and be billed."""
        line = b"%d %b %b\t%b\t%b\n" % (tag, _BEGUN, account_id.encode(), charges.encode(), row)
        segment = self._put(line)
        segment.begun[request_id] = line
        self._begun[request_id] = segment
        self.flush()

    def append(self, tag: int, row: bytes, request_id: str = "") -> int:
        """Keeps a row: in the file when this returns, since its client may have read the whole answer by then. Returns
        its sequence in the tag. `request_id`: of the request that is over with it.

        Never raises: what the disk does not take stays in memory.
        """
        sequence = self._sequence.get(tag, 0) + 1
        self._sequence[tag] = sequence
        self._put(b"%d %d %b\n" % (tag, sequence, row)).last[tag] = sequence
        begun = self._begun.pop(request_id, None)
        if begun is not None:
            del begun.begun[request_id]
        self.flush()
        return sequence

    def _put(self, line: bytes) -> _Segment:
        segment = self._segments[-1] if self._segments else self._next()
        if segment.size > self._segment_bytes and self.flush():
            segment = self._next()
        self._out.append(line)
        segment.size += len(line)
        return segment

    def flush(self) -> bool:
        """Whether all is in the files."""
        try:
            if self._file is None and self._segments:
                self._open_file()
            while self._out and self._file is not None:
                self._write(self._file)
        except OSError as error:
            if not self.failing:
                log.error("the journal cannot be written: rows stay in memory", reason=error.strerror)
            self.failing = error.strerror or type(error).__name__
            return False
        if self.failing:
            self.failing = ""
            log.warning("the journal is written again")
        return True

    def _write(self, file: int) -> None:
        """One write, which may take a part only. What it took is forgotten, by whole lines."""
        lines = self._out[:_AT_ONCE]
        data = b"".join(lines)[self._written :]
        taken = os.write(file, data)
        if taken == len(data):
            self._written = 0
            del self._out[: len(lines)]
            return
        self._written += taken
        whole = 0
        while whole < len(self._out) and self._written >= len(self._out[whole]):
            self._written -= len(self._out[whole])
            whole += 1
        del self._out[:whole]

    @property
    def waiting(self) -> int:
        """Rows that are not known to be committed."""
        return sum(last - self.committed.get(tag, 0) for tag, last in self._sequence.items())

    @property
    def full(self) -> bool:
        """Whether it holds as much as it may: nothing new may be admitted until the jobs have committed some of it."""
        return self.size >= self._limit and self.waiting > 0

    @property
    def size(self) -> int:
        return sum(segment.size for segment in self._segments)

    def last(self, tag: int) -> int:
        return self._sequence.get(tag, 0)

    def tags(self) -> list[int]:
        return [tag for tag, last in self._sequence.items() if last > self.committed.get(tag, 0)]

    def confirm(self, tag: int, sequence: int) -> None:
        """Everything of the tag up to this sequence is in PostgreSQL."""
        if sequence <= self.committed.get(tag, 0):
            return
        self.committed[tag] = sequence
        while len(self._segments) > 1 and self._done(self._segments[0]) and self._carried(self._segments[0]):
            self._segments.pop(0).path.unlink(missing_ok=True)

    def _carried(self, old: _Segment) -> bool:
        """Whether the lines of requests that still run are in a newer file."""
        for request_id, line in old.begun.items():
            segment = self._begun[request_id] = self._put(line)
            segment.begun[request_id] = line
        old.begun.clear()
        return self.flush()

    def _done(self, segment: _Segment) -> bool:
        return all(self.committed.get(tag, 0) >= last for tag, last in segment.last.items())

    def rows(self, tag: int, after: int) -> Iterator[tuple[int, bytes]]:
        """Rows of a tag with a higher sequence, in order, read from the files and from what they do not have yet."""
        self.flush()
        unwritten = [parsed for line in self._out if (parsed := parse(line))]
        for segment in list(self._segments):
            if segment.last.get(tag, 0) > after:
                for found, sequence, row in read(segment.path):
                    if found == tag and sequence > after:
                        yield sequence, row
        for found, sequence, row in unwritten:
            if found == tag and sequence > after:
                yield sequence, row

    def _next(self) -> _Segment:
        """A new file, opened by the next write. The last one is complete."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        number = int(self._segments[-1].path.name.rpartition("-")[2]) + 1 if self._segments else 1
        self._segments.append(_Segment(self.directory / _NAME.format(number)))
        return self._segments[-1]

    def _open_file(self) -> None:
        self._file = os.open(self._segments[-1].path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def close(self) -> None:
        """Leaves what is not committed for the next process on this disk."""
        self.flush()
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if not self.waiting:
            shutil.rmtree(self.directory, ignore_errors=True)
        os.close(self._lock)


def take_lock(directory: Path) -> int | None:
    """The instance's lock, None while another process holds it, or when the directory is gone.

    Held until the descriptor is closed.
    """
    try:
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def parse(line: bytes) -> tuple[int, int, bytes] | None:
    """(tag, sequence, row) of a whole line, None of one that was cut off or spoiled."""
    tag, _, rest = line.partition(b" ")
    sequence, _, row = rest.partition(b" ")
    if not line.endswith(b"\n") or not tag.isdigit() or not sequence.isdigit():
        return None
    return int(tag), int(sequence), row[:-1]


def read(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """The rows of a file; a last line that was cut off is not a row."""
    try:
        with path.open("rb") as lines:
            yield from (parsed for line in lines if (parsed := parse(line)))
    except FileNotFoundError:
        return


def orphans(spool: Path, own: str) -> Iterator[tuple[Path, int]]:
    """Directories of instances that are gone, with their lock taken: the caller replays, removes, closes."""
    for directory in sorted(spool.iterdir()) if spool.is_dir() else ():
        if directory.name != own and not directory.name.startswith(".") and directory.is_dir():
            lock = take_lock(directory)
            if lock is not None:
                yield directory, lock


def orphan_rows(directory: Path) -> Iterator[tuple[int, int, bytes]]:
    for path in sorted(directory.glob("rows-*")):
        yield from read(path)


class _Named(msgspec.Struct):
    request_id: str = ""


_named = msgspec.json.Decoder(_Named).decode


def _begun(line: bytes) -> tuple[int, bytes, bytes, bytes] | None:
    """(tag, account, charges, row) of a whole line that `begin` has written."""
    tag, _, rest = line.partition(b" ")
    mark, _, kept = rest.partition(b" ")
    parts = kept[:-1].split(b"\t", 2)
    if not line.endswith(b"\n") or not tag.isdigit() or mark != _BEGUN or len(parts) != 3:
        return None
    return int(tag), parts[0], parts[1], parts[2]


def lost(directory: Path) -> dict[str, tuple[int, bytes, bytes, bytes]]:
    """What began in an instance that is gone and has no row: (tag, account, charges, row's beginning), by its id."""
    found: dict[str, tuple[int, bytes, bytes, bytes]] = {}
    for path in sorted(directory.glob("rows-*")):
        with path.open("rb") as lines:
            for line in lines:
                with suppress(msgspec.MsgspecError):
                    if (begun := _begun(line)) is not None:
                        found[_named(begun[3]).request_id] = begun
                    elif (row := parse(line)) is not None:
                        found.pop(_named(row[2]).request_id, None)
    return found


def leave(directory: Path, rows: Iterable[tuple[int, int, bytes]]) -> None:
    """Adds rows to the journal of an instance that is gone, in a file of their own. Raises OSError."""
    numbers = [int(path.name.rpartition("-")[2]) for path in directory.glob("rows-*")]
    path = directory / _NAME.format(max(numbers, default=0) + 1)
    unfinished = directory / "unfinished"
    unfinished.write_bytes(b"".join(b"%d %d %b\n" % line for line in rows))
    unfinished.rename(path)
