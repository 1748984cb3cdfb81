"""OAuth 2.0 grants without IO: each is a generator that yields requests and returns the tokens that came.

RFC 6749 (§4.1.3 authorization code, §4.4.2 client credentials, §6 refresh, §5 answers), RFC 7636 (PKCE) and RFC 7523
§2.1 (JWT bearer; Google's form: developers.google.com/identity/protocols/oauth2/service-account). All return

    {"access_token": str, "expires_at": float}      seconds since the epoch
    and "refresh_token": str                        after a refresh or a code: the new one, or the one that was sent

and raise NotRenewed; its reason names an error of the RFC or a status, never a secret nor words of the endpoint's.
"""

import base64
import math
from collections.abc import Generator, Mapping
from typing import Any, Literal, cast
from urllib.parse import urlencode

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.core.domain import Account
from gateway.platforms import reset
from gateway.platforms.platform import Headers, NotRenewed, Outgoing, Renewal, Reply
from gateway.platforms.validation import HeaderText

Form = Literal["json", "urlencoded"]

ASSERTION_SECONDS = 3600
"""Google's longest."""
UNSAID_SECONDS = 3600.0
"""How long a token is believed in when the endpoint does not say (RFC 6749 §5.1 lets it)."""
_LONGEST_BODY = 64 * 1024
_LONGEST_LIFE = 10 * 365 * 86_400.0
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: Errors after which only a person helps: RFC 6749 §5.2; Google's for clients that are gone; OpenAI's for refresh
#: tokens (they stand in `error.code`).
_REVOKED = frozenset(
    {
        "invalid_grant",
        "invalid_client",
        "unauthorized_client",
        "deleted_client",
        "disabled_client",
        "refresh_token_expired",
        "refresh_token_reused",
        "refresh_token_invalidated",
    }
)
_NAMED = _REVOKED | {"invalid_request", "invalid_scope", "unsupported_grant_type", "temporarily_unavailable"}
#: Google calls a clock that is wrong `invalid_grant` too; the account is not to blame for ours.
_CLOCK = "reasonable timeframe"


def ends(account: Account) -> float | None:
    """When the account's `access_token` ends, for `Platform.expires`: 0 when it holds none, infinite when nobody said
    when. `expires_at` is RFC 3339, or seconds or milliseconds since the epoch."""
    if "access_token" not in account.credentials:
        return 0.0
    held = account.credentials.get("expires_at")
    end = reset.instant(held.reveal()) if held else None
    return math.inf if end is None else end


def refresh(
    token_url: str,
    refresh_token: str,
    client_id: str | None,
    *,
    now: float,
    form: Form,
    scope: str | None = None,
    extra: Mapping[str, str] | None = None,
) -> Renewal:
    """A new access token for a refresh token; the refresh token may be replaced by it."""
    fields = _given(
        grant_type="refresh_token", refresh_token=refresh_token, client_id=client_id, scope=scope, **(extra or {})
    )
    answer = yield from _asked(token_url, fields, form)
    return {**_tokens(answer, now), "refresh_token": _text(answer, "refresh_token") or refresh_token}


def authorization_code(
    token_url: str,
    code: str,
    client_id: str,
    *,
    now: float,
    form: Form,
    redirect_uri: str,
    code_verifier: str,
    extra: Mapping[str, str] | None = None,
) -> Renewal:
    """The end of an authorisation with PKCE. Returns `id_token` too, where the endpoint gives one; a `refresh_token`
    only then. `extra`: what the vendor wants besides (Anthropic: `state`)."""
    fields = _given(
        grant_type="authorization_code",
        code=code,
        client_id=client_id,
        redirect_uri=redirect_uri,
        code_verifier=code_verifier,
        **(extra or {}),
    )
    answer = yield from _asked(token_url, fields, form)
    others = {name: _text(answer, name) for name in ("refresh_token", "id_token")}
    return {**_tokens(answer, now), **{name: value for name, value in others.items() if value}}


