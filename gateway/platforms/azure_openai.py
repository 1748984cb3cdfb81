"""`azure-openai`: OpenAI's models on a resource of Azure's, by key or by Microsoft Entra.

Paths and versions: learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle; the dated API names the
deployment in the path, the `v1` API in the body. Entra: learn.microsoft.com/entra/identity-platform/v2-oauth2-client-
creds-grant-flow.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import quote, unquote_to_bytes

from msgspec import Meta, Struct
from msgspec.structs import replace

from gateway.core.domain import Account
from gateway.platforms import complaint, grants, judgement, reset, signing
from gateway.platforms.platform import Asked, Kind, NotRenewed, Outgoing, Platform, Renewal, Scope, Speech, Verdict
from gateway.platforms.target import query_text
from gateway.platforms.validation import HeaderText, HttpUrl
from gateway.protocols.codec import InvalidBody

GA = "2024-10-21"
"""The dated version that is generally available, the last of its kind; `v1` came after it."""
V1 = "v1"
_RESPONSES_SINCE = "2025-03-01"
_TOKEN_URL = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"  # noqa: S105  # an address
_SCOPE = "https://cognitiveservices.azure.com/.default"

#: (protocol, operation) → path below `/openai/v1/`, or below the deployment.
_PATHS: Mapping[tuple[str, str], str] = {
    ("openai_chat", "generate"): "chat/completions",
    ("openai_chat", "embed"): "embeddings",
    ("openai_responses", "generate"): "responses",
}
_OPENAI = re.compile(r"/openai(?:/v1)?/*\Z")
_RETRY_AFTER = re.compile(r"\bretry after ([0-9]{1,9}) seconds?\b")


class ApiKey(Struct, frozen=True, forbid_unknown_fields=True):
    api_key: HeaderText


class Entra(Struct, frozen=True, forbid_unknown_fields=True):
    client_secret: HeaderText


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    entra_tenant_id: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9.-]+\Z", max_length=255)] | None = None
    """An id, or a domain."""
    client_id: HeaderText | None = None
    api_version: (
        Annotated[str, Meta(pattern=r"\A(?:v1|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:-preview)?)\Z", max_length=32)] | None
    ) = None
    """A date, or `v1`. None: what is generally available, for chat and embeddings by deployment and for Responses
    by `v1`; or `v1` for all, when the base URL says so."""
    usage_probe: bool = True
    """Ask for `stream_options.include_usage` where the client did not."""
    token_url: HttpUrl | None = None
    scope: HeaderText | None = None
    """Of the token; other clouds of Azure's have their own."""


def lacks(credentials: Mapping[str, Any], options: Mapping[str, Any]) -> str | None:
    """Entra also needs to know which application asks, and where."""
    if "client_secret" not in credentials:
        return None
    if not options.get("client_id"):
        return "options.client_id"
    return None if options.get("token_url") or options.get("entra_tenant_id") else "options.entra_tenant_id"


def place(asked: Asked, account: Account) -> Outgoing:
    """The deployment is the upstream's name of the model. No version of the client's comes along."""
    version, root = _version(account, asked.protocol), _root(account.base_url)
    path, own = _PATHS[asked.protocol, asked.operation], ""
    if version == V1:
        path = f"v1/{path}"
    else:
        own = f"api-version={version}"
        if asked.protocol != "openai_responses":
            path = f"deployments/{_segment(asked.model)}/{path}"
    others = query_text(_without_version(asked.query)) if asked.query else ""
    query = f"{own}&{others}" if own and others else own or others
    return Outgoing("POST", f"{root}/openai/{path}{'?' if query else ''}{query}", asked.headers, asked.body)


def _version(account: Account, protocol: str) -> str:
    chosen = account.options.get("api_version")
    if chosen:
        return str(chosen)
    return V1 if protocol == "openai_responses" or account.base_url.rstrip("/").endswith("/openai/v1") else GA


@lru_cache(maxsize=1024)
def _root(base_url: str) -> str:
    return _OPENAI.sub("", base_url.rstrip("/"))


def _segment(deployment: str) -> str:
    if not deployment.strip("."):
        raise InvalidBody("this name of a model cannot be part of a path", "model")
    try:
        return quote(deployment, safe="")
    except UnicodeEncodeError:
        raise InvalidBody("the name of the model is not text", "model") from None


def _without_version(query: bytes) -> bytes:
    pairs = query.split(b"&")
    return b"&".join(one for one in pairs if unquote_to_bytes(one.partition(b"=")[0]).lower() != b"api-version")


def speaks(account: Account, model: str, protocol: str, operation: str, stream: bool) -> Speech:
    """All of it natively; Responses only by a version that has them."""
    if (protocol, operation) not in _PATHS:
        return Speech.NONE
    if protocol == "openai_responses" and _version(account, protocol) < _RESPONSES_SINCE:
        return Speech.NONE
    return Speech.NATIVE


