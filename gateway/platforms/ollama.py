"""`ollama`: a server of Ollama's, or its cloud: its own API below `/api`, and its compatible ones below `/v1`.

docs.ollama.com/api (chat, generate, embed), docs.ollama.com/api/openai-compatibility (chat, embeddings; Responses
since 0.13.3, without state) and docs.ollama.com/api/anthropic-compatibility (messages since 0.14; no counting of
tokens).
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.core.domain import Account
from gateway.platforms import complaint, judgement, signing, target
from gateway.platforms.platform import Asked, Kind, Outgoing, Platform, Scope, Verdict
from gateway.platforms.validation import HeaderText

#: A base that is that of one of the APIs: the other is beside it.
_ONE_API = re.compile(r"/(?:api|v1)/*\Z")
_LOADING_FOR = 60.0
"""Seconds for which a model that could not be loaded is left alone."""
_UNMET = Verdict(Kind.ELSEWHERE, "unmet")

#: What the server's router says of a path that it does not know: an older server, without this API.
_NO_SUCH_PATH = b"404 page not found"
#: From 0.6 under a status of 500 (github.com/ollama/ollama/pull/9742): whoever asks a chat model for embeddings must
#: not put it out for the rest.
_NO_EMBEDDINGS = "this model does not support embeddings"
#: From github.com/ollama/ollama, `llm` and `server`: the model cannot be run here, or not beside the others. A runner
#: that only broke down is a fault like any other: a request may have done that.
_NOT_LOADED = re.compile(
    r"model requires more system memory"
    r"|(?:llama runner process has terminated: .{0,80})?(?:unable to load|error loading|failed to load) (?:the )?model"
)


class Credentials(Struct, frozen=True, forbid_unknown_fields=True):
    api_key: HeaderText | None = None
    """Of the cloud, or of a proxy before the server: Ollama itself asks for none."""


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    usage_probe: bool = True
    """Ask for `stream_options.include_usage` where the client did not."""


def sign(outgoing: Outgoing, account: Account, now: float) -> Outgoing:
    """Bearer, where there is a key."""
    own = [signing.bearer(signing.secret(account, "api_key"))] if "api_key" in account.credentials else []
    return signing.signed(outgoing, own)


def place(asked: Asked, account: Account) -> Outgoing:
    """Its own API is below the root, whichever API the account's address names. Raises InvalidBody."""
    base = account.base_url or ""
    if asked.protocol == "ollama":
        base = _ONE_API.sub("", base).rstrip("/")
        url = target.address(base, PLATFORM.serves[asked.protocol, asked.operation], asked.model, asked.query)
    else:
        url = target.url(account, PLATFORM, asked.protocol, asked.operation, asked.model, asked.query)
    return Outgoing("POST", url, asked.headers, asked.body)


def judge(status: int, headers: Mapping[str, str], body: bytes, now: float) -> Verdict:
    """A model that cannot be loaded is out by itself: it says nothing of the others that run there."""
    if status == 404 and body.strip() == _NO_SUCH_PATH:
        return _UNMET
    message = complaint.read(body, now).message if status >= 500 else ""
    if message == _NO_EMBEDDINGS:
        return _UNMET
    if _NOT_LOADED.match(message):
        return Verdict(Kind.COOL_DOWN, "fault", now + _LOADING_FOR, Scope.MODEL)
    return judgement.judge(status, headers, body, now)


def probe(model: str) -> tuple[str, str, dict[str, Any]]:
    """A few tokens of chat, or one embedding for a model that has `embed` in its name."""
    if "embed" in model.lower():
        return "openai_chat", "embed", {"model": model, "input": "hi"}
    message = {"role": "user", "content": "Say ok."}
    return "openai_chat", "generate", {"model": model, "max_tokens": 16, "messages": [message]}


PLATFORM = Platform(
    name="ollama",
    family="ollama",
    serves={
        ("anthropic", "generate"): "/v1/messages",
        **{("ollama", action): f"/api/{action}" for action in ("chat", "generate", "embed", "embeddings")},
        ("openai_chat", "generate"): "/v1/chat/completions",
        ("openai_chat", "embed"): "/v1/embeddings",
        ("openai_responses", "generate"): "/v1/responses",
    },
    base_url=None,
    models=("*",),
    credentials=(Credentials,),
    options=Options,
    sign=sign,
    judge=judge,
    place=place,
    probe=probe,
)
