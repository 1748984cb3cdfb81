"""Anthropic's subscription windows: whose is used up, and until when."""

import pytest

from gateway.platforms import unified
from gateway.platforms.platform import Scope, model_family

NOW = 1_790_000_000.0
P = "anthropic-ratelimit-unified-"


def at(seconds):
    return str(int(NOW + seconds))


def headers(**values):
    return {P + name.replace("__", "-"): value for name, value in values.items()}


FIVE_HOURS = {P + "5h-status": "rejected", P + "5h-reset": at(3 * 3600)}
WEEK = {P + "7d-status": "rejected", P + "7d-reset": at(4 * 86_400)}
OPUS = {P + "7d_opus-status": "rejected", P + "7d_opus-reset": at(5 * 86_400)}
FABLE = {P + "7d_oi-status": "rejected", P + "7d_oi-reset": at(6 * 86_400)}
FREE = {P + "5h-status": "allowed", P + "5h-reset": at(600), P + "7d-status": "allowed_warning", P + "7d-reset": at(60)}
OVERAGE = {P + "overage-status": "rejected", P + "overage-reset": at(20 * 86_400)}


def claim(name):
    return {P + "representative-claim": name}


@pytest.mark.parametrize(
    ("given", "scope", "ahead", "family"),
    [
        (claim("five_hour") | FIVE_HOURS, Scope.ACCOUNT, 3 * 3600, ""),
        (claim("seven_day") | FIVE_HOURS | WEEK, Scope.ACCOUNT, 4 * 86_400, ""),
        (claim("seven_day_opus") | OPUS, Scope.FAMILY, 5 * 86_400, "opus"),
        (claim("seven_day_sonnet") | {P + "reset": at(86_400)}, Scope.FAMILY, 86_400, "sonnet"),
        # A claim whose words are no model's: the family of the request.
        (claim("seven_day_overage_included") | FREE | FABLE | OVERAGE, Scope.FAMILY, 6 * 86_400, ""),
        # No claim, but the windows that all models share have room.
        (FREE | FABLE, Scope.FAMILY, 6 * 86_400, ""),
        # The end of a family's window does not keep the whole account out, nor does that of bought overage.
        (claim("five_hour") | FIVE_HOURS | OPUS | OVERAGE, Scope.ACCOUNT, 3 * 3600, ""),
        (claim("five_hour") | {P + "reset": at(99)}, Scope.ACCOUNT, 99, ""),
        (claim("five_hour") | {P + "5h-reset": at(77), P + "7d-reset": at(9999)}, Scope.ACCOUNT, 77, ""),
        (claim("seven_day_opus") | {P + "7d_opus-reset": at(88)}, Scope.FAMILY, 88, "opus"),
        (claim("seven_day_overage_included") | {P + "7d_oi-reset": at(66)}, Scope.FAMILY, 66, ""),
        ({"retry-after": "120"}, Scope.ACCOUNT, 120, ""),
        # A family's name becomes part of a state's: what is no name is none.
        (claim("seven_day_" + "x" * 65) | FIVE_HOURS, Scope.ACCOUNT, 3 * 3600, ""),
        (claim("nonsense") | {P + "5h-status": "rejected", P + "5h-reset": "soon"}, Scope.ACCOUNT, None, ""),
        ({}, Scope.ACCOUNT, None, ""),
    ],
)
def test_used_up(given, scope, ahead, family):
    found = unified.used_up({P + "status": "rejected"} | given, NOW)
    assert found == unified.Window(scope, None if ahead is None else NOW + ahead, family)


def test_a_claims_family_is_in_the_words_of_model_family():
    for model, name in (("claude-opus-4-1", "seven_day_opus"), ("claude-sonnet-4-5", "seven_day_sonnet")):
        assert unified.used_up(claim(name), NOW).family == model_family(model)


@pytest.mark.parametrize(
    ("status", "rejected", "allowed"),
    [
        ("rejected", True, False),
        (" Rejected ", True, False),
        ("allowed", False, True),
        ("allowed_warning", False, True),
        ("", False, False),
    ],
)
def test_status(status, rejected, allowed):
    assert unified.rejected({P + "status": status}) is rejected
    assert unified.allowed({P + "status": status}) is allowed
