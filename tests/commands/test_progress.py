"""A bar is for people: on a terminal, on standard error, and nowhere else."""

import io
import sys

import pytest

from gateway.commands.progress import bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_it_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    with bar("sending", 10) as advance:
        for _ in range(5):
            advance(2)
    assert "sending" in shown.getvalue()
    assert "10/10" in shown.getvalue()
    assert capsys.readouterr().out == ""


def test_elsewhere_nothing_is(capsys: pytest.CaptureFixture[str]):
    with bar("sending") as advance:
        advance(1)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "")
