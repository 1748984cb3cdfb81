"""What is checked against the platforms, and named by its field."""

from typing import Any

import pytest

from admin import checks
from gateway.core.domain import FAMILIES, Timeouts
from gateway.core.services.failures import Invalid
from gateway.platforms import PLATFORMS

SECRET = "sk-ant-canary-of-the-checks"


def test_every_platform_and_family_may_be_named():
    checks.key_platforms([])
    checks.key_platforms(["*", *PLATFORMS, *FAMILIES])


@pytest.mark.parametrize("name", ["", "Claude", "claude-*", "anthropic ", "nonsense"])
def test_another_may_not(name: str):
    with pytest.raises(Invalid) as raised:
        checks.key_platforms(["claude", name])
    assert raised.value.field == "platforms[1]"
    assert "claude-official" in raised.value.message


@pytest.mark.parametrize(
    ("platform", "credentials", "base_url", "field"),
    [
        ("claude-official", {"api_key": SECRET}, None, None),
        ("claude-official", {"api_key": SECRET}, "https://example.com/v1", None),
        ("nonsense", {"api_key": SECRET}, None, "platform"),
        ("claude-official", {}, None, "credentials.api_key"),
        ("claude-official", {"api_key": SECRET + "\n"}, None, "credentials.api_key"),
        ("claude-official", {"api_key": SECRET}, "ftp://example.com", "base_url"),
        ("claude-console", {"api_key": SECRET}, None, "base_url"),
    ],
)
def test_account(platform: str, credentials: dict[str, Any], base_url: str | None, field: str | None):
    if field is None:
        checks.account(platform, credentials, {}, base_url)
        return
    with pytest.raises(Invalid) as raised:
        checks.account(platform, credentials, {}, base_url)
    assert raised.value.field == field
    assert SECRET not in raised.value.message
    assert raised.value.__cause__ is None, "what it came from could hold the value"


def test_timeouts_are_stored_as_seconds():
    stored = checks.timeouts(Timeouts(connect=86_400, total=0.5))
    assert stored == {"connect": 86_400, "first_event": 60, "stream_idle": 600, "total": 0.5}


@pytest.mark.parametrize("seconds", [0, -1, 86_400.1, float("inf"), float("nan")])
def test_timeouts_that_never_or_always_end_are_refused(seconds: float):
    with pytest.raises(Invalid) as raised:
        checks.timeouts(Timeouts(stream_idle=seconds))
    assert raised.value.field == "timeouts.stream_idle"
