"""What a log-in leaves, and to whom it is sent."""

from pathlib import Path

import pytest

from gateway.commands.store import DEFAULT_URL, Login, chosen, forget, load, place, save


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POOLGATE_ADMIN_URL", "POOLGATE_ADMIN_TOKEN", "POOLGATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_only_its_owner_reads_it(tmp_path: Path):
    login = Login("http://a", session="cookie", csrf="c")
    assert save(login) == tmp_path / "config" / "poolgate" / "login.json"
    assert load() == login
    assert place().stat().st_mode & 0o777 == 0o600
    assert place().parent.stat().st_mode & 0o777 == 0o700
    save(Login("http://b"))
    assert [path.name for path in place().parent.iterdir()] == ["login.json"]
    forget()
    forget()
    assert load() is None


def test_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", "/somewhere")
    assert place() == Path("/somewhere/.config/poolgate/login.json")
    monkeypatch.setenv("POOLGATE_HOME", str(tmp_path))
    assert place() == tmp_path / "login.json"


def test_a_damaged_file_is_no_log_in():
    save(Login("http://a"))
    place().write_bytes(b"{\xff")
    assert load() is None


def test_what_is_stored_goes_only_to_its_own_address(monkeypatch: pytest.MonkeyPatch):
    assert chosen() == Login(DEFAULT_URL)
    held = Login("http://a", session="cookie", csrf="c")
    save(held)
    assert chosen() == held
    monkeypatch.setenv("POOLGATE_ADMIN_URL", "http://b/")
    assert chosen() == Login("http://b")
    monkeypatch.setenv("POOLGATE_ADMIN_TOKEN", "pgadm_x\n")
    assert chosen() == Login("http://b", token="pgadm_x")
