"""Authorising accounts: what is asked for, and what comes back from the vendor's page."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from admin.schemas.accounts import ModelMap, Priority, Slots, Slug, Weight, Words
from admin.schemas.page import Moment, Name, Text, Word
from gateway.core.domain import Timeouts

Pasted = Annotated[str, Meta(min_length=1, max_length=8192)]


class AuthorisationStart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`options` are those of the account, such as `client_id`, `redirect_uri`, `authorize_url` and `token_url`;
    `proxy_id` is the way out for the exchange, and the account's."""

    platform: Word
    tenant_id: str | None = None
    options: dict[str, Any] | None = None
    proxy_id: str | None = None


class AuthorisationView(Struct, frozen=True, kw_only=True):
    """`authorize_url` is for the browser of the account's owner; `state` names the attempt until `expires_at`."""

    authorize_url: str
    state: str
    expires_at: str


class AuthorisationFinish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either `callback_url`, the whole address that the browser was sent to, or `code`, also as `code#state`. `state`
    may be left out where it stands in one of these.

    `account_id` authorises an account again; otherwise the other members are those of a new account, which needs a
    `name`. Platform, tenant, options and proxy are those of the start.
    """

    state: str | None = None
    code: Pasted | None = None
    callback_url: Pasted | None = None
    account_id: str | None = None
    name: Name | None = None
    provider: Slug | None = None
    base_url: str | None = None
    models: Words | None = None
    model_map: ModelMap | None = None
    pools: Words | None = None
    priority: Priority | None = None
    weight: Weight | None = None
    max_concurrency: Slots | None = None
    enabled: bool | None = None
    timeouts: Timeouts | None = None
    notes: Text | None = None
    expires_at: Moment | None = None
    explicit_only: bool | None = None
