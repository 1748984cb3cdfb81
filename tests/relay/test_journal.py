"""The gateway's own copy of its rows: what is in the files, for how long, and what a bad disk does to it."""

import errno
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.relay import journal as module
from gateway.relay.journal import Journal, leave, lost, orphan_rows, orphans, parse, take_lock


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def lines(journal: Journal) -> list[tuple[int, int, bytes]]:
    return list(orphan_rows(journal.directory))


def files(journal: Journal) -> list[str]:
    return sorted(path.name for path in journal.directory.glob("rows-*"))


async def test_a_row_is_in_the_file_when_it_has_been_taken(spool: Path, monkeypatch: pytest.MonkeyPatch):
    """Its client may have read the answer by then: a SIGKILL now must not make it one that was lost."""
    journal = Journal.open(spool)
    writes: list[bytes] = []
    real = os.write
    monkeypatch.setattr(module.os, "write", lambda file, data: (writes.append(data), real(file, data))[1])
    for number in range(5):
        journal.append(3, b"row %d" % number)
        assert lines(journal)[-1] == (3, number + 1, b"row %d" % number)
    journal.begin(4, "a", "acct_1", "", b'{"request_id":"a"}')
    assert list(lost(journal.directory)) == ["a"]
    assert len(writes) == 6


async def test_each_tag_counts_for_itself(spool: Path):
    journal = Journal.open(spool)
    assert [journal.append(tag, b"x") for tag in (1, 2, 1, 1, 2)] == [1, 1, 2, 3, 2]
    assert (journal.last(1), journal.last(2), journal.last(3)) == (3, 2, 0)
    assert journal.waiting == 5
    journal.confirm(1, 3)
    assert (journal.waiting, journal.tags()) == (2, [2])
    journal.confirm(1, 1)  # late news changes nothing
    assert journal.waiting == 2


@pytest.mark.parametrize("size", [1, 50, 4000])
async def test_every_row_is_found_again_over_the_edges_of_files(
    spool: Path, monkeypatch: pytest.MonkeyPatch, size: int
):
    monkeypatch.setattr(module, "SEGMENT_BYTES", 10_000)
    journal = Journal.open(spool)
    row = b"r" * size
    for _ in range(60):
        journal.append(1, row)
        journal.append(2, row)
    assert (len(files(journal)) > 1) == (size > 50)
    for after in (0, 1, 29, 30, 59, 60):
        assert [sequence for sequence, _ in journal.rows(1, after)] == list(range(after + 1, 61))


async def test_a_file_goes_when_all_in_it_is_committed_and_no_row_with_it(spool: Path, monkeypatch: pytest.MonkeyPatch):
    """Whatever is committed: each row that is not must still be in a file."""
    monkeypatch.setattr(module, "SEGMENT_BYTES", 1000)
    journal = Journal.open(spool)
    for number in range(1, 101):
        journal.append(1, b"%090d" % number)
    before = len(files(journal))
    assert before > 5
    for committed in range(1, 101):
        journal.confirm(1, committed)
        assert [sequence for sequence, _ in journal.rows(1, committed)] == list(range(committed + 1, 101))
    assert len(files(journal)) == 1


async def test_a_file_waits_for_all_of_its_tags(spool: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SEGMENT_BYTES", 100)
    journal = Journal.open(spool)
    for _ in range(10):
        journal.append(1, b"x" * 40)
        journal.append(2, b"x" * 40)
    journal.flush()
    count = len(files(journal))
    assert count > 5
    journal.confirm(1, 10)
    assert len(files(journal)) == count
    journal.confirm(2, 10)
    assert len(files(journal)) == 1


async def test_close_leaves_what_is_not_committed(spool: Path):
    journal = Journal.open(spool)
    journal.append(1, b"kept")
    journal.close()
    assert [(path.name, list(orphan_rows(path))) for path, _ in orphans(spool, "")] == [
        (journal.instance, [(1, 1, b"kept")])
    ]


async def test_close_removes_all_when_all_is_committed(spool: Path):
    journal = Journal.open(spool)
    journal.append(1, b"done")
    journal.confirm(1, 1)
    journal.close()
    assert list(spool.iterdir()) == []


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"1 2 torn", b"1 2", b"x 2 row\n", b"1 y row\n", b"\0\0\0\0\n", b"1\n", b" 2 row\n"]
)
def test_a_line_that_is_none(line: bytes):
    assert parse(line) is None


