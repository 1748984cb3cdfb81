"""`claude-ccr`: a claude-code-router, which takes any model's name; only used when it is asked for by name."""

from gateway.core.domain import Account
from gateway.platforms import anthropic_api, judgement, signing
from gateway.platforms.platform import Outgoing, Platform


def sign(outgoing: Outgoing, account: Account, now: float) -> Outgoing:
    own = (b"x-api-key", signing.secret(account, "api_key"))
    return signing.signed(signing.with_version(outgoing), [own])


PLATFORM = Platform(
    name="claude-ccr",
    family="claude",
    serves=anthropic_api.SERVES,
    base_url=None,
    models=("*",),
    credentials=(anthropic_api.ApiKey,),
    options=anthropic_api.NoOptions,
    sign=sign,
    judge=judgement.judge,
    explicit_only=True,
    probe=anthropic_api.probe,
)
