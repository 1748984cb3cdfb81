"""Which account a server runs under, and which paths that account can reach.

PostgreSQL refuses to run as root. When we are root it runs as `postgres` where that account exists, else as `nobody`:
no account is made and no mode of a directory that is not ours is changed, so every parent of its files must already
let that account through.
"""

import hashlib
import os
import pwd
import shutil
import stat
from pathlib import Path

from msgspec import Struct

#: Where files go that another account must reach when we are root and our own folder is closed to it (below /root).
OPEN_STATE = Path("/var/lib/poolgate")


class Account(Struct, frozen=True):
    name: str
    uid: int
    gid: int


def server_account() -> Account | None:
    """The account to run a server under, or None to run it as ourselves: only root must step down."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise PermissionError("PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody")


def reaches(account: Account | None, path: Path) -> bool:
    """May the account pass every existing directory down to `path`?"""
    if account is None:
        return True
    resolved = path.resolve()
    return all(_may_pass(account, step) for step in (resolved, *resolved.parents) if step.is_dir())


def _may_pass(account: Account, directory: Path) -> bool:
    status = directory.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def make_home(home: Path) -> Path:
    """The folder of a local installation. Root's lets others pass through, as the database's account has to; what is
    in it stays closed by its own modes."""
    if not home.is_dir():
        home.mkdir(parents=True)
        home.chmod(0o711 if os.geteuid() == 0 else 0o700)
    return home


def reachable_state(home: Path, account: Account | None) -> Path:
    """A folder for the account's files: `home` if it can be reached, else one in /var/lib/poolgate named after it.

    `home/elsewhere` then points there, and is followed from then on, so that moving `home` keeps the data.
    """
    pointer = home / "elsewhere"
    if pointer.is_symlink():
        return pointer.readlink()
    if reaches(account, home):
        return home
    state = OPEN_STATE / hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:12]
    state.mkdir(parents=True, exist_ok=True)
    OPEN_STATE.chmod(0o755)
    state.chmod(0o711)
    pointer.symlink_to(state)
    return state


def reachable_copy(source: Path, parts: tuple[str, ...], name: str, account: Account | None) -> Path:
    """`source` if the account can reach its `parts`, else a copy of them in /var/lib/poolgate, made once per `name`."""
    if all(reaches(account, source / part) for part in parts):
        return source
    target = OPEN_STATE / name
    if target.is_dir():
        return target
    OPEN_STATE.mkdir(parents=True, exist_ok=True)
    OPEN_STATE.chmod(0o755)
    unfinished = OPEN_STATE / f"{name}.{os.getpid()}"
    shutil.rmtree(unfinished, ignore_errors=True)
    for part in parts:
        shutil.copytree(source / part, unfinished / part, symlinks=True)
    try:
        unfinished.rename(target)
    except OSError:  # another process was first
        shutil.rmtree(unfinished)
    return target


def private_directory(path: Path, account: Account | None) -> Path:
    """A directory that only the account (or we) can enter.

    Raises PermissionError if it stands already and is somebody else's: whoever may enter a socket's folder may use
    the server behind it.
    """
    owner = os.geteuid() if account is None else account.uid
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    ours = status.st_uid in {owner, os.geteuid()} and stat.S_ISDIR(status.st_mode)
    if not ours or status.st_mode & 0o077:
        raise PermissionError(f"{path} is not a private directory of user {owner}: remove it")
    if account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    return path
