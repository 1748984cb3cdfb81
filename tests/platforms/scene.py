"""One account of a platform: what it puts on a client's request, where it sends it, and what it may hold."""

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.core.domain import Account
from gateway.core.secret import Secret
from gateway.platforms import PLATFORMS, InvalidAccount, validate
from gateway.platforms.platform import Outgoing
from gateway.platforms.target import url

KEY = {"api_key": "sk-ant-api03-AAAA"}
BASE = "https://host.example/anthropic"

GENERATE = ("anthropic", "generate")
COUNT = ("anthropic", "count")
CHAT = ("openai_chat", "generate")
EMBED = ("openai_chat", "embed")
RESPONSES = ("openai_responses", "generate")
GEMINI = ("gemini", "generateContent")
STREAM = ("gemini", "streamGenerateContent")
GOOGLE = "https://generativelanguage.googleapis.com"

CLIENT = [
    (b"user-agent", b"sdk/1"),
    (b"anthropic-beta", b"a-1"),
    (b"authorization", b"Bearer sk-client"),
    (b"x-api-key", b"sk-client"),
    (b"x-goog-api-key", b"sk-client"),
    (b"openai-organization", b"org-client"),
]
KEPT = [(b"user-agent", b"sdk/1"), (b"anthropic-beta", b"a-1")]
VERSION = (b"anthropic-version", b"2023-06-01")


def account(
    platform: str, credentials: Mapping[str, str], options: Mapping[str, Any] | None = None, base_url: str = ""
) -> Account:
    held = {name: Secret(value) for name, value in credentials.items()}
    return Account(
        id="acct_1", tenant_id="t", name="a", platform=platform, base_url=base_url, credentials=held,
        options=dict(options or {}),
    )  # fmt: skip


def signed(
    platform: str, credentials: Mapping[str, str], options: Mapping[str, Any] | None = None
) -> list[tuple[bytes, bytes]]:
    """The headers of the client's request when the account has signed it; nothing else of it may change."""
    outgoing = Outgoing("POST", "https://host.example/", CLIENT, b"{}")
    found = PLATFORMS[platform].sign(outgoing, account(platform, credentials, options), 0.0)
    assert (found.method, found.url, found.body) == (outgoing.method, outgoing.url, outgoing.body)
    return list(found.headers)


def target(platform: str, base: str, what: tuple[str, str], model: str = "m", query: bytes = b"") -> str:
    protocol, operation = what
    return url(account(platform, {}, base_url=base), PLATFORMS[platform], protocol, operation, model, query)


def fault(
    platform: str, credentials: Mapping[str, Any], options: Mapping[str, Any] | None = None, base: str | None = None
) -> str:
    """The field that makes the account unusable. What is at fault in it is said, and nothing of what it holds."""
    with pytest.raises(InvalidAccount) as raised:
        validate(platform, credentials, options or {}, base)
    assert raised.value.message
    for secret in ("sk-ant", "x: y", "ключ", "kkkk", "org\r"):
        assert secret not in str(raised.value)
    return raised.value.field
