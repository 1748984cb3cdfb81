import base64
import json
import math
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.platforms import grants
from gateway.platforms.platform import NotRenewed, Outgoing, Renewal, Reply
from tests.platforms.scene import account

URL = "https://host.example/oauth/token"
NOW = 1_790_000_000.0
TOKENS = {"access_token": "at-2", "expires_in": 3600, "refresh_token": "rt-2", "token_type": "Bearer"}


def pem(key: Any) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def played(renewal: Renewal, status: int, answer: Any) -> tuple[Outgoing, Mapping[str, Any]]:
    """What was asked, and what came of the answer."""
    asked = next(renewal)
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    with pytest.raises(StopIteration) as done:
        renewal.send(Reply(status, {}, body))
    return asked, done.value.value


def fields(asked: Outgoing) -> dict[str, str]:
    headers = dict(asked.headers)
    assert asked.method == "POST"
    assert headers[b"accept"] == b"application/json"
    if headers[b"content-type"] == b"application/json":
        return json.loads(asked.body)
    assert headers[b"content-type"] == b"application/x-www-form-urlencoded"
    return {name: values[0] for name, values in parse_qs(asked.body.decode(), strict_parsing=True).items()}


def refresh(**changed: Any) -> Renewal:
    values = {"token_url": URL, "refresh_token": "rt-1", "client_id": "c", "now": NOW, "form": "json", **changed}
    return grants.refresh(**values)


def code(**changed: Any) -> Renewal:
    values = {"redirect_uri": "https://host.example/cb?a=1", "code_verifier": "v~1", "now": NOW, "form": "urlencoded"}
    return grants.authorization_code(URL, "the code", "c", **values | changed)


@pytest.mark.parametrize("form", ["json", "urlencoded"])
def test_a_refresh(form) -> None:
    asked, got = played(refresh(form=form, scope="openid email", extra={"x": "1"}), 200, TOKENS)
    assert asked.url == URL
    assert fields(asked) == {
        "grant_type": "refresh_token",
        "refresh_token": "rt-1",
        "client_id": "c",
        "scope": "openid email",
        "x": "1",
    }
    assert got == {"access_token": "at-2", "expires_at": NOW + 3600, "refresh_token": "rt-2"}


def test_what_is_not_given_is_not_sent() -> None:
    asked, _ = played(refresh(client_id=None), 200, TOKENS)
    assert fields(asked) == {"grant_type": "refresh_token", "refresh_token": "rt-1"}


@pytest.mark.parametrize("came", [{}, {"refresh_token": None}, {"refresh_token": ""}, {"refresh_token": "a\r\nb"}])
def test_the_old_refresh_token_is_kept_when_none_comes_back(came) -> None:
    _, got = played(refresh(), 200, {"access_token": "at-2", **came})
    assert got["refresh_token"] == "rt-1"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (28800, 28800),
        ("3599", 3599),
        (59.5, 59.5),
        (None, grants.UNSAID_SECONDS),
        (0, grants.UNSAID_SECONDS),
        (-1, grants.UNSAID_SECONDS),
        ("soon", grants.UNSAID_SECONDS),
        (1e300, grants.UNSAID_SECONDS),
        ("nan", grants.UNSAID_SECONDS),
        ([], grants.UNSAID_SECONDS),
    ],
)
def test_how_long_a_token_lasts(said, seconds) -> None:
    _, got = played(refresh(), 200, TOKENS | {"expires_in": said})
    assert got["expires_at"] == NOW + seconds


def test_a_code() -> None:
    asked, got = played(code(extra={"state": "s"}), 200, TOKENS | {"id_token": "id"})
    assert fields(asked) == {
        "grant_type": "authorization_code",
        "code": "the code",
        "client_id": "c",
        "redirect_uri": "https://host.example/cb?a=1",
        "code_verifier": "v~1",
        "state": "s",
    }
    assert got == {"access_token": "at-2", "expires_at": NOW + 3600, "refresh_token": "rt-2", "id_token": "id"}


def test_a_code_may_give_an_access_token_alone() -> None:
    _, got = played(code(), 200, {"access_token": "at-2", "expires_in": 60})
    assert got == {"access_token": "at-2", "expires_at": NOW + 60}


def test_client_credentials() -> None:
    renewal = grants.client_credentials(URL, "c", "s&=+ é", "https://host.example/.default", now=NOW)
    asked, got = played(renewal, 200, TOKENS)
    assert fields(asked) == {
        "grant_type": "client_credentials",
        "client_id": "c",
        "client_secret": "s&=+ é",
        "scope": "https://host.example/.default",
    }
    assert got == {"access_token": "at-2", "expires_at": NOW + 3600}


def decoded(part: str) -> dict[str, Any]:
    assert "=" not in part
    return json.loads(base64.urlsafe_b64decode(part + "=="))


