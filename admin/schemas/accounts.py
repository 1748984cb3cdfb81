"""Accounts and pools, as they are written and as they are shown. Credentials are written only."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from admin.schemas.page import Moment, Name, Text, Word, at, stamp
from gateway.core import models as m
from gateway.core.domain import Probe, Strategy, Timeouts
from gateway.core.limits import written

Words = Annotated[list[Word], Meta(max_length=1000)]
Priority = Annotated[int, Meta(ge=1, le=100)]
Weight = Annotated[int, Meta(ge=0, le=10_000)]
Slots = Annotated[int, Meta(ge=1, le=1_000_000)]
Slug = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\Z")]
ModelMap = dict[Word, Word]


class AccountDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    platform: Word
    tenant_id: str | None = None
    provider: Slug | None = None
    base_url: str | None = None
    options: dict[str, Any] | None = None
    credentials: dict[str, Any] | None = None
    models: Words | None = None
    model_map: ModelMap | None = None
    pools: Words | None = None
    priority: Priority | None = None
    weight: Weight | None = None
    max_concurrency: Slots | None = None
    limits: list[dict[str, Any]] | None = None
    enabled: bool | None = None
    proxy_id: str | None = None
    probe: Probe | None = None
    timeouts: Timeouts | None = None
    notes: Text | None = None
    expires_at: Moment | None = None
    explicit_only: bool | None = None


class AccountPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Absent: as it was. null: as if never given. `credentials` replace the old ones as a whole."""

    name: Name | UnsetType | None = UNSET
    provider: Slug | UnsetType | None = UNSET
    base_url: str | UnsetType | None = UNSET
    options: dict[str, Any] | UnsetType | None = UNSET
    credentials: dict[str, Any] | UnsetType = UNSET
    models: Words | UnsetType | None = UNSET
    model_map: ModelMap | UnsetType | None = UNSET
    pools: Words | UnsetType | None = UNSET
    priority: Priority | UnsetType | None = UNSET
    weight: Weight | UnsetType | None = UNSET
    max_concurrency: Slots | UnsetType | None = UNSET
    limits: list[dict[str, Any]] | UnsetType | None = UNSET
    enabled: bool | UnsetType | None = UNSET
    proxy_id: str | UnsetType | None = UNSET
    probe: Probe | UnsetType | None = UNSET
    timeouts: Timeouts | UnsetType | None = UNSET
    notes: Text | UnsetType | None = UNSET
    expires_at: Moment | UnsetType | None = UNSET
    explicit_only: bool | UnsetType | None = UNSET


class AccountView(Struct, frozen=True, kw_only=True):
    id: str
    tenant_id: str
    name: str
    platform: str
    provider: str
    base_url: str | None
    options: dict[str, Any]
    credential_fields: list[str]
    """Which credentials are set; their values are not shown anywhere."""
    models: list[str] | None
    model_map: dict[str, Any]
    pools: list[str]
    priority: int
    weight: int
    max_concurrency: int | None
    limits: list[dict[str, Any]]
    enabled: bool
    draining: bool
    proxy_id: str | None
    probe: dict[str, Any] | None
    timeouts: dict[str, Any]
    notes: str
    expires_at: str | None
    explicit_only: bool
    created_at: str
    updated_at: str


class TestAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """`model`: what to ask for; needed where the account's list has only patterns and its platform no cheap model."""

    __test__ = False

    model: Word | None = None


class TestResult(Struct, frozen=True, kw_only=True):
    """`status` is the upstream's; null when no answer came."""

    __test__ = False

    ok: bool
    status: int | None
    latency_ms: int
    model: str
    message: str


class PoolDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    tenant_id: str | None = None
    strategy: Strategy | None = None


class PoolPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType | None = UNSET
    strategy: Strategy | UnsetType | None = UNSET


class PoolView(Struct, frozen=True, kw_only=True):
    id: str
    tenant_id: str
    name: str
    strategy: str
    created_at: str
    updated_at: str


def view(account: m.Account) -> AccountView:
    return AccountView(
        id=account.id,
        tenant_id=account.tenant_id,
        name=account.name,
        platform=account.platform,
        provider=account.provider,
        base_url=account.base_url,
        options=account.options,
        credential_fields=account.credential_fields,
        models=account.models,
        model_map=account.model_map,
        pools=account.pools,
        priority=account.priority,
        weight=account.weight,
        max_concurrency=account.max_concurrency,
        limits=written(account.limits),
        enabled=account.enabled,
        draining=account.draining,
        proxy_id=account.proxy_id,
        probe=account.probe,
        timeouts=account.timeouts,
        notes=account.notes,
        expires_at=stamp(account.expires_at),
        explicit_only=account.explicit_only,
        created_at=at(account.created_at),
        updated_at=at(account.updated_at),
    )


def pool_view(pool: m.Pool) -> PoolView:
    return PoolView(
        id=pool.id,
        tenant_id=pool.tenant_id,
        name=pool.name,
        strategy=pool.strategy,
        created_at=at(pool.created_at),
        updated_at=at(pool.updated_at),
    )
