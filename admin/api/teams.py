"""Teams of users, with limits that they share."""

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody

from admin import trail
from admin.deps import Asking, Database, Part, Within
from admin.schemas.page import Page, given, named, page
from admin.schemas.teams import TeamDraft, TeamPatch, TeamView, team_view
from gateway.core.services import teams, tenants


class TeamController(Controller):
    path = "/teams"
    tags = ("teams",)

    @get(opt={"permission": "teams:read"})
    async def listing(
        self,
        session: Database,
        reach: Within,
        window: Part,
        tenant_id: FromQuery[str | None] = None,
        user_id: FromQuery[str | None] = None,
        q: FromQuery[str | None] = None,
    ) -> Page[TeamView]:
        found = await teams.listing(session, reach, window, tenant_id=tenant_id, user_id=user_id, q=q)
        return page(found, team_view)

    @post(opt={"permission": "teams:write"})
    async def create(self, session: Database, caller: Asking, reach: Within, data: JSONBody[TeamDraft]) -> TeamView:
        """Of users who have a role in the tenant, and no other team there."""
        tenant_id = await tenants.home(session, reach, data.tenant_id, caller.roles)
        team = await teams.create(session, tenant_id, named(given(data, leaving=frozenset({"tenant_id"}))))
        await trail.note(session, caller, "teams.create", team.id, tenant_id=tenant_id, after=team_view(team))
        return team_view(team)

    @get("/{team_id:str}", opt={"permission": "teams:read"})
    async def read(self, session: Database, reach: Within, team_id: FromPath[str]) -> TeamView:
        return team_view(await teams.find(session, reach, team_id))

    @patch("/{team_id:str}", opt={"permission": "teams:write"})
    async def change(
        self, session: Database, caller: Asking, reach: Within, team_id: FromPath[str], data: JSONBody[TeamPatch]
    ) -> TeamView:
        team = await teams.find(session, reach, team_id, lock=True)
        before = team_view(team)
        await teams.change(session, team, given(data))
        shown = team_view(team)
        await trail.note(session, caller, "teams.change", team.id, tenant_id=team.tenant_id, before=before, after=shown)
        return shown

    @delete("/{team_id:str}", opt={"permission": "teams:write"})
    async def remove(self, session: Database, caller: Asking, reach: Within, team_id: FromPath[str]) -> None:
        """Its users stay, and what they used."""
        team = await teams.find(session, reach, team_id, lock=True)
        await trail.note(session, caller, "teams.delete", team.id, tenant_id=team.tenant_id, before=team_view(team))
        await teams.delete(session, team)
