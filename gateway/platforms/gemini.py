"""`gemini`: Google's Gemini API by API key (ai.google.dev/api). Always `v1beta`, whatever version the client named."""

from typing import Any

from msgspec import Struct

from gateway.core.domain import Account
from gateway.platforms import judgement, signing
from gateway.platforms.platform import Outgoing, Platform
from gateway.platforms.validation import HeaderText

_ACTIONS = ("generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents")


class Credentials(Struct, frozen=True, forbid_unknown_fields=True):
    api_key: HeaderText


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """None yet: `project` and `location` come with Vertex."""


def sign(outgoing: Outgoing, account: Account, now: float) -> Outgoing:
    return signing.signed(outgoing, [(b"x-goog-api-key", signing.secret(account, "api_key"))])


def probe(model: str) -> tuple[str, str, dict[str, Any]]:
    """One token, or one embedding. Counting tokens would be free, and prove nothing about quota or billing."""
    content = {"role": "user", "parts": [{"text": "hi"}]}
    if "embed" in model.lower():
        return "gemini", "embedContent", {"content": content}
    return "gemini", "generateContent", {"contents": [content], "generationConfig": {"maxOutputTokens": 1}}


PLATFORM = Platform(
    name="gemini",
    family="gemini",
    serves={("gemini", action): f"/v1beta/models/{{model}}:{action}" for action in _ACTIONS},
    base_url="https://generativelanguage.googleapis.com",
    # The older embedding models are `embedding-001` and `text-embedding-004`; OpenAI's begin `text-embedding-3`.
    models=("gemini-*", "gemma-*", "embedding-00*", "text-embedding-00*", "tunedModels/*"),
    credentials=(Credentials,),
    options=Options,
    sign=sign,
    judge=judgement.judge,
    probe=probe,
)
