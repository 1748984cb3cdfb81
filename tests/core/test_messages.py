"""What webhooks are sent: shapes and signatures by the vendors' own words, and names that can do nothing in a chat."""

import base64
import hashlib
import hmac
import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.messages import (
    DISABLED,
    EVENTS,
    RECOVERED,
    TEST,
    TROUBLE,
    Event,
    Post,
    message,
    new_secret,
    quiet,
    refusal,
    signing_key,
    words,
)

NOW = 1_674_087_231.25
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CHATS = ("slack", "feishu", "dingtalk")


def event(name: str = "main", kind: str = TROUBLE, scope: str = "account", **more: Any) -> Event:
    data = {
        "account": {"id": "acct_1", "name": name, "platform": "openai"},
        "scope": scope,
        "reason": "rate_limited",
        "until": "2026-01-01T00:00:00.000Z",
        "source": {"request_id": "req_1", "status": 429},
        **more,
    }
    return Event(kind, "2025-12-31T23:00:00.000Z", data)


def texts(kind: str, post: Post) -> list[str]:
    """Everything that people see."""
    body = json.loads(post.body)
    match kind:
        case "slack":
            return [body["text"], *(block["text"]["text"] for block in body["blocks"])]
        case "feishu":
            said = body["content"]["post"]["en_us"]
            return [said["title"], *(part["text"] for line in said["content"] for part in line)]
        case _:
            return [body["text"]["content"]]


