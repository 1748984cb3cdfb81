"""Credentials and base URLs that no account may hold, and the field at fault. Each platform's are in its own test."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.platforms import InvalidAccount
from gateway.platforms.validation import check_base_url
from tests.platforms.scene import KEY, fault


def test_an_unknown_platform() -> None:
    assert fault("nope", KEY) == "platform"


@pytest.mark.parametrize(
    ("credentials", "field"),
    [
        (KEY | {"extra": "x"}, "credentials.extra"),
        ({"api_key": 7}, "credentials.api_key"),
        ({"api_key": None}, "credentials.api_key"),
        ({"api_key": ""}, "credentials.api_key"),
        ({"api_key": "a\r\nx: y"}, "credentials.api_key"),
        ({"api_key": "key\n"}, "credentials.api_key"),
        ({"api_key": " key"}, "credentials.api_key"),
        ({"api_key": "ключ"}, "credentials.api_key"),
        ({"api_key": "\ud800"}, "credentials.api_key"),
        ({"api_key": "k" * 20_000}, "credentials.api_key"),
    ],
)
def test_the_field_at_fault_is_named_and_no_value_is_shown(credentials, field) -> None:
    assert fault("claude-official", credentials) == field


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
