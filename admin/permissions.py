"""Who may do what: one table of permissions by role, and the fields that a role may write. Deny by default.

A permission is `resource:verb`; every handler names one. Root may do everything. The roles of a user are per tenant:
`owner` runs the tenant, `operator` its keys and accounts, `viewer` looks on, `member` has keys and usage of their own.
"""

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    OWNER = "owner"
    OPERATOR = "operator"
    VIEWER = "viewer"
    MEMBER = "member"


class Extent(StrEnum):
    ALL = "all"
    """Everything of the tenant."""
    OWN = "own"
    """Within the tenant, what belongs to the user."""


_STAFF = {Role.OWNER: Extent.ALL, Role.OPERATOR: Extent.ALL}
_LOOKERS = {**_STAFF, Role.VIEWER: Extent.ALL}
_EVERYONE = {**_LOOKERS, Role.MEMBER: Extent.OWN}
_OWNER: Mapping[Role, Extent] = {Role.OWNER: Extent.ALL}

PERMISSIONS: Mapping[str, Mapping[Role, Extent]] = {
    "tenants:read": _LOOKERS,
    "tenants:write": _OWNER,
    "users:read": _LOOKERS,
    "users:write": _OWNER,
    "teams:read": _LOOKERS,
    "teams:write": _STAFF,
    "keys:read": _EVERYONE,
    "keys:write": {**_STAFF, Role.MEMBER: Extent.OWN},
    "accounts:read": _LOOKERS,
    "accounts:write": _STAFF,
    "pools:read": _LOOKERS,
    "pools:write": _STAFF,
    "groups:read": _LOOKERS,
    "groups:write": _STAFF,
    "proxies:read": _LOOKERS,
    "proxies:write": _OWNER,
    "prices:read": _LOOKERS,
    "prices:write": {},
    "webhooks:read": _OWNER,
    "webhooks:write": _OWNER,
    "usage:read": _EVERYONE,
    "requests:read": _EVERYONE,
    "captures:read": _OWNER,
    "audit:read": _OWNER,
}

#: What every user may do, in whatever tenant: to themselves and their own tokens.
PERSONAL = frozenset({"me:read", "me:write", "tokens:read", "tokens:write"})

RESOURCES = frozenset(name.partition(":")[0] for name in (*PERMISSIONS, *PERSONAL))
VERBS = frozenset({"read", "write"})

_KEY_FIELDS = frozenset(
    {"name", "platforms", "models", "groups", "limits", "pools", "account_id", "user_id", "allowed_ips"}
    | {"allowed_clients", "mcp_servers", "expires_at", "on_disconnect", "debug", "metadata", "tags", "enabled"}
)
#: Fields that a role may write, where it may not write them all: a member cannot widen what an operator narrowed, and
#: money is the owner's.
WRITABLE: Mapping[tuple[str, Role], frozenset[str]] = {
    ("keys", Role.OPERATOR): _KEY_FIELDS,
    ("keys", Role.MEMBER): _KEY_FIELDS
    - {"groups", "limits", "pools", "account_id", "user_id", "mcp_servers", "debug", "enabled"},
    ("tenants", Role.OWNER): frozenset({"capture"}),
    ("users", Role.OWNER): frozenset({"email", "name", "password", "roles", "limits", "enabled"}),
}


def known_scope(scope: str) -> bool:
    """Whether this is a scope that a token may carry: `keys:read`, `keys:*`, `*:read`, `*:*`."""
    resource, _, verb = scope.partition(":")
    return (resource in RESOURCES or resource == "*") and (verb in VERBS or verb == "*")


def includes(scope: str, permission: str) -> bool:
    resource, _, verb = scope.partition(":")
    asked_resource, _, asked_verb = permission.partition(":")
    return resource in ("*", asked_resource) and verb in ("*", asked_verb)
