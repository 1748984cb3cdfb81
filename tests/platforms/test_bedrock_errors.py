"""Bedrock's documented errors and what each does to the account."""

import json

import pytest

from gateway.platforms.bedrock_errors import as_anthropic, judge
from gateway.platforms.platform import Kind, Scope

NOW = 1_790_000_000.0
_COOL, _ELSE = Kind.COOL_DOWN, Kind.ELSEWHERE


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected", "reason", "scope", "seconds"),
    [
        (429, "ThrottlingException", "Too many requests, please wait before trying again.", _COOL, "overloaded",
         Scope.FAMILY, 60),
        (429, "ThrottlingException", "Too many tokens, please wait before trying again.", _COOL, "overloaded",
         Scope.FAMILY, 60),
        (400, "ThrottlingException", "Rate exceeded", _COOL, "overloaded", Scope.FAMILY, 60),
        (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", _COOL,
         "rate_limited", Scope.FAMILY, 1800),
        (429, "ThrottlingException", "Your request was denied due to exceeding the account quotas for Amazon Bedrock.",
         _COOL, "overloaded", Scope.FAMILY, 60),
        (429, "ModelNotReadyException", "The model is not ready for inference.", _COOL, "overloaded", Scope.MODEL, 60),
        (400, "ServiceQuotaExceededException", "Your request exceeds the service quota for your account.", _COOL,
         "overloaded", Scope.FAMILY, 60),
        (403, "AccessDeniedException", "You don't have access to the model with the specified model ID.", _COOL,
         "model", Scope.MODEL, 1800),
        (403, "AccessDeniedException", ("User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: "
         "bedrock:InvokeModel on resource: arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2 because no "
         "identity-based policy allows the bedrock:InvokeModel action"), _COOL, "model", Scope.MODEL, 1800),
        (403, "AccessDeniedException", ("Model access is denied due to INVALID_PAYMENT_INSTRUMENT: A valid payment "
         "instrument must be provided."), _COOL, "money", Scope.ACCOUNT, 1800),
        (403, "AccessDeniedException", ("Model access is denied due to IAM user or service role is not authorized to "
         "perform the required AWS Marketplace actions"), _COOL, "model", Scope.MODEL, 1800),
        (403, "AccessDeniedException", "Bearer Token has expired", _COOL, "credentials", Scope.ACCOUNT, 1800),
        (403, "AccessDeniedException", "Something else.", _COOL, "forbidden", Scope.FAMILY, 300),
        (403, "ExpiredTokenException", "The security token included in the request is expired", _COOL, "credentials",
         Scope.ACCOUNT, 1800),
        (403, "UnrecognizedClientException", "The security token included in the request is invalid.", _COOL,
         "credentials", Scope.ACCOUNT, 1800),
        (403, "InvalidSignatureException", "Signature expired: 20150830T123600Z is now earlier than …", _COOL,
         "credentials", Scope.ACCOUNT, 1800),
        (403, "com.amazon.coral.service#InvalidSignatureException:http://internal.amazon.com/x", "no", _COOL,
         "credentials", Scope.ACCOUNT, 1800),
        (400, "ValidationException", "The provided model identifier is invalid.", _COOL, "model", Scope.MODEL, 1800),
        (400, "ValidationException", ("Invocation of model ID anthropic.claude-sonnet-4-v1:0 with on-demand throughput "
         "isn\u2019t supported. Retry your request with the ID or ARN of an inference profile that contains this "
         "model."), _COOL, "model", Scope.MODEL, 1800),
        (404, "ResourceNotFoundException", "Model use case details have not been submitted for this account.", _COOL,
         "model", Scope.MODEL, 1800),
        (404, "ResourceNotFoundException", "This model version has reached the end of its life.", _COOL, "model",
         Scope.MODEL, 1800),
        (400, "ValidationException", "Operation not allowed", _COOL, "forbidden", Scope.ACCOUNT, 300),
        (400, "ValidationException", "Malformed input request: #: extraneous key [x] is not permitted", Kind.CALLER,
         "request", Scope.FAMILY, None),
        (400, "ValidationException", "The model returned the following errors: invalid beta flag", Kind.CALLER,
         "request", Scope.FAMILY, None),
        (400, "ValidationException", "messages: The provided model identifier is invalid.", Kind.CALLER, "request",
         Scope.FAMILY, None),
        (413, "RequestEntityTooLargeException", "too large", Kind.CALLER, "request", Scope.FAMILY, None),
        (408, "ModelTimeoutException", "Model has timed out in processing the request.", _ELSE, "slow", Scope.FAMILY,
         None),
        (424, "ModelErrorException", "The system encountered an unexpected error during processing.", _ELSE, "slow",
         Scope.FAMILY, None),
        (500, "InternalServerException", "The system encountered an unexpected error.", _ELSE, "fault", Scope.FAMILY,
         None),
        (503, "ServiceUnavailableException", "Bedrock is unable to process your request.", _COOL, "overloaded",
         Scope.FAMILY, 60),
        (200, "", "", Kind.OK, "", Scope.FAMILY, None),
        (302, "", "", _ELSE, "redirect", Scope.FAMILY, None),
    ],
)  # fmt: skip
def test_the_verdict(status, kind, message, expected, reason, scope, seconds) -> None:
    headers = {"x-amzn-errortype": kind} if kind else {}
    verdict = judge(status, headers, json.dumps({"message": message}).encode(), NOW)
    assert (verdict.kind, verdict.reason, verdict.scope) == (expected, reason, scope)
    assert verdict.until == (None if seconds is None else NOW + seconds)
    if reason == "credentials":
        assert verdict.renew


@pytest.mark.parametrize(
    ("word", "status", "reason"),
    [
        ("rate_limit_error", 429, "overloaded"),
        ("overloaded_error", 529, "overloaded"),
        ("api_error", 500, "fault"),
        ("timeout_error", 504, "slow"),
        ("invalid_request_error", 400, "request"),
    ],
)
def test_the_first_event_of_a_stream(word, status, reason) -> None:
    body = json.dumps({"type": "error", "error": {"type": word, "message": "m"}}).encode()
    assert judge(status, {}, body, NOW).reason == reason


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message":1}', b'{"message":"' + b"x" * 300_000 + b'"}'])
@pytest.mark.parametrize("status", [400, 403, 429, 500])
def test_no_body_raises(status, body) -> None:
    judge(status, {"x-amzn-errortype": ":#:"}, body, NOW)
    as_anthropic(status, body)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b'{"message":"Malformed \\"input\\""}', ("invalid_request_error", 'Malformed "input"')),
        (413, b'{"message":"large"}', ("request_too_large", "large")),
        (404, b'{"message":"none"}', ("not_found_error", "none")),
        (403, b'{"Message":"Authentication failed"}', ("permission_error", "Authentication failed")),
    ],
)
def test_an_error_in_the_clients_words(status, body, expected) -> None:
    said = json.loads(as_anthropic(status, body))
    assert said["type"] == "error"
    assert (said["error"]["type"], said["error"]["message"]) == expected


def test_what_is_not_aws_shape_stays_as_it_is() -> None:
    assert as_anthropic(400, b"<html>") == b"<html>"
