"""Where an Azure account's requests go, who they say they are from, and what Azure's answers mean."""

import json
import math
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.secret import Secret
from gateway.platforms import PLATFORMS, validate
from gateway.platforms.azure_openai import expires, judge, probe, renew
from gateway.platforms.platform import Asked, Kind, NotRenewed, Outgoing, Reply, Scope, Speech, Verdict
from gateway.platforms.target import placed, speech
from gateway.platforms.validation import InvalidAccount
from gateway.protocols.codec import InvalidBody
from tests.platforms.scene import CHAT, CLIENT, EMBED, GEMINI, GENERATE, KEPT, KEY, RESPONSES, account, fault, signed

NAME = "azure-openai"
HOST = "https://res.openai.azure.com"
NOW = 1_790_000_000.0
ENTRA = {"client_secret": "kkkk~1"}
APPLICATION = {"entra_tenant_id": "contoso.onmicrosoft.com", "client_id": "app-1"}
PREVIEW = "2025-04-01-preview"


def address(base=HOST, what=CHAT, model="gpt-4o", query=b"", **options):
    asked = Asked(*what, model, False, query, CLIENT, b"{}")
    found = placed(asked, account(NAME, KEY, options, base), PLATFORMS[NAME])
    assert (found.method, found.headers, found.body) == ("POST", CLIENT, b"{}")
    return found.url


@pytest.mark.parametrize(
    ("what", "version", "expected"),
    [
        (CHAT, None, "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"),
        (EMBED, None, "/openai/deployments/gpt-4o/embeddings?api-version=2024-10-21"),
        (RESPONSES, None, "/openai/v1/responses"),
        (CHAT, "2024-06-01", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01"),
        (EMBED, PREVIEW, f"/openai/deployments/gpt-4o/embeddings?api-version={PREVIEW}"),
        (RESPONSES, PREVIEW, f"/openai/responses?api-version={PREVIEW}"),
        (CHAT, "v1", "/openai/v1/chat/completions"),
        (EMBED, "v1", "/openai/v1/embeddings"),
        (RESPONSES, "v1", "/openai/v1/responses"),
    ],
)
@pytest.mark.parametrize("base", [HOST, HOST + "/", HOST + "/openai", HOST + "/openai/"])
def test_place(base, what, version, expected):
    assert address(base, what, api_version=version) == HOST + expected


@pytest.mark.parametrize("base", [HOST + "/openai/v1", HOST + "/openai/v1/"])
@pytest.mark.parametrize(
    ("what", "version", "expected"),
    [
        (CHAT, None, "/openai/v1/chat/completions"),
        (RESPONSES, None, "/openai/v1/responses"),
        (CHAT, "2024-06-01", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01"),
        (CHAT, "v1", "/openai/v1/chat/completions"),
    ],
)
def test_a_base_that_holds_the_path(base, what, version, expected):
    assert address(base, what, api_version=version) == HOST + expected


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("https://gw.example/team/azure", "https://gw.example/team/azure/openai/v1/embeddings"),
        ("https://gw.example/openai/x", "https://gw.example/openai/x/openai/v1/embeddings"),
        (
            "https://res.services.ai.azure.com/api/projects/p/openai/v1",
            "https://res.services.ai.azure.com/api/projects/p/openai/v1/embeddings",
        ),
        ("https://notopenai.example/myopenai", "https://notopenai.example/myopenai/openai/v1/embeddings"),
    ],
)
def test_a_base_of_any_path(base, expected):
    assert address(base, EMBED, api_version="v1") == expected


@pytest.mark.parametrize(
    ("model", "segment"),
    [("gpt-4o", "gpt-4o"), ("a/b", "a%2Fb"), ("a b?c#d", "a%20b%3Fc%23d"), ("../x", "..%2Fx"), ("模", "%E6%A8%A1")],
)
def test_a_deployment_is_one_segment(model, segment):
    assert address(model=model) == f"{HOST}/openai/deployments/{segment}/chat/completions?api-version=2024-10-21"
    assert address(model=model, api_version="v1") == f"{HOST}/openai/v1/chat/completions"


