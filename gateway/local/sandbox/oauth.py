"""A token endpoint: RFC 6749 (refresh token, client credentials) and RFC 7523 (JWT bearer). Codes are `authority`'s.

`POST …/oauth/token` or `…/oauth2/v2.0/token`, JSON or a form. A refresh token is good once and is replaced by the
answer's. Rules apply by the model `oauth` and the credential that was sent (refresh token, client secret, issuer):
`error-400` is `invalid_grant`, `error-401` `invalid_client`, other statuses a plain error; `stall-…` makes it slow.
"""

import asyncio
import base64
import binascii
import itertools
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from gateway.local.sandbox.script import Rulebook, Script
from gateway.local.sandbox.server import Reply, Request, Rest

PATHS = ("/oauth/token", "/oauth2/v2.0/token")
"""The second is Microsoft Entra's."""
MODEL = "oauth"
LIFETIME = 3600
_HEADERS = "content-type: application/json\r\ncache-control: no-store\r\n"
_ERRORS = {400: "invalid_grant", 401: "invalid_client", 429: "slow_down", 503: "temporarily_unavailable"}
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "refresh_token": ("refresh_token",),
    "client_credentials": ("client_id", "client_secret", "scope"),
    "urn:ietf:params:oauth:grant-type:jwt-bearer": ("assertion",),
}


class Refused(Exception):
    """The error that is answered, by its name in the RFC."""


def fields_of(request: Request) -> dict[str, str]:
    """What was sent; empty when it cannot be read."""
    if (request.header("content-type") or "").startswith("application/json"):
        try:
            return msgspec.json.decode(request.body, type=dict[str, str])
        except msgspec.MsgspecError:
            return {}
    return dict(parse_qsl(request.body.decode("latin-1")))


def _credential(fields: Mapping[str, str]) -> str:
    """What the request is known by to rules."""
    if "assertion" in fields:
        return str(_part(fields["assertion"], 1).get("iss", ""))
    return next((fields[name] for name in ("refresh_token", "client_secret") if name in fields), "")


class TokenEndpoint:
    """Remembers which refresh tokens were used."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._numbers = itertools.count(1)

    def handle(self, request: Request, reply: Reply, rules: Rulebook) -> Rest | None:
        fields = fields_of(request)
        script = rules.find(MODEL, _credential(fields))
        if script.drop:
            return reply.reset

        def answer() -> None:
            status, body = self._answer(fields, script, request.path)
            reply.send(status, _HEADERS, body)

        async def late() -> None:
            await asyncio.sleep(script.stall)
            answer()

        if script.stall:
            return late
        answer()
        return None

    def _answer(self, fields: Mapping[str, str], script: Script, path: str) -> tuple[int, bytes]:
        """Status and body. A rule that says an error uses no token up."""
        if script.error:
            return script.error, _error(_ERRORS.get(script.error, "server_error"))
        try:
            return 200, msgspec.json.encode(self._grant(fields, path))
        except Refused as refused:
            return 401 if str(refused) == "invalid_client" else 400, _error(str(refused))

    def _grant(self, fields: Mapping[str, str], path: str) -> dict[str, Any]:
        kind = fields.get("grant_type", "")
        if kind not in _NEEDS:
            raise Refused("unsupported_grant_type")
        if not all(fields.get(name) for name in _NEEDS[kind]):
            raise Refused("invalid_request")
        token = {"token_type": "Bearer", "expires_in": LIFETIME, "access_token": f"at-{next(self._numbers)}-sandbox"}
        if kind == "client_credentials":
            if "wrong" in fields["client_secret"]:
                raise Refused("invalid_client")
        elif "assertion" in fields:
            _check(fields["assertion"], path)
        else:
            given = fields["refresh_token"]
            if given in self._used or "revoked" in given:
                raise Refused("invalid_grant")
            self._used.add(given)
            token["refresh_token"] = f"rt-{next(self._numbers)}-sandbox"
        return token


def _check(assertion: str, path: str) -> None:
    """Its form and its times; whose signature it is cannot be known here."""
    head, claims = _part(assertion, 0), _part(assertion, 1)
    lasts = claims.get("exp", 0) - claims.get("iat", 0)
    formed = head.get("alg") == "RS256" and len(_bytes(assertion, 2)) >= 256
    if not formed or not 0 < lasts <= 3600 or not str(claims.get("aud", "")).endswith(path):
        raise Refused("invalid_grant")


def _part(assertion: str, index: int) -> dict[str, Any]:
    try:
        return msgspec.json.decode(_bytes(assertion, index), type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}


def _bytes(assertion: str, index: int) -> bytes:
    parts = assertion.split(".")
    try:
        return base64.urlsafe_b64decode(parts[index] + "==") if len(parts) == 3 else b""
    except (binascii.Error, ValueError):
        return b""


def _error(name: str) -> bytes:
    return msgspec.json.encode({"error": name, "error_description": "The sandbox was told to say so."})
