"""`openai-responses`: an endpoint of which only the Responses API is used, at `{base_url}/responses`."""

from typing import Any

from msgspec import Struct

from gateway.core.domain import Account
from gateway.platforms import judgement, signing
from gateway.platforms.platform import Outgoing, Platform
from gateway.platforms.validation import HeaderText


class Credentials(Struct, frozen=True, forbid_unknown_fields=True):
    api_key: HeaderText


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """None yet."""


def sign(outgoing: Outgoing, account: Account, now: float) -> Outgoing:
    return signing.signed(outgoing, [signing.bearer(signing.secret(account, "api_key"))])


def probe(model: str) -> tuple[str, str, dict[str, Any]]:
    """16 is the least that the API takes; nothing is stored."""
    return "openai_responses", "generate", {"model": model, "input": "Say ok.", "max_output_tokens": 16, "store": False}


PLATFORM = Platform(
    name="openai-responses",
    family="openai",
    # The base holds the version, if there is one: `https://api.openai.com/v1`.
    serves={("openai_responses", "generate"): "/responses"},
    base_url=None,
    models=("*",),
    credentials=(Credentials,),
    options=Options,
    sign=sign,
    judge=judgement.judge,
    probe=probe,
)
