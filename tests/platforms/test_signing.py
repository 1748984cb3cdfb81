"""The account's headers on a request, in place of the client's."""

import pytest

from gateway.core.domain import Account
from gateway.core.secret import Secret
from gateway.platforms import signing
from gateway.platforms.platform import Outgoing
from gateway.platforms.validation import InvalidAccount


def outgoing(*headers):
    return Outgoing("POST", "https://host/v1/messages", list(headers), b"{}")


def account(**credentials):
    held = {name: Secret(value) for name, value in credentials.items()}
    return Account(id="acct_1", tenant_id="t", name="a", platform="p", base_url="", credentials=held)


def test_what_proves_or_pays_never_comes_from_the_client():
    client = [
        (b"user-agent", b"cli/1"),
        (b"authorization", b"Bearer theirs"),
        (b"x-api-key", b"theirs"),
        (b"x-goog-api-key", b"theirs"),
        (b"api-key", b"theirs"),
        (b"proxy-authorization", b"theirs"),
        (b"cookie", b"theirs"),
        (b"openai-organization", b"theirs"),
        (b"openai-project", b"theirs"),
        (b"chatgpt-account-id", b"theirs"),
        (b"x-custom", b"theirs"),
        (b"accept", b"*/*"),
    ]
    before = outgoing(*client)
    after = signing.signed(before, [(b"x-api-key", b"ours"), (b"x-custom", b"ours")])
    assert after.headers == [
        (b"user-agent", b"cli/1"),
        (b"accept", b"*/*"),
        (b"x-api-key", b"ours"),
        (b"x-custom", b"ours"),
    ]
    assert (after.method, after.url, after.body) == (before.method, before.url, before.body)
    assert before.headers == client


@pytest.mark.parametrize(
    ("betas", "expected"),
    [
        ([], b"oauth-2025-04-20"),
        ([b"a-1,b-2"], b"a-1,b-2,oauth-2025-04-20"),
        ([b"a-1", b" b-2 "], b"a-1,b-2,oauth-2025-04-20"),
        ([b"a-1, oauth-2025-04-20"], b"a-1, oauth-2025-04-20"),
        ([b"", b"a-1"], b"a-1,oauth-2025-04-20"),
        ([b"oauth-2025-04-201"], b"oauth-2025-04-201,oauth-2025-04-20"),
    ],
)
def test_the_beta_follows_the_clients_betas(betas, expected):
    found = signing.with_beta(outgoing(*[(b"anthropic-beta", beta) for beta in betas]), signing.OAUTH_BETA)
    assert found.headers == [(b"anthropic-beta", expected)]


def test_the_version_is_the_clients_or_the_default():
    theirs = outgoing((b"anthropic-version", b"2024-10-22"))
    assert signing.with_version(theirs) is theirs
    assert signing.with_version(outgoing()).headers == [(b"anthropic-version", b"2023-06-01")]


@pytest.mark.parametrize("value", ["", "a\r\nx: y", "a\nb", "ключ", "key\x00", "a b", "k\n", "é"])
def test_a_credential_that_could_end_the_header_is_refused_without_being_shown(value):
    with pytest.raises(InvalidAccount) as raised:
        signing.secret(account(api_key=value), "api_key")
    assert raised.value.field == "credentials.api_key"
    assert not value or value not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_missing_credential_is_named():
    with pytest.raises(InvalidAccount, match=r"credentials\.api_key"):
        signing.secret(account(), "api_key")