def test_a_row_may_hold_spaces():
    assert parse(b'3 14 {"a": "b c"}\n') == (3, 14, b'{"a": "b c"}')


async def test_a_torn_last_line_is_no_row(spool: Path):
    journal = Journal.open(spool)
    for number in range(3):
        journal.append(1, b"row %d" % number)
    journal.flush()
    path = journal.directory / files(journal)[0]
    path.write_bytes(path.read_bytes()[:-3])
    assert [sequence for _, sequence, _ in lines(journal)] == [1, 2]


def test_rows_survive_sigkill_and_the_lock_is_free_again(spool: Path):
    program = """
        import asyncio, os, signal, sys
        from pathlib import Path
        from gateway.relay.journal import Journal
        async def main():
            journal = Journal.open(Path(sys.argv[1]))
            for number in range(1000):
                journal.append(number % 16, b"row")
            os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(spool)], check=False, timeout=20)
    assert done.returncode == -9
    ((directory, lock),) = orphans(spool, "")
    assert len(list(orphan_rows(directory))) == 1000
    assert take_lock(directory) is None, "one adopts at a time"
    os.close(lock)


async def test_a_living_instance_is_no_orphan(spool: Path):
    journal = Journal.open(spool)
    assert list(orphans(spool, "")) == []
    journal.append(1, b"x")
    journal.close()
    ((_, lock),) = orphans(spool, "")
    os.close(lock)


async def test_one_that_is_being_made_is_nobodys(spool: Path):
    """Between making its directory and taking the lock, another process may look."""
    (spool / ".made").mkdir(parents=True)
    assert list(orphans(spool, "")) == []


def test_a_directory_that_is_gone_has_no_lock(spool: Path):
    assert take_lock(spool / "gone") is None


# ------------------------------------------------------------ a bad disk


class Disk:
    """What os.write does: takes at most so many bytes a call, or refuses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.most = 1 << 30
        self.error = 0
        self._real = os.write
        monkeypatch.setattr(module.os, "write", self._write)

    def _write(self, file: int, data: bytes) -> int:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        return self._real(file, data[: self.most])


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.mark.parametrize("most", [1, 7, 100])
async def test_a_write_that_takes_a_part_only(spool: Path, disk: Disk, most: int):
    disk.most = most
    journal = Journal.open(spool)
    for number in range(20):
        journal.append(1, b"row %d" % number)
    assert lines(journal) == [(1, n + 1, b"row %d" % n) for n in range(20)]


