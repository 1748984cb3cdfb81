"""The code flow with PKCE, without a server: RFC 6749 §4.1, RFC 7636."""

from urllib.parse import parse_qs, parse_qsl, urlsplit

import msgspec
import pytest

from gateway.platforms import PLATFORMS, InvalidAccount
from gateway.platforms.authorisation import Pasted, authorize_url, challenge, client_id, exchange, pasted
from gateway.platforms.platform import Authorisation, NotRenewed, Reply

PLANS = {name: plan for name, platform in PLATFORMS.items() if (plan := platform.authorisation)}
OWN = {"client_id": "mine"}


def test_the_challenge_of_the_rfc() -> None:
    """RFC 7636, appendix B."""
    assert challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_who_can_be_authorised_so() -> None:
    assert set(PLANS) == {"claude-official", "openai-responses"}


@pytest.mark.parametrize(
    ("platform", "page", "said"),
    [
        (
            "claude-official",
            "https://claude.ai/oauth/authorize",
            {"redirect_uri": "https://platform.claude.com/oauth/code/callback", "code": "true"},
        ),
        (
            "openai-responses",
            "https://auth.openai.com/oauth/authorize",
            {"redirect_uri": "http://localhost:1455/auth/callback", "id_token_add_organizations": "true"},
        ),
    ],
)
def test_the_page(platform, page, said) -> None:
    url = urlsplit(authorize_url(PLANS[platform], OWN, "st/ate", "verifier"))
    asked = dict(parse_qsl(url.query, strict_parsing=True))
    assert f"{url.scheme}://{url.netloc}{url.path}" == page
    assert said.items() <= asked.items()
    assert (asked["response_type"], asked["client_id"], asked["state"]) == ("code", "mine", "st/ate")
    assert (asked["code_challenge"], asked["code_challenge_method"]) == (challenge("verifier"), "S256")
    assert asked["scope"] and "verifier" not in asked.values()


def test_the_operator_s_settings_stand_in() -> None:
    options = {
        "client_id": "c",
        "redirect_uri": "https://r/x",
        "authorize_url": "https://a/b?x=1",
        "token_url": "https://t",
    }
    plan = PLANS["claude-official"]
    url = authorize_url(plan, options, "s", "v")
    assert url.startswith("https://a/b?x=1&")
    assert parse_qs(urlsplit(url).query)["redirect_uri"] == ["https://r/x"]
    request = next(exchange(plan, options, "code", "s", "v", 0.0))
    assert request.url == "https://t" and b'"redirect_uri":"https://r/x"' in request.body


def test_a_client_that_is_not_known() -> None:
    nobody = Authorisation("https://a", "https://t", "https://r", "s", "json")
    for act in (
        lambda: client_id(nobody, {}),
        lambda: authorize_url(nobody, {}, "s", "v"),
        lambda: next(exchange(nobody, {"client_id": ""}, "c", "s", "v", 0.0)),
    ):
        with pytest.raises(InvalidAccount) as raised:
            act()
        assert raised.value.field == "options.client_id"


@pytest.mark.parametrize(
    ("platform", "json", "state"), [("claude-official", True, True), ("openai-responses", False, False)]
)
def test_the_exchange(platform, json, state) -> None:
    asking = exchange(PLANS[platform], OWN, "the-code", "the-state", "the-verifier", 1000.0)
    request = next(asking)
    sent = msgspec.json.decode(request.body) if json else dict(parse_qsl(request.body.decode()))
    assert request.url == PLANS[platform].token_url
    assert sent.pop("state", None) == ("the-state" if state else None)
    assert sent == {
        "grant_type": "authorization_code",
        "code": "the-code",
        "client_id": "mine",
        "redirect_uri": PLANS[platform].redirect_uri,
        "code_verifier": "the-verifier",
    }
    answer = {"access_token": "a", "refresh_token": "r", "expires_in": 10}
    with pytest.raises(StopIteration) as done:
        asking.send(Reply(200, {}, msgspec.json.encode(answer)))
    assert done.value.value == {"access_token": "a", "refresh_token": "r", "expires_at": 1010.0}


def test_a_refusal() -> None:
    asking = exchange(PLANS["openai-responses"], OWN, "code", "s", "v", 0.0)
    next(asking)
    with pytest.raises(NotRenewed) as raised:
        asking.send(Reply(400, {}, b'{"error":"invalid_grant","error_description":"code is wrong"}'))
    assert raised.value.revoked and str(raised.value) == "invalid_grant"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abc", Pasted("abc")),
        (" abc#st \n", Pasted("abc", "st")),
        ("abc#", Pasted("abc")),
        ("", Pasted()),
        ("http://localhost:1455/auth/callback?code=a%2Fb&state=st&scope=x", Pasted("a/b", "st")),
        ("https://host/cb#code=a&state=st", Pasted("a", "st")),
        ("https://host/cb?code=a#state=other", Pasted("a")),
        ("https://host/cb?error=access_denied&state=st", Pasted("", "st", "access_denied")),
        ("https://host/cb", Pasted()),
        ("http://[::1/?code=a", Pasted()),
    ],
)
def test_what_people_paste(text, expected) -> None:
    assert pasted(text) == expected