def client_credentials(token_url: str, client_id: str, client_secret: str, scope: str, *, now: float) -> Renewal:
    """A token for an application of its own (Microsoft Entra: learn.microsoft.com/entra/identity-platform)."""
    fields = _given(grant_type="client_credentials", client_id=client_id, client_secret=client_secret, scope=scope)
    answer = yield from _asked(token_url, fields, "urlencoded")
    return _tokens(answer, now)


def jwt_bearer(service_account: Mapping[str, Any], scope: str, now: float) -> Renewal:
    """A token for a service account of Google's, by its key file (the decoded JSON)."""
    token_url = str(service_account.get("token_uri") or "")
    fields = {"grant_type": _JWT_BEARER, "assertion": assertion(service_account, scope, token_url, now)}
    answer = yield from _asked(token_url, fields, "urlencoded")
    return _tokens(answer, now)


def assertion(service_account: Mapping[str, Any], scope: str, audience: str, now: float) -> str:
    """A JWT signed with RS256 by the account's key. Raises NotRenewed when there is no such key."""
    try:
        key = load_pem_private_key(str(service_account.get("private_key") or "").encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise NotRenewed("private_key is not an RSA key in PEM", revoked=True)
    head = {"alg": "RS256", "typ": "JWT", "kid": service_account.get("private_key_id")}
    claims = {
        "iss": service_account.get("client_email"),
        "scope": scope,
        "aud": audience,
        "iat": int(now),
        "exp": int(now) + ASSERTION_SECONDS,
    }
    signed = b".".join(_base64(msgspec.json.encode(part)) for part in (_given(**head), claims))
    return (signed + b"." + _base64(key.sign(signed, padding.PKCS1v15(), hashes.SHA256()))).decode("ascii")


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _asked(token_url: str, fields: Mapping[str, str], form: Form) -> Generator[Outgoing, Reply, dict[str, Any]]:
    json = form == "json"
    headers: Headers = [
        (b"content-type", b"application/json" if json else b"application/x-www-form-urlencoded"),
        (b"accept", b"application/json"),
        (b"user-agent", b"poolgate"),
    ]
    body = msgspec.json.encode(fields) if json else urlencode(fields).encode("ascii")
    reply = yield Outgoing("POST", token_url, headers, body)
    answer = _read(reply.body)
    if reply.status != 200:
        raise _refusal(reply.status, answer)
    return answer


def _read(body: bytes) -> dict[str, Any]:
    """The answer's object; empty when it is none."""
    if len(body) > _LONGEST_BODY:
        return {}
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}


def _refusal(status: int, answer: Mapping[str, Any]) -> NotRenewed:
    """`error` is a word (RFC 6749 §5.2), or an object with `code` or `type` (OpenAI's and Anthropic's servers)."""
    error = answer.get("error")
    said = cast("dict[str, Any]", error) if isinstance(error, dict) else {"code": error}
    words = [word for word in (said.get("code"), said.get("type")) if isinstance(word, str)]
    word = next((word for word in words if word in _NAMED), None)
    # A server in trouble may say anything; only a refusal of 4xx is one of the grant, and 429 is none.
    final = word in _REVOKED and 400 <= status < 500 and status != 429
    if _CLOCK in str(answer.get("error_description", "")).lower():
        return NotRenewed("the endpoint finds our clock wrong")
    return NotRenewed(word or f"the token endpoint answered {status}", revoked=final)


def _tokens(answer: Mapping[str, Any], now: float) -> dict[str, Any]:
    token = _text(answer, "access_token")
    if token is None:
        raise NotRenewed("the token endpoint's answer holds no access token")
    return {"access_token": token, "expires_at": now + _lifetime(answer.get("expires_in"))}


def _lifetime(value: Any) -> float:
    """Seconds; some servers write the number as text."""
    try:
        seconds = msgspec.convert(value, float, strict=False)
    except msgspec.ValidationError:
        return UNSAID_SECONDS
    return seconds if 0 < seconds <= _LONGEST_LIFE else UNSAID_SECONDS


def _text(answer: Mapping[str, Any], name: str) -> str | None:
    """A token that can be used and stored, or None."""
    try:
        return msgspec.convert(answer.get(name), HeaderText)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return None
