"""Whether an account fits its platform: known fields, all of them, of the right type, and a usable base URL.

Messages name the field and what is wanted, never the value. Where the address may lead is the egress check's matter.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import FieldInfo, fields

from gateway.core.hosts import read_host, written
from gateway.platforms.platform import Platform

# Anchored with \A and \Z: `$` would let a final line feed through, and so a second header.
HeaderText = Annotated[str, Meta(pattern=r"\A[\x21-\x7e]+\Z", max_length=16_384)]
"""Goes into a header: visible ASCII, without spaces."""
HttpUrl = Annotated[str, Meta(pattern=r"\Ahttps?://[!-~]+\Z", max_length=2_048)]
Expiry = (
    Annotated[str, Meta(pattern=r"(?a)\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")]
    | Annotated[float, Meta(ge=0)]
    | None
)
"""RFC 3339, or seconds since the epoch; `reset.instant` reads both (and milliseconds)."""

_HOST = re.compile(r"[a-z0-9._-]+\Z|[0-9a-f:.]+\Z")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~:@!$&'()*+,=-]*)*\Z")


class InvalidAccount(Exception):
    """An account that its platform cannot use. `field` is a path such as `credentials.api_key`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def validate_for(
    platform: Platform, credentials: Mapping[str, Any], options: Mapping[str, Any], base_url: str | None
) -> None:
    """Raises InvalidAccount for the first field at fault."""
    _check("credentials", _best(platform.credentials, credentials), credentials)
    _check("options", platform.options, options)
    lacking = platform.lacks(credentials, options) if platform.lacks else None
    if lacking and not (lacking == "base_url" and base_url):
        raise InvalidAccount(lacking, "required with these credentials")
    if base_url:
        check_base_url(base_url)
    elif platform.base_url is None:
        raise InvalidAccount("base_url", f"required for {platform.name}")


def check_base_url(base_url: str) -> None:
    """http or https, a host, perhaps a port and a path; nothing else. Raises InvalidAccount."""
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        raise InvalidAccount("base_url", "not a URL") from None
    if parts.scheme not in ("http", "https"):
        raise InvalidAccount("base_url", "must begin with https:// or http://")
    if parts.username is not None or parts.password is not None:
        raise InvalidAccount("base_url", "must not hold a user name or password; secrets belong in credentials")
    # The marks themselves, since an empty query or fragment is not seen by urlsplit.
    if "?" in base_url or "#" in base_url:
        raise InvalidAccount("base_url", "must not have a query or a fragment")
    if not parts.hostname or not _HOST.match(parts.hostname) or port == 0:
        raise InvalidAccount("base_url", "must name a host, in ASCII")
    _check_host("base_url", parts.hostname)
    clean = _PATH.match(parts.path) and not {".", ".."} & set(parts.path.split("/"))
    # urlsplit drops tabs and line feeds; the URL is used as it was written.
    if not clean or not base_url.isascii() or any(character <= " " for character in base_url):
        raise InvalidAccount("base_url", "the path may hold letters, digits and marks, no escapes and no dot segments")


def _best(sets: Sequence[type[Struct]], given: Mapping[str, Any]) -> type[Struct]:
    """The set of credentials that is meant: the one with most of the given names, the first of equals."""
    return max(sets, key=lambda kind: len({info.name for info in fields(kind)} & given.keys()))


def _check(where: str, kind: type[Struct], given: Mapping[str, Any]) -> None:
    known = {info.name: info for info in fields(kind)}
    for name in given:
        if name not in known:
            wanted = ", ".join(known) or "none"
            raise InvalidAccount(f"{where}.{name}", f"unknown field; known here: {wanted}")
    for name, info in known.items():
        if name in given:
            _check_value(f"{where}.{name}", info, given[name])
        elif info.required:
            raise InvalidAccount(f"{where}.{name}", "required")


def _check_value(field: str, info: FieldInfo, value: Any) -> None:
    try:
        found = msgspec.convert(value, info.type)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise InvalidAccount(field, _said(error)) from None
    if isinstance(found, Struct):
        for inner in fields(found):
            if inner.name in value:
                _check_value(f"{field}.{inner.name}", inner, value[inner.name])
    elif value is not None and HttpUrl in (info.type, *get_args(info.type)):
        _check_url_host(field, value)


def _check_url_host(field: str, url: str) -> None:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        raise InvalidAccount(field, "not a URL") from None
    _check_host(field, host or "")


def _check_host(field: str, host: str) -> None:
    """An address has one spelling: `127.1`, `0x7f.1` or `2130706433` are read so by a resolver, and only by some."""
    try:
        read_host(written(host))
    except ValueError:
        raise InvalidAccount(field, "must name a host: a name, or an IP address in its usual spelling") from None


def _said(error: Exception) -> str:
    """msgspec names what it expected and the type it got, never the value; patterns are put into words."""
    text = str(error)
    if "matching regex" in text or isinstance(error, UnicodeEncodeError):
        return "not of the documented form (visible ASCII characters, no spaces or line ends)"
    return text[:1].lower() + text[1:]
