"""The table of failing over, row by row, with real error bodies."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.platforms.judgement import judge
from gateway.platforms.platform import Kind, Scope, Verdict

NOW = 1_790_000_000.0
U = "anthropic-ratelimit-unified-"
CALLERS = (400, 404, 405, 406, 409, 410, 411, 412, 413, 414, 415, 422, 428, 431, 451)


def anthropic(kind, message):
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"}


def openai(code, message, kind="invalid_request_error"):
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def google(code, status, message, *details):
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def rfc3339(ahead):
    return datetime.fromtimestamp(NOW + ahead, UTC).isoformat().replace("+00:00", "Z")


def cool(reason, ahead, scope=Scope.FAMILY, **more):
    return Verdict(Kind.COOL_DOWN, reason, NOW + ahead, scope, **more)


OK = Verdict(Kind.OK)
CALLER = Verdict(Kind.CALLER, "request")
UNMET = Verdict(Kind.ELSEWHERE, "unmet")
SLOW = Verdict(Kind.ELSEWHERE, "slow", counts=True)
FAULT = Verdict(Kind.ELSEWHERE, "fault", counts=True, transient=True)
OVERLOADED = cool("overloaded", 60, transient=True, overload=True)
MONEY = cool("money", 1800, Scope.ACCOUNT)
CREDENTIALS = cool("credentials", 1800, Scope.ACCOUNT, renew=True)
REGION = cool("region", 1800, Scope.ACCOUNT)
DISABLED = Verdict(Kind.DISABLE, "disabled", scope=Scope.ACCOUNT)
NO_MODEL = cool("model", 1800, Scope.MODEL)
EXCEEDED = anthropic("rate_limit_error", "This request would exceed your account's rate limit. Please try again later.")
QUOTA = "You exceeded your current quota, please check your plan and billing details."
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}

TABLE = [
    # 1. The account's credentials or money.
    (
        400,
        {},
        google(
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"},
            },
        ),
        CREDENTIALS,
    ),
    (
        400,
        {},
        anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
        MONEY,
    ),
    (400, {}, anthropic("invalid_request_error", "This organization has been disabled."), DISABLED),
    (400, {}, google(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), REGION),
    (429, {"retry-after": "1"}, openai("insufficient_quota", QUOTA, "insufficient_quota"), MONEY),
    (
        402,
        {},
        {"error": {"message": "Insufficient Balance", "type": "unknown_error", "code": "invalid_request_error"}},
        MONEY,
    ),
    (402, {}, None, MONEY),
    (402, {}, {"error": {"message": "This request requires more credits, or fewer max_tokens.", "code": 402}}, UNMET),
    # 2. The request.
    (400, {}, anthropic("invalid_request_error", "max_tokens: Field required"), CALLER),
    (400, {}, openai("model_not_found", "The requested model 'gpt-5.2-proo' does not exist."), CALLER),
    (404, {}, {"type": "error", "error": {"type": "not_found_error", "message": "Not found"}}, CALLER),
    (404, {}, openai(None, "Previous response with id 'resp_1' not found."), CALLER),
    (409, {}, None, CALLER),
    (413, {}, anthropic("request_too_large", "Request exceeds the maximum size"), CALLER),
    (422, {}, {"detail": [{"loc": ["body", "model"], "msg": "field required"}]}, CALLER),
    (415, {}, b"<html>", CALLER),
    # 3. A model or deployment here.
    (404, {}, anthropic("not_found_error", "model: claude-opus-9"), NO_MODEL),
    (404, {}, openai("model_not_found", "The model `x` does not exist or you do not have access to it."), NO_MODEL),
    (403, {}, openai("model_not_found", "Project `proj_1` does not have access to model `gpt-5`"), NO_MODEL),
    (
        404,
        {},
        google(
            404, "NOT_FOUND", "models/x is not found for API version v1beta, or is not supported for generateContent."
        ),
        NO_MODEL,
    ),
    # 4. The account.
    (401, {}, anthropic("authentication_error", "invalid x-api-key"), CREDENTIALS),
    (401, {}, openai("invalid_api_key", "Incorrect API key provided: sk-pro***abc."), CREDENTIALS),
    (401, {}, None, CREDENTIALS),
    (401, {}, openai("account_deactivated", "Your account has been deactivated."), DISABLED),
    (403, {}, anthropic("permission_error", "Your account has been disabled."), DISABLED),
    (403, {}, google(403, "PERMISSION_DENIED", "Your API key was reported as leaked."), DISABLED),
    (403, {}, anthropic("permission_error", "Not allowed"), cool("forbidden", 300, renew=True)),
    (
        403,
        {},
        anthropic("permission_error", "The tool 'my account' is not allowed"),
        cool("forbidden", 300, renew=True),
    ),
    (403, {}, anthropic("permission_error", 'No "billing": not allowed'), cool("forbidden", 300, renew=True)),
    (
        403,
        {},
        anthropic("permission_error", "OAuth authentication is currently not allowed for this organization."),
        cool("forbidden", 300, Scope.ACCOUNT, renew=True),
    ),
    # What is refused for its content is the request's own, whatever its sender calls it.
    (
        403,
        {},
        {
            "code": "The caller does not have permission to execute the specified operation",
            "error": "Content violates usage guidelines. Team: 5f1b, API key ID: 9c2e, Model: grok-4-0709, "
            "Failed check: SAFETY_CHECK_TYPE_BIO",
        },
        CALLER,
    ),
    (
        403,
        {},
        openai(403, 'openai/gpt-5 requires moderation on OpenAI. Your input was flagged for "violence"'),
        CALLER,
    ),
    (403, {}, openai("content_policy_violation", "Your account sent what is not allowed."), CALLER),
    (403, {}, b"<html>Attention Required!</html>", cool("forbidden", 300, renew=True)),
    (
        403,
        {},
        anthropic("permission_error", "OAuth authentication is currently not allowed for this organization."),
        cool("forbidden", 300, Scope.ACCOUNT, renew=True),
    ),
    # 6. Slow.
    (408, {}, None, SLOW),
    (424, {}, None, SLOW),
    (504, {}, google(504, "DEADLINE_EXCEEDED", "Deadline expired"), SLOW),
    # 7. A subscription's window used up, kept in full.
    (
        429,
        {
            U + "status": "rejected",
            U + "representative-claim": "seven_day_opus",
            U + "reset": str(int(NOW) + 400_000),
            "retry-after": "400000",
        },
        EXCEEDED,
        cool("rate_limited", 400_000, Scope.FAMILY, family="opus"),
    ),
    (
        429,
        {
            U + "status": "rejected",
            U + "representative-claim": "five_hour",
            U + "5h-status": "rejected",
            U + "5h-reset": str(int(NOW) + 9_000),
            U + "7d-status": "rejected",
            U + "7d-reset": str(int(NOW) + 300_000),
        },
        EXCEEDED,
        cool("rate_limited", 300_000, Scope.ACCOUNT),
    ),
    (429, {U + "status": "rejected"}, EXCEEDED, cool("rate_limited", 60, Scope.ACCOUNT)),
    # 8. A limit with a reset.
    (
        429,
        {"anthropic-ratelimit-requests-reset": rfc3339(120), "retry-after": "120"},
        anthropic("rate_limit_error", "Number of requests has exceeded your rate limit."),
        cool("rate_limited", 120),
    ),
    (
        429,
        {"anthropic-ratelimit-input-tokens-reset": rfc3339(4)},
        anthropic(
            "rate_limit_error",
            "This request would exceed your organization's rate limit of 30,000 input tokens per minute (org: 9d5, "
            "model: claude-sonnet-4-6).",
        ),
        cool("rate_limited", 4, transient=True),
    ),
    (
        429,
        {"retry-after": "30"},
        anthropic("rate_limit_error", "This request would exceed the rate limit for your organization (0dcc)."),
        cool("rate_limited", 30, Scope.ACCOUNT),
    ),
    (429, {U + "reset": str(int(NOW) + 500)}, None, cool("rate_limited", 500)),
    (429, {"retry-after": "7"}, None, cool("rate_limited", 7)),
    (429, {"retry-after": "5"}, None, cool("rate_limited", 5, transient=True)),
    (429, {"retry-after": "0"}, None, cool("rate_limited", 1, transient=True)),
    (429, {"retry-after": "86400"}, None, cool("rate_limited", 1800)),
    (
        429,
        {"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-reset-tokens": "20ms"},
        openai(
            "rate_limit_exceeded",
            "Rate limit reached for gpt-4o in organization org-1 on requests per min (RPM): Limit 3, Used 3.",
            "requests",
        ),
        cool("rate_limited", 360),
    ),
    (
        429,
        {},
        {
            "error": {
                "type": "usage_limit_reached",
                "message": "The usage limit has been reached",
                "plan_type": "plus",
                "resets_in_seconds": 259_200,
            }
        },
        cool("rate_limited", 259_200),
    ),
    # ChatGPT's backend: a plan's windows in headers, a plan without this use, tokens that ended, a model it has not.
    (
        429,
        {
            "x-codex-primary-used-percent": "100",
            "x-codex-primary-reset-after-seconds": "7200",
            "x-codex-secondary-used-percent": "12",
            "x-codex-secondary-reset-after-seconds": "86400",
        },
        {"error": {"type": "usage_limit_reached", "message": "The usage limit has been reached"}},
        cool("rate_limited", 7_200),
    ),
    (429, {}, {"error": {"type": "usage_not_included", "message": "Not in your plan.", "plan_type": "free"}}, MONEY),
    (
        401,
        {},
        {
            "error": {
                "message": "Provided authentication token is expired. Please try signing in again.",
                "type": None,
                "code": "token_expired",
                "param": None,
            },
            "status": 401,
        },
        CREDENTIALS,
    ),
    (500, {}, {"error": {"code": "token_invalidated", "message": "Please try signing in again."}}, CREDENTIALS),
    (402, {}, {"detail": {"code": "deactivated_workspace"}}, DISABLED),
    (400, {}, {"detail": "Unsupported parameter: background"}, CALLER),
    (400, {}, {"detail": "The 'x' model is not supported when using Codex with a ChatGPT account."}, NO_MODEL),
    (400, {}, {"detail": "Say: The 'x' model is not supported when using Codex with a ChatGPT account."}, CALLER),
    (
        429,
        {},
        google(
            429,
            "RESOURCE_EXHAUSTED",
            QUOTA + " * Quota exceeded for metric: generate_content_free_tier_requests, model: gemini-2.5-pro",
            RETRY_INFO,
        ),
        cool("rate_limited", 34),
    ),
    (429, {}, [google(429, "RESOURCE_EXHAUSTED", "Resource exhausted.", RETRY_INFO)], cool("rate_limited", 34)),
    # 9. Any other 429.
    (429, {}, None, cool("overloaded", 60)),
    (
        429,
        {},
        google(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
        cool("overloaded", 60),
    ),
    (429, {"retry-after": "junk", U + "reset": "-5"}, None, cool("overloaded", 60)),
    (
        429,
        {U + "status": "allowed", U + "5h-reset": str(int(NOW) + 9_000), U + "reset": str(int(NOW) + 9_000)},
        None,
        cool("overloaded", 60),
    ),
    (429, {U + "status": "allowed_warning", U + "reset": str(int(NOW) + 9_000)}, None, cool("overloaded", 60)),
    (429, {}, anthropic("rate_limit_error", "Extra usage is required for long context requests."), UNMET),
    # 10. Fault.
    (500, {}, anthropic("api_error", "Internal server error"), FAULT),
    (502, {}, b"<html>Bad gateway</html>", FAULT),
    (520, {}, None, FAULT),
    (501, {}, None, UNMET),
    # 11. Overload, also under another status.
    (503, {}, google(503, "UNAVAILABLE", "The model is overloaded. Please try again later."), OVERLOADED),
    (529, {}, anthropic("overloaded_error", "Overloaded"), OVERLOADED),
    (500, {}, anthropic("overloaded_error", "Overloaded"), OVERLOADED),
    # Not an answer of the API's at all.
    (301, {"location": "https://elsewhere.example/"}, None, Verdict(Kind.ELSEWHERE, "redirect")),
    (307, {}, None, Verdict(Kind.ELSEWHERE, "redirect")),
    (200, {}, anthropic("overloaded_error", "in a text"), OK),
    (204, {}, None, OK),
    (0, {}, None, FAULT),
    (999, {}, None, FAULT),
]


@pytest.mark.parametrize(("status", "headers", "body", "expected"), TABLE)
def test_judge(status, headers, body, expected):
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    assert judge(status, headers, raw, NOW) == expected


@given(
    st.integers(-5, 1000),
    st.dictionaries(
        st.sampled_from(
            [
                "retry-after",
                "x-ratelimit-reset-tokens",
                "anthropic-ratelimit-tokens-reset",
                U + "status",
                U + "reset",
                U + "5h-status",
                U + "5h-reset",
                U + "representative-claim",
            ]
        ),
        st.text(max_size=40) | st.sampled_from(["rejected", "allowed", "9" * 40, "seven_day_opus", "nan", "-1"]),
    ),
    st.binary(max_size=100)
    | st.text().map(lambda text: json.dumps({"error": {"message": text, "code": text}}).encode()),
)
@example(429, {"retry-after": "9" * 400}, b"[" * 100_000)
def test_never_raises_and_every_cool_down_ends_soon_enough(status, headers, body):
    verdict = judge(status, headers, body, NOW)
    if verdict.kind is Kind.COOL_DOWN:
        assert verdict.until is not None
        assert NOW < verdict.until <= NOW + 35 * 86_400
    else:
        assert verdict.until is None


@given(st.sampled_from(CALLERS), st.text(max_size=200), st.sampled_from(["Invalid value: '{}'", "messages.0: {}"]))
@example(400, "your credit balance is too low", "Invalid value: '{}'")
@example(404, "the model x does not exist", "messages.0: {}")
def test_a_callers_fault_never_marks_an_account(status, text, template):
    """Whatever a client puts into its request, and the upstream repeats in its error."""
    body = json.dumps(openai("invalid_value", template.replace("{}", text))).encode()
    assert judge(status, {"retry-after": "60"}, body, NOW) == CALLER


def recorded_errors():
    folder = Path(os.environ.get("POOLGATE_FIXTURES", Path(__file__).parents[3] / "shared" / "fixtures"))
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            answer = json.loads(line)
            if answer.get("status", 200) >= 400:
                yield pytest.param(answer, id=answer["id"][-60:])


RECORDED = list(recorded_errors())


@pytest.mark.skipif(not RECORDED, reason="the folder of recorded answers (POOLGATE_FIXTURES) is not here")
@pytest.mark.parametrize("answer", RECORDED)
def test_recorded_errors_are_the_requests_own_but_for_models_and_money(answer):
    verdict = judge(answer["status"], {}, answer["response"].encode(), NOW)
    text = answer["response"]
    if "insufficient_quota" in text:
        assert verdict == MONEY
    elif "countTokens" in text:
        assert verdict == UNMET
    elif answer["status"] == 404:
        assert verdict == NO_MODEL
    else:
        assert verdict == CALLER
