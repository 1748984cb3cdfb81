"""Secrets that a person gives to a command: asked for, from standard input, from a file or from the environment.

Never from the command line itself, which every user of the machine can read and the shell keeps.
"""

import getpass
import os
import sys
from pathlib import Path

import click


def ask(label: str) -> str:
    """Asked for on a terminal without showing it; otherwise the next line of standard input."""
    if sys.stdin.isatty():
        said = getpass.getpass(f"{label}: ", stream=sys.stderr)
    else:
        said = sys.stdin.readline().rstrip("\r\n")
    if not said:
        raise click.UsageError(f"{label}: nothing was given")
    return said


def read(source: str, label: str) -> str:
    """`source`: empty (ask for it), `-` (all of standard input), `@FILE` or `env:NAME`."""
    if not source:
        return ask(label)
    if source == "-":
        found = sys.stdin.read()
    elif source.startswith("@"):
        try:
            found = Path(source[1:]).expanduser().read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"{label}: {source[1:]} cannot be read ({type(error).__name__})") from None
    elif source.startswith("env:"):
        found = os.environ.get(source[4:], "")
    else:
        # What was given is not repeated: it may be the secret.
        raise click.UsageError(f"{label}: secrets are not read from the command line: use @FILE, -, or env:NAME")
    if not found.strip():
        raise click.UsageError(f"{label}: {'standard input' if source == '-' else source} holds nothing")
    return found.strip()


def named(given: tuple[str, ...]) -> dict[str, str]:
    """`NAME`, `NAME=-`, `NAME=@FILE` or `NAME=env:VARIABLE`, as a mapping of names to secrets."""
    parts = [text.partition("=") for text in given]
    if sum(source == "-" for _, _, source in parts) > 1:
        raise click.UsageError("only one secret can be read from standard input")
    return {name: read(source, name) for name, _, source in parts}
