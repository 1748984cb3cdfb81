"""Signatures of AWS' published test suite, and agreement with botocore signing the same request by itself."""

import time
from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from gateway.platforms import sigv4

_KEYS = sigv4.Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
_TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwth"
    "Ax7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAk"
    "iY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
_NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()
_HOST = "https://example.amazonaws.com"
_FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("method", "path", "content_type", "body", "token", "names", "signature"),
    [
        ("GET", "/", "", b"", "", "host;x-amz-date",
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", "", b"", "", "host;x-amz-date",
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("POST", "/", _FORM, b"Param1=value1", "", "content-type;host;x-amz-date",
         "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
        ("POST", "/", "", b"", _TOKEN, "host;x-amz-date;x-amz-security-token",
         "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"),
    ],
    ids=["get-vanilla", "post-vanilla", "post-x-www-form-urlencoded", "post-sts-header-before"],
)  # fmt: skip
def test_the_published_suite(method, path, content_type, body, token, names, signature) -> None:
    keys = sigv4.Keys(_KEYS.access_key_id, _KEYS.secret_access_key, token)
    found = dict(sigv4.headers(method, _HOST + path, body, content_type, keys, "us-east-1", "service", _NOW))
    assert found[b"x-amz-date"] == b"20150830T123600Z"
    assert found.get(b"x-amz-security-token", b"").decode() == token
    scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
    assert found[b"authorization"].decode() == (
        f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"
    )


def _by_botocore(url: str, body: bytes, keys: sigv4.Keys) -> dict[str, str]:
    request = AWSRequest("POST", url, {"Content-Type": "application/json"}, body)
    credentials = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token or None)
    SigV4Auth(credentials, "bedrock", "eu-west-1").add_auth(request)
    return {name.lower(): value for name, value in request.headers.items() if name.lower() != "content-type"}


@given(
    st.sampled_from(["anthropic.claude-v2%3A1", "arn%3Aaws%3Abedrock%3Aeu%3A1%3Ainference-profile%2Fa.b", "a%20b~c"]),
    st.binary(max_size=60),
    st.sampled_from(["", "token/+=="]),
    st.sampled_from(["https://bedrock-runtime.eu-west-1.amazonaws.com", "http://127.0.0.1:8080", "https://h/base"]),
)
def test_it_is_what_botocore_signs(model: str, body: bytes, token: str, base: str) -> None:
    keys = sigv4.Keys("AKIDEXAMPLE", "secret", token)
    url = f"{base}/model/{model}/invoke"
    theirs = _by_botocore(url, body, keys)
    at = datetime.strptime(theirs["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    ours = sigv4.headers("POST", url, body, "application/json", keys, "eu-west-1", "bedrock", at)
    assert {name.decode(): value.decode() for name, value in ours} == theirs


def test_a_signature_costs_little() -> None:
    body = b"x" * 10_000
    url = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/anthropic.claude/invoke"
    best = 1.0
    for _ in range(50):
        began = time.process_time()
        sigv4.headers("POST", url, body, "application/json", _KEYS, "eu-west-1", "bedrock", _NOW)
        best = min(best, time.process_time() - began)
    assert best < 0.005