def test_a_jwt_bearer_is_signed_as_google_asks(key) -> None:
    held = {"client_email": "a@p.iam.example", "private_key": pem(key), "private_key_id": "k1", "token_uri": URL}
    asked, got = played(grants.jwt_bearer(held, "https://scope.example/a", NOW + 0.7), 200, TOKENS)
    assert asked.url == URL
    sent = fields(asked)
    assert sent["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    head, claims, signature = sent["assertion"].split(".")
    assert decoded(head) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    assert decoded(claims) == {
        "iss": "a@p.iam.example",
        "scope": "https://scope.example/a",
        "aud": URL,
        "iat": int(NOW),
        "exp": int(NOW) + 3600,
    }
    raw = base64.urlsafe_b64decode(signature + "==")
    key.public_key().verify(raw, f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    assert got == {"access_token": "at-2", "expires_at": NOW + 0.7 + 3600}


def test_a_key_without_an_id_names_none(key) -> None:
    made = grants.assertion({"client_email": "a", "private_key": pem(key)}, "s", URL, NOW)
    assert decoded(made.split(".")[0]) == {"alg": "RS256", "typ": "JWT"}


@pytest.mark.parametrize("held", ["", "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----", "ec", None])
def test_a_service_account_without_a_usable_key_cannot_heal(held) -> None:
    held = pem(ec.generate_private_key(ec.SECP256R1())) if held == "ec" else held
    with pytest.raises(NotRenewed) as raised:
        next(grants.jwt_bearer({"client_email": "a", "private_key": held, "token_uri": URL}, "s", NOW))
    assert raised.value.revoked
    assert "BEGIN" not in str(raised.value)


REFUSALS = [
    (400, {"error": "invalid_grant"}, True),
    (400, {"error": "invalid_grant", "error_description": "Refresh token not found or invalid"}, True),
    (400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, True),
    (
        400,
        {
            "error": "invalid_grant",
            "error_description": "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
            "timeframe. Check your iat and exp values in the JWT claim.",
        },
        False,
    ),
    (401, {"error": "invalid_client"}, True),
    (400, {"error": "unauthorized_client"}, True),
    (401, {"error": "deleted_client"}, True),
    (401, {"error": {"message": "no", "type": "invalid_request_error", "code": "refresh_token_reused"}}, True),
    (401, {"error": {"code": "refresh_token_expired"}}, True),
    (400, {"error": {"type": "invalid_grant"}}, True),
    (400, {"error": "invalid_request"}, False),
    (400, {"error": "invalid_scope"}, False),
    (403, {"error": "something new"}, False),
    (401, {}, False),
    (404, b"<html>moved</html>", False),
    (302, b"", False),
    (429, {"error": "invalid_grant"}, False),
    (429, {"error": {"type": "rate_limit_error"}}, False),
    (500, {"error": "invalid_grant"}, False),
    (503, {"error": "temporarily_unavailable"}, False),
    (201, TOKENS, False),
    (200, {}, False),
    (200, b"[]", False),
    (200, b"\xff", False),
    (200, b"{" * 10_000, False),
    (200, {"access_token": 5}, False),
    (200, {"access_token": "a b"}, False),
    (200, {"access_token": "at\r\nx: y"}, False),
    (200, TOKENS | {"padding": "x" * 70_000}, False),
]


@pytest.mark.parametrize(("status", "answer", "revoked"), REFUSALS)
@pytest.mark.parametrize("grant", [refresh, code], ids=["refresh", "code"])
def test_what_a_refusal_means(grant: Callable[[], Renewal], status, answer, revoked) -> None:
    renewal = grant()
    next(renewal)
    with pytest.raises(NotRenewed) as raised:
        renewal.send(Reply(status, {}, answer if isinstance(answer, bytes) else json.dumps(answer).encode()))
    assert raised.value.revoked is revoked
    for secret in ("rt-1", "at-2", "the code", "v~1", "new", "html"):
        assert secret not in str(raised.value)


@given(st.integers(100, 599), st.binary(max_size=300))
def test_no_answer_breaks_it(status, body) -> None:
    renewal = refresh()
    next(renewal)
    with pytest.raises((NotRenewed, StopIteration)):
        renewal.send(Reply(status, {}, body))


@pytest.mark.parametrize(
    ("held", "end"),
    [
        ({}, 0.0),
        ({"expires_at": "2100000000"}, 0.0),
        ({"access_token": "t"}, math.inf),
        ({"access_token": "t", "expires_at": "2100000000"}, 2_100_000_000.0),
        ({"access_token": "t", "expires_at": "2100000000123"}, 2_100_000_000.123),
        ({"access_token": "t", "expires_at": "1970-01-01T00:01:00Z"}, 60.0),
        ({"access_token": "t", "expires_at": "whenever"}, math.inf),
    ],
)
def test_when_a_token_ends(held, end) -> None:
    assert grants.ends(account("claude-official", held)) == end
