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


def presented_key(header: Mapping[bytes, bytes], query: bytes) -> str | None:
    """The first form that is present, in the order of spec "Presenting a key"; "" when it holds none."""
    for name in _FORMS:
        value = header.get(name)
        if value is None:
            continue
        if name != b"authorization":
            return value.decode("latin-1").strip()
        scheme, _, rest = value.partition(b" ")
        return rest.decode("latin-1").strip() if scheme.lower() == b"bearer" else ""
    return _query_value(query, b"key") if b"key=" in query else None


def _query_value(query: bytes, name: bytes) -> str | None:
    for pair in query.split(b"&"):
        key, _, value = pair.partition(b"=")
        if key == name:
            return value.decode("latin-1")
    return None


def without(query: bytes, *names: bytes) -> bytes:
    """The query string less some parameters; every other byte stays."""
    if b"%" not in query and not any(name in query for name in names):
        return query
    return b"&".join(pair for pair in query.split(b"&") if unquote_to_bytes(pair.partition(b"=")[0]) not in names)
