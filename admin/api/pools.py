"""Pools of accounts."""

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody

from admin import trail
from admin.deps import Asking, Database, Part, Within
from admin.schemas.accounts import PoolDraft, PoolPatch, PoolView, pool_view
from admin.schemas.page import Page, given, named, page
from gateway.core.services import pools, tenants


class PoolController(Controller):
    path = "/pools"
    tags = ("pools",)

    @get(opt={"permission": "pools:read"})
    async def listing(
        self,
        session: Database,
        reach: Within,
        window: Part,
        tenant_id: FromQuery[str | None] = None,
        q: FromQuery[str | None] = None,
    ) -> Page[PoolView]:
        return page(await pools.listing(session, reach, window, tenant_id=tenant_id, q=q), pool_view)

    @post(opt={"permission": "pools:write"})
    async def create(self, session: Database, caller: Asking, reach: Within, data: JSONBody[PoolDraft]) -> PoolView:
        tenant_id = await tenants.home(session, reach, data.tenant_id, caller.roles)
        pool = await pools.create(session, tenant_id, named(given(data, leaving=frozenset({"tenant_id"}))))
        await trail.note(session, caller, "pools.create", pool.id, tenant_id=tenant_id, after=pool_view(pool))
        return pool_view(pool)

    @get("/{pool_id:str}", opt={"permission": "pools:read"})
    async def read(self, session: Database, reach: Within, pool_id: FromPath[str]) -> PoolView:
        return pool_view(await pools.find(session, reach, pool_id))

    @patch("/{pool_id:str}", opt={"permission": "pools:write"})
    async def change(
        self, session: Database, caller: Asking, reach: Within, pool_id: FromPath[str], data: JSONBody[PoolPatch]
    ) -> PoolView:
        pool = await pools.find(session, reach, pool_id, lock=True)
        before = pool_view(pool)
        await pools.change(session, pool, given(data))
        shown = pool_view(pool)
        await trail.note(session, caller, "pools.change", pool.id, tenant_id=pool.tenant_id, before=before, after=shown)
        return shown

    @delete("/{pool_id:str}", opt={"permission": "pools:write"})
    async def remove(self, session: Database, caller: Asking, reach: Within, pool_id: FromPath[str]) -> None:
        """Only one that no account and no key names."""
        pool = await pools.find(session, reach, pool_id, lock=True)
        await trail.note(session, caller, "pools.delete", pool.id, tenant_id=pool.tenant_id, before=pool_view(pool))
        await pools.delete(session, pool)
