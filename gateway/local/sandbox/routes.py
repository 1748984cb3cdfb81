"""Which protocol and operation a method and path ask for, below any base path, as at the providers themselves."""

import re
from urllib.parse import unquote

from msgspec.structs import replace

from gateway.local.sandbox import azure
from gateway.local.sandbox.anthropic import ANTHROPIC
from gateway.local.sandbox.bedrock import BEDROCK
from gateway.local.sandbox.chatgpt import CHATGPT
from gateway.local.sandbox.converse import CONVERSE
from gateway.local.sandbox.dialect import Dialect, Target
from gateway.local.sandbox.gemini import GEMINI
from gateway.local.sandbox.ollama import OLLAMA
from gateway.local.sandbox.openai_chat import OPENAI_CHAT
from gateway.local.sandbox.openai_responses import OPENAI_RESPONSES
from gateway.local.sandbox.server import Request
from gateway.local.sandbox.vertex import VERTEX

Route = tuple[Dialect, Target]

_POSTS: dict[str, Route] = {
    "v1/messages": (ANTHROPIC, Target("generate")),
    "messages/count_tokens": (ANTHROPIC, Target("count")),
    "chat/completions": (OPENAI_CHAT, Target("generate")),
    "api/chat": (OLLAMA, Target("generate", action="chat")),
    "api/generate": (OLLAMA, Target("generate", action="generate")),
    "api/embed": (OLLAMA, Target("embed", action="embed")),
    "api/embeddings": (OLLAMA, Target("embed", action="embeddings")),
    "api/show": (OLLAMA, Target("show")),
    "codex/responses": (CHATGPT, Target("generate")),
}
_LAST: dict[str, Route] = {
    "responses": (OPENAI_RESPONSES, Target("generate")),
    "embeddings": (OPENAI_CHAT, Target("embed")),
}
_GEMINI = {
    "generateContent": "generate",
    "streamGenerateContent": "generate",
    "countTokens": "count",
    "embedContent": "embed",
    "batchEmbedContents": "embed",
}
_OLLAMA = "/ollama/"
"""Below it the compatible APIs are Ollama's own: they ask for no credential."""
_GEMINI_PATH = re.compile(r"/v1(?:alpha|beta1?)?/(?:.*/)?models/(.+)[:/](\w+)$")
_VERTEX_PATH = re.compile(r"/publishers/anthropic/models/([^/]+):((?:stream)?[rR]awPredict)$")
_BEDROCK_PATH = re.compile(r"/model/([^/]+)/(invoke|invoke-with-response-stream|converse|converse-stream)$")
_MODELS = re.compile(r"/models(?:/(.+))?$")
_DOUBLED = re.compile(r"/v1(?:beta)?/v1(?:beta)?/|//")


def find(request: Request) -> Route | None:
    """The route of a request; None when no provider has such a path (as with a doubled `/v1/v1`)."""
    path = request.path
    if _DOUBLED.search(path):
        return None
    if request.method == "POST":
        return _post(request, path)
    return _get(request, path) if request.method in {"GET", "HEAD"} else None


def _post(request: Request, path: str) -> Route | None:
    parts = path.rsplit("/", 2)
    route = _POSTS.get("/".join(parts[-2:])) or _LAST.get(parts[-1])
    if route is not None:
        if path.startswith(_OLLAMA):
            return replace(route[0], free=True), route[1]
        return (azure.of(request, *route) if "/openai/" in path else None) or route
    if found := _VERTEX_PATH.search(path):
        counts = found[1] == "count-tokens"
        return VERTEX, Target("count") if counts else Target("generate", found[1], found[2])
    if (found := _GEMINI_PATH.search(path)) and found[2] in _GEMINI:
        sse = request.query.get("alt") == "sse"
        return GEMINI, Target(_GEMINI[found[2]], found[1], found[2], sse)
    if found := _BEDROCK_PATH.search(request.target.partition("?")[0]):
        dialect = CONVERSE if found[2].startswith("converse") else BEDROCK
        return dialect, Target("generate", unquote(found[1]), found[2])
    return None


def _get(request: Request, path: str) -> Route | None:
    if path.endswith(("/api/tags", "/api/version")):
        return OLLAMA, Target("list" if path.endswith("tags") else "version")
    if not (found := _MODELS.search(path)):
        return None
    target = Target("model", found[1]) if found[1] else Target("list")
    if request.header("anthropic-version"):
        return ANTHROPIC, target
    return (GEMINI if request.header("x-goog-api-key") or "key" in request.query else OPENAI_CHAT), target
