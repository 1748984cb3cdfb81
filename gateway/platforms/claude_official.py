"""`claude-official`: Anthropic's own API, by API key or OAuth access token (docs.claude.com/en/api).

Where OAuth is authorised and renewed is a setting: Anthropic has moved it before. So is the client, the one to which
the tokens were issued: poolgate has none of its own, and stands in for nobody's.
"""

from msgspec import Struct

from gateway.core.domain import Account
from gateway.platforms import anthropic_api, grants, judgement, signing
from gateway.platforms.platform import Authorisation, Outgoing, Platform, Renewal
from gateway.platforms.validation import Expiry, HeaderText, HttpUrl


class OAuth(Struct, frozen=True, forbid_unknown_fields=True):
    access_token: HeaderText
    refresh_token: HeaderText | None = None
    expires_at: Expiry = None


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    token_url: HttpUrl | None = None
    authorize_url: HttpUrl | None = None
    redirect_uri: HttpUrl | None = None
    client_id: HeaderText | None = None


def sign(outgoing: Outgoing, account: Account, now: float) -> Outgoing:
    """`x-api-key`; or Bearer with the OAuth beta after the client's own betas."""
    outgoing = signing.with_version(outgoing)
    if "access_token" not in account.credentials:
        return signing.signed(outgoing, [(b"x-api-key", signing.secret(account, "api_key"))])
    outgoing = signing.with_beta(outgoing, signing.OAUTH_BETA)
    return signing.signed(outgoing, [signing.bearer(signing.secret(account, "access_token"))])


def expires(account: Account) -> float | None:
    return grants.ends(account) if "refresh_token" in account.credentials else None


def renew(account: Account, now: float) -> Renewal:
    token = signing.secret(account, "refresh_token").decode("ascii")
    named = account.options.get("client_id")
    return grants.refresh(
        str(account.options.get("token_url") or AUTHORISATION.token_url),
        token,
        str(named) if named else None,
        now=now,
        form="json",
    )


AUTHORISATION = Authorisation(
    authorize_url="https://claude.ai/oauth/authorize",
    token_url="https://platform.claude.com/v1/oauth/token",  # noqa: S106  # an address
    redirect_uri="https://platform.claude.com/oauth/code/callback",
    scope="user:profile user:inference",
    form="json",
    # The page at the redirect shows the code, to be pasted.
    more=(("code", "true"),),
    sends_state=True,
)

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
    expires=expires,
    renew=renew,
    authorisation=AUTHORISATION,
    probe=anthropic_api.probe,
)
