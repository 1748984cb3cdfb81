"""What is shown, to people and to programs."""

import sys

import click
import pytest

from gateway.commands import text

ROWS = [{"id": "key_1", "name": "a\x1b[2Jb", "models": ["x", "y"], "usage": {"cost": "1.5"}, "enabled": True}]
COLUMNS = ("id", "name", "models", "usage.cost", "enabled", "gone.deep")


def test_plain_text_is_separated_by_tabs(capsys: pytest.CaptureFixture[str]):
    text.table(ROWS, COLUMNS)
    titles, row = capsys.readouterr().out.splitlines()
    assert titles == "id\tname\tmodels\tcost\tenabled\tdeep"
    assert row == "key_1\ta\ufffd[2Jb\tx, y\t1.5\tyes\t-"
    text.table([], ("id", "name"))
    assert capsys.readouterr().out == "id\tname\n"
    text.fields({"id": "key_1", "limits": [], "map": {"a": "b"}, "more": 1}, leaving=("more",))
    assert capsys.readouterr().out == 'id\tkey_1\nlimits\t-\nmap\t{"a": "b"}\n'


def test_a_terminal_gets_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    text.table([{**ROWS[0], "name": "[red]not markup[/]"}], COLUMNS)
    shown = capsys.readouterr().out
    assert "[red]not markup[/]" in shown
    assert "─" in shown
    text.fields({"id": "key_1", "longer": None})
    lines = [click.unstyle(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == ["id      key_1", "longer  -"]
    text.table([], COLUMNS)
    assert capsys.readouterr() == ("", "none\n")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (True, "yes"), (False, "no"), ([], "-"), (["a", 1], "a, 1"), (0, "0"), ("\u202egnp", "\ufffdgnp")],
)
def test_one_value(value: object, shown: str):
    assert text.word(value) == shown
