"""The configuration a gateway works with: one immutable value, rebuilt in the background and swapped whole."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from msgspec import Struct

from gateway.core.domain import Account, Capture, Pool, Tenant
from gateway.core.groups import Group

_NONE: frozenset[str] = frozenset()
_NO_GROUPS: Mapping[str, Group] = MappingProxyType({})


class Snapshot(Struct, frozen=True, eq=False):
    """`version` is the configuration version that was committed when it was read."""

    version: int
    tenants: Mapping[str, Tenant]
    pools: Mapping[str, Pool]
    accounts: Mapping[str, Account]
    by_tenant: Mapping[str, tuple[Account, ...]]
    """Accounts of each tenant, by priority, then by age."""
    slugs: Mapping[str, frozenset[str]]
    """The providers that each tenant has."""
    captures: Mapping[str, Capture]
    """Of the tenants whose prompts and answers are kept; nearly always none."""
    groups: Mapping[str, Mapping[str, Group]]
    """Tenant → name → group, with those that are switched off."""
    active: Mapping[str, str]
    """Tenant → the name of its active group, switched off or not."""

    def group(self, tenant_id: str, name: str) -> Group | None:
        """None for one that is switched off, as if there were none."""
        found = self.groups.get(tenant_id, _NO_GROUPS).get(name)
        return found if found is not None and found.enabled else None

    def providers(self, tenant_id: str) -> frozenset[str]:
        return self.slugs.get(tenant_id, _NONE)


def build(
    version: int,
    tenants: Iterable[Tenant],
    pools: Iterable[Pool],
    accounts: Iterable[Account],
    groups: Iterable[Group] = (),
) -> Snapshot:
    ordered = sorted(accounts, key=lambda account: (account.priority, account.created_at, account.id))
    known = {tenant.id: tenant for tenant in tenants}
    by_tenant: dict[str, list[Account]] = {}
    for account in ordered:
        by_tenant.setdefault(account.tenant_id, []).append(account)
    named: dict[str, dict[str, Group]] = {}
    for group in groups:
        named.setdefault(group.tenant_id, {})[group.name] = group
    return Snapshot(
        version=version,
        tenants=MappingProxyType(known),
        pools=MappingProxyType({pool.id: pool for pool in pools}),
        accounts=MappingProxyType({account.id: account for account in ordered}),
        by_tenant=MappingProxyType({tenant: tuple(found) for tenant, found in by_tenant.items()}),
        slugs=MappingProxyType(
            {tenant: frozenset(account.provider for account in found) for tenant, found in by_tenant.items()}
        ),
        captures=MappingProxyType({one.id: one.capture for one in known.values() if one.capture is not None}),
        groups=MappingProxyType({tenant: MappingProxyType(found) for tenant, found in named.items()}),
        active=MappingProxyType({one.id: one.active_group for one in known.values() if one.active_group is not None}),
    )


EMPTY = build(0, (), (), ())
