import json
import math
from typing import Any

import pytest

from gateway.core.domain import Account
from gateway.core.secret import Secret
from gateway.platforms import validate
from gateway.platforms.gemini import PLATFORM, expires, judge, place, probe, sign, speaks
from gateway.platforms.platform import Asked, Kind, Outgoing, Scope, Speech
from gateway.routing.authorise import matches
from tests.platforms.scene import GEMINI, GOOGLE, KEPT, KEY, STREAM, fault, signed, target

NAME = "gemini"


FILE = {
    "type": "service_account",
    "project_id": "my-project",
    "private_key": "-----BEGIN PRIVATE KEY-----",
    "client_email": "a@my-project.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
    "universe_domain": "googleapis.com",
}
VERTEX = "https://aiplatform.googleapis.com/v1/projects/my-project/locations/global/publishers"
CLAUDE = b'{"model":"claude-x@1", "max_tokens":5,"stream":true,"messages":[]}'


def on_vertex(base_url: str = GOOGLE, **renewed: str) -> Account:
    held = {"service_account": Secret(json.dumps(FILE))} | {name: Secret(value) for name, value in renewed.items()}
    return Account(id="a", tenant_id="t", name="a", platform=NAME, base_url=base_url, credentials=held)


BY_KEY = Account(id="a", tenant_id="t", name="a", platform=NAME, base_url=GOOGLE, credentials={"api_key": Secret("k")})


def placed(account: Account, protocol: str, operation: str, model: str, **more: Any) -> Outgoing:
    values = {"stream": False, "query": b"", "headers": [(b"anthropic-beta", b"a-1")], "body": b"{}", **more}
    return place(Asked(protocol, operation, model, **values), account)


def test_sign() -> None:
    assert signed(NAME, {"api_key": "k"}) == [*KEPT, (b"x-goog-api-key", b"k")]


@pytest.mark.parametrize(
    ("base", "what", "expected"),
    [
        ("", GEMINI, GOOGLE + "/v1beta/models/m:generateContent"),
        (GOOGLE + "/v1beta", GEMINI, GOOGLE + "/v1beta/models/m:generateContent"),
        (GOOGLE + "/v1/", STREAM, GOOGLE + "/v1beta/models/m:streamGenerateContent"),
        ("https://host/gemini", GEMINI, "https://host/gemini/v1beta/models/m:generateContent"),
    ],
)
def test_url(base, what, expected) -> None:
    assert target(NAME, base, what) == expected


@pytest.mark.parametrize(
    ("model", "serves"),
    [
        ("gemini-2.5-pro", True),
        ("gemma-3-27b-it", True),
        ("embedding-001", True),
        ("text-embedding-004", True),
        ("tunedModels/mine-1", True),
        ("text-embedding-3-small", False),
        ("claude-x", False),
    ],
)
def test_the_names_that_are_googles(model, serves) -> None:
    assert matches(model, tuple(PLATFORM.models)) is serves


def test_the_probe_embeds_where_a_model_does_nothing_else() -> None:
    content = {"role": "user", "parts": [{"text": "hi"}]}
    asked = {"contents": [content], "generationConfig": {"maxOutputTokens": 1}}
    assert probe("gemini-2.5-pro") == (NAME, "generateContent", asked)
    assert probe("gemini-Embedding-2") == (NAME, "embedContent", {"content": content})


def test_accepted() -> None:
    validate(NAME, KEY, {}, None)


@pytest.mark.parametrize(
    ("credentials", "options", "field"),
    [
        ({"key": "k"}, {}, "credentials.key"),
        (KEY, {"region": "us"}, "options.region"),
        (KEY, {"project": "../x"}, "options.project"),
        (KEY, {"location": "us/x"}, "options.location"),
        (KEY, {"location": "US East"}, "options.location"),
        ({"service_account": "{}"}, {}, "credentials.service_account"),
        ({"service_account": {}}, {}, "credentials.service_account"),
        ({"service_account": {**FILE, "type": "authorized_user"}}, {}, "credentials.service_account"),
        ({"service_account": {**FILE, "token_uri": "ftp://x"}}, {}, "credentials.service_account"),
        ({"service_account": {**FILE, "client_email": "a b"}}, {}, "credentials.service_account"),
        ({"service_account": FILE, "api_key": "k"}, {}, "credentials.service_account"),
    ],
)
def test_refused(credentials, options, field) -> None:
    assert fault(NAME, credentials, options) == field


def test_accepted_on_vertex() -> None:
    validate(NAME, {"service_account": FILE}, {}, None)
    validate(NAME, {"service_account": FILE}, {"project": "other", "location": "us-east5"}, None)


def test_sign_on_vertex() -> None:
    outgoing = Outgoing("POST", VERTEX, [(b"authorization", b"Bearer sk"), (b"x-goog-user-project", b"p")], b"{}")
    assert sign(outgoing, on_vertex(access_token="ya29"), 0.0).headers == [(b"authorization", b"Bearer ya29")]


