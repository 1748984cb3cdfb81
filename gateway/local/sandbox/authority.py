"""An authorisation server that consents at once: the code flow with PKCE (RFC 6749 §4.1, RFC 7636), S256 only.

`GET …/oauth/authorize` sends the browser back with a code; with `code=true`, as at Anthropic, a page shows `code#state`
instead. `POST …/oauth/token` (form or JSON) takes that code, once, from who can show the verifier.
"""

import base64
import hashlib
import os
import secrets
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

from gateway.local.sandbox.answer import encode
from gateway.local.sandbox.oauth import fields_of
from gateway.local.sandbox.server import Reply, Request

AUTHORIZE = "/oauth/authorize"
TOKEN = "/oauth/token"  # noqa: S105  # a path
WORKSPACE = "ws-sandbox"
SECONDS = 3600

_NEEDED = ("client_id", "redirect_uri", "state", "code_challenge")


class Grant(Struct, frozen=True):
    """What a code was given for."""

    client_id: str
    redirect_uri: str
    state: str
    challenge: str
    scope: str


class Authority:
    """The codes that are not redeemed yet."""

    def __init__(self) -> None:
        self._codes: dict[str, Grant] = {}

    def handle(self, request: Request, reply: Reply) -> bool:
        """Whether the request was for this server; it is answered then."""
        if request.method == "GET" and request.path.endswith(AUTHORIZE):
            self._authorize(request.query, reply)
        elif request.method == "POST" and request.path.endswith(TOKEN):
            fields = fields_of(request)
            if fields.get("grant_type") != "authorization_code":
                return False
            status, body = self._redeem(fields)
            reply.send(status, "content-type: application/json\r\ncache-control: no-store\r\n", body)
        else:
            return False
        return True

    def _authorize(self, asked: dict[str, str], reply: Reply) -> None:
        plain = "content-type: text/plain\r\n"
        missing = next((name for name in _NEEDED if not asked.get(name)), "")
        if missing or asked.get("response_type") != "code" or asked.get("code_challenge_method") != "S256":
            reply.send(400, plain, f"invalid_request: {missing or 'response_type, code_challenge_method'}".encode())
            return
        code = "code-" + secrets.token_urlsafe(24)
        self._codes[code] = Grant(
            client_id=asked["client_id"],
            redirect_uri=asked["redirect_uri"],
            state=asked["state"],
            challenge=asked["code_challenge"],
            scope=asked.get("scope", ""),
        )
        if asked.get("code") == "true":
            reply.send(200, plain, f"{code}#{asked['state']}".encode())
            return
        back = f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"
        reply.send(302, f"location: {back}\r\n", b"")

    def _redeem(self, fields: dict[str, str]) -> tuple[int, bytes]:
        grant = self._codes.pop(fields.get("code", ""), None)
        proof = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        if (
            grant is None
            or (fields.get("client_id"), fields.get("redirect_uri")) != (grant.client_id, grant.redirect_uri)
            or fields.get("state", grant.state) != grant.state
            or not secrets.compare_digest(_base64(proof), grant.challenge)
        ):
            return 400, encode({"error": "invalid_grant", "error_description": "The code or its verifier is wrong."})
        serial = os.urandom(8).hex()
        claims = {"https://api.openai.com/auth": {"chatgpt_account_id": WORKSPACE}, "jti": serial}
        answer: dict[str, Any] = {
            "token_type": "Bearer",
            "access_token": _jwt(claims),
            "refresh_token": f"sandbox-refresh-{serial}",
            "expires_in": SECONDS,
            "scope": grant.scope,
        }
        if "openid" in grant.scope.split():
            answer["id_token"] = _jwt({**claims, "email": "person@sandbox.test"})
        return 200, encode(answer)


def _jwt(claims: dict[str, Any]) -> str:
    return ".".join((_base64(encode({"alg": "none", "typ": "JWT"})), _base64(encode(claims)), "sandbox"))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
