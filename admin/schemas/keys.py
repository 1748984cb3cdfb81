"""Keys, as they are written and as they are shown."""

from decimal import Decimal
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from admin.schemas.page import Moment, Word, at, stamp
from admin.schemas.usage import Totals
from gateway.core import models as m
from gateway.core.domain import OnDisconnect
from gateway.core.limits import written

Words = Annotated[list[Word], Meta(max_length=1000)]
Metadata = Annotated[dict[str, Any], Meta(max_length=100)]
Title = Annotated[str, Meta(max_length=200)]


class KeyDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`platforms` and `models` must be said: `["*"]` is all, `[]` is nothing."""

    platforms: Words
    models: Words
    name: Title | None = None
    tenant_id: str | None = None
    user_id: str | None = None
    groups: Words | None = None
    limits: list[dict[str, Any]] | None = None
    pools: Words | None = None
    account_id: str | None = None
    allowed_ips: Words | None = None
    allowed_clients: Words | None = None
    mcp_servers: Words | None = None
    expires_at: Moment | None = None
    on_disconnect: OnDisconnect | None = None
    price_multiplier: Decimal | None = None
    debug: bool | None = None
    metadata: Metadata | None = None
    tags: Words | None = None
    enabled: bool | None = None


class KeyPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Absent: as it was. null: as if never given."""

    platforms: Words | UnsetType | None = UNSET
    models: Words | UnsetType | None = UNSET
    name: Title | UnsetType | None = UNSET
    user_id: str | UnsetType | None = UNSET
    groups: Words | UnsetType | None = UNSET
    limits: list[dict[str, Any]] | UnsetType | None = UNSET
    pools: Words | UnsetType | None = UNSET
    account_id: str | UnsetType | None = UNSET
    allowed_ips: Words | UnsetType | None = UNSET
    allowed_clients: Words | UnsetType | None = UNSET
    mcp_servers: Words | UnsetType | None = UNSET
    expires_at: Moment | UnsetType | None = UNSET
    on_disconnect: OnDisconnect | UnsetType | None = UNSET
    price_multiplier: Decimal | UnsetType | None = UNSET
    debug: bool | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET
    tags: Words | UnsetType | None = UNSET
    enabled: bool | UnsetType | None = UNSET


class KeyView(Struct, frozen=True, kw_only=True):
    id: str
    tenant_id: str
    name: str
    prefix: str
    last_four: str
    user_id: str | None
    platforms: list[str]
    models: list[str]
    groups: list[str]
    limits: list[dict[str, Any]]
    pools: list[str]
    account_id: str | None
    allowed_ips: list[str]
    allowed_clients: list[str]
    mcp_servers: list[str]
    expires_at: str | None
    on_disconnect: str | None
    price_multiplier: str
    debug: bool
    metadata: dict[str, Any]
    tags: list[str]
    enabled: bool
    created_at: str
    updated_at: str
    last_used_at: str | None
    deleted_at: str | UnsetType = UNSET
    usage: Totals | UnsetType = UNSET
    """All that the key ever used."""
    secret: str | UnsetType = UNSET
    """The key itself, in the answer to its creation or rotation, this once."""


class Rotation(Struct, frozen=True, forbid_unknown_fields=True):
    overlap_seconds: Annotated[int, Meta(ge=0, le=30 * 86400)] = 0
    """How long the old secret goes on working."""


class Disabling(Struct, frozen=True, forbid_unknown_fields=True):
    cut: bool = False
    """End running requests too."""


def view(key: m.Key, usage: Totals | UnsetType = UNSET, secret: str | UnsetType = UNSET) -> KeyView:
    return KeyView(
        id=key.id,
        tenant_id=key.tenant_id,
        name=key.name,
        prefix=key.prefix,
        last_four=key.last_four,
        user_id=key.user_id,
        platforms=key.platforms,
        models=key.models,
        groups=key.groups,
        limits=written(key.limits),
        pools=key.pools,
        account_id=key.account_id,
        allowed_ips=key.allowed_ips,
        allowed_clients=key.allowed_clients,
        mcp_servers=key.mcp_servers,
        expires_at=stamp(key.expires_at),
        on_disconnect=key.on_disconnect,
        price_multiplier=key.price_multiplier,
        debug=key.debug,
        metadata=key.metadata_,
        tags=key.tags,
        enabled=key.enabled,
        created_at=at(key.created_at),
        updated_at=at(key.updated_at),
        last_used_at=stamp(key.last_used_at),
        deleted_at=UNSET if key.deleted_at is None else at(key.deleted_at),
        usage=usage,
        secret=secret,
    )
