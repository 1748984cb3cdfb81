"""What a log-in leaves on this machine: one file that only its owner can read, and only for the address it is for."""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

DEFAULT_URL = "http://127.0.0.1:8081"


class Login(Struct, frozen=True, forbid_unknown_fields=True):
    """Either a token, or a session with the CSRF token that its writing requests need."""

    url: str
    token: str = ""
    session: str = ""
    csrf: str = ""


def place() -> Path:
    """In POOLGATE_HOME when that is set, else in the user's configuration folder (XDG)."""
    home = os.environ.get("POOLGATE_HOME")
    if home:
        return Path(home) / "login.json"
    folder = os.environ.get("XDG_CONFIG_HOME")
    return (Path(folder) if folder else Path.home() / ".config") / "poolgate" / "login.json"


def load() -> Login | None:
    try:
        return msgspec.json.decode(place().read_bytes(), type=Login)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def save(login: Login) -> Path:
    path = place()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Made with its mode, then put in place: at no moment can others read it, nor is it half written.
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    opened = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(opened, "wb") as file:
        file.write(msgspec.json.encode(login))
    fresh.replace(path)
    return path


def forget() -> None:
    place().unlink(missing_ok=True)


def chosen() -> Login:
    """Whom to talk to and as whom: POOLGATE_ADMIN_URL and POOLGATE_ADMIN_TOKEN before what is stored.

    What is stored goes only to the address that it was given by.
    """
    stored = load() or Login("")
    url = (os.environ.get("POOLGATE_ADMIN_URL") or stored.url or DEFAULT_URL).rstrip("/")
    token = os.environ.get("POOLGATE_ADMIN_TOKEN")
    if token:
        return Login(url, token=token.strip())
    return stored if stored.url == url else Login(url)
