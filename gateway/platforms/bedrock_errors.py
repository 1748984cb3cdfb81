"""What Bedrock's errors mean: the exception is named by a header, the body is `{"message": …}`.

https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html
"""

import re
from collections.abc import Mapping

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from gateway.platforms import complaint, judgement
from gateway.platforms.judgement import FORBIDDEN_FOR, HALF_HOUR
from gateway.platforms.platform import Kind, Scope, Verdict

#: The credentials themselves; a role's are got anew.
_CREDENTIALS = frozenset(
    {
        "expiredtokenexception",
        "expiredtoken",
        "incompletesignatureexception",
        "invalidclienttokenid",
        "invalidsignatureexception",
        "missingauthenticationtokenexception",
        "optinrequired",
        "signaturedoesnotmatch",
        "unrecognizedclientexception",
    }
)
_STATUS = {
    "internalserverexception": 500,
    "modelerrorexception": 424,
    "modelnotreadyexception": 429,
    "modelstreamerrorexception": 500,
    "modeltimeoutexception": 408,
    "servicequotaexceededexception": 429,
    "serviceunavailableexception": 503,
    "throttlingexception": 429,
    "toomanyrequestsexception": 429,
}

_TYPES = {403: "permission_error", 404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error"}

#: From the start of the message only, as parts of a request are repeated further on.
_NO_MODEL = re.compile(
    r"(?:the )?(?:provided |requested )?model identifier is invalid|invocation of model id \S+ with on-demand"
    r"|the provided model doesn't support on-demand throughput"
    r"|you don't have access to (?:the )?model|model access is denied|access denied\. this model"
    r"|user: \S+ is not authorized to perform: bedrock:invokemodel"
)
_UNPAID = re.compile(r"model access is denied due to (?:invalid_payment_instrument|.*\bpayment\b)")
_NO_TOKEN = re.compile(
    r"user: \S+ is not authorized to perform: bedrock:callwithbearertoken"
    r"|(?:bearer token|api key|authentication failed)\b"
)
_NOT_ALLOWED = re.compile(r"operation not allowed\b|your account is not authorized")
_DAILY = re.compile(r"too many tokens per day\b")


def judge(status: int, headers: Mapping[str, str], body: bytes, now: float) -> Verdict:
    """As `judgement.judge`, with AWS' words first."""
    if status < 400:
        return judgement.judge(status, headers, body, now)
    kind = headers.get("x-amzn-errortype", "").partition(":")[0].rpartition("#")[2].lower()
    said = complaint.read(body, now).message.replace("\u2019", "'")
    verdict = _by_words(status, kind, said, now)
    if verdict is not None:
        return verdict
    verdict = judgement.judge(_STATUS.get(kind, status), headers, body, now)
    if kind == "modelnotreadyexception":
        return replace(verdict, scope=Scope.MODEL)
    if verdict.scope is Scope.ACCOUNT and _STATUS.get(kind) == 429:
        # "exceeding the account quotas for Amazon Bedrock": they are counted for each model.
        return replace(verdict, scope=Scope.FAMILY)
    return verdict


class _Said(Struct):
    message: str = ""
    upper: str = field(name="Message", default="")
    """Before a bearer key is known, AWS writes the name so."""


_said = msgspec.json.Decoder(_Said)


def as_anthropic(status: int, body: bytes) -> bytes:
    """The error in Anthropic's shape (docs.claude.com/en/api/errors), its message word for word."""
    try:
        said = _said.decode(body)
    except msgspec.DecodeError:
        return body
    error = {"type": _TYPES.get(status, "invalid_request_error"), "message": said.message or said.upper}
    return msgspec.json.encode({"type": "error", "error": error})


def _by_words(status: int, kind: str, said: str, now: float) -> Verdict | None:
    later = now + HALF_HOUR
    if kind in _CREDENTIALS or (status in (401, 403) and _NO_TOKEN.match(said)):
        return Verdict(Kind.COOL_DOWN, "credentials", later, Scope.ACCOUNT, renew=True)
    if _UNPAID.match(said):
        return Verdict(Kind.COOL_DOWN, "money", later, Scope.ACCOUNT)
    if status in (400, 403, 404) and (kind == "resourcenotfoundexception" or _NO_MODEL.match(said)):
        return Verdict(Kind.COOL_DOWN, "model", later, Scope.MODEL)
    if status in (400, 403) and _NOT_ALLOWED.match(said):
        return Verdict(Kind.COOL_DOWN, "forbidden", now + FORBIDDEN_FOR, Scope.ACCOUNT)
    if _DAILY.match(said):
        return Verdict(Kind.COOL_DOWN, "rate_limited", later)
    return None
