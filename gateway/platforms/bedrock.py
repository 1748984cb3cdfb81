"""`bedrock`: Claude on Amazon Bedrock by InvokeModel, in Anthropic's own bodies; all other models by Converse.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html
https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct

from gateway.core.domain import Account
from gateway.platforms import bedrock_errors, signing, sigv4
from gateway.platforms.platform import Asked, Framing, Headers, Outgoing, Platform, Speech
from gateway.platforms.validation import HeaderText
from gateway.protocols.codec import InvalidBody
from gateway.protocols.edits import edited
from gateway.protocols.spans import members

VERSION = b'"bedrock-2023-05-31"'
_JSON = b"application/json"
_EVENTS = "application/vnd.amazon.eventstream"

#: What Bedrock refuses at the top level ("Extra inputs are not permitted"), and why it may go: none changes what the
#: model reads or writes. Anything else that Bedrock does not know stays, and it says so itself.
_NOT_THERE: Mapping[str, str] = {
    "model": "named by the path",
    "stream": "named by the path",
    "service_tier": "chooses among Anthropic's own capacities; Bedrock's tiers are a header and other names",
    "diagnostics": "asks for an explanation of cache misses beside the answer",
}
#: Goes with the betas that it needs, when the account's models take none of them: the model then reads more of the
#: conversation, never less.
_NEEDS_BETA: Mapping[str, frozenset[str]] = {
    "context_management": frozenset({"context-management-2025-06-27", "compact-2026-01-12"}),
}

#: The flags of AWS' page above; any other ends in "invalid beta flag". `options.betas` names an account's own.
BETAS = (
    "compact-2026-01-12",
    "computer-use-2024-10-22",
    "computer-use-2025-01-24",
    "context-1m-2025-08-07",
    "context-management-2025-06-27",
    "dev-full-thinking-2025-05-14",
    "effort-2025-11-24",
    "interleaved-thinking-2025-05-14",
    "output-128k-2025-02-19",
    "token-efficient-tools-2025-02-19",
    "tool-examples-2025-10-29",
    "tool-search-tool-2025-10-19",
)
#: One feature, two flags: Anthropic's own, and that of other clouds, where it covers tool search alone.
_ADVANCED_TOOLS, _TOOL_SEARCH = "advanced-tool-use-2025-11-20", "tool-search-tool-2025-10-19"

#: Served where an account names none: AWS' ids begin with the maker's name, an inference profile's with its region.
_MAKERS = (
    "ai21",
    "amazon",
    "anthropic",
    "cohere",
    "deepseek",
    "meta",
    "minimax",
    "mistral",
    "moonshot",
    "moonshotai",
    "nvidia",
    "openai",
    "qwen",
    "writer",
    "zai",
)
_MODELS = tuple(pattern for maker in _MAKERS for pattern in (f"{maker}.*", f"*.{maker}.*"))

#: ARNs whose last part says nothing of the model behind them.
_OPAQUE = re.compile(r"arn:aws[a-z-]*:bedrock:[^:]*:[^:]*:(?:application-inference-profile|provisioned-model|custom-)")
_CLIENTS = frozenset({b"user-agent"})
"""All that AWS gets of the client's headers: theirs (`x-amz-…`) would choose tiers and guardrails that others pay."""

Region = Annotated[str, Meta(pattern=r"\A[a-z]{2,3}(?:-[a-z]+)+-[0-9]{1,2}\Z", max_length=40)]
Beta = Annotated[str, Meta(pattern=r"\A[a-z0-9._-]+\Z", max_length=100)]


class MachineRole(Struct, frozen=True, forbid_unknown_fields=True):
    """No secrets: those of the machine's own role are got, and held beside the account."""


class AccessKey(Struct, frozen=True, forbid_unknown_fields=True):
    access_key_id: HeaderText
    secret_access_key: HeaderText
    session_token: HeaderText | None = None


class BearerToken(Struct, frozen=True, forbid_unknown_fields=True):
    """A Bedrock API key (docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html)."""

    bearer_token: HeaderText


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    region: Region
    betas: list[Beta] | None = None
    """The beta flags that the account's models take, in place of those of AWS' page; models differ in them."""


def place(asked: Asked, account: Account) -> Outgoing:
    converse = asked.protocol == "converse"
    whole, streamed = ("converse", "converse-stream") if converse else ("invoke", "invoke-with-response-stream")
    action = streamed if asked.stream else whole
    try:
        model = quote(asked.model, safe="")  # as AWS' clients: an ARN is one segment, its slashes and colons escaped
    except UnicodeEncodeError:
        raise InvalidBody("the name of the model is not text", "model") from None
    base = account.base_url.replace("{region}", str(account.options.get("region", ""))).rstrip("/")
    headers: Headers = [header for header in asked.headers if header[0] in _CLIENTS]
    headers += [(b"content-type", _JSON), (b"accept", _JSON)]
    body = asked.body if converse else _body(asked, account)
    return Outgoing("POST", f"{base}/model/{model}/{action}", headers, body)


