"""A request as bytes, and the origin it goes to. Pure: what cannot be written safely is refused here."""

import re

from msgspec import Struct

from gateway.core.hosts import HOST, read_host, written
from gateway.platforms.platform import Outgoing
from gateway.upstream.failures import DialFailed

DEFAULT_PORTS = {"http": 80, "https": 443}

# The framing and the connection are this package's own, whatever the caller passes.
_OURS = frozenset(
    (
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
_BODYLESS = frozenset(("GET", "DELETE", "OPTIONS"))
_METHOD = re.compile(r"[A-Z]{1,16}")
_ORIGIN = re.compile(rf"(https?)://({HOST})(?::([0-9]{{1,5}}))?")
_TARGET = re.compile(r"/[\x21\x22\x24-\x7e]*")


class Origin(Struct, frozen=True):
    """Where a URL points: `host` is lower case and without brackets; `authority` is what the Host header says."""

    scheme: str
    host: str
    port: int
    authority: bytes

    @classmethod
    def parse(cls, text: str) -> "Origin":
        """Read `scheme://host[:port]`, nothing before, between or after. Raises ValueError naming what is wrong."""
        match = _ORIGIN.fullmatch(text)
        if match is None:
            raise ValueError("not an http(s) URL of the form scheme://host[:port]/path")
        scheme, host, digits = match.group(1), read_host(match.group(2)), match.group(3)
        port = DEFAULT_PORTS[scheme] if digits is None else int(digits)
        if not 0 < port < 65536:
            raise ValueError("the port is out of range")
        authority = written(host) if port == DEFAULT_PORTS[scheme] else f"{written(host)}:{port}"
        return cls(scheme, host, port, authority.encode())


def split(url: str) -> tuple[str, str]:
    """Cut an absolute URL into origin and request target (`/path?query`). Raises ValueError."""
    cut = url.find("/", 8)
    if cut < 0:
        return url, "/"
    target = url[cut:]
    if _TARGET.fullmatch(target) is None:
        raise ValueError("the path of the URL holds a character that may not be written")
    return url[:cut], target


def encode_head(outgoing: Outgoing, target: str, authority: bytes) -> bytes:
    """The request line and the header block. Raises DialFailed when a name or value could break out of its line."""
    method = outgoing.method
    if _METHOD.fullmatch(method) is None or method in ("HEAD", "CONNECT"):
        raise DialFailed("the method cannot be sent", reason="request")
    parts = [f"{method} {target} HTTP/1.1\r\nhost: ".encode("ascii"), authority, b"\r\n"]
    lines = 3  # the request line, host, and the empty line at the end
    identity = True
    for name, value in outgoing.headers:
        if name in _OURS:
            continue
        if name == b"accept-encoding":
            identity = False
        parts += (name, b": ", value, b"\r\n")
        lines += 1
    if identity:
        parts.append(b"accept-encoding: identity\r\n")
        lines += 1
    if outgoing.body or method not in _BODYLESS:
        parts.append(b"content-length: %d\r\n" % len(outgoing.body))
        lines += 1
    parts.append(b"\r\n")
    head = b"".join(parts)
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
        raise DialFailed("a header holds a line break", reason="request")
    return head
