"""Tenants, users, tokens and log-ins, as they are written and as they are shown."""

from decimal import Decimal
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from admin.permissions import Role
from admin.schemas.page import Moment, Name, Word, at, stamp
from gateway.core import models as m
from gateway.core.limits import written

Password = Annotated[str, Meta(min_length=8, max_length=1024)]
Presented = Annotated[str, Meta(min_length=1, max_length=1024)]
"""A password to be checked: whatever it is, but not without end."""
Email = Annotated[str, Meta(min_length=3, max_length=254)]
Code = Annotated[str, Meta(pattern=r"^[0-9]{6}\Z")]
Limits = list[dict[str, Any]]
Title = Annotated[str, Meta(max_length=200)]


class TenantDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    limits: Limits | None = None
    enabled: bool | None = None
    public_lists: bool | None = None
    capture: dict[str, Any] | None = None
    price_multiplier: Decimal | None = None


class TenantPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType | None = UNSET
    limits: Limits | UnsetType | None = UNSET
    enabled: bool | UnsetType | None = UNSET
    public_lists: bool | UnsetType | None = UNSET
    capture: dict[str, Any] | UnsetType | None = UNSET
    price_multiplier: Decimal | UnsetType | None = UNSET
    ollama_key_id: Word | UnsetType | None = UNSET


class TenantView(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    limits: Limits
    enabled: bool
    public_lists: bool
    capture: dict[str, Any] | None
    price_multiplier: str
    ollama_key_id: str | None
    created_at: str
    updated_at: str


class RoleGiven(Struct, frozen=True, forbid_unknown_fields=True):
    tenant_id: str
    role: Role


class UserDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without a password a one-time one is made and returned once."""

    email: Email
    name: Title | None = None
    password: Password | None = None
    roles: list[RoleGiven] = []
    root: bool | None = None
    limits: Limits | None = None
    enabled: bool | None = None


class UserPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`roles` replaces the user's roles in the tenants that you own. `password: null` makes a one-time password."""

    email: Email | UnsetType | None = UNSET
    name: Title | UnsetType | None = UNSET
    password: Password | UnsetType | None = UNSET
    roles: list[RoleGiven] | UnsetType = UNSET
    root: bool | UnsetType = UNSET
    limits: Limits | UnsetType | None = UNSET
    enabled: bool | UnsetType | None = UNSET


class RoleView(Struct, frozen=True):
    tenant_id: str
    role: str


class UserView(Struct, frozen=True, kw_only=True):
    id: str
    email: str
    name: str
    root: bool
    enabled: bool
    roles: list[RoleView]
    limits: Limits
    totp: bool
    must_change_password: bool
    last_login_at: str | None
    created_at: str
    updated_at: str
    password: str | UnsetType = UNSET
    """The one-time password, in the answer that made it, this once."""


class TokenDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    scopes: Annotated[list[Word], Meta(min_length=1, max_length=100)]
    expires_at: Moment | None = None


class TokenView(Struct, frozen=True, kw_only=True):
    id: str
    user_id: str
    name: str
    prefix: str
    last_four: str
    scopes: list[str]
    expires_at: str | None
    last_used_at: str | None
    created_at: str
    secret: str | UnsetType = UNSET
    """The token itself, in the answer to its creation, this once."""


class Login(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: Email
    password: Presented
    totp: Code | None = None


class LoginView(Struct, frozen=True, kw_only=True):
    csrf_token: str
    user: UserView
    must_change_password: bool


class MeView(Struct, frozen=True, kw_only=True):
    user: UserView | None
    actor: str
    root: bool
    roles: list[RoleView]
    scopes: list[str] | None
    must_change_password: bool
    csrf_token: str | None


class PasswordChange(Struct, frozen=True, forbid_unknown_fields=True):
    current: Presented
    new: Password


class TotpStart(Struct, frozen=True, kw_only=True):
    """Shown once; it counts after a first code has confirmed it."""

    secret: str
    uri: str


class TotpCode(Struct, frozen=True, forbid_unknown_fields=True):
    code: Code


def tenant_view(tenant: m.Tenant) -> TenantView:
    return TenantView(
        id=tenant.id,
        name=tenant.name,
        limits=written(tenant.limits),
        enabled=tenant.enabled,
        public_lists=tenant.public_lists,
        capture=tenant.capture,
        price_multiplier=tenant.price_multiplier,
        ollama_key_id=tenant.ollama_key_id,
        created_at=at(tenant.created_at),
        updated_at=at(tenant.updated_at),
    )


def user_view(user: m.User, roles: list[RoleView], password: str | UnsetType = UNSET) -> UserView:
    """`roles`: those that the reader may see."""
    return UserView(
        id=user.id,
        email=user.email,
        name=user.name,
        root=user.root,
        enabled=user.enabled,
        roles=roles,
        limits=written(user.limits),
        totp=user.totp_secret is not None,
        must_change_password=user.one_time,
        last_login_at=stamp(user.last_login_at),
        created_at=at(user.created_at),
        updated_at=at(user.updated_at),
        password=password,
    )


def own_view(user: m.User) -> UserView:
    return user_view(user, [RoleView(role.tenant_id, role.role) for role in user.roles])


def token_view(token: m.Token, secret: str | UnsetType = UNSET) -> TokenView:
    return TokenView(
        id=token.id,
        user_id=token.user_id,
        name=token.name,
        prefix=token.prefix,
        last_four=token.last_four,
        scopes=token.scopes,
        expires_at=stamp(token.expires_at),
        last_used_at=stamp(token.last_used_at),
        created_at=at(token.created_at),
        secret=secret,
    )