def _body(asked: Asked, account: Account) -> bytes:
    raw = members(asked.body, _READ).raw
    wanted = _wanted(asked, bytes(raw["anthropic_beta"]) if "anthropic_beta" in raw else b"null")
    known = account.options.get("betas")
    kept = [beta for beta in wanted if beta in (BETAS if known is None else known)]
    drop = set(_NOT_THERE)
    drop.update(name for name, betas in _NEEDS_BETA.items() if betas.isdisjoint(kept))
    put = {"anthropic_version": VERSION}
    if kept:
        put["anthropic_beta"] = msgspec.json.encode(kept)
    else:
        drop.add("anthropic_beta")
    return edited(asked.body, put, drop)


_READ = frozenset({*_NOT_THERE, *_NEEDS_BETA, "anthropic_beta"})
_texts: msgspec.json.Decoder[list[str] | None] = msgspec.json.Decoder(list[str] | None)


def _wanted(asked: Asked, listed: bytes) -> list[str]:
    """The betas of the body, then those of the headers, each once."""
    try:
        found: list[str] = _texts.decode(listed) or []
    except msgspec.DecodeError:
        raise InvalidBody("anthropic_beta must be a list of texts", "anthropic_beta") from None
    for name, value in asked.headers:
        if name == b"anthropic-beta":
            found += [item.strip() for item in value.decode("latin-1").split(",")]
    if _ADVANCED_TOOLS in found and b"tool_search_tool_" in asked.body:
        found.append(_TOOL_SEARCH)
    return list(dict.fromkeys(found))


def speaks(account: Account, model: str, protocol: str, operation: str, stream: bool) -> Speech:
    """Claude in Anthropic's protocol, the others by Converse; and an account of the machine's role only once its
    credentials are there."""
    if (protocol, operation) not in PLATFORM.serves or not account.credentials:
        return Speech.NONE
    opaque = _OPAQUE.match(model) and model in account.model_map.values()
    claude = bool(opaque) or _claude(model)
    return Speech.NATIVE if claude == (protocol == "anthropic") else Speech.NONE


def _claude(model: str) -> bool:
    return "claude" in model.lower()


def sign(outgoing: Outgoing, account: Account, now: float) -> Outgoing:
    if "bearer_token" in account.credentials:
        return signing.signed(outgoing, [signing.bearer(signing.secret(account, "bearer_token"))])
    keys = sigv4.Keys(
        signing.secret(account, "access_key_id").decode(),
        signing.secret(account, "secret_access_key").decode(),
        signing.secret(account, "session_token").decode() if "session_token" in account.credentials else "",
    )
    region = (signing.option(account, "region") or b"").decode()
    own = sigv4.headers(outgoing.method, outgoing.url, outgoing.body, _JSON.decode(), keys, region, "bedrock", now)
    return signing.signed(outgoing, own)


def framing(asked: Asked, content_type: bytes) -> Framing | None:
    if not content_type.startswith(_EVENTS.encode()):
        return None
    from gateway.platforms import eventstream  # loads botocore, which the others do not need

    return eventstream.ConverseFraming() if asked.protocol == "converse" else eventstream.AnthropicFraming()


def expires(account: Account) -> float | None:
    """Only what the machine's role got ends. It is got by `jobs`, which stores it beside the account."""
    held = account.credentials.get("expires_at")
    if held is not None:
        return float(held.reveal())
    return None if account.credentials else 0.0


def probe(model: str) -> tuple[str, str, dict[str, Any]]:
    """One token."""
    if _OPAQUE.match(model) or _claude(model):
        body = {"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
        return "anthropic", "generate", body
    messages = [{"role": "user", "content": [{"text": "hi"}]}]
    return "converse", "converse", {"messages": messages, "inferenceConfig": {"maxTokens": 1}}


PLATFORM = Platform(
    name="bedrock",
    family="claude",
    serves={("anthropic", "generate"): "/model/{model}/invoke", ("converse", "converse"): "/model/{model}/converse"},
    # The account's region stands in it; see `place`.
    base_url="https://bedrock-runtime.{region}.amazonaws.com",
    models=_MODELS,
    credentials=(MachineRole, AccessKey, BearerToken),
    options=Options,
    sign=sign,
    judge=bedrock_errors.judge,
    place=place,
    speaks=speaks,
    framing=framing,
    expires=expires,
    error=bedrock_errors.as_anthropic,
    probe=probe,
)
