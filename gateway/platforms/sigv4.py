"""AWS Signature Version 4 by botocore's own class, with the clock as a parameter.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html. Signed are the host, the content type and the
`x-amz-` headers: what lies on the way may change any other.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from msgspec import Struct

_STAMP = "%Y%m%dT%H%M%SZ"


class Keys(Struct, frozen=True):
    """One principal's credentials. `session_token` is empty for lasting ones."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""


def headers(
    method: str, url: str, body: bytes, content_type: str, keys: Keys, region: str, service: str, now: float
) -> list[tuple[bytes, bytes]]:
    """What signs this request: `x-amz-date`, `x-amz-security-token` where there is one, and `authorization`.

    `url` is absolute, its path escaped as it will be sent. `now` is seconds since the epoch.
    """
    sigv4, request_class, credentials = _botocore()
    own = {"x-amz-date": datetime.fromtimestamp(now, UTC).strftime(_STAMP)}
    if keys.session_token:
        own["x-amz-security-token"] = keys.session_token
    typed = {"content-type": content_type} if content_type else {}
    request = request_class(method=method, url=url, headers=typed | own, data=body)
    request.context["timestamp"] = own["x-amz-date"]
    signer = sigv4(credentials(keys.access_key_id, keys.secret_access_key), service, region)
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    names = signer.signed_headers(signer.headers_to_sign(request))
    scope = signer.scope(request)
    own["authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in own.items()]


@lru_cache(maxsize=1)
def _botocore() -> tuple[Any, Any, Any]:
    """Loaded with the first signature: it takes a tenth of a second that only such accounts need."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import ReadOnlyCredentials

    def read_only(access_key_id: str, secret_access_key: str) -> ReadOnlyCredentials:
        return ReadOnlyCredentials(access_key_id, secret_access_key, None)

    return SigV4Auth, AWSRequest, read_only
