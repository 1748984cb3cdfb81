"""Real sentences and words, and the same ones inside what a client wrote."""

import pytest

from gateway.platforms.complaint import Complaint
from gateway.platforms.grounds import Ground, ground


def said(message="", *words):
    return Complaint(frozenset(words), " ".join(message.lower().split()))


@pytest.mark.parametrize(
    ("status", "words", "message", "expected"),
    [
        # Money.
        (
            400,
            ["invalid_request_error"],
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade…",
            Ground.MONEY,
        ),
        (
            400,
            ["invalid_request_error"],
            "You have reached your specified API usage limits. You will regain access on 2026-08-01 at 00:00 UTC.",
            Ground.MONEY,
        ),
        (429, ["insufficient_quota"], "You exceeded your current quota, please check your plan…", Ground.MONEY),
        (429, ["billing_not_active"], "Your account is not active, please check your billing details", Ground.MONEY),
        (402, ["unknown_error"], "Insufficient Balance", Ground.MONEY),
        (429, ["1113"], "Insufficient balance or no resource package. Please recharge.", Ground.MONEY),
        (400, ["arrearage"], "Access denied, please make sure your account is in good standing.", Ground.MONEY),
        (
            429,
            ["exceeded_current_quota_error"],
            "Your account 5f1b <ak-e6> is suspended, please check your plan and billing details",
            Ground.MONEY,
        ),
        (403, [], "Your account org-5f1b is suspended due to insufficient balance, please recharge", Ground.MONEY),
        (403, ["api_error"], "your subscription payment is past due. update your payment method", Ground.MONEY),
        (403, ["v_api_error", "insufficient_user_quota"], "user quota is not enough", Ground.MONEY),
        # Credentials.
        (400, ["api_key_invalid"], "API key not valid. Please pass a valid API key.", Ground.CREDENTIALS),
        (400, ["invalid_argument"], "API key expired. Please renew the API key.", Ground.CREDENTIALS),
        (401, ["authentication_error"], "invalid x-api-key", Ground.CREDENTIALS),
        (
            403,
            ["permission_denied", "service_disabled"],
            "Generative Language API has not been used in project 1 before or it is disabled.",
            Ground.CREDENTIALS,
        ),
        # Region.
        (400, ["failed_precondition"], "User location is not supported for the API use.", Ground.REGION),
        (403, ["unsupported_country_region_territory"], "Country, region, or territory not supported", Ground.REGION),
        (403, ["permission_error"], "OAuth token has been revoked. Please obtain a new token.", Ground.CREDENTIALS),
        # What cannot heal.
        (400, ["invalid_request_error"], "This organization has been disabled.", Ground.DISABLED),
        (403, ["permission_error"], "Your organization has been disabled.", Ground.DISABLED),
        (401, ["account_deactivated"], "", Ground.DISABLED),
        (401, ["requests"], "Your OpenAI account has been deactivated, please check your email", Ground.DISABLED),
        (403, [], "Your account org-17 has been permanently disabled.", Ground.DISABLED),
        (403, [], "The API key you provided has been disabled", Ground.DISABLED),
        (403, ["consumer_suspended"], "Permission denied: Consumer 'api_key:x' has been suspended.", Ground.DISABLED),
        (403, ["permission_denied"], "Your API key was reported as leaked. Please use another", Ground.DISABLED),
        # A model here.
        (404, ["not_found_error"], "model: claude-nope-9", Ground.MODEL),
        (404, ["model_not_found"], "The model `x` does not exist or you do not have access to it.", Ground.MODEL),
        (403, ["model_not_found"], "Project `proj_1` does not have access to model `gpt-5`", Ground.MODEL),
        (403, [], "Your organization does not have access to model gpt-5", Ground.MODEL),
        (404, ["deploymentnotfound"], "The API deployment for this resource does not exist.", Ground.MODEL),
        (404, [], "The API deployment for this resource does not exist.", Ground.MODEL),
        (404, [], "model 'llama9' not found, try pulling it first", Ground.MODEL),
        (404, [], "No endpoints found for x/y.", Ground.MODEL),
        (404, ["resource_not_found_error"], "Not found the model kimi-nope or Permission denied", Ground.MODEL),
        (404, ["modelnotopen"], "Your account 21 has not activated the model doubao-seed-1-6.", Ground.MODEL),
        (403, ["allocationquota.freetieronly"], "The free tier of the model has been exhausted.", Ground.MODEL),
        (
            404,
            ["not_found"],
            "models/gemini-9 is not found for API version v1beta, or is not supported for generateContent. Call …",
            Ground.MODEL,
        ),
        # A model that is there, asked for something it cannot do: not to be put out for those who ask rightly.
        (
            404,
            ["not_found"],
            "models/gemini-2.5-pro is not found for API version v1beta, or is not supported for embedContent.",
            Ground.UNMET,
        ),
        (
            404,
            ["not_found"],
            "models/gemini-embedding-001 is not found for API version v1beta, or is not supported for generateContent.",
            Ground.UNMET,
        ),
        (
            404,
            ["not_found"],
            "models/nonexistent-model is not found for API version v1beta, or is not supported for countTokens.",
            Ground.UNMET,
        ),
        (404, [], "This model is only supported in v1/responses and not in v1/chat/completions.", None),
        (404, [], "This is not a chat model and thus not supported in the v1/chat/completions endpoint.", None),
        # Asked of this account what it has not.
        (429, ["rate_limit_error"], "Extra usage is required for long context requests.", Ground.UNMET),
        (402, ["billing_error"], "Usage credits required for 1M context", Ground.UNMET),
        (
            429,
            ["tokens", "rate_limit_exceeded"],
            "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000",
            Ground.UNMET,
        ),
        (402, ["402"], "This request requires more credits, or fewer max_tokens. You requested…", Ground.UNMET),
        (403, ["permission_denied"], "You do not have permission to access the File abc", Ground.UNMET),
        # Nothing but the status to go by.
        (400, ["model_not_found"], "The requested model 'gpt-5.2-proo' does not exist.", None),
        (429, ["resource_exhausted"], "You exceeded your current quota, please check your plan and billing", None),
        (400, ["invalid_request_error"], "Web search is disabled for your organization.", None),
        (404, ["not_found_error"], "Not found", None),
        (400, [], "", None),
    ],
)
def test_ground(status, words, message, expected):
    assert ground(status, said(message, *words)) == expected


SENTENCES = [
    "Your credit balance is too low",
    "This organization has been disabled.",
    "API key not valid",
    "User location is not supported",
    "Your API key was reported as leaked",
    "the model does not exist",
    "your project does not have access to model x",
]
ECHOES = [
    "Invalid value: '{}'. Supported values are: 'low', 'high'.",
    "messages.0.role: Input should be 'user' or 'assistant', not {}",
    "Previous response with id '{}' not found.",
    "No tool output found for function call {}.",
    "tools.0.name: {}",
    'Unknown name "{}": Cannot find field.',
]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_sentence_that_the_client_wrote_means_nothing(status, sentence, echo):
    assert ground(status, said(echo.format(sentence), "invalid_request_error")) is None