def sign(outgoing: Outgoing, account: Account, now: float) -> Outgoing:
    """`api-key`, or the token of Entra's as Bearer."""
    if "client_secret" in account.credentials:
        own = signing.bearer(signing.secret(account, "access_token"))
    else:
        own = (b"api-key", signing.secret(account, "api_key"))
    return signing.signed(outgoing, [own])


def expires(account: Account) -> float | None:
    """A key never does."""
    return grants.ends(account) if "client_secret" in account.credentials else None


def renew(account: Account, now: float) -> Renewal:
    """A new token by the client credentials."""
    client_id, tenant = account.options.get("client_id"), account.options.get("entra_tenant_id")
    token_url = account.options.get("token_url") or (tenant and _TOKEN_URL.format(tenant=tenant))
    if not client_id or not token_url:
        raise NotRenewed("the account does not say whom to ask for a token", revoked=True)
    scope = account.options.get("scope") or _SCOPE
    secret = signing.secret(account, "client_secret").decode("ascii")
    return (yield from grants.client_credentials(token_url, client_id, secret, scope, now=now))


def _model(now: float) -> Verdict:
    return Verdict(Kind.COOL_DOWN, "model", now + judgement.HALF_HOUR, Scope.MODEL)


def _unmet(now: float) -> Verdict:
    return Verdict(Kind.ELSEWHERE, "unmet")


def _network(now: float) -> Verdict:
    return Verdict(Kind.COOL_DOWN, "forbidden", now + judgement.FORBIDDEN_FOR, Scope.ACCOUNT)


def _blocked(now: float) -> Verdict:
    return Verdict(Kind.COOL_DOWN, "forbidden", now + judgement.HALF_HOUR, Scope.ACCOUNT)


def _key_refused(now: float) -> Verdict:
    return Verdict(Kind.COOL_DOWN, "credentials", now + judgement.HALF_HOUR, Scope.ACCOUNT)


def _spent(now: float) -> Verdict:
    return Verdict(Kind.COOL_DOWN, "money", now + judgement.HALF_HOUR, Scope.ACCOUNT)


#: Sentences of Azure's own, matched from their start (lower case, single spaces). What the account's `api_version` is
#: too old for, another account may serve; only a model that needs a newer one is out here.
_SENTENCES: tuple[tuple[int, re.Pattern[str], Callable[[float], Verdict]], ...] = tuple(
    (status, re.compile(pattern), verdict)
    for status, pattern, verdict in (
        (400, r"model \S+ is enabled only for api versions?\b", _model),
        (400, r"api version not supported", _model),
        (400, r"azure openai responses api is enabled only for api[- ]version", _unmet),
        (400, r"\w+(?: \w+){0,6} is enabled only for api versions?\b", _unmet),
        # What a wrong version, and a path that this version does not have, are answered with.
        (404, r"resource not found\Z", _unmet),
        (403, r"access denied due to virtual network/firewall rules", _network),
        (403, r"a virtual network is configured for this resource", _network),
        (403, r"public access is disabled", _network),
        (403, r"traffic is not from an approved private endpoint", _network),
        (403, r"your resource has been temporarily blocked", _blocked),
        (403, r"key based authentication is disabled for this resource", _key_refused),
        (403, r"out of call volume quota", _spent),
    )
)


def judge(status: int, headers: Mapping[str, str], body: bytes, now: float) -> Verdict:
    """Azure's own words first, then the common rules. A limit is one of the deployment, whatever its sentence says of
    tiers and accounts; where no header tells its end, the sentence does."""
    if status < 400:
        return judgement.judge(status, headers, body, now)
    said = complaint.read(body, now)
    for at, pattern, verdict in _SENTENCES:
        if at == status and pattern.match(said.message):
            return verdict(now)
    wait = _RETRY_AFTER.search(said.message) if status == 429 and reset.of_headers(headers, now) is None else None
    found = judgement.judge(status, {**headers, "retry-after": wait[1]} if wait else headers, body, now)
    if found.reason in {"rate_limited", "overloaded"} and found.scope is Scope.ACCOUNT:
        return replace(found, scope=Scope.FAMILY)
    return found


def probe(model: str) -> tuple[str, str, dict[str, Any]]:
    """A few tokens of chat, or one embedding for a deployment that has `embed` in its name."""
    if "embed" in model.lower():
        return "openai_chat", "embed", {"model": model, "input": "hi"}
    message = {"role": "user", "content": "Say ok."}
    return "openai_chat", "generate", {"model": model, "max_completion_tokens": 16, "messages": [message]}


PLATFORM = Platform(
    name="azure-openai",
    family="openai",
    serves={
        ("openai_chat", "generate"): "/openai/deployments/{model}/chat/completions",
        ("openai_chat", "embed"): "/openai/deployments/{model}/embeddings",
        ("openai_responses", "generate"): "/openai/v1/responses",
    },
    base_url=None,
    # Deployments have the names that their owner gave them.
    models=("*",),
    credentials=(ApiKey, Entra),
    options=Options,
    sign=sign,
    judge=judge,
    place=place,
    speaks=speaks,
    expires=expires,
    renew=renew,
    lacks=lacks,
    probe=probe,
)
