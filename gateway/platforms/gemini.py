"""`gemini`: Google's Gemini API by API key (ai.google.dev/api), or Vertex AI by service account, with Claude there too.

The Gemini API is always `v1beta`, whatever version the client named. On Vertex (cloud.google.com/vertex-ai/docs/
reference/rest/v1/projects.locations.publishers.models) Gemini's actions have the same bodies; embeddings are there by
`embedContent` for Gemini's own models only, the older ones and batches have another form. Claude on Vertex is
Anthropic's protocol by `rawPredict` (docs.claude.com/en/api/claude-on-vertex-ai); an account names such models itself.
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gateway.core.domain import Account
from gateway.platforms import complaint, grants, judgement, signing, target, vertex
from gateway.platforms.platform import Asked, Kind, Outgoing, Platform, Renewal, Scope, Speech, Verdict
from gateway.platforms.validation import HeaderText
from gateway.protocols.edits import edited
from gateway.protocols.spans import members

BASE = "https://generativelanguage.googleapis.com"
_ACTIONS = ("generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents")
_ON_VERTEX = frozenset({"generateContent", "streamGenerateContent", "countTokens"})
_CLAUDE = frozenset({"generate", "count"})
_NESTED = ("generateContentRequest", "generate_content_request")

#: Vertex' words for a model that this project does not have, under statuses that say something else; the permission is
#: denied "(or it may not exist)" for a model that nobody has.
_NO_MODEL = re.compile(
    r"project `[^`]{1,200}` is not allowed to use publisher model"
    r"|publisher model `?[^ ]{1,300} is not servable in region"
    r"|permission 'aiplatform\.endpoints\.predict' denied on resource '[^']{1,300}/(?:models|endpoints)/"
)
#: The project itself, however the words go (cloud.google.com/apis/design/errors, google.api.ErrorReason).
_NO_PROJECT = frozenset({"consumer_invalid", "resource_project_invalid", "user_project_denied"})


class Credentials(Struct, frozen=True, forbid_unknown_fields=True):
    api_key: HeaderText


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Of Vertex alone."""

    project: vertex.ProjectId | None = None
    """Default: the service account's own."""
    location: vertex.Location | None = None
    """Default `global`."""


def sign(outgoing: Outgoing, account: Account, now: float) -> Outgoing:
    if vertex.is_vertex(account):
        return signing.signed(outgoing, [signing.bearer(signing.secret(account, "access_token"))])
    return signing.signed(outgoing, [(b"x-goog-api-key", signing.secret(account, "api_key"))])


def place(asked: Asked, account: Account) -> Outgoing:
    if not vertex.is_vertex(account):
        url = target.url(account, PLATFORM, asked.protocol, asked.operation, asked.model, asked.query)
        return Outgoing("POST", url, asked.headers, asked.body)
    publisher, action, model, body = "google", asked.operation, asked.model, asked.body
    if asked.protocol == "anthropic":
        publisher = "anthropic"
        put = {"anthropic_version": vertex.ANTHROPIC_VERSION}
        if asked.operation == "count":
            # One name for all models: the model that is counted for stays in the body.
            model, action, body = "count-tokens", "rawPredict", edited(body, put)
        else:
            action, body = "streamRawPredict" if asked.stream else "rawPredict", edited(body, put, {"model"})
    elif asked.operation == "countTokens":
        body = _flat(body)
    template = vertex.template(account, publisher, model, action)
    # What Anthropic's clients say in the query (`?beta=true`) is no parameter of Google's.
    query = asked.query if publisher == "google" else b""
    url = target.address(vertex.base(account, BASE), template, model, query)
    return Outgoing("POST", url, asked.headers, body)


def _flat(body: bytes) -> bytes:
    """The Gemini API nests what else than contents is counted, Vertex does not (cloud.google.com/vertex-ai/docs/
    reference/rest/v1/projects.locations.publishers.models/countTokens). Raises InvalidBody."""
    for name in _NESTED:
        if name in (raw := members(body, (name,)).raw):
            return edited(bytes(raw[name]), {}, {"model"})
    return body


def speaks(account: Account, model: str, protocol: str, operation: str, stream: bool) -> Speech:
    """An API key gives Gemini's protocol; on Vertex the model decides which of the two it is."""
    if not vertex.is_vertex(account):
        served = protocol == "gemini" and operation in _ACTIONS
    elif vertex.is_claude(model):
        served = protocol == "anthropic" and operation in _CLAUDE
    else:
        embeds = operation == "embedContent" and "gemini" in model
        served = protocol == "gemini" and (operation in _ON_VERTEX or embeds)
    return Speech.NATIVE if served else Speech.NONE


def judge(status: int, headers: Mapping[str, str], body: bytes, now: float) -> Verdict:
    if status in (400, 403, 404):
        said = complaint.read(body, now)
        if _NO_MODEL.match(said.message):
            return Verdict(Kind.COOL_DOWN, "model", now + judgement.HALF_HOUR, Scope.MODEL)
        if said.words & _NO_PROJECT:
            return Verdict(Kind.COOL_DOWN, "credentials", now + judgement.HALF_HOUR, Scope.ACCOUNT)
    found = judgement.judge(status, headers, body, now)
    if found.reason in {"rate_limited", "overloaded"} and found.scope is Scope.ACCOUNT:
        # "…please check your plan and billing details": each model has its own quota
        # (ai.google.dev/gemini-api/docs/rate-limits).
        return replace(found, scope=Scope.FAMILY)
    return found


def expires(account: Account) -> float | None:
    return grants.ends(account) if vertex.is_vertex(account) else None


def renew(account: Account, now: float) -> Renewal:
    return vertex.renew(account, now)


def probe(model: str) -> tuple[str, str, dict[str, Any]]:
    """One token, or one embedding. Counting tokens would be free, and prove nothing about quota or billing."""
    if vertex.is_claude(model):
        asked = {"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
        return "anthropic", "generate", asked
    content = {"role": "user", "parts": [{"text": "hi"}]}
    if "embed" in model.lower():
        return "gemini", "embedContent", {"content": content}
    return "gemini", "generateContent", {"contents": [content], "generationConfig": {"maxOutputTokens": 1}}


PLATFORM = Platform(
    name="gemini",
    family="gemini",
    serves={("gemini", action): f"/v1beta/models/{{model}}:{action}" for action in _ACTIONS},
    base_url=BASE,
    # The older embedding models are `embedding-001` and `text-embedding-004`; OpenAI's begin `text-embedding-3`.
    models=("gemini-*", "gemma-*", "embedding-00*", "text-embedding-00*", "tunedModels/*"),
    credentials=(Credentials, vertex.Credentials),
    options=Options,
    sign=sign,
    judge=judge,
    place=place,
    speaks=speaks,
    expires=expires,
    renew=renew,
    probe=probe,
)
