"""spawn: who gets which signal, what is inherited, where output goes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.local.privilege import server_account
from gateway.local.process import last_words, spawn
from tests.local.waiting import wait_for

ENVIRON = {"PATH": "/usr/bin:/bin"}


def test_output_is_added_to_the_log_and_nobody_else_reads_it(tmp_path: Path):
    log = tmp_path / "log"
    for word in ("one", "two"):
        assert spawn(["/bin/sh", "-c", f"echo {word}; echo and {word} >&2"], environ=ENVIRON, log=log).wait(10) == 0
    assert log.read_text() == "one\nand one\ntwo\nand two\n"
    assert log.stat().st_mode & 0o777 == 0o600
    assert last_words(log) == "and two"


def test_a_large_log_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.local.process._LOG_LIMIT", 10)
    log = tmp_path / "gateway.log"
    log.write_text("x" * 11)
    spawn(["/bin/echo", "new"], environ=ENVIRON, log=log).wait(10)
    assert log.read_text() == "new\n"
    assert (tmp_path / "gateway.old.log").read_text() == "x" * 11


@pytest.mark.parametrize(("text", "words"), [("", "it said nothing"), ("a\nb \n\n", "b")])
def test_last_words(tmp_path: Path, text: str, words: str):
    assert last_words(tmp_path / "absent") == "it said nothing"
    (tmp_path / "log").write_text(text)
    assert last_words(tmp_path / "log") == words


def test_only_kept_descriptors_and_the_given_environment_are_inherited(tmp_path: Path):
    log = tmp_path / "log"
    reading, writing = os.pipe()
    kept, other = os.dup(writing), os.dup(writing)
    code = f"import os; os.write({kept}, b'kept')\n"
    code += f"try: os.write({other}, b'no')\nexcept OSError: print(sorted(os.environ))"
    assert spawn([sys.executable, "-c", code], environ=ENVIRON, log=log, keep=[kept]).wait(20) == 0
    for descriptor in (writing, kept, other):
        os.close(descriptor)
    assert os.read(reading, 100) == b"kept"
    os.close(reading)
    assert "PATH" in log.read_text()
    assert "HOME" not in log.read_text()


def test_it_has_a_session_of_its_own():
    child = spawn(["/bin/sleep", "60"], environ=ENVIRON)
    assert os.getsid(child.pid) == child.pid
    child.kill()
    child.wait(10)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can tie a process to its parent")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_it_gets_its_signal_when_the_parent_is_killed(tmp_path: Path, name: str):
    log = tmp_path / "log"
    trap = f"trap 'echo got it; exit' {name[3:]}; echo up; while :; do sleep 0.05; done"
    code = (
        "import signal, time; from pathlib import Path; from gateway.local.process import spawn\n"
        f"spawn(['/bin/sh', '-c', {trap!r}], environ={ENVIRON!r}, log=Path({str(log)!r}),"
        f" on_parent_death=signal.{name}); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    wait_for(lambda: log.exists() and log.read_text() == "up\n")
    parent.kill()
    parent.wait(10)
    wait_for(lambda: log.read_text() == "up\ngot it\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can step down")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can tie a process to its parent")
def test_stepping_down_keeps_the_tie_to_the_parent(tmp_path: Path):
    account = server_account()
    assert account is not None
    log = tmp_path / "log"
    code = (
        "import time; from pathlib import Path\n"
        "from gateway.local.process import spawn; from gateway.local.privilege import server_account\n"
        f"child = spawn(['/bin/sh', '-c', 'id -u; id -G; exec sleep 60'], environ={ENVIRON!r}, log=Path({str(log)!r}),"
        " account=server_account()); print(child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    wait_for(lambda: log.exists() and log.read_text() == f"{account.uid}\n{account.gid}\n")
    parent.kill()
    parent.wait(10)
    parent.stdout.close()
    wait_for(lambda: not is_running(pid))


def test_a_program_that_is_not_there_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        spawn([tmp_path / "absent"], environ=ENVIRON)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return status != "Z"