@pytest.mark.parametrize("broken", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
async def test_a_full_disk_keeps_rows_in_memory_and_says_so(spool: Path, disk: Disk, broken: int):
    journal = Journal.open(spool)
    journal.append(1, b"before")
    disk.error = broken
    for number in range(3):
        journal.append(1, b"row %d" % number)
        assert journal.failing == os.strerror(broken)
    assert len(lines(journal)) == 1
    assert [sequence for sequence, _ in journal.rows(1, 0)] == [1, 2, 3, 4]
    disk.error = 0
    assert journal.flush()
    assert not journal.failing
    assert [sequence for _, sequence, _ in lines(journal)] == [1, 2, 3, 4]


async def test_a_disk_that_is_full_in_the_middle_of_a_line(spool: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch):
    journal = Journal.open(spool)
    whole = module.os.write

    def half(file: int, data: bytes) -> int:
        taken = whole(file, data[: len(data) * 2 // 3])
        disk.error = errno.ENOSPC
        return taken

    journal.append(1, b"first " * 10)
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "write", lambda file, data: (whole if disk.error else half)(file, data))
        journal.append(1, b"second " * 10)
    assert journal.failing
    assert lines(journal) == [(1, 1, b"first " * 10)]
    assert [sequence for sequence, _ in journal.rows(1, 0)] == [1, 2]
    disk.error = 0
    assert journal.flush()
    assert lines(journal) == [(1, 1, b"first " * 10), (1, 2, b"second " * 10)]


async def test_a_file_that_cannot_be_made(spool: Path, monkeypatch: pytest.MonkeyPatch):
    journal = Journal.open(spool)
    real = os.open

    def refuse(*arguments: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(module.os, "open", refuse)
    assert journal.append(1, b"row") == 1
    assert not journal.flush()
    monkeypatch.setattr(module.os, "open", real)
    assert journal.flush()
    assert lines(journal) == [(1, 1, b"row")]


async def test_the_limit(spool: Path):
    journal = Journal.open(spool, 40_000)
    row: Callable[[], int] = lambda: journal.append(1, b"x" * 990)  # noqa: E731
    while not journal.full:
        row()
    assert 40 <= journal.last(1) <= 41
    assert row() > 40, "what was admitted is kept all the same"
    journal.confirm(1, journal.last(1))
    assert not journal.full
    assert journal.size < 20_000


def begun(journal: Journal, *names: str, tag: int = 7) -> None:
    for name in names:
        journal.begin(tag, name, "acct_1", "S w:x 60000 1 5", b'{"request_id":"%b"}' % name.encode())


async def test_what_began_and_has_no_row_is_lost(spool: Path):
    journal = Journal.open(spool)
    begun(journal, "a", "b", "c")
    journal.append(7, b'{"request_id":"b"}', "b")
    assert lines(journal) == [(7, 1, b'{"request_id":"b"}')]
    kept = (7, b"acct_1", b"S w:x 60000 1 5")
    assert lost(journal.directory) == {name: (*kept, b'{"request_id":"%b"}' % name.encode()) for name in ("a", "c")}
    assert (journal.waiting, journal.last(7)) == (1, 1)


async def test_rows_that_are_left_for_the_lost_are_found_once(spool: Path):
    journal = Journal.open(spool)
    begun(journal, "a", "b")
    leave(journal.directory, [(7, 4, b'{"request_id":"a"}')])
    assert lines(journal) == [(7, 4, b'{"request_id":"a"}')]
    assert list(lost(journal.directory)) == ["b"]


async def test_a_torn_line_of_a_beginning_is_none(spool: Path):
    journal = Journal.open(spool)
    begun(journal, "a")
    (path,) = journal.directory.glob("rows-*")
    path.write_bytes(path.read_bytes()[:-1])
    assert lost(journal.directory) == {}


async def test_what_still_runs_is_carried_out_of_a_file_that_goes(spool: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SEGMENT_BYTES", 200)
    journal = Journal.open(spool)
    begun(journal, "stays")
    for number in range(1, 21):
        begun(journal, f"r{number}")
        journal.append(7, b'{"request_id":"r%d"}' % number, f"r{number}")
    first = files(journal)[0]
    journal.confirm(7, 20)
    assert first not in files(journal)
    assert list(lost(journal.directory)) == ["stays"]
    journal.append(7, b'{"request_id":"stays"}', "stays")
    assert lost(journal.directory) == {}


async def test_a_file_stays_while_the_disk_does_not_take_what_runs(
    spool: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "SEGMENT_BYTES", 200)
    journal = Journal.open(spool)
    begun(journal, "stays")
    for number in range(1, 11):
        journal.append(7, b'{"request_id":"r%d"}' % number)
    first = files(journal)[0]
    disk.error = errno.ENOSPC
    journal.confirm(7, 10)
    assert files(journal)[0] == first
    disk.error = 0
    journal.confirm(7, 10)
    journal.append(7, b'{"request_id":"r11"}')
    journal.confirm(7, 11)
    assert first not in files(journal)
    assert list(lost(journal.directory)) == ["stays"]
