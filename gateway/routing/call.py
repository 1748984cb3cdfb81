"""What a client asked, as it came in: the value that the whole pipeline works on."""

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from gateway.protocols.codec import Endpoint

Header = tuple[bytes, bytes]


class Call(Struct):
    """One request. `started` and the marks are of the monotonic clock in seconds, `received_at` is the epoch."""

    request_id: str
    received_at: float
    started: float
    endpoint: Endpoint
    path: str
    query: bytes
    headers: list[Header]
    """Lower-case names, in order."""
    header: Mapping[bytes, bytes]
    """The first value of each name."""
    client_ip: str
    read_body: Callable[[], Awaitable[bytes]]
    group: str = ""
    compat: bool = False
    """The path asks for tools as text."""
    path_model: str | None = None
    """Gemini and Azure's form: the model named in the path."""
    client_request_id: str | None = None
    body: bytes = b""
    held: int = 0
    """Bytes of the body that count against the process's bound."""
    key_id: str = ""
    """Once the key is known."""
    tenant_id: str = ""
    """Of the key."""
    admitted: bool = False
    """From then on it has a row in the ledger."""


_FORMS = (b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key")
CREDENTIALS = frozenset(_FORMS)
_NO_OTHER_SCHEME = frozenset({b"bearer", b""})
"""An empty header is one that lacks its key."""


def presented_key(header: Mapping[bytes, bytes], query: bytes) -> str | None:
    """The first form that is present, in the order of spec "Presenting a key"; "" when it holds none. An Authorization
    of another scheme is none of the forms: a browser or a proxy adds `Basic` by itself."""
    for name in _FORMS:
        value = header.get(name)
        if value is None:
            continue
        if name != b"authorization":
            return value.decode("latin-1").strip()
        scheme, _, rest = value.partition(b" ")
        if scheme.lower() in _NO_OTHER_SCHEME:
            return rest.decode("latin-1").strip()
    return query_value(query, b"key")


def query_value(query: bytes, name: bytes) -> str | None:
    """The first value of a parameter, its escapes decoded; None when the query string has none of this name."""
    if b"%" not in query and name not in query:
        return None
    for pair in query.split(b"&"):
        key, _, value = pair.partition(b"=")
        if unquote_to_bytes(key) == name:
            return unquote_to_bytes(value).decode("latin-1")
    return None


def without(query: bytes, *names: bytes) -> bytes:
    """The query string less some parameters; every other byte stays."""
    if b"%" not in query and not any(name in query for name in names):
        return query
    return b"&".join(pair for pair in query.split(b"&") if unquote_to_bytes(pair.partition(b"=")[0]) not in names)
