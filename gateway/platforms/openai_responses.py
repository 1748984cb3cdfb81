"""`openai-responses`: an endpoint of which only the Responses API is used, at `{base_url}/responses`.

By API key at any such endpoint; or by OAuth tokens of a ChatGPT plan at the plan's own backend, which stores nothing,
always streams, and refuses some members of the public API. Its form is that of the vendor's open client
(github.com/openai/codex: codex-rs/codex-api, codex-rs/login). Nothing of that client is put on: the request stays the
caller's, less what the backend would refuse.
"""

import base64
from collections.abc import Mapping
from functools import lru_cache
from math import inf
from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.domain import Account
from gateway.platforms import grants, judgement, signing, target
from gateway.platforms.assembly import Assembler
from gateway.platforms.authorisation import client_id
from gateway.platforms.platform import Asked, Authorisation, Framing, Outgoing, Platform, Renewal, Speech
from gateway.platforms.validation import Expiry, HeaderText, HttpUrl
from gateway.protocols.edits import edited
from gateway.protocols.spans import Edit, elements, inner, members, splice

CHATGPT = "https://chatgpt.com/backend-api/codex"

#: Members of the public API that ChatGPT's backend answers with 400 "Unsupported parameter: …", and why nothing is lost
#: that the caller could have had. What would change the meaning of a request (`previous_response_id`, `conversation`,
#: `prompt`, `background`) stays in it: the backend's own refusal is the honest answer.
REFUSED: Mapping[str, str] = {
    "max_output_tokens": "the plan bounds the length of an answer",
    "max_completion_tokens": "the name of the same in chat completions",
    "max_tool_calls": "the backend runs no more of its tools than it likes",
    "temperature": "sampling is the backend's own",
    "top_p": "sampling is the backend's own",
    "top_logprobs": "gives no probabilities",
    "frequency_penalty": "sampling is the backend's own",
    "presence_penalty": "sampling is the backend's own",
    "truncation": "an input that is too long is an error",
    "prompt_cache_retention": "the cache's times are the plan's",
    "prompt_cache_options": "the cache's times are the plan's",
    "stream_options": "its events carry no padding",
    "metadata": "labels for answers that are stored",
    "user": "labels for the public API's own statistics",
    "safety_identifier": "the account itself says whose it is",
}


class ApiKey(Struct, frozen=True, forbid_unknown_fields=True):
    api_key: HeaderText


class ChatGpt(Struct, frozen=True, forbid_unknown_fields=True):
    access_token: HeaderText
    refresh_token: HeaderText | None = None
    expires_at: Expiry = None


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    account_id: HeaderText | None = None
    """The ChatGPT workspace; by default the one that the token names."""
    token_url: HttpUrl | None = None
    authorize_url: HttpUrl | None = None
    redirect_uri: HttpUrl | None = None
    client_id: HeaderText | None = None


def lacks(credentials: Mapping[str, Any], options: Mapping[str, Any]) -> str | None:
    """An API key is for an endpoint that must be named; ChatGPT's has its own."""
    return None if "access_token" in credentials else "base_url"


def is_chatgpt(account: Account) -> bool:
    return "access_token" in account.credentials


def place(asked: Asked, account: Account) -> Outgoing:
    """Raises InvalidBody."""
    url = target.url(account, PLATFORM, asked.protocol, asked.operation, asked.model, asked.query)
    body = chatgpt_body(asked.body) if is_chatgpt(account) else asked.body
    return Outgoing("POST", url, asked.headers, body)


def chatgpt_body(body: bytes) -> bytes:
    """The body as ChatGPT's backend takes it; all that need not change keeps its bytes. Raises InvalidBody.

    `store` and `stream` have the only values it knows; the API's defaults for what it demands are written out: empty
    `instructions`, a text `input` as the user's message; `system` messages are `developer` messages, as the API has it
    for every model that is served there.
    """
    raw = members(body, {"input", "instructions"}).raw
    put = {"store": b"false", "stream": b"true"}
    if bytes(raw.get("instructions", b"null")) == b"null":
        put["instructions"] = b'""'
    given = bytes(raw.get("input", b""))
    if given.startswith(b'"'):
        put["input"] = b'[{"role":"user","content":' + given + b"}]"
    elif b'"system"' in given and (changed := _as_developer(given)) != given:
        put["input"] = changed
    return edited(body, put, REFUSED)


def _as_developer(items: bytes) -> bytes:
    edits: list[Edit] = []
    for start, end in elements(items, (0, len(items)), "input"):
        if items[start : start + 1] == b"{" and b'"system"' in items[start:end]:
            item = inner(items, (start, end), {"role"}, "input")
            if bytes(item.raw.get("role", b"")) == b'"system"':
                edits.append((*item.spans["role"], b'"developer"'))
    return splice(items, edits)