@pytest.mark.parametrize("model", ["", ".", "..", "...", "\ud800"])
def test_a_deployment_that_cannot_be_a_segment(model):
    with pytest.raises(InvalidBody) as raised:
        address(model=model)
    assert raised.value.field == "model"


VERSIONS = [b"api-version=1", b"API-Version=2", b"api%2Dversion=3", b"api-version"]


@pytest.mark.parametrize("version", VERSIONS)
def test_no_version_of_the_clients(version):
    assert address(query=b"a=1&" + version + b"&b=%20").endswith("?api-version=2024-10-21&a=1&b=%20")
    assert address(query=version + b"&" + version).endswith("?api-version=2024-10-21")
    assert address(query=version, api_version="v1") == f"{HOST}/openai/v1/chat/completions"
    assert address(query=b"a=1&" + version, api_version="v1").endswith("/completions?a=1")


@given(st.text(max_size=30), st.lists(st.sampled_from([*VERSIONS, b"a=b c#d", b"x=%2e", b"\xff=\r\n", b""])))
def test_one_version_and_nothing_outside_the_path(model, pairs):
    try:
        found = address(model=model, query=b"&".join(pairs))
    except InvalidBody:
        return
    path, _, query = found.removeprefix(HOST).partition("?")
    assert path.startswith("/openai/deployments/")
    assert path.endswith("/chat/completions")
    assert path.count("/") == 5
    assert all("!" <= character <= "~" for character in found)
    assert "#" not in found
    assert [value for name, value in parse_qsl(query) if name.lower() == "api-version"] == ["2024-10-21"]


@pytest.mark.parametrize(
    ("what", "version", "expected"),
    [
        (CHAT, None, Speech.NATIVE),
        (EMBED, "2023-05-15", Speech.NATIVE),
        (RESPONSES, None, Speech.NATIVE),
        (RESPONSES, "v1", Speech.NATIVE),
        (RESPONSES, "2024-10-21", Speech.NONE),
        (RESPONSES, "2025-02-01-preview", Speech.NONE),
        (RESPONSES, "2025-03-01-preview", Speech.NATIVE),
        (RESPONSES, PREVIEW, Speech.NATIVE),
        (GENERATE, "v1", Speech.NONE),
        (GEMINI, None, Speech.NONE),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_speaks(what, version, expected, stream):
    found = account(NAME, KEY, {"api_version": version} if version else {}, HOST)
    assert speech(PLATFORMS[NAME], found, "m", *what, stream) is expected


def test_sign():
    assert signed(NAME, {"api_key": "k"}) == [*KEPT, (b"api-key", b"k")]
    entra = {**ENTRA, "access_token": "t", "expires_at": str(NOW)}
    assert signed(NAME, entra) == [*KEPT, (b"authorization", b"Bearer t")]
    outgoing = Outgoing(
        "POST", HOST, [(name, b"x") for name in (b"api-key", b"authorization", b"ocp-apim-subscription-key")], b""
    )
    for held, own in ((KEY, (b"api-key", KEY["api_key"].encode())), (entra, (b"authorization", b"Bearer t"))):
        assert PLATFORMS[NAME].sign(outgoing, account(NAME, held), NOW).headers == [own]


def test_nothing_is_signed_before_there_is_a_token():
    with pytest.raises(InvalidAccount) as raised:
        signed(NAME, ENTRA)
    assert raised.value.field == "credentials.access_token"


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ({"api_key": "k"}, None),
        (ENTRA, 0.0),
        ({**ENTRA, "access_token": "t"}, math.inf),
        ({**ENTRA, "access_token": "t", "expires_at": "soon"}, math.inf),
        ({**ENTRA, "access_token": "t", "expires_at": "1790003599.5"}, 1790003599.5),
        ({**ENTRA, "expires_at": "1790003599.5"}, 0.0),
    ],
)
def test_expires(held, expected):
    assert expires(account(NAME, held)) == expected