def test_plain_is_signed_as_standard_webhooks_say():
    """The algorithm once more, by its page: base64 of HMAC-SHA256 over `msg_id.timestamp.payload`."""
    post = message("plain", "https://example.com/x", WHSEC, "dlv_1", event(), NOW)
    headers = dict(post.headers)
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("dlv_1", "1674087231")
    signed = b"dlv_1.1674087231." + post.body
    expected = hmac.new(base64.b64decode(WHSEC[6:]), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()
    assert json.loads(post.body) == {
        "type": "account.trouble",
        "timestamp": "2025-12-31T23:00:00.000Z",
        "data": {
            "account": {"id": "acct_1", "name": "main", "platform": "openai"},
            "scope": "account",
            "reason": "rate_limited",
            "until": "2026-01-01T00:00:00.000Z",
            "source": {"request_id": "req_1", "status": 429},
        },
    }
    assert post.url == "https://example.com/x"


def test_the_signature_of_the_published_example():
    """https://github.com/standard-webhooks/standard-webhooks: the vector that its libraries test themselves with."""
    secret, payload = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    signed = b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330." + payload
    made = base64.b64encode(hmac.digest(signing_key(secret), signed, "sha256")).decode()
    assert made == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_feishu_signs_nothing_with_time_and_secret():
    """Custom bot guide: `timestamp + "\\n" + secret` is the key, the message is empty, seconds, both in the body."""
    body = json.loads(message("feishu", "https://open.feishu.cn/x", "demo", "dlv_1", event(), NOW).body)
    expected = hmac.new(b"1674087231\ndemo", b"", hashlib.sha256).digest()
    assert (body["timestamp"], body["sign"]) == ("1674087231", base64.b64encode(expected).decode())
    assert body["msg_type"] == "post"
    assert all(part["tag"] == "text" for line in body["content"]["post"]["en_us"]["content"] for part in line)
    unsigned = json.loads(message("feishu", "https://open.feishu.cn/x", None, "dlv_1", event(), NOW).body)
    assert unsigned.keys() == {"msg_type", "content"}


def test_dingtalk_signs_in_the_query():
    """Custom robot access: HMAC-SHA256 by the secret over `timestamp + "\\n" + secret`, milliseconds, URL-encoded."""
    url = "https://oapi.dingtalk.com/robot/send?access_token=t"
    post = message("dingtalk", url, "SECdemo", "dlv_1", event(), NOW)
    query = parse_qs(urlsplit(post.url).query)
    expected = hmac.new(b"SECdemo", b"1674087231250\nSECdemo", hashlib.sha256).digest()
    assert query == {
        "access_token": ["t"],
        "timestamp": ["1674087231250"],
        "sign": [base64.b64encode(expected).decode()],
    }
    assert message("dingtalk", url, None, "dlv_1", event(), NOW).url == url
    assert "?timestamp=" in message("dingtalk", "https://x.example/y", "s", "dlv_1", event(), NOW).url
    assert json.loads(post.body)["at"] == {"isAtAll": False}


def test_slack_has_text_for_notifications_and_blocks_of_plain_text():
    body = json.loads(message("slack", "https://hooks.slack.com/x", None, "dlv_1", event("a & b"), NOW).body)
    assert body["text"] == "poolgate: account a &amp; b is in trouble"
    assert [block["text"]["type"] for block in body["blocks"]] == ["plain_text", "plain_text"]
    assert "reason: rate_limited\nuntil: 2026-01-01T00:00:00.000Z" in body["blocks"][1]["text"]["text"]


@pytest.mark.parametrize("kind", [*EVENTS, TEST])
@pytest.mark.parametrize("receiver", ["plain", *CHATS])
def test_each_event_has_a_form_for_each_receiver(kind: str, receiver: str):
    data = {"webhook": {"id": "whk_1", "name": "ops"}} if kind == TEST else event().data
    post = message(receiver, "https://example.com/x", WHSEC, "dlv_1", Event(kind, "t", data), NOW)
    assert dict(post.headers)["content-type"] == "application/json"
    assert json.loads(post.body)


def test_what_is_not_known_is_not_said():
    said = event(kind=RECOVERED, until=None, source={"request_id": None, "status": None})
    title, lines = words(said)
    assert title == "poolgate: account main is used again"
    assert [line.partition(":")[0] for line in lines] == ["platform", "scope", "reason", "account", "at"]
    assert words(event(kind=DISABLED))[0] == "poolgate: account main needs a person"


NASTY = [
    "<!channel>",
    "<@U123>",
    '<at user_id="all">all</at>',
    "@all",
    "http://evil.example",
    "<https://e.x|ok>",
    "a\nb",
]


@given(st.text() | st.sampled_from(NASTY), st.text() | st.sampled_from(NASTY), st.sampled_from(CHATS))
def test_names_can_do_nothing_in_a_chat(name: str, model: str, kind: str):
    """No mention, no tag, no link, no further line, nothing invisible, whoever chose the name."""
    for said in event(name, scope=f"model:{model}"), event("main"):
        post = message(kind, "https://example.com/x", "secret", "dlv_1", said, NOW)
        shown = texts(kind, post)
        for text in shown:
            assert not re.search(r"[<>@]|://", text)
            assert not re.search("[\x00-\x09\x0b-\x1f\u202a-\u202e\u2066-\u2069\u200b]", text)
            if kind == "slack":
                assert not re.search(r"&(?!amp;)", text)
        assert all(len(text) < 3000 for text in shown)
    nasty, harmless = (message(kind, "https://x.y/z", None, "d", one, NOW) for one in (event(name), event("main")))
    lines = [sum(text.count("\n") for text in texts(kind, post)) for post in (nasty, harmless)]
    assert lines[0] == lines[1]


@given(st.text())
def test_quiet_text_is_short_and_stays_quiet(text: str):
    once = quiet(text)
    assert len(once) <= 301
    assert quiet(once).startswith(once[:300])


def test_ordinary_names_stay_as_they_are():
    assert quiet("Müller's 主账号 (gpt-4.1-mini) *50%*") == "Müller's 主账号 (gpt-4.1-mini) *50%*"


@pytest.mark.parametrize(
    ("kind", "status", "body", "why"),
    [
        ("plain", 204, b"", None),
        ("plain", 200, b"whatever", None),
        ("plain", 302, b"", "HTTP 302"),
        ("plain", 500, b"", "HTTP 500"),
        ("slack", 200, b"ok", None),
        ("slack", 200, b"<html>", "not accepted"),
        ("slack", 404, b"no_service", "HTTP 404"),
        ("feishu", 200, b'{"code":0,"msg":"success","data":{}}', None),
        ("feishu", 200, b'{"StatusCode":0,"StatusMessage":"success"}', None),
        ("feishu", 200, b'{"code":19021,"msg":"sign match fail"}', "code 19021"),
        ("feishu", 200, b"{}", "code None"),
        ("feishu", 200, b'{"code":false}', "code False"),
        ("dingtalk", 200, b'{"errcode":0,"errmsg":"ok"}', None),
        ("dingtalk", 200, b'{"errcode":310000,"errmsg":"sign not match"}', "code 310000"),
        ("dingtalk", 200, b"ok", "not accepted"),
        ("dingtalk", 200, b"[]", "not accepted"),
    ],
)
def test_success_is_the_receivers_own(kind: str, status: int, body: bytes, why: str | None):
    assert refusal(kind, status, body) == why


def test_secrets_of_standard_webhooks():
    made = new_secret()
    assert len(signing_key(made)) == 32
    assert made != new_secret()
    for wrong in ("", "abc", made[6:], "whsec_", "whsec_abc", "whsec_" + "A" * 20, "whsec_" + "A" * 100, "whsec_é"):
        with pytest.raises(ValueError, match="whsec_"):
            signing_key(wrong)