def sign(outgoing: Outgoing, account: Account, now: float) -> Outgoing:
    if not is_chatgpt(account):
        return signing.signed(outgoing, [signing.bearer(signing.secret(account, "api_key"))])
    token = signing.secret(account, "access_token")
    own = [
        signing.bearer(token),
        (b"accept", b"text/event-stream"),
        (b"openai-beta", b"responses=experimental"),
    ]
    workspace = signing.option(account, "account_id")
    if workspace is None and (claimed := claims(token.decode("ascii")).auth.chatgpt_account_id):
        workspace = claimed.encode("ascii")
    if workspace:
        own.append((b"chatgpt-account-id", workspace))
    return signing.signed(outgoing, own)


class _Workspace(Struct, frozen=True):
    chatgpt_account_id: HeaderText | None = None


class Claims(Struct, frozen=True):
    """What a token of OpenAI's says of itself (JWT, RFC 7519)."""

    auth: _Workspace = msgspec.field(name="https://api.openai.com/auth", default_factory=_Workspace)
    exp: float | None = None


@lru_cache(maxsize=1024)
def claims(token: str) -> Claims:
    """Nothing is claimed by a token that is no JWT. The signature is not looked at: it is the account's own token, and
    goes to who made it."""
    try:
        part = token.split(".")[1]
        return msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), type=Claims)
    except (IndexError, ValueError, msgspec.MsgspecError):
        return Claims()


def speaks(account: Account, model: str, protocol: str, operation: str, stream: bool) -> Speech:
    """A ChatGPT account only streams: an answer in one piece is put together here."""
    if (protocol, operation) not in PLATFORM.serves:
        return Speech.NONE
    return Speech.NATIVE if stream or not is_chatgpt(account) else Speech.TRANSLATED


def framing(asked: Asked, content_type: bytes) -> Framing | None:
    streamed = content_type.startswith(b"text/event-stream")
    return Assembler() if streamed and not asked.stream else None


def expires(account: Account) -> float | None:
    """As it was given, else as the token itself says."""
    if "refresh_token" not in account.credentials:
        return None
    end = grants.ends(account)
    token = account.credentials.get("access_token")
    if end != inf or token is None:
        return end
    said = claims(token.reveal()).exp
    return end if said is None else said


def renew(account: Account, now: float) -> Renewal:
    """Form-encoded (RFC 6749 §6). A refresh token is good once: the answer's takes its place."""
    return grants.refresh(
        str(account.options.get("token_url") or AUTHORISATION.token_url),
        signing.secret(account, "refresh_token").decode("ascii"),
        client_id(AUTHORISATION, account.options),
        now=now,
        form="urlencoded",
        scope="openid profile email",
    )


def learned(tokens: Mapping[str, Any]) -> Mapping[str, Any]:
    """The workspace, where only the id token names it: that one is not kept, so its word is."""
    said, also = (claims(str(tokens.get(name))).auth.chatgpt_account_id for name in ("access_token", "id_token"))
    return {"account_id": also} if also and not said else {}


def probe(model: str) -> tuple[str, str, dict[str, Any]]:
    """16 is the least that the API takes; nothing is stored."""
    return "openai_responses", "generate", {"model": model, "input": "Say ok.", "max_output_tokens": 16, "store": False}


AUTHORISATION = Authorisation(
    authorize_url="https://auth.openai.com/oauth/authorize",
    token_url="https://auth.openai.com/oauth/token",  # noqa: S106  # an address
    redirect_uri="http://localhost:1455/auth/callback",
    scope="openid profile email offline_access",
    form="urlencoded",
    # The public client under which ChatGPT's tokens for this backend are issued (codex-rs/login/src/auth/manager.rs).
    client_id="app_EMoamEEZ73f0CkXaXp7hrann",
    # The first puts the workspace into the tokens, the second leaves out the making of an API key.
    more=(("id_token_add_organizations", "true"), ("codex_cli_simplified_flow", "true")),
    learned=learned,
)

PLATFORM = Platform(
    name="openai-responses",
    family="openai",
    # The base holds the version, if there is one: `https://api.openai.com/v1`.
    serves={("openai_responses", "generate"): "/responses"},
    base_url=CHATGPT,
    models=("*",),
    credentials=(ApiKey, ChatGpt),
    options=Options,
    sign=sign,
    judge=judgement.judge,
    place=place,
    speaks=speaks,
    framing=framing,
    expires=expires,
    renew=renew,
    lacks=lacks,
    authorisation=AUTHORISATION,
    probe=probe,
)