@pytest.mark.parametrize(
    ("options", "url", "scope"),
    [
        (
            APPLICATION,
            "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token",
            "https%3A%2F%2Fcognitiveservices.azure.com%2F.default",
        ),
        (
            {"client_id": "app-1", "token_url": "https://login.example/t", "scope": "https://x.azure.us/.default"},
            "https://login.example/t",
            "https%3A%2F%2Fx.azure.us%2F.default",
        ),
    ],
)
def test_renew(options, url, scope):
    renewal = renew(account(NAME, ENTRA, options), NOW)
    asked = next(renewal)
    assert (asked.method, asked.url) == ("POST", url)
    assert (b"content-type", b"application/x-www-form-urlencoded") in asked.headers
    fields = f"grant_type=client_credentials&client_id=app-1&client_secret=kkkk~1&scope={scope}"
    assert sorted(asked.body.decode().split("&")) == sorted(fields.split("&"))
    answer = {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "eyJ0.e30.x"}
    with pytest.raises(StopIteration) as stopped:
        renewal.send(Reply(200, {}, json.dumps(answer).encode()))
    renewed = stopped.value.value
    assert renewed == {"access_token": "eyJ0.e30.x", "expires_at": NOW + 3599}
    held = {**ENTRA, **{name: str(value) for name, value in renewed.items()}}
    assert expires(account(NAME, held)) == NOW + 3599
    assert (b"authorization", b"Bearer eyJ0.e30.x") in signed(NAME, held)


@pytest.mark.parametrize(
    ("status", "answer", "revoked"),
    [
        (
            401,
            {
                "error": "invalid_client",
                "error_description": "AADSTS7000215: Invalid client secret provided.",
                "error_codes": [7000215],
            },
            True,
        ),
        (400, {"error": "unauthorized_client", "error_description": "AADSTS700016: Application not found"}, True),
        (503, {"error": "temporarily_unavailable"}, False),
        (500, {}, False),
    ],
)
def test_a_refused_renewal(status, answer, revoked):
    renewal = renew(account(NAME, ENTRA, APPLICATION), NOW)
    next(renewal)
    with pytest.raises(NotRenewed) as raised:
        renewal.send(Reply(status, {}, json.dumps(answer).encode()))
    assert raised.value.revoked is revoked


def test_whom_to_ask_is_not_known():
    with pytest.raises(NotRenewed) as raised:
        next(renew(account(NAME, ENTRA, {"client_id": "a"}), NOW))
    assert raised.value.revoked


@pytest.mark.parametrize(
    ("credentials", "options"),
    [
        (KEY, {}),
        (KEY, {"api_version": "v1", "usage_probe": False}),
        (KEY, {"api_version": "2024-10-21"}),
        (ENTRA, {**APPLICATION, "api_version": PREVIEW}),
        (ENTRA, {"client_id": "app-1", "token_url": "https://login.example/t", "scope": "api://x/.default"}),
    ],
)
def test_accepted(credentials, options):
    validate(NAME, credentials, options, HOST)


@pytest.mark.parametrize(
    ("credentials", "options", "base", "field"),
    [
        (KEY, {}, None, "base_url"),
        ({}, {}, HOST, "credentials.api_key"),
        ({**KEY, **ENTRA}, {}, HOST, "credentials.client_secret"),
        ({**ENTRA, "access_token": "x"}, APPLICATION, HOST, "credentials.access_token"),
        (ENTRA, {}, HOST, "options.client_id"),
        (ENTRA, {"client_id": "a"}, HOST, "options.entra_tenant_id"),
        (ENTRA, {"entra_tenant_id": "a"}, HOST, "options.client_id"),
        (ENTRA, {"client_id": "a", "entra_tenant_id": "a/../b"}, HOST, "options.entra_tenant_id"),
        (ENTRA, {"client_id": "a", "token_url": "login.example"}, HOST, "options.token_url"),
        (KEY, {"api_version": "2024-10-21&x=1"}, HOST, "options.api_version"),
        (KEY, {"api_version": "v2"}, HOST, "options.api_version"),
        (KEY, {"api_version": "v1\n"}, HOST, "options.api_version"),
        (KEY, {"deployment": "x"}, HOST, "options.deployment"),
    ],
)
def test_refused(credentials, options, base, field):
    assert fault(NAME, credentials, options, base) == field


def test_probe():
    assert probe("gpt-x")[:2] == CHAT
    assert probe("my-Embedding") == (*EMBED, {"model": "my-Embedding", "input": "hi"})


# ---------------------------------------------------------------- answers


