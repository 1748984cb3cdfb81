"""`claude-official`: Anthropic's own API, by API key or OAuth access token (docs.claude.com/en/api)."""

from typing import Annotated

from msgspec import Meta, Struct

from gateway.core.domain import Account
from gateway.platforms import anthropic_api, judgement, signing
from gateway.platforms.platform import Outgoing, Platform
from gateway.platforms.validation import HeaderText, HttpUrl

Expiry = (
    Annotated[str, Meta(pattern=r"(?a)\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")]
    | Annotated[float, Meta(ge=0)]
    | None
)
"""RFC 3339, or seconds since the epoch; `reset.moment` reads both (and milliseconds)."""


class OAuth(Struct, frozen=True, forbid_unknown_fields=True):
    access_token: HeaderText
    refresh_token: HeaderText | None = None
    expires_at: Expiry = None


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    token_url: HttpUrl | None = None
    authorize_url: HttpUrl | None = None
    client_id: HeaderText | None = None


def sign(outgoing: Outgoing, account: Account, now: float) -> Outgoing:
    """`x-api-key`; or Bearer with the OAuth beta after the client's own betas."""
    outgoing = signing.with_version(outgoing)
    if "access_token" not in account.credentials:
        return signing.signed(outgoing, [(b"x-api-key", signing.secret(account, "api_key"))])
    outgoing = signing.with_beta(outgoing, signing.OAUTH_BETA)
    return signing.signed(outgoing, [signing.bearer(signing.secret(account, "access_token"))])


PLATFORM = Platform(
    name="claude-official",
    family="claude",
    serves=anthropic_api.SERVES,
    base_url="https://api.anthropic.com",
    models=("claude-*",),
    credentials=(anthropic_api.ApiKey, OAuth),
    options=Options,
    sign=sign,
    judge=judgement.judge,
    probe=anthropic_api.probe,
)
