"""The gateway's own copy of its rows until PostgreSQL has them: lines in files under the spool.

Rows of one loop tick are appended in one write, without fsync: they survive the process, not the machine. Each tag of
the instance has its own sequence, and rows of a tag enter the tag's stream in that order; so one number, how far the
tag is committed, says which lines are still needed. A file is removed when all that is in it is committed. The lock
file tells a living instance from one whose files wait for the next process on this disk.
"""

import asyncio
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

SEGMENT_BYTES = 8 << 20
_NAME = "rows-{:06d}"


class _Segment:
    __slots__ = ("last", "path", "size")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last: dict[int, int] = {}
        self.size = 0


class Journal:
    """Open for the life of a process; `close` leaves the files that are still needed."""

    def __init__(self, directory: Path, lock: int) -> None:
        self.instance = directory.name
        self.directory = directory
        self._lock = lock
        self._loop = asyncio.get_running_loop()
        self._segments: list[_Segment] = []
        self._file: int | None = None
        self._out: list[bytes] = []
        self._sequence: dict[int, int] = {}
        self.committed: dict[int, int] = {}

    @classmethod
    def open(cls, spool: Path) -> "Journal":
        """A new instance's journal."""
        directory = spool / uuid4().hex
        directory.mkdir(parents=True, mode=0o700)
        lock = take_lock(directory)
        if lock is None:
            raise OSError(f"{directory} is locked by another process")
        return cls(directory, lock)

    def append(self, tag: int, row: bytes) -> int:
        """Keeps a row; it is on its way to the file by the end of this loop tick. Returns its sequence in the tag."""
        sequence = self._sequence.get(tag, 0) + 1
        self._sequence[tag] = sequence
        segment = self._segments[-1] if self._segments else self._next()
        if segment.size > SEGMENT_BYTES:
            segment = self._next()
        line = b"%d %d %b\n" % (tag, sequence, row)
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(line)
        segment.last[tag] = sequence
        segment.size += len(line)
        return sequence

    def flush(self) -> None:
        if self._out and self._file is not None:
            data = b"".join(self._out)
            self._out.clear()
            os.write(self._file, data)

    @property
    def waiting(self) -> int:
        """Rows that are not known to be committed."""
        return sum(last - self.committed.get(tag, 0) for tag, last in self._sequence.items())

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
        while len(self._segments) > 1 and self._done(self._segments[0]):
            self._segments.pop(0).path.unlink(missing_ok=True)

    def _done(self, segment: _Segment) -> bool:
        return all(self.committed.get(tag, 0) >= last for tag, last in segment.last.items())

    def rows(self, tag: int, after: int) -> Iterator[tuple[int, bytes]]:
        """Rows of a tag with a higher sequence, in order, read from the files."""
        self.flush()
        for segment in list(self._segments):
            if segment.last.get(tag, 0) > after:
                for found, sequence, row in read(segment.path):
                    if found == tag and sequence > after:
                        yield sequence, row

    def _next(self) -> _Segment:
        self.flush()
        if self._file is not None:
            os.close(self._file)
        number = int(self._segments[-1].path.name.rpartition("-")[2]) + 1 if self._segments else 1
        segment = _Segment(self.directory / _NAME.format(number))
        self._file = os.open(segment.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._segments.append(segment)
        return segment

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
    """The instance's lock, None while another process holds it. Held until the descriptor is closed."""
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def read(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """(tag, sequence, row) of each whole line; a last line that was cut off is not a row."""
    try:
        with path.open("rb") as lines:
            for line in lines:
                parts = line.split(b" ", 2)
                if line.endswith(b"\n") and len(parts) == 3:
                    yield int(parts[0]), int(parts[1]), parts[2][:-1]
    except FileNotFoundError:
        return


def orphans(spool: Path, own: str) -> Iterator[tuple[Path, int]]:
    """Directories of instances that are gone, with their lock taken: the caller replays, removes, closes."""
    for directory in sorted(spool.iterdir()) if spool.is_dir() else ():
        if directory.name != own and directory.is_dir():
            lock = take_lock(directory)
            if lock is not None:
                yield directory, lock


def orphan_rows(directory: Path) -> Iterator[tuple[int, int, bytes]]:
    for path in sorted(directory.glob("rows-*")):
        yield from read(path)