def said(code, message, **more):
    return {"error": {"code": code, "message": message, **more}}


LIMIT = (
    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded {} rate "
    "limit of your current OpenAI S0 pricing tier.{} Please go here: https://aka.ms/oai/quotaincrease if you would "
    "like to further increase the default rate limit. For Free Account customers, upgrade to Pay as you Go here: "
    "https://aka.ms/429TrialUpgrade."
)


def limit(what, wait=" Please retry after 22 seconds."):
    return said("429", LIMIT.format(what, wait))


def cool(reason, ahead, scope=Scope.ACCOUNT, **more):
    return Verdict(Kind.COOL_DOWN, reason, NOW + ahead, scope, **more)


CALLER = Verdict(Kind.CALLER, "request")
UNMET = Verdict(Kind.ELSEWHERE, "unmet")
NO_MODEL = cool("model", 1800, Scope.MODEL)
CREDENTIALS = cool("credentials", 1800, renew=True)
FIREWALL = cool("forbidden", 300)
OVERLOADED = cool("overloaded", 60, Scope.FAMILY)
BUSY = cool("overloaded", 60, Scope.FAMILY, transient=True, overload=True)
FAULT = Verdict(Kind.ELSEWHERE, "fault", counts=True, transient=True)
LATER = "enabled only for api versions 2024-12-01-preview and later"

TABLE = [
    (200, {}, {}, Verdict(Kind.OK)),
    (307, {}, {}, Verdict(Kind.ELSEWHERE, "redirect")),
    # The model, or the version that it needs.
    (
        404,
        {},
        said(
            "DeploymentNotFound",
            "The API deployment for this resource does not exist. If you created the deployment within the last 5 "
            "minutes, please wait a moment and try again.",
        ),
        NO_MODEL,
    ),
    (400, {}, said("BadRequest", f"Model o4-mini is {LATER}"), NO_MODEL),
    (400, {}, said("BadRequest", "API version not supported"), NO_MODEL),
    # The request needs more than this account offers, or its version does not have the path.
    (400, {}, said("BadRequest", f"response_format value as json_schema is {LATER}"), UNMET),
    (400, {}, said("BadRequest", f"tool_choice value as required is {LATER}"), UNMET),
    (
        400,
        {},
        said("BadRequest", "Azure OpenAI Responses API is enabled only for api-version 2025-03-01-preview and later"),
        UNMET,
    ),
    (404, {}, said("404", "Resource not found"), UNMET),
    # The request.
    (
        400,
        {},
        said(
            "content_filter",
            "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please "
            "modify your prompt and retry. To learn more about our content filtering policies please read our "
            "documentation: https://go.microsoft.com/fwlink/?linkid=2198766",
            type=None,
            param="prompt",
            status=400,
            innererror={
                "code": "ResponsibleAIPolicyViolation",
                "content_filter_result": {"jailbreak": {"filtered": True, "detected": True}},
            },
        ),
        CALLER,
    ),
    (
        400,
        {},
        said(
            "OperationNotSupported",
            "The chatCompletion operation does not work with the specified model, gpt-5-codex. Please choose different "
            "model and try again.",
        ),
        CALLER,
    ),
    (400, {}, said("context_length_exceeded", "This model's maximum context length is 8192 tokens."), CALLER),
    (404, {}, said("404", "Resource not found: file-1"), CALLER),
    (
        400,
        {},
        said(None, f"Invalid value: 'Model x is {LATER}'. Access denied due to Virtual Network/Firewall rules."),
        CALLER,
    ),
    # The account.
    (
        401,
        {},
        said(
            "401",
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for "
            "an active subscription and use a correct regional API endpoint for your resource.",
        ),
        CREDENTIALS,
    ),
    (
        401,
        {},
        said(
            "401",
            "Unauthorized. Access token is missing, invalid, audience is incorrect "
            "(https://cognitiveservices.azure.com), or have expired.",
        ),
        CREDENTIALS,
    ),
    (
        401,
        {},
        said(
            "PermissionDenied",
            "The principal `00000000-0000-0000-0000-000000000001` lacks the required data action "
            "`Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action` to perform `POST "
            "/openai/deployments/{deployment-id}/chat/completions` operation.",
        ),
        CREDENTIALS,
    ),
    (
        403,
        {},
        said("AuthenticationTypeDisabled", "Key based authentication is disabled for this resource."),
        cool("credentials", 1800),
    ),
    (403, {}, said("403", "Access denied due to Virtual Network/Firewall rules."), FIREWALL),
    (403, {}, said("403", "Public access is disabled. Please configure private endpoint."), FIREWALL),
    (403, {}, said("403", "Traffic is not from an approved private endpoint."), FIREWALL),
    (
        403,
        {},
        said(
            "403",
            "A Virtual Network is configured for this resource. Please use the correct endpoint for making requests. "
            "Check https://aka.ms/cogsvc-vnet for more details.",
        ),
        FIREWALL,
    ),
    (
        403,
        {},
        said(
            "Forbidden",
            "Your resource has been temporarily blocked because we detected behavior that may violate our content "
            "policy.",
        ),
        cool("forbidden", 1800),
    ),
    (
        403,
        {},
        {"statusCode": 403, "message": "Out of call volume quota. Quota will be replenished in 20.09:58:55."},
        cool("money", 1800),
    ),
    (
        429,
        {},
        said(
            "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details.",
            type="insufficient_quota",
        ),
        cool("money", 1800),
    ),
    # Limits: of the deployment, although the sentence speaks of accounts.
    (429, {"retry-after": "7"}, limit("token"), cool("rate_limited", 7, Scope.FAMILY)),
    (
        429,
        {"retry-after": "3", "retry-after-ms": "2500"},
        limit("call"),
        cool("rate_limited", 2.5, Scope.FAMILY, transient=True),
    ),
    (
        429,
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "10", "retry-after": "60"},
        limit("call"),
        cool("rate_limited", 10, Scope.FAMILY),
    ),
    (429, {"x-ratelimit-reset-tokens": "6m0s"}, limit("token"), cool("rate_limited", 360, Scope.FAMILY)),
    (429, {}, limit("token"), cool("rate_limited", 22, Scope.FAMILY)),
    (429, {}, limit("call", " Please retry after 1 second."), cool("rate_limited", 1, Scope.FAMILY, transient=True)),
    (429, {}, limit("call", " Please retry after 86400 seconds."), cool("rate_limited", 1800, Scope.FAMILY)),
    (429, {}, limit("call", ""), OVERLOADED),
    (429, {}, said("429", "The engine is currently overloaded, please try again later."), OVERLOADED),
    # The service.
    (408, {}, said("Timeout", "The operation was timeout."), Verdict(Kind.ELSEWHERE, "slow", counts=True)),
    (500, {}, said("InternalServerError", "Backend returned unexpected response."), FAULT),
    (503, {}, said("ServiceUnavailable", "Service temporarily unavailable."), BUSY),
]


