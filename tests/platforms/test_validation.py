"""Accounts that fit their platform, and the field at fault in those that do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.platforms import InvalidAccount, validate
from gateway.platforms.validation import check_base_url

KEY = {"api_key": "sk-ant-api03-AAAA"}
BASE = "https://host.example/anthropic"
OAUTH = {"access_token": "sk-ant-oat01-AAAA"}


@pytest.mark.parametrize(
    ("platform", "credentials", "options", "base_url"),
    [
        ("claude-official", KEY, {}, None),
        ("claude-official", KEY, {}, ""),
        ("claude-official", OAUTH, {}, None),
        ("claude-official", OAUTH | {"refresh_token": "r", "expires_at": "2026-11-20T19:05:00Z"}, {}, None),
        ("claude-official", OAUTH | {"refresh_token": None, "expires_at": "2026-11-20T19:05:00.123+02:00"}, {}, None),
        ("claude-official", OAUTH | {"expires_at": 1_790_000_000}, {}, "http://127.0.0.1:4000"),
        ("claude-official", OAUTH, {"token_url": "https://host.example/oauth/token", "client_id": "9d1c"}, None),
        ("claude-console", KEY, {}, BASE),
        ("claude-console", KEY, {"auth_header": "bearer"}, BASE),
        ("claude-ccr", KEY, {}, "http://10.0.0.7:3456"),
        ("openai", KEY, {"organization": "org-1", "project": "proj_1", "usage_probe": False}, None),
        ("openai", KEY, {}, "https://api.deepseek.com/v1/"),
        ("openai-responses", KEY, {}, "https://api.openai.com/v1"),
        ("gemini", KEY, {}, None),
    ],
)
def test_accepted(platform, credentials, options, base_url):
    validate(platform, credentials, options, base_url)


@pytest.mark.parametrize(
    ("platform", "credentials", "options", "base_url", "field"),
    [
        ("nope", KEY, {}, None, "platform"),
        ("claude-official", {}, {}, None, "credentials.api_key"),
        ("claude-official", {"refresh_token": "r"}, {}, None, "credentials.access_token"),
        ("claude-official", KEY | OAUTH, {}, None, "credentials.access_token"),
        ("claude-official", KEY | {"extra": "x"}, {}, None, "credentials.extra"),
        ("claude-official", {"api_key": 7}, {}, None, "credentials.api_key"),
        ("claude-official", {"api_key": None}, {}, None, "credentials.api_key"),
        ("claude-official", {"api_key": ""}, {}, None, "credentials.api_key"),
        ("claude-official", {"api_key": "a\r\nx: y"}, {}, None, "credentials.api_key"),
        ("claude-official", {"api_key": "key\n"}, {}, None, "credentials.api_key"),
        ("claude-official", {"api_key": " key"}, {}, None, "credentials.api_key"),
        ("claude-official", {"api_key": "ключ"}, {}, None, "credentials.api_key"),
        ("claude-official", {"api_key": "\ud800"}, {}, None, "credentials.api_key"),
        ("claude-official", {"api_key": "k" * 20_000}, {}, None, "credentials.api_key"),
        ("claude-official", OAUTH | {"expires_at": "tomorrow"}, {}, None, "credentials.expires_at"),
        ("claude-official", OAUTH | {"expires_at": "2026-11-20T19:05:00"}, {}, None, "credentials.expires_at"),
        ("claude-official", OAUTH | {"expires_at": -1}, {}, None, "credentials.expires_at"),
        ("claude-official", OAUTH | {"expires_at": True}, {}, None, "credentials.expires_at"),
        ("claude-official", OAUTH, {"token_url": "ftp://host/"}, None, "options.token_url"),
        ("claude-official", KEY, {"auth_header": "bearer"}, None, "options.auth_header"),
        ("claude-console", KEY, {"auth_header": "basic"}, BASE, "options.auth_header"),
        ("claude-console", KEY, {}, None, "base_url"),
        ("claude-ccr", KEY, {}, "", "base_url"),
        ("claude-ccr", KEY, {"anything": 1}, BASE, "options.anything"),
        ("openai", KEY, {"organization": "org\r\n1"}, None, "options.organization"),
        ("openai", KEY, {"usage_probe": "yes"}, None, "options.usage_probe"),
        ("openai-responses", KEY, {}, None, "base_url"),
        ("gemini", {"key": "k"}, {}, None, "credentials.key"),
    ],
)
def test_the_field_at_fault_is_named_and_no_value_is_shown(platform, credentials, options, base_url, field):
    with pytest.raises(InvalidAccount) as raised:
        validate(platform, credentials, options, base_url)
    assert raised.value.field == field
    assert raised.value.message
    for secret in ("sk-ant", "x: y", "ключ", "kkkk", "org\r"):
        assert secret not in str(raised.value)


@pytest.mark.parametrize(
    "base_url",
    [
        "https://host.example",
        "https://host.example/",
        "HTTPS://Host.example:8443/a/b-c_d.e~f/",
        "http://127.0.0.1:4000",
        "http://[::1]:8080/v1",
        "https://xn--bcher-kva.example/v1",
        "http://ollama_host:11434",
    ],
)
def test_a_usable_base_url(base_url):
    check_base_url(base_url)


@pytest.mark.parametrize(
    "base_url",
    [
        "host.example",
        "//host.example",
        "ftp://host.example",
        "file:///etc/passwd",
        "https://",
        "https:///v1",
        "https://user@host.example",
        "https://user:pass@host.example",
        "https://@host.example",
        "https://host.example?x=1",
        "https://host.example/?",
        "https://host.example/#",
        "https://host.example/#frag",
        "https://host.example:99999",
        "https://host.example:0",
        "https://host.example:port",
        "https://[::1",
        "https://host.example/a/../b",
        "https://host.example/%2e%2e/",
        "https://host.example/a b",
        "https://host.example/a\r\nb",
        "https://host.example/\t",
        " https://host.example",
        "https://host.example\\@evil.example",
        "https://höst.example",
        "https://host.example/é",
        "https://host.example/{model}",
        "javascript:alert(1)",
    ],
)
def test_an_unusable_base_url(base_url):
    with pytest.raises(InvalidAccount) as raised:
        check_base_url(base_url)
    assert raised.value.field == "base_url"
    assert "pass" not in raised.value.message.replace("password", "")


@given(st.text(), st.text(alphabet="https:/@?#%.[]x1 \r\n"))
def test_any_text_is_judged(text, odd):
    for base_url in (text, odd, "https://" + text, "https://host/" + odd):
        try:
            check_base_url(base_url)
        except InvalidAccount:
            continue
        assert base_url.isascii()
        assert not set(" \r\n\t?#@\\") & set(base_url.partition("://")[2].partition("/")[0])
