"""Where secrets may come from."""

import io
from pathlib import Path

import click
import pytest

from gateway.commands.secrets import ask, named, read


@pytest.fixture(autouse=True)
def _stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("first line\nsecond line\n"))
    monkeypatch.setenv("UPSTREAM_KEY", "from the environment\n")


def test_lines_of_standard_input_answer_questions_in_order():
    assert [ask("One"), ask("Two")] == ["first line", "second line"]
    with pytest.raises(click.UsageError, match="Three: nothing was given"):
        ask("Three")


def test_every_source(tmp_path: Path):
    (tmp_path / "key").write_text("from a file\n")
    assert read("", "x") == "first line"
    assert read("-", "x") == "second line"
    assert read("env:UPSTREAM_KEY", "x") == "from the environment"
    assert read(f"@{tmp_path}/key", "x") == "from a file"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("sk-ant-secret", "secrets are not read from the command line"),
        ("@/nowhere/key", "/nowhere/key cannot be read"),
        ("env:NOT_SET_ANYWHERE", "env:NOT_SET_ANYWHERE holds nothing"),
    ],
)
def test_what_is_refused_is_not_repeated(source: str, message: str):
    with pytest.raises(click.UsageError, match=message) as error:
        read(source, "api_key")
    assert "sk-ant-secret" not in error.value.message


def test_several_by_name():
    assert named(("a=env:UPSTREAM_KEY", "b")) == {"a": "from the environment", "b": "first line"}
    with pytest.raises(click.UsageError, match="only one"):
        named(("a=-", "b=-"))