@pytest.mark.parametrize(("status", "headers", "body", "expected"), TABLE)
def test_judge(status, headers, body, expected):
    assert judge(status, headers, json.dumps(body).encode(), NOW) == expected


@pytest.mark.parametrize("body", [b"", b"<html>403</html>", b"[]", b'{"error":null}', b"\xff"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_a_body_that_says_nothing(status, body):
    expected = PLATFORMS["openai"].judge(status, {}, body, NOW)
    assert judge(status, {}, body, NOW) == expected


@given(st.sampled_from([400, 403, 404, 429]), st.text(max_size=80))
def test_nobody_puts_an_account_out_by_what_is_repeated_of_a_request(status, text):
    for _, _, body, _ in TABLE:
        message = body.get("error", body).get("message", "") if body else ""
        repeated = json.dumps(said(None, f"Invalid value: '{text}{message}'")).encode()
        plain = replace(judge(status, {}, b"{}", NOW), scope=Scope.FAMILY)
        found = judge(status, {}, repeated, NOW)
        if status != 429:
            assert found.kind == plain.kind
        assert found.scope is not Scope.ACCOUNT or status == 403


def test_secrets_are_not_shown():
    assert "kkkk" not in repr(account(NAME, ENTRA, APPLICATION))
    assert isinstance(account(NAME, ENTRA).credentials["client_secret"], Secret)
