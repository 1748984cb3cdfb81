"""Groups: path prefixes with aliases and rules of their own."""

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from admin import checks, trail
from admin.deps import Asking, Database, Part, Within
from admin.schemas.groups import GroupDraft, GroupPatch, GroupView, group_view
from admin.schemas.page import Page, given, named, page
from gateway.core import models as m
from gateway.core.services import groups, tenants


class GroupController(Controller):
    path = "/groups"
    tags = ("groups",)

    @get(opt={"permission": "groups:read"})
    async def listing(
        self,
        session: Database,
        reach: Within,
        window: Part,
        tenant_id: FromQuery[str | None] = None,
        q: FromQuery[str | None] = None,
    ) -> Page[GroupView]:
        found = await groups.listing(session, reach, window, tenant_id=tenant_id, q=q)
        active = await groups.active(session, found.rows)
        return page(found, lambda group: group_view(group, active=group.id in active))

    @post(opt={"permission": "groups:write"})
    async def create(self, session: Database, caller: Asking, reach: Within, data: JSONBody[GroupDraft]) -> GroupView:
        """Pools in aliases are named by id or name."""
        tenant_id = await tenants.home(session, reach, data.tenant_id, caller.roles)
        values = named(given(data, leaving=frozenset({"tenant_id"})))
        checks.group(values)
        group = await groups.create(session, tenant_id, values)
        shown = group_view(group, active=False)
        await trail.note(session, caller, "groups.create", group.id, tenant_id=tenant_id, after=shown)
        return shown

    @get("/{group_id:str}", opt={"permission": "groups:read"})
    async def read(self, session: Database, reach: Within, group_id: FromPath[str]) -> GroupView:
        return await _shown(session, await groups.find(session, reach, group_id))

    @patch("/{group_id:str}", opt={"permission": "groups:write"})
    async def change(
        self, session: Database, caller: Asking, reach: Within, group_id: FromPath[str], data: JSONBody[GroupPatch]
    ) -> GroupView:
        """`aliases` and `prompt`, when given, replace the old ones as a whole."""
        group = await groups.find(session, reach, group_id, lock=True)
        before = await _shown(session, group)
        values = given(data)
        checks.group(values)
        await groups.change(session, group, values)
        shown = group_view(group, active=before.active)
        await trail.note(
            session, caller, "groups.change", group.id, tenant_id=group.tenant_id, before=before, after=shown
        )
        return shown

    @post("/{group_id:str}/activate", opt={"permission": "groups:write"}, status_code=200)
    async def activate(self, session: Database, caller: Asking, reach: Within, group_id: FromPath[str]) -> GroupView:
        """What `/switch/…` means in its tenant, everywhere within two seconds. Only one that is enabled."""
        group = await groups.find(session, reach, group_id, lock=True)
        before = await _shown(session, group)
        await groups.activate(session, group)
        shown = group_view(group, active=True)
        await trail.note(
            session, caller, "groups.activate", group.id, tenant_id=group.tenant_id, before=before, after=shown
        )
        return shown

    @delete("/{group_id:str}", opt={"permission": "groups:write"})
    async def remove(self, session: Database, caller: Asking, reach: Within, group_id: FromPath[str]) -> None:
        """When it was the active one its tenant has none."""
        group = await groups.find(session, reach, group_id, lock=True)
        before = await _shown(session, group)
        await trail.note(session, caller, "groups.delete", group.id, tenant_id=group.tenant_id, before=before)
        await groups.delete(session, group)


async def _shown(session: AsyncSession, group: m.Group) -> GroupView:
    return group_view(group, active=group.id in await groups.active(session, [group]))