@pytest.mark.parametrize(
    ("held", "end"), [({}, 0.0), ({"access_token": "t", "expires_at": "5.5"}, 5.5), ({"access_token": "t"}, math.inf)]
)
def test_when_the_token_ends(held, end) -> None:
    assert expires(on_vertex(**held)) == end
    assert expires(BY_KEY) is None


@pytest.mark.parametrize(
    ("account", "operation", "model", "query", "url"),
    [
        (BY_KEY, "generateContent", "gemini-2.5-pro", b"", "/v1beta/models/gemini-2.5-pro:generateContent"),
        (on_vertex(), "generateContent", "gemini-2.5-pro", b"", "/google/models/gemini-2.5-pro:generateContent"),
        (
            on_vertex(),
            "streamGenerateContent",
            "gemini-2.5-pro",
            b"alt=sse",
            "/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
        ),
        (on_vertex(), "countTokens", "gemini-2.5-pro", b"", "/google/models/gemini-2.5-pro:countTokens"),
        (on_vertex(), "embedContent", "gemini-embedding-2", b"", "/google/models/gemini-embedding-2:embedContent"),
    ],
)
def test_geminis_own_go_out_as_they_are(account, operation, model, query, url) -> None:
    asked = placed(account, "gemini", operation, model, query=query, body=b'{"contents": []}')
    assert asked.url == (GOOGLE if account is BY_KEY else VERTEX) + url
    assert asked.body == b'{"contents": []}'


@pytest.mark.parametrize("name", ["generateContentRequest", "generate_content_request"])
def test_what_is_counted_is_not_nested_on_vertex(name) -> None:
    counted = b'"contents": [], "systemInstruction": {"parts": [{"text": "s"}]}, "tools": []}'
    nested = b'{"%b": {"model": "models/gemini-2.5-pro", %b}' % (name.encode(), counted)
    assert placed(on_vertex(), "gemini", "countTokens", "gemini-2.5-pro", body=nested).body == b"{ " + counted
    assert placed(BY_KEY, "gemini", "countTokens", "gemini-2.5-pro", body=nested).body == nested


@pytest.mark.parametrize(
    ("operation", "stream", "path", "body"),
    [
        (
            "generate",
            True,
            "claude-x@1:streamRawPredict",
            b'{"anthropic_version":"vertex-2023-10-16", "max_tokens":5,"stream":true,"messages":[]}',
        ),
        (
            "generate",
            False,
            "claude-x@1:rawPredict",
            b'{"anthropic_version":"vertex-2023-10-16", "max_tokens":5,"stream":true,"messages":[]}',
        ),
        (
            "count",
            False,
            "count-tokens:rawPredict",
            b'{"anthropic_version":"vertex-2023-10-16",' + CLAUDE[1:],
        ),
    ],
)
def test_claude_on_vertex(operation, stream, path, body) -> None:
    asked = placed(on_vertex(), "anthropic", operation, "claude-x@1", stream=stream, body=CLAUDE, query=b"beta=true")
    assert asked.url == f"{VERTEX}/anthropic/models/{path}"
    assert asked.body == body
    assert asked.headers == [(b"anthropic-beta", b"a-1")]


def test_a_base_url_of_its_own() -> None:
    asked = placed(on_vertex("http://127.0.0.1:9/v1"), "anthropic", "count", "m", body=CLAUDE)
    assert asked.url == (
        "http://127.0.0.1:9/v1/projects/my-project/locations/global/publishers/anthropic/models/count-tokens:rawPredict"
    )


@pytest.mark.parametrize(
    ("protocol", "operation", "model", "by_key", "vertex"),
    [
        ("gemini", "generateContent", "gemini-2.5-pro", True, True),
        ("gemini", "streamGenerateContent", "gemini-2.5-pro", True, True),
        ("gemini", "countTokens", "gemini-2.5-pro", True, True),
        ("gemini", "embedContent", "gemini-embedding-001", True, True),
        ("gemini", "embedContent", "text-embedding-005", True, False),
        ("gemini", "batchEmbedContents", "gemini-embedding-001", True, False),
        ("gemini", "generateContent", "claude-opus-4-1", True, False),
        ("anthropic", "generate", "claude-opus-4-1", False, True),
        ("anthropic", "count", "claude-opus-4-1", False, True),
        ("anthropic", "generate", "gemini-2.5-pro", False, False),
        ("openai_chat", "generate", "claude-opus-4-1", False, False),
        ("openai_chat", "generate", "gemini-2.5-pro", False, False),
    ],
)
def test_what_it_speaks(protocol, operation, model, by_key, vertex) -> None:
    for account, served in ((BY_KEY, by_key), (on_vertex(), vertex)):
        expected = Speech.NATIVE if served else Speech.NONE
        assert speaks(account, model, protocol, operation, False) is expected
        assert speaks(account, model, protocol, operation, True) is expected


