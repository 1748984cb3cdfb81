"""Which account may pass which folder; nothing that is not ours is changed."""

import os
import stat
from pathlib import Path

import pytest

from gateway.local import privilege
from gateway.local.privilege import Account, make_home, private_directory, reachable_copy, reachable_state, reaches

OTHER = Account("nobody", 65534, 65534)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account to think of")


@pytest.fixture
def open_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    state = tmp_path / "var"
    monkeypatch.setattr(privilege, "OPEN_STATE", state)
    return state


@pytest.mark.parametrize(
    ("mode", "owner", "passes"),
    [
        (0o711, (0, 0), True),
        (0o700, (0, 0), False),
        (0o710, (0, 0), False),
        (0o710, (0, OTHER.gid), True),
        (0o701, (0, OTHER.gid), False),
        (0o700, (OTHER.uid, 0), True),
        (0o077, (OTHER.uid, OTHER.gid), False),
    ],
)
@root_only
def test_an_account_passes_by_the_bit_that_is_its_own(
    tmp_path_factory: pytest.TempPathFactory, mode: int, owner: tuple[int, int], passes: bool
):
    folder = Path("/tmp") / f"pg-reach-{os.getpid()}"
    folder.mkdir()
    try:
        os.chown(folder, *owner)
        folder.chmod(mode)
        assert reaches(OTHER, folder) is passes
        assert reaches(OTHER, folder / "deeper") is passes
        assert reaches(None, folder)
    finally:
        folder.rmdir()


def test_a_new_home_is_closed_except_to_whom_the_database_runs_as(tmp_path: Path):
    home = make_home(tmp_path / "a" / "home")
    assert stat.S_IMODE(home.stat().st_mode) == (0o711 if os.geteuid() == 0 else 0o700)


def test_a_home_that_is_there_keeps_its_mode(tmp_path: Path):
    tmp_path.chmod(0o750)
    assert stat.S_IMODE(make_home(tmp_path).stat().st_mode) == 0o750


def test_our_own_account_uses_the_home(tmp_path: Path, open_state: Path):
    assert reachable_state(tmp_path, None) == tmp_path
    assert not open_state.exists()


@root_only
def test_a_home_that_cannot_be_reached_has_its_state_elsewhere_and_keeps_it(tmp_path: Path, open_state: Path):
    home = tmp_path / "home"  # pytest's folders are closed to others
    home.mkdir()
    state = reachable_state(home, OTHER)
    assert state.parent == open_state
    assert stat.S_IMODE(state.stat().st_mode) == 0o711
    assert reachable_state(home, OTHER) == state
    home.rename(tmp_path / "moved")
    assert reachable_state(tmp_path / "moved", OTHER) == state


@root_only
def test_programs_that_cannot_be_reached_are_copied_once(tmp_path: Path, open_state: Path):
    source = tmp_path / "site"
    (source / "pg" / "bin").mkdir(parents=True)
    (source / "pg" / "bin" / "postgres").write_text("1")
    (source / "pg" / "bin" / "link").symlink_to("postgres")
    copy = reachable_copy(source, ("pg",), "pg-1", OTHER)
    assert copy == open_state / "pg-1"
    assert (copy / "pg" / "bin" / "postgres").read_text() == "1"
    assert (copy / "pg" / "bin" / "link").is_symlink()
    (source / "pg" / "bin" / "postgres").write_text("2")
    assert (reachable_copy(source, ("pg",), "pg-1", OTHER) / "pg" / "bin" / "postgres").read_text() == "1"
    assert [path.name for path in open_state.iterdir()] == ["pg-1"]


def test_programs_that_can_be_reached_stay_where_they_are(tmp_path: Path, open_state: Path):
    assert reachable_copy(tmp_path, ("pg",), "pg-1", None) == tmp_path


def test_a_private_directory_is_ours_and_closed(tmp_path: Path):
    made = private_directory(tmp_path / "run", None)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert private_directory(made, None) == made


@pytest.mark.parametrize("make", ["open", "link", "file"])
def test_a_private_directory_that_is_something_else_is_refused(tmp_path: Path, make: str):
    path = tmp_path / "run"
    if make == "open":
        path.mkdir()
        path.chmod(0o755)
    elif make == "link":
        (tmp_path / "real").mkdir(mode=0o700)
        path.symlink_to(tmp_path / "real")
    else:
        path.write_text("")
    with pytest.raises(OSError, match=r"run"):
        private_directory(path, None)


@root_only
def test_a_private_directory_of_somebody_else_is_refused(tmp_path: Path):
    (tmp_path / "run").mkdir(mode=0o700)
    os.chown(tmp_path / "run", 12345, 12345)
    with pytest.raises(PermissionError, match="not a private directory"):
        private_directory(tmp_path / "run", OTHER)


@root_only
def test_a_private_directory_is_given_to_its_account(tmp_path: Path):
    (tmp_path / "run").mkdir(mode=0o700)  # as a kill between making it and giving it away leaves it
    assert private_directory(tmp_path / "run", OTHER).stat().st_uid == OTHER.uid
