"""Where a request goes: base URL of the account + path of the operation + the client's query string."""

import re
from functools import lru_cache
from urllib.parse import quote, quote_from_bytes

from gateway.core.domain import Account
from gateway.platforms.platform import Asked, Outgoing, Platform, Speech
from gateway.protocols.codec import InvalidBody

#: A base that ends in its API's version (`/v1`, `/api/v3`, `/v1beta`), or in Google's `/v1beta/openai`.
_VERSION = re.compile(r"/v[0-9]+[a-z0-9]*(?:/openai)?\Z")
_TEMPLATE_VERSION = re.compile(r"/v[0-9]+[a-z0-9]*(?=/)")
_VISIBLE = bytes(range(0x21, 0x7F)).replace(b"#", b"").decode()
#: Google's collections beside `models/`: such a name is a whole resource name.
_COLLECTIONS = ("tunedModels/", "publishers/")


def placed(asked: Asked, account: Account, platform: Platform) -> Outgoing:
    """The request before it is signed. Raises InvalidBody."""
    if platform.place is not None:
        return platform.place(asked, account)
    found = url(account, platform, asked.protocol, asked.operation, asked.model, asked.query)
    return Outgoing("POST", found, asked.headers, asked.body)


def speech(platform: Platform, account: Account, model: str, protocol: str, operation: str, stream: bool) -> Speech:
    """How the account serves this operation of this protocol, with this model of the upstream."""
    if platform.speaks is not None:
        return platform.speaks(account, model, protocol, operation, stream)
    return Speech.NATIVE if (protocol, operation) in platform.serves else Speech.NONE


def url(account: Account, platform: Platform, protocol: str, operation: str, model: str, query: bytes) -> str:
    """The absolute URL of a request.

    `operation` is the codec's, or Gemini's action; `query` the client's, without `key` and `api-version`.
    Raises KeyError when the platform does not serve the operation (the predicate of the pool has said so before), and
    InvalidBody when a model's name cannot be part of a path.
    """
    return address(account.base_url or platform.base_url or "", platform.serves[protocol, operation], model, query)


def address(base: str, template: str, model: str, query: bytes) -> str:
    """The base with a path template below it. Raises InvalidBody as `url` does."""
    path = _joined(base, template)
    if "{model}" in template:
        path = _with_model(path, model)
    if not query:
        return path
    return f"{path}?{query_text(query)}"


@lru_cache(maxsize=4096)
def _joined(base: str, template: str) -> str:
    """The version stands once. `/v1` gives way to the base's own (`…/api/v3`); any other, as Gemini's `v1beta`,
    replaces it."""
    base = base.rstrip("/")
    version = _TEMPLATE_VERSION.match(template)
    given = _VERSION.search(base)
    if not version or not given:
        return base + template
    if version[0] == "/v1":
        return base + template[version.end() :]
    return base[: given.start()] + template


def _with_model(path: str, model: str) -> str:
    """The name keeps its slashes and Vertex' `@`, each segment is escaped whole, the colon too: what follows the last
    one is the action. A segment that is empty, `.` or `..` would lead elsewhere with the account's key."""
    segments = model.split("/")
    if not all(segment.strip(".") for segment in segments):
        raise InvalidBody("this name of a model cannot be part of a path", "model")
    if model.startswith(_COLLECTIONS):
        path = path.replace("/models/{model}", "/{model}")
    try:
        escaped = "/".join(quote(segment, safe="@") for segment in segments)
    except UnicodeEncodeError:
        raise InvalidBody("the name of the model is not text", "model") from None
    return path.replace("{model}", escaped)


def query_text(query: bytes) -> str:
    """As it came; only bytes that no request line may hold are escaped (spaces, controls, `#`, non-ASCII)."""
    return quote_from_bytes(query, safe=_VISIBLE)
