"""The URL of an outbound proxy, read into the value that gateways dial by."""

import re
from typing import Literal, cast
from urllib.parse import unquote_to_bytes

from gateway.core.domain import Proxy
from gateway.core.hosts import HOST, read_host
from gateway.core.secret import Secret

DEFAULT_PORTS = {"http": 80, "https": 443, "socks5h": 1080}
"""`socks5` without the h is refused: names are resolved by the proxy, never here."""
LONGEST = 255
"""Bytes of a user name or password (RFC 1929)."""
_USERINFO = r"[A-Za-z0-9._~!$&'()*+,;=%-]*"
_URL = re.compile(rf"(https?|socks5h)://(?:({_USERINFO})(?::({_USERINFO}))?@)?({HOST})(?::([0-9]{{1,5}}))?/?")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parse(url: str, identifier: str) -> Proxy:
    """Read `scheme://[user[:password]@]host[:port]`; marks in user and password are percent-encoded.

    Raises ValueError, which repeats nothing of the URL.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError("expected http://, https:// or socks5h://, perhaps user:password@, a host, perhaps a port")
    scheme, username, password, host, digits = match.groups()
    port = DEFAULT_PORTS[scheme] if digits is None else int(digits)
    if not 0 < port < 65536:
        raise ValueError("the port is out of range")
    if username == "":
        raise ValueError("the user name is empty")
    user = None if username is None else _decoded(username)
    if user is not None and ":" in user and scheme != "socks5h":
        raise ValueError("the user name must not hold a colon")  # RFC 7617, 2
    return Proxy(
        id=identifier,
        scheme=cast('Literal["http", "https", "socks5h"]', scheme),
        host=read_host(host),
        port=port,
        username=None if user is None else Secret(user),
        password=None if password is None else Secret(_decoded(password)),
    )


def _decoded(text: str) -> str:
    if _ESCAPE.search(text):
        raise ValueError("a percent sign in the user name or password is written as %25")
    try:
        said = unquote_to_bytes(text)
        decoded = said.decode()
    except UnicodeDecodeError:
        raise ValueError("the user name and the password are UTF-8") from None
    if len(said) > LONGEST:
        raise ValueError(f"the user name and the password have at most {LONGEST} bytes")
    if any(character < " " or character == "\x7f" for character in decoded):
        raise ValueError("the user name and the password hold no control characters")
    return decoded
