"""Which path is what: the one place where a path is read. Everything after works on the Match it gives. Pure.

`P/v1/messages` and the like: P is nothing, `/compat_mode`, `/{group}` or `/{group}/compat_mode`, with `compat` for
`compat_mode`. Fixed names beat groups. Paths are compared as they came: `//`, `.`-segments, `;` and escapes in fixed
names match nothing.
"""

from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from gateway.protocols import CODECS
from gateway.protocols.codec import Endpoint
from gateway.protocols.gemini import CHAT
from gateway.routing.call import query_value

#: These also stand for the empty prefix: every protocol works below each of them.
PLAIN_PREFIXES = frozenset({"claude", "openai", "gemini"})
COMPAT = frozenset({"compat", "compat_mode"})
#: Never the name of a group, in any case of letters.
RESERVED = frozenset(
    [
        "responses",
        "v1",
        "v1beta",
        "api",
        "compat",
        "compat_mode",
        "switch",
        "mcp",
        "sse",
        "health",
        "livez",
        "readyz",
        "metrics",
        "admin",
        "messages",
        "models",
        "deployments",
    ]
)
#: The methods of a page that is only read.
LOOK = "GET, HEAD"
_GEMINI_VERSIONS = frozenset({"v1", "v1beta"})


class Match(Struct, frozen=True):
    """`name`: relay, or an answer of our own: models, model, gemini_models, gemini_model, key, usage, providers, root,
    hello, and Ollama's tags, show, ps, version."""

    name: str
    endpoint: Endpoint | None = None
    group: str = ""
    compat: bool = False
    model: str | None = None


class NoRoute(Exception):
    """`allow` names the methods of a path that is known; empty when it is not."""

    def __init__(self, allow: str = "") -> None:
        super().__init__(allow)
        self.allow = allow


def _tails() -> Mapping[str, Endpoint]:
    return {
        endpoint.path: endpoint for codec in CODECS.values() for endpoint in codec.endpoints if "{" not in endpoint.path
    }


_POST = _tails()
_ACTIONS: Mapping[str, Endpoint] = {endpoint.action: endpoint for endpoint in CODECS["gemini"].endpoints}
_RESPONSES = _POST["/v1/responses"]
_FIXED: Mapping[str, Match] = {
    "/responses": Match("relay", _RESPONSES),
    "/openai/responses": Match("relay", _RESPONSES, "openai"),
    CHAT.path: Match("relay", CHAT, "gemini"),
    **{tail: Match("relay", endpoint) for tail, endpoint in _POST.items() if tail.startswith("/v1/")},
}
_AZURE: Mapping[str, Endpoint] = {
    "chat/completions": _POST["/v1/chat/completions"],
    "embeddings": _POST["/v1/embeddings"],
    "responses": _RESPONSES,
}
_OWN: Mapping[str, Match] = {
    "/": Match("root"),
    "/v1/key": Match("key"),
    "/v1/usage": Match("usage"),
    "/v1/providers": Match("providers"),
    # Where Azure's own client looks for the list.
    "/openai/models": Match("models", group="openai"),
}
#: Below every prefix.
_BELOW: Mapping[str, tuple[str, str]] = {
    # Claude Code asks at its base URL, whatever prefix that has.
    "/api/hello": ("hello", LOOK),
    "/api/tags": ("tags", LOOK),
    "/api/show": ("show", "POST"),
    "/api/ps": ("ps", LOOK),
    "/api/version": ("version", LOOK),
}


def match(method: str, raw_path: bytes) -> Match:
    """What this method and path ask for. Raises NoRoute."""
    try:
        path = raw_path.decode("ascii")
    except UnicodeDecodeError:
        raise NoRoute from None
    own = _OWN.get(path)
    if own is not None:
        return _only(method, LOOK, own)
    fixed = _FIXED.get(path)
    if fixed is not None:
        return _only(method, "POST", fixed)
    if path.startswith("/openai/deployments/"):
        return _azure(method, path)
    return _prefixed(method, path)


def _only(method: str, allow: str, found: Match) -> Match:
    if method not in allow.split(", "):
        raise NoRoute(allow)
    return found


def _azure(method: str, path: str) -> Match:
    name, _, rest = path.removeprefix("/openai/deployments/").partition("/")
    endpoint = _AZURE.get(rest)
    if not name or endpoint is None:
        raise NoRoute
    return _only(method, "POST", Match("relay", endpoint, "openai", model=_text(name)))


def _prefixed(method: str, path: str) -> Match:
    segments = path.split("/")[1:]
    group, compat = "", False
    if segments[0] == "switch" or (segments[0] and segments[0].lower() not in RESERVED):
        group = _text(segments.pop(0))
    if segments and segments[0] in COMPAT:
        compat = True
        segments.pop(0)
    tail = "/" + "/".join(segments)
    endpoint = _POST.get(tail)
    if endpoint is not None:
        return _only(method, "POST", Match("relay", endpoint, group, compat))
    own = _BELOW.get(tail)
    if own is not None:
        return _only(method, own[1], Match(own[0], None, group, compat))
    if len(segments) >= 2 and segments[0] in _GEMINI_VERSIONS and segments[1] == "models":
        return _models(method, segments, group, compat)
    # Without the slash any word would be a page. With it, Ollama's command line asks at its base URL.
    if tail == "/" and (segments or not group or group in PLAIN_PREFIXES):
        return _only(method, LOOK, Match("root", None, group, compat))
    raise NoRoute


def _models(method: str, segments: list[str], group: str, compat: bool) -> Match:
    """Lists, one model, or one of Gemini's actions on a model."""
    rest = "/".join(segments[2:])
    if not rest:
        if len(segments) > 2:
            raise NoRoute
        return _only(method, LOOK, Match("gemini_models" if segments[0] == "v1beta" else "models", None, group, compat))
    found = _action(rest)
    if found is not None:
        model, endpoint = found
        return _only(method, "POST", Match("relay", endpoint, group, compat, model))
    return _only(
        method, LOOK, Match("gemini_model" if segments[0] == "v1beta" else "model", None, group, compat, _text(rest))
    )


def _action(rest: str) -> tuple[str, Endpoint] | None:
    """`{model}:{action}` by the last colon, `%3A` too, or `{model}/{action}`; only for an action that is known."""
    for separator in (":", "%3A", "%3a", "/"):
        model, found, action = rest.rpartition(separator)
        endpoint = _ACTIONS.get(action)
        if found and model and endpoint is not None:
            return _text(model), endpoint
    return None


def _text(segment: str) -> str:
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise NoRoute from None


_SIGNS = (
    (b"/api/hello", "anthropic"),
    (b"/api/", "ollama"),
    (b"/messages", "anthropic"),
    (b"/chat/completions", "openai_chat"),
    (b"/responses", "openai_responses"),
    (b"/v1beta", "gemini"),
    (b"/claude", "anthropic"),
    (b"/gemini", "gemini"),
    (b"/openai", "openai_chat"),
)


def protocol_near(raw_path: bytes, header: Mapping[bytes, bytes], query: bytes) -> str:
    """The protocol in which an unknown path, or a failure before the path is read, is answered."""
    for sign, protocol in _SIGNS:
        if sign in raw_path:
            return protocol
    if any(raw_path.endswith(action.encode()) for action in _ACTIONS):
        return "gemini"
    if b"anthropic-version" in header:
        return "anthropic"
    return "gemini" if b"x-goog-api-key" in header or names(query, b"key") else "openai_chat"


def names(query: bytes, name: bytes) -> bool:
    """Whether the query string has this parameter."""
    return query_value(query, name) is not None
