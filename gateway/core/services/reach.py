"""The tenant filter: which rows a caller may see or change. Every query of every service passes through it."""

from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, and_, false, or_, true


class Reach(Struct, frozen=True):
    """All rows, or those of some tenants, or within some tenants only the rows of one user."""

    everything: bool = False
    tenants: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    """Tenants in which only what belongs to `user_id` is reached."""
    user_id: str | None = None

    def over(self, tenant: Any, user: Any = None) -> ColumnElement[bool]:
        """The condition on the tenant's column and, where rows belong to users, on the user's."""
        if self.everything:
            return true()
        reached = tenant.in_(self.tenants) if self.tenants else false()
        if not self.own or user is None or self.user_id is None:
            return reached
        return or_(reached, and_(tenant.in_(self.own), user == self.user_id))

    def covers(self, tenant_id: str) -> bool:
        """Whether anything at all in the tenant is reached."""
        return self.everything or tenant_id in self.tenants or tenant_id in self.own

    def owns_only(self, tenant_id: str) -> bool:
        return not self.everything and tenant_id not in self.tenants
