"""Settings, read once from an environ mapping, frozen. The same names hold in every process (README, "Settings")."""

import base64
import ipaddress
import os
import platform
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from gateway.core import redis
from gateway.core.address import networks
from gateway.core.hosts import HOST, read_host
from gateway.core.keys import Peppers
from gateway.core.secret import Secret

T = TypeVar("T")
Reader = Callable[[Mapping[str, str]], Any]


class SettingError(Exception):
    """A setting is wrong or missing; the message is one line that names it."""


class Settings(Struct, frozen=True):
    database_url: str
    redis_url: str
    home: Path
    host: str
    gateway_port: int
    admin_port: int
    workers: int
    master_keys: tuple[Secret, ...]
    key_peppers: tuple[Secret, ...]
    bootstrap_token: Secret | None
    egress_allow: tuple[str, ...]
    trusted_proxies: tuple[str, ...]
    admin_hosts: tuple[str, ...]
    cors_origins: tuple[str, ...]
    metrics_allow: tuple[str, ...]
    body_limit: int
    body_memory: int
    drain_grace: float
    drain_timeout: float
    failover_deadline: float
    max_attempts: int
    stale_max: float
    journal_limit: int
    retention_days: int
    sandbox_port: int

    @property
    def master_key_bytes(self) -> tuple[bytes, ...]:
        return tuple(base64.b64decode(key.reveal()) for key in self.master_keys)

    @property
    def peppers(self) -> Peppers:
        return Peppers(tuple(base64.b64decode(key.reveal()) for key in self.key_peppers))

    @property
    def spool(self) -> Path:
        return self.home / "spool"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Raises SettingError with one line that names the setting."""
        return cls(**{field: reader(environ) for field, reader in _READERS.items()})


def _setting(name: str, parse: Callable[[str], T], default: T | None = None, *, file: bool = False) -> Reader:
    def read(environ: Mapping[str, str]) -> Any:
        text = environ.get(name) or (_from_file(name, environ) if file else "")
        if not text:
            if default is None:
                raise SettingError(f"{name} is not set")
            return default
        try:
            return parse(text.strip())
        except ValueError as error:
            raise SettingError(f"{name} is wrong: {error}") from None

    return read


def _from_file(name: str, environ: Mapping[str, str]) -> str:
    path = environ.get(f"{name}_FILE")
    if not path:
        return ""
    try:
        return Path(path).read_text().strip()
    except (OSError, ValueError) as error:
        raise SettingError(f"{name}_FILE cannot be read: {getattr(error, 'strerror', None) or 'not text'}") from None


def _bounded(low: float, high: float, kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        value = kind(text)
        if not low <= value <= high:
            raise ValueError(f"{text} is not between {low:g} and {high:g}")
        return value

    return parse


def _retention(text: str) -> int:
    """A calendar month, in any time zone, is there as long as its counters may have to be made from it."""
    days = int(text)
    if days and not 35 <= days <= 36500:
        raise ValueError(f"{text} is neither 0 nor between 35 and 36500")
    return days


def _host(text: str) -> str:
    """What may be listened on: an address, an IPv6 one without brackets, or a name."""
    if ":" in text:
        ipaddress.IPv6Address(text)
    elif re.fullmatch(HOST, text):
        read_host(text)
    else:
        raise ValueError("it is neither an address nor the name of a host")
    return text


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _networks(text: str) -> tuple[str, ...]:
    entries = _list(text)
    networks(entries)
    return entries


_ORIGIN = re.compile(rf"\*|null|[a-z][a-z0-9+.-]*://(?!.*[A-Z]){HOST}(?::[0-9]{{1,5}})?")


def _origins(text: str) -> tuple[str, ...]:
    """As browsers write them, since they are compared as they stand."""
    entries = _list(text)
    for entry in entries:
        if not _ORIGIN.fullmatch(entry):
            raise ValueError(
                f"{entry!r} is not an origin such as https://app.example, in lower case and without a path"
            )
    return entries


def _destinations(text: str) -> tuple[str, ...]:
    """`cidr` or `cidr:port` entries; an IPv6 network with a port is written in brackets."""
    entries = _list(text)
    for entry in entries:
        host, colon, port = entry.rpartition(":") if entry.count(":") == 1 or "]:" in entry else (entry, "", "")
        ipaddress.ip_network(host.strip("[]"))
        if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError(f"{port!r} is not a port")
    return entries


def _secret_keys(text: str) -> tuple[Secret, ...]:
    parts = _list(text)
    if not parts or not all(_is_key(part) for part in parts):
        raise ValueError("each key is base64 of 32 bytes")
    return tuple(Secret(part) for part in parts)


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except ValueError:
        return False


def _bootstrap_token(text: str) -> Secret:
    if len(text) < 32:
        raise ValueError("it has fewer than 32 characters")
    return Secret(text)


_read_token = _setting("POOLGATE_BOOTSTRAP_TOKEN", _bootstrap_token, Secret(""), file=True)


def _database(text: str) -> str:
    if not text.startswith("postgresql+asyncpg://"):
        raise ValueError("it does not begin with postgresql+asyncpg://")
    try:
        make_url(text)
    except (ArgumentError, ValueError):  # its text may hold a password
        raise ValueError("it is not the URL of a database") from None
    return text


def _redis(text: str) -> str:
    scheme = text.partition("://")[0]
    if scheme == "redis+cluster":
        raise ValueError("redis+cluster:// is not supported yet: use one server or redis+sentinel://")
    if scheme not in {"redis", "rediss", "unix", "redis+sentinel"}:
        raise ValueError("its scheme is none of redis, rediss, unix, redis+sentinel")
    try:
        redis.parse(text)
    except ValueError:  # its text may hold a password
        raise ValueError("it is not the URL of a Redis server") from None
    return text


def _cores() -> int:
    if platform.system() == "Linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_READERS: Mapping[str, Reader] = {
    "database_url": _setting("POOLGATE_DATABASE_URL", _database),
    "redis_url": _setting("POOLGATE_REDIS_URL", _redis),
    "home": _setting("POOLGATE_HOME", lambda text: Path(text).absolute(), Path(".poolgate").absolute()),
    "host": _setting("POOLGATE_HOST", _host, "127.0.0.1"),
    "gateway_port": _setting("POOLGATE_GATEWAY_PORT", _bounded(0, 65535, int), 8080),
    "admin_port": _setting("POOLGATE_ADMIN_PORT", _bounded(0, 65535, int), 8081),
    "workers": _setting("POOLGATE_WORKERS", _bounded(1, 256, int), _cores()),
    "master_keys": _setting("POOLGATE_MASTER_KEYS", _secret_keys, file=True),
    "key_peppers": _setting("POOLGATE_KEY_PEPPERS", _secret_keys, file=True),
    "bootstrap_token": lambda environ: _read_token(environ) or None,
    "egress_allow": _setting("POOLGATE_EGRESS_ALLOW", _destinations, ()),
    "trusted_proxies": _setting("POOLGATE_TRUSTED_PROXIES", _networks, ()),
    "admin_hosts": _setting("POOLGATE_ADMIN_HOSTS", _list, ()),
    "cors_origins": _setting("POOLGATE_CORS_ORIGINS", _origins, ()),
    "metrics_allow": _setting("POOLGATE_METRICS_ALLOW", _networks, ()),
    "body_limit": _setting("POOLGATE_BODY_LIMIT", _bounded(1024, 1 << 31, int), 64 << 20),
    "body_memory": _setting("POOLGATE_BODY_MEMORY", _bounded(1 << 20, 1 << 40, int), 1 << 30),
    "drain_grace": _setting("POOLGATE_DRAIN_GRACE", _bounded(0, 3600, float), 5.0),
    "drain_timeout": _setting("POOLGATE_DRAIN_TIMEOUT", _bounded(0, 86400, float), 600.0),
    "failover_deadline": _setting("POOLGATE_FAILOVER_DEADLINE", _bounded(1, 3600, float), 90.0),
    "max_attempts": _setting("POOLGATE_MAX_ATTEMPTS", _bounded(1, 10, int), 3),
    "stale_max": _setting("POOLGATE_STALE_MAX", _bounded(1, 86400, float), 30.0),
    "journal_limit": _setting("POOLGATE_JOURNAL_LIMIT", _bounded(1 << 20, 1 << 40, int), 1 << 30),
    "retention_days": _setting("POOLGATE_RETENTION_DAYS", _retention, 0),
    "sandbox_port": _setting("POOLGATE_SANDBOX_PORT", _bounded(0, 65535, int), 0),
}
#: Every setting's name, in the order of the README's table.
NAMES = tuple(f"POOLGATE_{field.upper()}" for field in _READERS)
#: Those that may also come from a file, named by `…_FILE`.
IN_FILES = ("POOLGATE_MASTER_KEYS", "POOLGATE_KEY_PEPPERS", "POOLGATE_BOOTSTRAP_TOKEN")
