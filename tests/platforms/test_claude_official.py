import json
import math

import pytest

from gateway.platforms import validate
from gateway.platforms.claude_official import PLATFORM, expires, renew
from gateway.platforms.platform import Reply
from tests.platforms.scene import COUNT, GENERATE, KEPT, KEY, VERSION, account, fault, signed, target

NAME = "claude-official"
OAUTH = {"access_token": "sk-ant-oat01-AAAA"}


def test_sign_by_key() -> None:
    assert signed(NAME, {"api_key": "k"}) == [*KEPT, VERSION, (b"x-api-key", b"k")]


def test_sign_by_oauth() -> None:
    """The beta follows the client's own; the refresh token goes nowhere."""
    assert signed(NAME, {"access_token": "t", "refresh_token": "r"}) == [
        (b"user-agent", b"sdk/1"),
        VERSION,
        (b"anthropic-beta", b"a-1,oauth-2025-04-20"),
        (b"authorization", b"Bearer t"),
    ]


@pytest.mark.parametrize(
    ("base", "what", "expected"),
    [
        ("", GENERATE, "https://api.anthropic.com/v1/messages"),
        ("", COUNT, "https://api.anthropic.com/v1/messages/count_tokens"),
        ("http://127.0.0.1:9/", GENERATE, "http://127.0.0.1:9/v1/messages"),
    ],
)
def test_url(base, what, expected) -> None:
    assert target(NAME, base, what) == expected


def test_it_serves_claude_alone() -> None:
    assert PLATFORM.models == ("claude-*",)


@pytest.mark.parametrize(
    ("credentials", "options", "base"),
    [
        (KEY, {}, None),
        (KEY, {}, ""),
        (OAUTH, {}, None),
        (OAUTH | {"refresh_token": "r", "expires_at": "2026-11-20T19:05:00Z"}, {}, None),
        (OAUTH | {"refresh_token": None, "expires_at": "2026-11-20T19:05:00.123+02:00"}, {}, None),
        (OAUTH | {"expires_at": 1_790_000_000}, {}, "http://127.0.0.1:4000"),
        (OAUTH, {"token_url": "https://host.example/oauth/token", "client_id": "9d1c"}, None),
    ],
)
def test_accepted(credentials, options, base) -> None:
    validate(NAME, credentials, options, base)


@pytest.mark.parametrize(
    ("credentials", "options", "field"),
    [
        ({}, {}, "credentials.api_key"),
        ({"refresh_token": "r"}, {}, "credentials.access_token"),
        (KEY | OAUTH, {}, "credentials.access_token"),
        (OAUTH | {"expires_at": "tomorrow"}, {}, "credentials.expires_at"),
        (OAUTH | {"expires_at": "2026-11-20T19:05:00"}, {}, "credentials.expires_at"),
        (OAUTH | {"expires_at": -1}, {}, "credentials.expires_at"),
        (OAUTH | {"expires_at": True}, {}, "credentials.expires_at"),
        (OAUTH, {"token_url": "ftp://host/"}, "options.token_url"),
        (KEY, {"auth_header": "bearer"}, "options.auth_header"),
    ],
)
def test_refused(credentials, options, field) -> None:
    assert fault(NAME, credentials, options) == field


@pytest.mark.parametrize(
    ("held", "end"),
    [
        ({"api_key": "k"}, None),
        ({"access_token": "t", "expires_at": "5"}, None),
        ({"access_token": "t", "refresh_token": "r"}, math.inf),
        ({"access_token": "t", "refresh_token": "r", "expires_at": "1970-01-01T00:01:00Z"}, 60.0),
    ],
)
def test_only_a_refresh_token_makes_an_end_matter(held, end) -> None:
    assert expires(account(NAME, held)) == end


@pytest.mark.parametrize(
    ("options", "url", "client"),
    [
        ({}, "https://platform.claude.com/v1/oauth/token", {}),
        (
            {"token_url": "https://host.example/t", "client_id": "mine"},
            "https://host.example/t",
            {"client_id": "mine"},
        ),
    ],
)
def test_a_renewal(options, url, client) -> None:
    renewal = renew(account(NAME, {"access_token": "t", "refresh_token": "r"}, options), 1000.0)
    asked = next(renewal)
    assert asked.url == url
    assert json.loads(asked.body) == {"grant_type": "refresh_token", "refresh_token": "r", **client}
    with pytest.raises(StopIteration) as done:
        renewal.send(Reply(200, {}, b'{"access_token":"t2","refresh_token":"r2","expires_in":28800}'))
    assert done.value.value == {"access_token": "t2", "refresh_token": "r2", "expires_at": 29_800.0}
