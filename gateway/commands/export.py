"""Long answers into a file, whole or not at all, with a bar on a terminal."""

import os
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from gateway.commands.api import Api, CommandError

F = TypeVar("F", bound=Callable[..., Any])
#: How many rows the answer will have, where it knows.
_ROWS = "x-poolgate-rows"
_FORMATS = ("csv", "jsonl")


def options(command: F) -> F:
    """The options of every export."""
    command = click.option(
        "--output", type=click.Path(dir_okay=False, allow_dash=True), default="-", help="A file [default: print it]."
    )(command)
    return click.option("--format", "form", type=click.Choice(_FORMATS), default="csv", show_default=True)(command)


def write(api: Api, act: str, params: Mapping[str, Any], form: str, output: str) -> None:
    """Raises CommandError when it breaks off; a file that was there before is then as it was."""
    with (
        api.stream(act, {**params, "format": form}) as (headers, pieces),
        _opened(output) as file,
        _counting(pieces, headers.get(_ROWS), heading=form == "csv") as counted,
    ):
        for piece in counted:
            file.write(piece)


@contextmanager
def _opened(output: str) -> Generator[IO[bytes]]:
    if output == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    place = Path(output)
    try:
        with tempfile.NamedTemporaryFile(dir=place.parent, prefix=f".{place.name}.", delete=False) as file:
            unfinished = Path(file.name)
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                unfinished.chmod(0o600)  # it says who used what
                unfinished.replace(place)
            finally:
                unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(f"{output}: {error.strerror or error}") from None


@contextmanager
def _counting(pieces: Iterable[bytes], rows: str | None, *, heading: bool) -> Generator[Iterable[bytes]]:
    """The same pieces; on a terminal a bar says how many rows have come, of how many where that is known."""
    if not sys.stderr.isatty():
        yield pieces
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    total = int(rows) + heading if rows is not None and rows.isdecimal() else None
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()) if total else (BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)

        def told() -> Iterator[bytes]:
            for piece in pieces:
                yield piece
                progress.advance(task, piece.count(b"\n") if total else len(piece))

        yield told()
