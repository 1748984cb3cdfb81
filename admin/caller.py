"""Who is asking, and how far they reach."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from admin.permissions import PERMISSIONS, PERSONAL, WRITABLE, Extent, Role, includes
from admin.sessions import Session
from gateway.core.services.audit import Actor
from gateway.core.services.failures import Denied
from gateway.core.services.reach import Reach


class Caller(Struct, frozen=True):
    """Rights are the user's as of this request; a token's scopes only narrow them."""

    actor: Actor
    user_id: str | None
    root: bool = False
    roles: Mapping[str, str] = {}
    """Tenant id → role."""
    scopes: tuple[str, ...] | None = None
    """None: everything that the user may do."""
    session: Session | None = None
    """Present when a cookie was shown rather than a token."""
    must_change_password: bool = False

    def in_scope(self, permission: str) -> bool:
        return self.scopes is None or any(includes(scope, permission) for scope in self.scopes)

    def may(self, permission: str) -> bool:
        """Anywhere at all; where exactly is said by `reach`."""
        if not self.in_scope(permission):
            return False
        return permission in PERSONAL or self.root or any(self._granted(permission))

    def reach(self, permission: str) -> Reach:
        """What of the tenants this permission opens to the caller."""
        if not self.in_scope(permission):
            return Reach()
        if self.root:
            return Reach(everything=True, user_id=self.user_id)
        granted = dict(self._granted(permission))
        return Reach(
            tenants=frozenset(tenant for tenant, extent in granted.items() if extent is Extent.ALL),
            own=frozenset(tenant for tenant, extent in granted.items() if extent is Extent.OWN),
            user_id=self.user_id,
        )

    def _granted(self, permission: str) -> Iterable[tuple[str, Extent]]:
        table = PERMISSIONS.get(permission, {})
        for tenant, role in self.roles.items():
            extent = table.get(Role(role))
            if extent is not None:
                yield tenant, extent

    def require_writable(self, resource: str, tenant_id: str, fields: Iterable[str]) -> None:
        """Raises Denied naming the first field that the caller's role may not write."""
        if self.root:
            return
        allowed = WRITABLE.get((resource, Role(self.roles[tenant_id])))
        for name in fields:
            if allowed is not None and name not in allowed:
                raise Denied("your role may not write this field", name)
