"""Authorising an account by code and PKCE (RFC 6749 §4.1, RFC 7636), without IO: what the browser opens, what a person
pastes back, and how that becomes tokens. The vendors' records are with their platforms."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from msgspec import Struct

from gateway.platforms import grants
from gateway.platforms.platform import Authorisation, Renewal
from gateway.platforms.validation import InvalidAccount


class Pasted(Struct, frozen=True):
    """What a vendor's page gave: a code, or the word of its refusal."""

    code: str = ""
    state: str | None = None
    error: str = ""


def authorize_url(plan: Authorisation, options: Mapping[str, Any], state: str, verifier: str) -> str:
    """The page where the account's owner consents. `options` are the account's. Raises InvalidAccount."""
    asked = {
        "response_type": "code",
        "client_id": client_id(plan, options),
        "redirect_uri": _set(options, "redirect_uri", plan.redirect_uri),
        "scope": plan.scope,
        "code_challenge": challenge(verifier),
        "code_challenge_method": "S256",
        "state": state,
        **dict(plan.more),
    }
    page = _set(options, "authorize_url", plan.authorize_url)
    return f"{page}{'&' if '?' in page else '?'}{urlencode(asked)}"


def exchange(
    plan: Authorisation, options: Mapping[str, Any], code: str, state: str, verifier: str, now: float
) -> Renewal:
    """The code's tokens; `id_token` is among them where the vendor gives one. Raises InvalidAccount."""
    return grants.authorization_code(
        _set(options, "token_url", plan.token_url),
        code,
        client_id(plan, options),
        now=now,
        form=plan.form,
        redirect_uri=_set(options, "redirect_uri", plan.redirect_uri),
        code_verifier=verifier,
        extra={"state": state} if plan.sends_state else None,
    )


def client_id(plan: Authorisation, options: Mapping[str, Any]) -> str:
    """Raises InvalidAccount for one that must be given and is not."""
    found = options.get("client_id") or plan.client_id
    if not found:
        raise InvalidAccount("options.client_id", "required: the client that is registered with the vendor")
    return str(found)


def challenge(verifier: str) -> str:
    """S256 (RFC 7636 §4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode("ascii")


def pasted(text: str) -> Pasted:
    """Reads the whole callback URL, `code#state` as Anthropic's page shows it, or a code alone."""
    text = text.strip()
    if not text.startswith(("http://", "https://")):
        code, _, state = text.partition("#")
        return Pasted(code, state or None)
    try:
        parts = urlsplit(text)
    except ValueError:
        return Pasted()
    said = dict(parse_qsl(parts.query)) or dict(parse_qsl(parts.fragment))
    return Pasted(said.get("code", ""), said.get("state"), said.get("error", ""))


def _set(options: Mapping[str, Any], name: str, default: str) -> str:
    return str(options.get(name) or default)
