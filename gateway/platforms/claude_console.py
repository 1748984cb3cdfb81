"""`claude-console`: any endpoint that speaks Anthropic's API: a Console key, Z.AI, MiniMax, Kimi, DeepSeek…"""

from typing import Literal

from msgspec import Struct

from gateway.core.domain import Account
from gateway.platforms import anthropic_api, judgement, signing
from gateway.platforms.platform import Outgoing, Platform


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    auth_header: Literal["x-api-key", "bearer"] = "x-api-key"


def sign(outgoing: Outgoing, account: Account, now: float) -> Outgoing:
    key = signing.secret(account, "api_key")
    by_bearer = account.options.get("auth_header") == "bearer"
    own = signing.bearer(key) if by_bearer else (b"x-api-key", key)
    return signing.signed(signing.with_version(outgoing), [own])


PLATFORM = Platform(
    name="claude-console",
    family="claude",
    serves=anthropic_api.SERVES,
    base_url=None,
    # Such endpoints answer to Claude's names too; what else they have, the account lists.
    models=("claude-*",),
    credentials=(anthropic_api.ApiKey,),
    options=Options,
    sign=sign,
    judge=judgement.judge,
    probe=anthropic_api.probe,
)
