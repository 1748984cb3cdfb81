"""What an upstream's own words mean, before any rule on the status: money, credentials, region, disabled, a model.

Stable words (`error.type`, `code`, `ErrorInfo.reason`) are compared whole. Sentences are matched **from their start
only**: an upstream repeats parts of the request in its messages ("Invalid value: '…'", "model: …"), and nobody may
write a sentence into a request that puts the account out for the others. Words and sentences come from the vendors'
error pages (docs.claude.com/en/api/errors, platform.openai.com/docs/guides/error-codes,
ai.google.dev/gemini-api/docs/troubleshooting, api-docs.deepseek.com/quick_start/error_codes) and from real answers.
"""

import re
from collections.abc import Mapping
from enum import StrEnum

from gateway.platforms.complaint import Complaint


class Ground(StrEnum):
    MONEY = "money"
    CREDENTIALS = "credentials"
    REGION = "region"
    DISABLED = "disabled"
    """Cannot heal by itself: only the operator can give other credentials."""
    MODEL = "model"
    """This account does not have this model (or deployment)."""
    UNMET = "unmet"
    """The request asks for what this account does not offer: another may; this one is not at fault."""
    CONTENT = "content"
    """What the request says is refused, under a status that otherwise means the account."""


_WORDS: Mapping[str, Ground] = {
    "insufficient_quota": Ground.MONEY,
    "billing_error": Ground.MONEY,
    "billing_not_active": Ground.MONEY,
    "billing_hard_limit_reached": Ground.MONEY,
    "billing_disabled": Ground.MONEY,
    "credit_balance_exhausted": Ground.MONEY,
    "enforced_spend_limit_reached": Ground.MONEY,
    "exceeded_current_quota_error": Ground.MONEY,
    "insufficient_balance": Ground.MONEY,
    "insufficient_user_quota": Ground.MONEY,
    "usage_not_included": Ground.MONEY,
    "arrearage": Ground.MONEY,
    "accountoverdueerror": Ground.MONEY,
    "1113": Ground.MONEY,
    "authentication_error": Ground.CREDENTIALS,
    "invalid_api_key": Ground.CREDENTIALS,
    "invalid_authentication_error": Ground.CREDENTIALS,
    "api_key_invalid": Ground.CREDENTIALS,
    "api_key_service_blocked": Ground.CREDENTIALS,
    "api_key_ip_address_blocked": Ground.CREDENTIALS,
    "api_key_http_referrer_blocked": Ground.CREDENTIALS,
    "access_token_expired": Ground.CREDENTIALS,
    "token_expired": Ground.CREDENTIALS,
    "token_invalidated": Ground.CREDENTIALS,
    "token_revoked": Ground.CREDENTIALS,
    "credentials_missing": Ground.CREDENTIALS,
    "service_disabled": Ground.CREDENTIALS,
    "unsupported_country_region_territory": Ground.REGION,
    "account_deactivated": Ground.DISABLED,
    "organization_disabled": Ground.DISABLED,
    "organization_deactivated": Ground.DISABLED,
    "deactivated_workspace": Ground.DISABLED,
    "access_terminated": Ground.DISABLED,
    "consumer_suspended": Ground.DISABLED,
}

_CONTENT_WORDS = frozenset(
    {"content_filter", "content_policy_violation", "moderation_blocked", "data_inspection_failed", "invalid_prompt"}
)
#: xAI names team and key beside it; OpenRouter names the model before it.
_CONTENT = re.compile(
    r"content violates usage guidelines|your (?:input|prompt|request) was (?:flagged|rejected)\b"
    r"|\S+ requires moderation\b"
)

_MODEL_WORDS = frozenset(
    {
        "model_not_found",
        "deploymentnotfound",
        "deployment_not_found",
        "invalidendpointormodel.notfound",
        "modelnotopen",
        "accessdenied.unpurchased",
        "allocationquota.freetieronly",
    }
)

_SUBJECT = r"(?:organi[sz]ation|account|api key|key|project|workspace|team|user|subscription|credential)"