def google(code: int, status: str, message: str, *details: dict[str, Any]) -> bytes:
    error = {"code": code, "message": message, "status": status, "details": list(details)}
    return json.dumps([{"error": error}] if details else {"error": error}).encode()


def info(reason: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}


MODEL = "projects/my-project/locations/us-east5/publishers/anthropic/models/claude-x@1"
QUOTA = (
    "Quota exceeded for aiplatform.googleapis.com/online_prediction_requests_per_base_model with base model: "
    "anthropic-claude-x. Please submit a quota increase request."
)
SAID = [
    # cloud.google.com/vertex-ai/generative-ai/docs/troubleshooting, and answers that people have shown.
    (
        404,
        google(
            404, "NOT_FOUND", f"Publisher Model `{MODEL}` was not found or your project does not have access to it."
        ),
        (Kind.COOL_DOWN, "model", Scope.MODEL, 1800),
    ),
    (
        400,
        google(400, "FAILED_PRECONDITION", f"Project `12345` is not allowed to use Publisher Model `{MODEL}`"),
        (Kind.COOL_DOWN, "model", Scope.MODEL, 1800),
    ),
    (
        400,
        google(400, "FAILED_PRECONDITION", f"Publisher Model {MODEL} is not servable in region us-east5."),
        (Kind.COOL_DOWN, "model", Scope.MODEL, 1800),
    ),
    (
        403,
        google(
            403,
            "PERMISSION_DENIED",
            f"Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/{MODEL}' "
            "(or it may not exist).",
            info("IAM_PERMISSION_DENIED"),
        ),
        (Kind.COOL_DOWN, "model", Scope.MODEL, 1800),
    ),
    (
        403,
        google(
            403, "PERMISSION_DENIED", "Vertex AI API has not been used in project 1 before", info("SERVICE_DISABLED")
        ),
        (Kind.COOL_DOWN, "credentials", Scope.ACCOUNT, 1800),
    ),
    (
        403,
        google(403, "PERMISSION_DENIED", "Permission denied on resource project x.", info("CONSUMER_INVALID")),
        (Kind.COOL_DOWN, "credentials", Scope.ACCOUNT, 1800),
    ),
    (
        403,
        google(403, "PERMISSION_DENIED", "Consumer 'projects/1' has been suspended.", info("CONSUMER_SUSPENDED")),
        (Kind.DISABLE, "disabled", Scope.ACCOUNT, None),
    ),
    (
        403,
        google(403, "PERMISSION_DENIED", "This API method requires billing to be enabled.", info("BILLING_DISABLED")),
        (Kind.COOL_DOWN, "money", Scope.ACCOUNT, 1800),
    ),
    (
        401,
        google(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", info("ACCESS_TOKEN_EXPIRED")),
        (Kind.COOL_DOWN, "credentials", Scope.ACCOUNT, 1800),
    ),
    (429, google(429, "RESOURCE_EXHAUSTED", QUOTA), (Kind.COOL_DOWN, "overloaded", Scope.FAMILY, 60)),
    (
        429,
        google(
            429,
            "RESOURCE_EXHAUSTED",
            "Resource exhausted. Please try again later.",
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"},
        ),
        (Kind.COOL_DOWN, "rate_limited", Scope.FAMILY, 34),
    ),
    (
        503,
        google(503, "UNAVAILABLE", "The service is currently unavailable."),
        (Kind.COOL_DOWN, "overloaded", Scope.FAMILY, 60),
    ),
    (
        400,
        google(400, "INVALID_ARGUMENT", "Please use a valid role: user, model."),
        (Kind.CALLER, "request", Scope.FAMILY, None),
    ),
    # Anthropic's own, as it comes through rawPredict.
    (
        400,
        b'{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: Field required"}}',
        (Kind.CALLER, "request", Scope.FAMILY, None),
    ),
    (
        529,
        b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
        (Kind.COOL_DOWN, "overloaded", Scope.FAMILY, 60),
    ),
    # Nobody puts an account out by what he writes into a request.
    (
        400,
        google(400, "INVALID_ARGUMENT", f"Invalid value: Project `1` is not allowed to use Publisher Model `{MODEL}`"),
        (Kind.CALLER, "request", Scope.FAMILY, None),
    ),
]


@pytest.mark.parametrize(("status", "body", "expected"), SAID)
def test_what_vertex_says(status, body, expected) -> None:
    verdict = judge(status, {}, body, 1000.0)
    seconds = None if verdict.until is None else verdict.until - 1000.0
    assert (verdict.kind, verdict.reason, verdict.scope, seconds) == expected


def test_the_probe_of_claude_is_anthropics() -> None:
    assert probe("claude-x")[:2] == ("anthropic", "generate")
