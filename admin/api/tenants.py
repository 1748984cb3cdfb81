"""Tenants. Root makes and changes them; the others see their own, whose capture their owners turn on and off."""

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody

from admin import trail
from admin.deps import Asking, Database, Part, Within
from admin.schemas.page import Page, given, named, page
from admin.schemas.people import TenantDraft, TenantPatch, TenantView, tenant_view
from gateway.core.services import tenants
from gateway.core.services.failures import Denied
from gateway.core.services.reach import Reach


class TenantController(Controller):
    path = "/tenants"
    tags = ("tenants",)

    @get(opt={"permission": "tenants:read"})
    async def listing(
        self, session: Database, reach: Within, window: Part, q: FromQuery[str | None] = None
    ) -> Page[TenantView]:
        return page(await tenants.listing(session, reach, window, q), tenant_view)

    @post(opt={"permission": "tenants:write"})
    async def create(self, session: Database, caller: Asking, reach: Within, data: JSONBody[TenantDraft]) -> TenantView:
        _only_root(reach)
        tenant = await tenants.create(session, named(given(data)))
        shown = tenant_view(tenant)
        await trail.note(session, caller, "tenants.create", tenant.id, tenant_id=tenant.id, after=shown)
        return shown

    @get("/{tenant_id:str}", opt={"permission": "tenants:read"})
    async def read(self, session: Database, reach: Within, tenant_id: FromPath[str]) -> TenantView:
        return tenant_view(await tenants.find(session, reach, tenant_id))

    @patch("/{tenant_id:str}", opt={"permission": "tenants:write"})
    async def change(
        self,
        session: Database,
        caller: Asking,
        reach: Within,
        tenant_id: FromPath[str],
        data: JSONBody[TenantPatch],
    ) -> TenantView:
        tenant = await tenants.find(session, reach, tenant_id, lock=True)
        before = tenant_view(tenant)
        values = given(data)
        caller.require_writable("tenants", tenant.id, values)
        await tenants.change(session, tenant, values)
        shown = tenant_view(tenant)
        await trail.note(session, caller, "tenants.change", tenant.id, tenant_id=tenant.id, before=before, after=shown)
        return shown

    @delete("/{tenant_id:str}", opt={"permission": "tenants:write"})
    async def remove(self, session: Database, caller: Asking, reach: Within, tenant_id: FromPath[str]) -> None:
        """Only an empty one."""
        _only_root(reach)
        tenant = await tenants.find(session, reach, tenant_id, lock=True)
        await trail.note(session, caller, "tenants.delete", tenant.id, tenant_id=tenant.id, before=tenant_view(tenant))
        await tenants.delete(session, tenant)


def _only_root(reach: Reach) -> None:
    """Tenants themselves come and go by root alone."""
    if not reach.everything:
        raise Denied("only root makes and deletes tenants")