#: "This organization has been disabled.", "Your account org-… is suspended": at most two words (an id) between.
_SWITCHED_OFF = (
    rf"(?:(?:this|your|the) )?(?:openai |anthropic )?{_SUBJECT}(?: [^ ]{{1,80}}){{0,2}}?"
    r" (?:has been|have been|is|was)(?: \w+)? (?:disabled|deactivated|suspended|terminated)\b"
)

#: Tried in order, each from the start of the message (lower case, single spaces).
_SENTENCES: tuple[tuple[re.Pattern[str], Ground], ...] = tuple(
    (re.compile(pattern), ground)
    for pattern, ground in (
        (r"extra usage is required", Ground.UNMET),
        (r"usage credits required for", Ground.UNMET),
        (r"request too large for", Ground.UNMET),
        (r"this request requires more credits", Ground.UNMET),
        (r"you do not have permission to access the file", Ground.UNMET),
        (r"you are not allowed to generate embeddings from this model", Ground.UNMET),
        (r"(?:your )?credit balance is too low", Ground.MONEY),
        (r"you have reached your specified (?:workspace )?api usage limits", Ground.MONEY),
        (r"insufficient balance", Ground.MONEY),
        (r"your account is not active, please check your billing", Ground.MONEY),
        (r"your subscription payment is past due", Ground.MONEY),
        (r"your prepa(?:yment|id) credits are depleted", Ground.MONEY),
        (r"api key (?:not valid|not found|expired)", Ground.CREDENTIALS),
        (r"oauth token has (?:been revoked|expired)", Ground.CREDENTIALS),
        (r"the '[^']{1,200}' model is not supported when using codex with a chatgpt account", Ground.MODEL),
        (r"user location is not supported", Ground.REGION),
        (r"country, region, or territory not supported", Ground.REGION),
        (r"gemini api free tier is not available in your country", Ground.REGION),
        (r"your api key was reported as leaked", Ground.DISABLED),
        (_SWITCHED_OFF, Ground.DISABLED),
    )
)
_HEALS_WITH_MONEY = re.compile(r"\b(?:billing|balance|payment|recharge|overdue|arrears)\b")

_MODEL_SENTENCES = (
    re.compile(r"model: \S+\Z"),
    re.compile(
        r"(?:(?:the|this|requested|api|publisher) )*(?:model|deployment)s?\b.*"
        r"(?:not exist|not found|not available|unavailable|access|no longer|retired|decommissioned|deprecated)"
    ),
    re.compile(rf"(?:(?:your|this|the) )?{_SUBJECT}\b.{{0,120}}\baccess to (?:the )?model\b"),
    re.compile(r"no endpoints found for |not found the model \S+"),
)
_GOOGLE_MODEL = re.compile(r"models/(\S+) is not found for api version \S+ or is not supported for (\w+)")


def ground(status: int, said: Complaint) -> Ground | None:
    """What the body says of the account or the model; None when only the status speaks."""
    if status == 403 and (said.words & _CONTENT_WORDS or _CONTENT.match(said.message)):
        return Ground.CONTENT
    if status in (403, 404):
        about = _model(said)
        if about:
            return about
    for word in sorted(said.words):
        if word in _WORDS:
            return _sentence(said.message, only=Ground.UNMET) or _WORDS[word]
    return _sentence(said.message)


def _sentence(message: str, only: Ground | None = None) -> Ground | None:
    for pattern, found in _SENTENCES:
        if (only is None or found is only) and pattern.match(message):
            healed = found is Ground.DISABLED and _HEALS_WITH_MONEY.search(message)
            return Ground.MONEY if healed else found
    return None


def _model(said: Complaint) -> Ground | None:
    google = _GOOGLE_MODEL.match(said.message)
    if google:
        # One sentence for two cases: no such model, or a model that is there but not for this action. Whoever asks
        # a chat model for embeddings must not put it out for the rest.
        embeds = google[2] in ("embedcontent", "batchembedcontents")
        misused = google[2] == "counttokens" or embeds != ("embed" in google[1])
        return Ground.UNMET if misused else Ground.MODEL
    told = said.words & _MODEL_WORDS or any(pattern.match(said.message) for pattern in _MODEL_SENTENCES)
    return Ground.MODEL if told else None
