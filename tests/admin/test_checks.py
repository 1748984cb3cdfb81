"""What is checked against the platforms, and named by its field."""

import json
from typing import Any, get_args

import pytest
from msgspec.structs import fields

from admin import checks
from gateway.core.domain import FAMILIES, Timeouts
from gateway.core.groups import Alias, Target
from gateway.core.services.failures import Invalid
from gateway.platforms import PLATFORMS
from gateway.platforms.validation import HttpUrl
from gateway.routing.paths import RESERVED

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


SERVICE_ACCOUNT = {
    "type": "service_account", "client_email": "a@p.example", "private_key": "k\n", "token_uri": "https://t.example/",
}  # fmt: skip


def test_an_object_may_be_given_as_its_text():
    text = json.dumps(SERVICE_ACCOUNT, indent=2)
    for given in (SERVICE_ACCOUNT, text, f"\n{text}\n"):
        stored = checks.credentials("gemini", {"service_account": given})
        assert stored == {"service_account": SERVICE_ACCOUNT}
        checks.account("gemini", stored, {}, None)
    for wrong in ("", "{", SECRET, "[" * 100_000, '{"private_key": "\ud800'):
        with pytest.raises(Invalid) as raised:
            checks.credentials("gemini", {"service_account": wrong})
        assert (raised.value.field, raised.value.__cause__) == ("credentials.service_account", None)
        assert SECRET not in raised.value.message
    # What is text stays text, also where it looks like something else; what is unknown is another check's.
    for platform, given in (
        ("gemini", {"api_key": "{}"}),
        ("openai", {"service_account": "{}"}),
        ("none", {"a": "{}"}),
    ):
        assert checks.credentials(platform, given) == given


def test_where_credentials_are_sent_is_known_of_every_platform():
    """An option that is an address is either of those, or one that a browser alone is sent to."""
    found = {
        info.name
        for platform in PLATFORMS.values()
        for info in fields(platform.options)
        if HttpUrl in (info.type, *get_args(info.type))
    }
    assert found == {*checks.SECRETS_GO_TO, "authorize_url", "redirect_uri"}


OFFICIAL, AWS, OLLAMA = "claude-official", "bedrock", "ollama"


@pytest.mark.parametrize(
    ("platform", "known", "before", "after", "root", "refused"),
    [
        (OFFICIAL, ["api_key"], (None, {}), ("https://evil.example", {}), True, True),
        (OFFICIAL, ["api_key"], ("https://a.example", {}), (None, {}), True, True),
        (OFFICIAL, ["api_key"], ("https://a.example", {}), ("https://a.example/x", {}), True, True),
        (OFFICIAL, ["api_key"], (None, {}), ("https://api.anthropic.com", {}), False, False),
        (OFFICIAL, ["access_token"], (None, {}), (None, {"token_url": "https://evil.example"}), True, True),
        (OFFICIAL, ["access_token"], (None, {"token_url": "https://a.example"}), (None, {}), True, True),
        (OFFICIAL, ["access_token"], (None, {}), (None, {"token_url": None, "client_id": "x"}), False, False),
        (AWS, [], (None, {"region": "eu-west-1"}), ("https://evil.example", {"region": "eu-west-1"}), False, True),
        (AWS, [], (None, {"region": "eu-west-1"}), ("https://vpc.example", {"region": "eu-west-1"}), True, False),
        (AWS, [], (None, {"region": "eu-west-1"}), (None, {"region": "us-east-1"}), False, False),
        (AWS, ["bearer_token"], (None, {}), ("https://evil.example", {}), True, True),
        (OLLAMA, [], ("http://10.0.0.1:1", {}), ("http://10.0.0.2:1", {}), False, False),
        (OLLAMA, ["api_key"], ("http://10.0.0.1:1", {}), ("http://10.0.0.2:1", {}), False, True),
    ],
)  # fmt: skip
def test_stored_credentials_stay_with_their_address(
    platform: str,
    known: list[str],
    before: tuple[str | None, dict[str, Any]],
    after: tuple[str | None, dict[str, Any]],
    root: bool,
    refused: bool,
):
    one, two = ({"base_url": url, "options": options} for url, options in (before, after))
    if not refused:
        checks.stays(platform, known, one, two, root=root)
        return
    with pytest.raises(Invalid) as raised:
        checks.stays(platform, known, one, two, root=root)
    assert raised.value.field == "credentials"
    assert "evil" not in raised.value.message


def test_a_group_is_not_named_like_a_path_and_aims_at_platforms_that_are():
    every = tuple(Target("m", platform=name) for name in (None, "ccr", *PLATFORMS, *FAMILIES))
    for values in ({}, {"name": None, "aliases": None}, {"name": "claude", "aliases": [Alias("a", every)]}):
        checks.group(values)
    for name in RESERVED:
        with pytest.raises(Invalid) as raised:
            checks.group({"name": name.title()})
        assert raised.value.field == "name"
    for wrong in ("*", "", "Claude", "claude-*", "none"):
        with pytest.raises(Invalid) as raised:
            checks.group({"aliases": [Alias("a", every), Alias("b", (*every[:1], Target("m", platform=wrong)))]})
        assert raised.value.field == "aliases[1].targets[1].platform"
        assert "claude-official" in raised.value.message


def test_timeouts_are_stored_as_seconds():
    stored = checks.timeouts(Timeouts(connect=86_400, total=0.5))
    assert stored == {"connect": 86_400, "first_event": 60, "stream_idle": 600, "total": 0.5}


@pytest.mark.parametrize("seconds", [0, -1, 86_400.1, float("inf"), float("nan")])
def test_timeouts_that_never_or_always_end_are_refused(seconds: float):
    with pytest.raises(Invalid) as raised:
        checks.timeouts(Timeouts(stream_idle=seconds))
    assert raised.value.field == "timeouts.stream_idle"
