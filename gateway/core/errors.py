"""The one tree of errors that may reach a client. Anything else that is raised becomes `internal`, without its text.

    GatewayError
    ├── InvalidRequest 400        invalid_request, invalid_model
    ├── Unauthenticated 401       key_missing, key_invalid, key_disabled, key_expired
    ├── Forbidden 403             platform_, model_, group_, ip_, client_forbidden
    ├── NotFound 404              model_not_found, not_found
    ├── Refused 405 408 413 415 426 431
    ├── LimitReached 429          rate_limited, concurrency_limited, …
    ├── Internal 500
    ├── UpstreamFailed 502        upstream_error, upstream_auth_failed
    ├── Unavailable 503           no_account, overloaded, draining
    └── UpstreamTimeout 504

Each carries a stable `code`, a `status` and a sentence for the public. Upstream secrets and account details never
appear in one.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class GatewayError(Exception):
    """`field` names the request member at fault; `headers` are added to the answer (lower-case names)."""

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.field = field
        self.headers: Mapping[str, str] = headers or {}
        self.http_status = status or self.status


class InvalidRequest(GatewayError):
    status = 400
    default_code = "invalid_request"


class Unauthenticated(GatewayError):
    status = 401
    default_code = "key_invalid"


class Forbidden(GatewayError):
    status = 403
    default_code = "forbidden"


class NotFound(GatewayError):
    status = 404
    default_code = "not_found"


class Refused(GatewayError):
    """The HTTP message itself is refused: 405, 408, 413, 415, 426, 431. `status` and `code` are given."""

    status = 400
    default_code = "invalid_request"


class LimitReached(GatewayError):
    """429. `retry_after` is in seconds; `x-should-retry: false` is what the vendors' SDKs obey for long waits, and for
    what never passes (`retries` false)."""

    status = 429
    default_code = "rate_limited"

    def __init__(
        self,
        message: str,
        *,
        code: str,
        retry_after: float,
        retries: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        wait = max(1, -int(-retry_after // 1))
        said = {"retry-after": str(wait), **(headers or {})}
        if wait > 60 or not retries or code == "budget_exceeded":
            said["x-should-retry"] = "false"
        self.standings: tuple[Any, ...] = ()
        """How the key stands with its limits, for the headers of the answer."""
        super().__init__(message, code=code, headers=said)


class Internal(GatewayError):
    status = 500
    default_code = "internal"


class UpstreamFailed(GatewayError):
    status = 502
    default_code = "upstream_error"


class Unavailable(GatewayError):
    """503. `retry_after`: seconds until the earliest account is back, when that is known."""

    status = 503
    default_code = "no_account"

    def __init__(self, message: str, *, code: str = "no_account", retry_after: float | None = None) -> None:
        headers = {} if retry_after is None else {"retry-after": str(max(1, -int(-retry_after // 1)))}
        super().__init__(message, code=code, headers=headers)


class UpstreamTimeout(GatewayError):
    status = 504
    default_code = "upstream_timeout"
