"""Claude on AWS Bedrock: InvokeModel and InvokeModelWithResponseStream with Anthropic bodies. `converse` has the rest.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html; the framing is
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html (application/vnd.amazon.eventstream).

Any access key will do. Of one that begins `AKIASANDBOX` the sandbox knows the secret, `sandbox-secret`, and verifies
the signature as AWS does.
"""

import re
import time
from base64 import b64encode
from binascii import crc32
from calendar import timegm
from struct import pack
from typing import Any

from msgspec import structs

from gateway.local.sandbox import anthropic
from gateway.local.sandbox.answer import Answer, Ask, Invalid, Members, encode, member, rows
from gateway.local.sandbox.dialect import Dialect, Events, Fault, Target
from gateway.local.sandbox.server import Request

_KINDS = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
_MESSAGES = {
    400: "Malformed input request, please reformat your input and try again.",
    401: "The security token included in the request is invalid.",
    403: "You don't have access to the model with the specified model ID.",
    404: "Could not resolve the foundation model from the provided model identifier.",
    429: "Too many requests, please wait before trying again.",
}


KNOWN_KEYS, SECRET = "AKIASANDBOX", "sandbox-secret"
_SIGNED = re.compile(
    rf"AWS4-HMAC-SHA256 Credential=({KNOWN_KEYS}[^/,]*)/(\d{{8}})/([^/]+)/([^/]+)/aws4_request, ?"
    r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)
_SKEW = 300
#: Of what Anthropic itself takes, the members and flags that InvokeModel refuses.
_EXTRA = ("model", "stream", "service_tier", "diagnostics", "mcp_servers", "container", "inference_geo")
_NO_BETAS = (
    "claude-code-",
    "oauth-",
    "advanced-tool-use-",
    "mcp-",
    "fast-mode-",
    "files-api-",
    "prompt-caching-scope-",
)


def verify(request: Request) -> Fault | None:
    """The signature of a known key, computed anew by botocore over what has arrived."""
    given = request.header("authorization") or ""
    if f"Credential={KNOWN_KEYS}" not in given:
        return None
    found = _SIGNED.fullmatch(given)
    stamp = request.header("x-amz-date") or ""
    if not found or not re.fullmatch(r"\d{8}T\d{6}Z", stamp) or not stamp.startswith(found[2]):
        return Fault(403, "The request signature does not conform to AWS standards.", reason="IncompleteSignature")
    if abs(timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) - time.time()) > _SKEW:
        return Fault(403, f"Signature expired: {stamp} is not within 5 min of now.", reason="InvalidSignature")
    if _signature(request, found, stamp) != found[6]:
        message = "The request signature we calculated does not match the signature you provided."
        return Fault(403, message, reason="InvalidSignature")
    return None


def _signature(request: Request, found: re.Match[str], stamp: str) -> str:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import ReadOnlyCredentials

    headers = {name: request.header(name) or "" for name in found[5].split(";")}
    url = f"http://{request.header('host')}{request.target}"
    signed: Any = AWSRequest(method=request.method, url=url, headers=headers, data=request.body)
    signed.context["timestamp"] = stamp
    auth: Any = SigV4Auth(ReadOnlyCredentials(found[1], SECRET, None), found[4], found[3])
    return str(auth.signature(auth.string_to_sign(signed, auth.canonical_request(signed)), signed))


def ask(target: Target, members: Members) -> Ask:
    if member(members, "anthropic_version") != "bedrock-2023-05-31":
        raise Invalid("Malformed input request: #: required key [anthropic_version] not found")
    extra = next((name for name in _EXTRA if name in members), None)
    if extra:
        raise Invalid(f"Malformed input request: #: extraneous key [{extra}] is not permitted")
    betas = [str(beta) for beta in rows(member(members, "anthropic_beta", []))]
    if any(beta.startswith(_NO_BETAS) for beta in betas):
        raise Invalid("The model returned the following errors: invalid beta flag")
    if "context_management" in members and not any(
        beta.startswith(("context-management-", "compact-")) for beta in betas
    ):
        raise Invalid("The model returned the following errors: context_management: Extra inputs are not permitted")
    return structs.replace(anthropic.ask(target, members), stream=target.action != "invoke")


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One message of the event stream: lengths, CRC of the prelude, string headers, payload, CRC of the whole."""
    lines = b"".join(
        pack(">B", len(name)) + name + b"\x07" + pack(">H", len(value)) + value
        for name, value in ((name.encode(), value.encode()) for name, value in headers.items())
    )
    prelude = pack(">II", 16 + len(lines) + len(payload), len(lines))
    message = prelude + pack(">I", crc32(prelude)) + lines + payload
    return message + pack(">I", crc32(message))


def event(kind: str, payload: dict[str, Any]) -> bytes:
    """An event of a stream, padded as AWS does it."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, encode(payload | {"p": "abcdefgh"}))


def events(ask: Ask, answer: Answer) -> Events:
    usage = answer.usage
    for said, spoken in anthropic.plain_events(answer):
        if said["type"] == "ping":
            continue
        if said["type"] == "message_stop":
            said["amazon-bedrock-invocationMetrics"] = {
                "inputTokenCount": usage.input_tokens,
                "outputTokenCount": usage.output_tokens,
                "cacheReadInputTokenCount": usage.cache_read_tokens,
                "cacheWriteInputTokenCount": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
                "invocationLatency": 12,
                "firstByteLatency": 3,
            }
        yield event("chunk", {"bytes": b64encode(encode(said)).decode()}), spoken


def fault(fault: Fault, request_id: str) -> bytes:
    return encode({"message": fault.message or _MESSAGES.get(fault.status, "The service is unavailable.")})


def kind_of(fault: Fault) -> str:
    """AWS' name of an error."""
    if fault.reason in ("IncompleteSignature", "InvalidSignature"):
        return f"{fault.reason}Exception"
    return _KINDS.get(fault.status, "ServiceUnavailableException" if fault.status >= 500 else "ValidationException")


def event_fault(ask: Ask, answer: Answer, fault_: Fault) -> bytes:
    kind = kind_of(fault_)
    headers = {":exception-type": kind[0].lower() + kind[1:], ":content-type": "application/json"}
    return frame(headers | {":message-type": "exception"}, fault(fault_, ""))


def headers(request_id: str, fault: Fault | None) -> str:
    lines = f"x-amzn-requestid: {request_id}\r\nx-amzn-bedrock-content-type: application/json\r\n"
    return lines + (f"x-amzn-errortype: {kind_of(fault)}\r\n" if fault else "x-amzn-bedrock-invocation-latency: 12\r\n")


BEDROCK = Dialect(
    "bedrock",
    ask,
    anthropic.identify,
    anthropic.whole,
    events,
    fault,
    event_fault,
    headers,
    stream_type="application/vnd.amazon.eventstream",
    verify=verify,
)
