"""What the platforms that speak Anthropic's API have in common: paths, an API key, the cheapest request."""

from typing import Any

from msgspec import Struct

from gateway.platforms.validation import HeaderText

SERVES = {
    ("anthropic", "generate"): "/v1/messages",
    ("anthropic", "count"): "/v1/messages/count_tokens",
}


class ApiKey(Struct, frozen=True, forbid_unknown_fields=True):
    api_key: HeaderText


class NoOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """A platform that takes none."""


def probe(model: str) -> tuple[str, str, dict[str, Any]]:
    """One token (docs.claude.com/en/api/messages)."""
    body = {"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
    return "anthropic", "generate", body
