"""The secrets of a local installation, made once and kept in its folder."""

import base64
import os
import secrets
from pathlib import Path


def generated(path: Path) -> Path:
    """A file with base64 of 32 random bytes, made if it is missing. Losing it is losing what it sealed."""
    return kept(path, base64.b64encode(secrets.token_bytes(32)).decode())


def kept(path: Path, text: str) -> Path:
    """The file with its first text; `text` if it is new. Two processes that start at once agree on one text.

    It is written under another name and linked into place whole, so that nobody reads half of it.
    """
    if path.exists():
        return path
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    replace(unfinished, text)
    try:
        path.hardlink_to(unfinished)
    except FileExistsError:
        pass
    finally:
        unfinished.unlink()
    return path


def replace(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"{text}\n")
