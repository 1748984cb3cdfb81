"""Credentials and base URLs that no account may hold, and the field at fault. Each platform's are in its own test."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.platforms import InvalidAccount, validate
from gateway.platforms.validation import check_base_url
from tests.platforms.scene import KEY, fault

#: What some resolvers read as 127.0.0.1, or as another address than is written.
NUMBERS = ("127.1", "2130706433", "0x7f.1", "0X7F000001", "0177.0.0.1", "127.0.0.1.", "127.0.0.01", "256.0.0.1", "a.1")


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
        *(f"https://{host}" for host in NUMBERS),
        *(f"http://{host}:8080/v1" for host in NUMBERS),
        "https://[12345::]",
    ],
)
def test_an_unusable_base_url(base_url):
    with pytest.raises(InvalidAccount) as raised:
        check_base_url(base_url)
    assert raised.value.field == "base_url"
    assert "pass" not in raised.value.message.replace("password", "")


@pytest.mark.parametrize("host", NUMBERS)
def test_no_address_of_an_account_is_a_number_in_disguise(host: str) -> None:
    url = f"https://u:p@{host}:8443/token?x=1"
    tokens = {"access_token": "t", "refresh_token": "r"}
    for name in ("token_url", "authorize_url", "redirect_uri"):
        assert fault("claude-official", tokens, {name: url}) == f"options.{name}"
        assert fault("openai-responses", tokens, {name: url}) == f"options.{name}"
    entra = {"client_id": "app", "token_url": url}
    assert fault("azure-openai", {"client_secret": "s"}, entra, "https://host.example") == "options.token_url"
    google = {"type": "service_account", "client_email": "a@b", "private_key": "k", "token_uri": url}
    assert fault("gemini", {"service_account": google}) == "credentials.service_account.token_uri"


def test_usual_addresses_are_taken() -> None:
    tokens = {"access_token": "t", "refresh_token": "r"}
    for host in ("127.0.0.1", "[::1]", "0x7f.example", "Tokens.example"):
        validate("claude-official", tokens, {"token_url": f"https://{host}/token", "authorize_url": None}, None)
    assert fault("claude-official", tokens, {"token_url": "https://[::1"}) == "options.token_url"


@given(st.text(), st.text(alphabet="https:/@?#%.[]x1 \r\n"))
def test_any_text_is_judged(text, odd):
    for base_url in (text, odd, "https://" + text, "https://host/" + odd):
        try:
            check_base_url(base_url)
        except InvalidAccount:
            continue
        assert base_url.isascii()
        assert not set(" \r\n\t?#@\\") & set(base_url.partition("://")[2].partition("/")[0])
