"""Azure's form of OpenAI's protocols: deployments in the path, a version in the query, `api-key` or Entra's tokens,
errors of its own, and a first event of the content filter's without choices.

learn.microsoft.com/azure/ai-foundry/openai/reference, …/openai/concepts/content-filter-annotations
"""

import re
from urllib.parse import unquote

from msgspec.structs import replace

from gateway.local.sandbox import openai_chat
from gateway.local.sandbox.answer import Answer, Ask, encode
from gateway.local.sandbox.dialect import Dialect, Events, Fault, Target
from gateway.local.sandbox.openai_chat import OPENAI_CHAT
from gateway.local.sandbox.openai_responses import OPENAI_RESPONSES
from gateway.local.sandbox.server import Request

_DENIED = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
    "active subscription and use a correct regional API endpoint for your resource."
)
_LIMIT = (
    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded token "
    "rate limit of your current OpenAI S0 pricing tier. Please retry after {} seconds. Please go here: "
    "https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit."
)
_MISSING = (
    "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, "
    "please wait a moment and try again."
)
_NO_DEPLOYMENT = ("DeploymentNotFound", _MISSING)
_SAID = {
    400: ("BadRequest", "Invalid request."),
    401: ("401", _DENIED),
    403: ("403", "Access denied due to Virtual Network/Firewall rules."),
    404: _NO_DEPLOYMENT,
    408: ("Timeout", "The operation was timeout."),
    503: ("ServiceUnavailable", "The service is temporarily unable to process your request. Please try again later."),
}
_QUOTA = ("insufficient_quota", "You exceeded your current quota, please check your plan and billing details.")
_REASONS = {"quota": _QUOTA, "credit": _QUOTA, "model": _NO_DEPLOYMENT}
_FAULT = ("InternalServerError", "Backend returned unexpected response. Please contact Microsoft for help.")
_WAIT = 10
_TOKEN = re.compile(r"at-[0-9]+-sandbox\Z")
"""What `oauth` gives out."""
_SAFE = {"filtered": False, "severity": "safe"}
_FILTERED = {
    "choices": [],
    "created": 0,
    "id": "",
    "model": "",
    "object": "",
    "prompt_filter_results": [
        {
            "prompt_index": 0,
            "content_filter_results": dict.fromkeys(("hate", "self_harm", "sexual", "violence"), _SAFE),
        }
    ],
}
FIRST = b"data: %b\n\n" % encode(_FILTERED)
"""What a stream of chat begins with: nothing is said yet, and nothing is left out when it passes."""


def dated(path: str) -> bool:
    """Whether the path is one of the API whose versions are dates."""
    return "/openai/deployments/" in path or path.endswith("/openai/responses")


def of(request: Request, dialect: Dialect, target: Target) -> tuple[Dialect, Target] | None:
    """The route in Azure's form; None when the request is not of it. The `v1` API is told by its key's header."""
    if not dated(request.path) and not (request.header("api-key") and "/openai/v1/" in request.path):
        return None
    _, found, rest = request.target.partition("?")[0].partition("/openai/deployments/")
    deployment = unquote(rest.partition("/")[0]) if found else ""
    return _DIALECTS.get(dialect.name, dialect), replace(target, model=deployment)


def verify(request: Request) -> Fault | None:
    """A dated path asks for one version. Keys go in `api-key`; Bearer is for tokens, on `v1` for keys too."""
    versions = [pair for pair in request.target.partition("?")[2].split("&") if pair.startswith("api-version=")]
    if len(versions) != 1 and dated(request.path):
        return Fault(400, "Missing or repeated query parameter: api-version")
    if request.header("api-key"):
        return None
    scheme, _, token = (request.header("authorization") or "").partition(" ")
    if scheme.lower() != "bearer":
        return Fault(401)
    return None if _TOKEN.match(token) or not dated(request.path) else Fault(401)


def fault(fault: Fault, request_id: str) -> bytes:
    return encode({"error": _problem(fault)})


def _problem(fault: Fault) -> dict[str, str]:
    known = _REASONS.get(fault.reason) or _SAID.get(fault.status)
    if known is None:
        known = ("429", _LIMIT.format(_wait(fault))) if fault.status == 429 else _FAULT
    code, message = known
    return {"code": code, "message": fault.message or message}


def _wait(fault: Fault) -> int:
    return _WAIT if fault.retry_after is None else fault.retry_after


def headers(request_id: str, fault: Fault | None) -> str:
    lines = (
        f"apim-request-id: {request_id}\r\nx-ms-region: East US 2\r\nx-ms-client-request-id: {request_id}\r\n"
        "x-ms-deployment-name: sandbox\r\nx-ms-rai-invoked: true\r\n"
        "x-content-type-options: nosniff\r\nstrict-transport-security: max-age=31536000; includeSubDomains; preload\r\n"
    )
    if fault is None:
        return lines + "x-ratelimit-remaining-requests: 249\r\nx-ratelimit-remaining-tokens: 249985\r\n"
    if fault.status != 429 and fault.retry_after is None:
        return lines
    return f"{lines}retry-after: {_wait(fault)}\r\nretry-after-ms: {_wait(fault) * 1000}\r\n"


def _events(ask: Ask, answer: Answer) -> Events:
    yield FIRST, 0
    yield from openai_chat.events(ask, answer)


AZURE_CHAT = replace(OPENAI_CHAT, events=_events, fault=fault, headers=headers, verify=verify)
AZURE_RESPONSES = replace(OPENAI_RESPONSES, fault=fault, headers=headers, verify=verify)
_DIALECTS = {dialect.name: dialect for dialect in (AZURE_CHAT, AZURE_RESPONSES)}
