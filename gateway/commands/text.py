"""What is shown: tables and aligned fields on a terminal, tab-separated plain text elsewhere, or the API's own JSON."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import click

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

Row = Mapping[str, Any]


def clean(text: str) -> str:
    """Without what could move the cursor or reorder the line: names are written by others."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def as_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def word(value: Any) -> str:
    """One value as one piece of text."""
    if value is None or value == [] or value == {}:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return ", ".join(word(item) for item in items)
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    return clean(str(value))


def table(rows: Iterable[Row], columns: Sequence[str]) -> None:
    """`columns`: names of members, also `usage.cost` for one inside another."""
    lines = [[word(_member(row, column)) for column in columns] for row in rows]
    titles = [column.rpartition(".")[2] for column in columns]
    if not sys.stdout.isatty():
        click.echo("\n".join("\t".join(line) for line in [titles, *lines]))
        return
    if not lines:
        click.echo("none", err=True)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title, values in zip(titles, zip(*lines, strict=True), strict=True):
        numeric = all(re.fullmatch(r"[0-9.]+|-", value) for value in values)
        # An id that is cut cannot be copied.
        shown.add_column(title.replace("_", " "), justify="right" if numeric else "left", no_wrap=title.endswith("id"))
    for line in lines:
        shown.add_row(*map(Text, line))
    Console().print(shown)


def fields(row: Row, leaving: Sequence[str] = ()) -> None:
    """One object, a member a line."""
    named = [(name, word(value)) for name, value in row.items() if name not in leaving]
    if not sys.stdout.isatty():
        click.echo("\n".join(f"{name}\t{value}" for name, value in named))
        return
    width = max(len(name) for name, _ in named)
    click.echo("\n".join(f"{click.style(name.ljust(width), bold=True)}  {value}" for name, value in named))


def note(text: str) -> None:
    """For the person, not for what reads standard output."""
    click.echo(f"poolgate: {clean(text)}", err=True)


def _member(row: Row, path: str) -> Any:
    value: Any = row
    for name in path.split("."):
        value = cast("Row", value).get(name) if isinstance(value, Mapping) else None
    return value
