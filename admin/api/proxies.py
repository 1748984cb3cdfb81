"""Outbound proxies: ways out that accounts may be sent through. Only root and owners write them."""

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from admin import trail
from admin.caller import Caller
from admin.deps import Asking, Database, Holding, Part, Within
from admin.schemas.page import Page, given, page
from admin.schemas.proxies import ProxyDraft, ProxyPatch, ProxyView, proxy_view
from gateway.core import inspection
from gateway.core import models as m
from gateway.core.services import proxies, tenants


class ProxyController(Controller):
    path = "/proxies"
    tags = ("proxies",)

    @get(opt={"permission": "proxies:read"})
    async def listing(
        self,
        session: Database,
        reach: Within,
        window: Part,
        resources: Holding,
        tenant_id: FromQuery[str | None] = None,
        q: FromQuery[str | None] = None,
    ) -> Page[ProxyView]:
        found = await proxies.listing(session, reach, window, tenant_id=tenant_id, q=q)
        return page(found, lambda row: proxy_view(row, resources.sealer))

    @post(opt={"permission": "proxies:write"})
    async def create(
        self, session: Database, caller: Asking, reach: Within, resources: Holding, data: JSONBody[ProxyDraft]
    ) -> ProxyView:
        tenant_id = await tenants.home(session, reach, data.tenant_id, caller.roles)
        proxy = await proxies.create(
            session, resources.sealer, tenant_id, given(data, leaving=frozenset({"tenant_id"}))
        )
        shown = proxy_view(proxy, resources.sealer)
        await trail.note(session, caller, "proxies.create", proxy.id, tenant_id=tenant_id, after=shown)
        return shown

    @get("/{proxy_id:str}", opt={"permission": "proxies:read"})
    async def read(self, session: Database, reach: Within, resources: Holding, proxy_id: FromPath[str]) -> ProxyView:
        return proxy_view(await proxies.find(session, reach, proxy_id), resources.sealer)

    @patch("/{proxy_id:str}", opt={"permission": "proxies:write"})
    async def change(
        self,
        session: Database,
        caller: Asking,
        reach: Within,
        resources: Holding,
        proxy_id: FromPath[str],
        data: JSONBody[ProxyPatch],
    ) -> ProxyView:
        """`url`, when given, replaces the old one as a whole, its credentials too."""
        proxy = await proxies.find(session, reach, proxy_id, lock=True)
        before = proxy_view(proxy, resources.sealer)
        values = given(data)
        await proxies.change(session, resources.sealer, proxy, values)
        shown = proxy_view(proxy, resources.sealer)
        if "url" in values:
            _forgotten(session, caller, proxy)
        action = "proxies.change_url" if "url" in values else "proxies.change"
        await trail.note(session, caller, action, proxy.id, tenant_id=proxy.tenant_id, before=before, after=shown)
        return shown

    @delete("/{proxy_id:str}", opt={"permission": "proxies:write"})
    async def remove(
        self, session: Database, caller: Asking, reach: Within, resources: Holding, proxy_id: FromPath[str]
    ) -> None:
        """Only one that no account names."""
        proxy = await proxies.find(session, reach, proxy_id, lock=True)
        before = proxy_view(proxy, resources.sealer)
        await trail.note(session, caller, "proxies.delete", proxy.id, tenant_id=proxy.tenant_id, before=before)
        await proxies.delete(session, proxy)
        _forgotten(session, caller, proxy)


def _forgotten(session: AsyncSession, caller: Caller, proxy: m.Proxy) -> None:
    """What was found of the old way says nothing of a new one."""
    inspection.once_committed(session, inspection.forget, proxy.tenant_id, proxy.id, caller.actor.id)
