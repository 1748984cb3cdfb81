"""Users: root has all of them, an owner those of the tenants that they own."""

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncSession

from admin import trail
from admin.caller import Caller
from admin.deps import Asking, Database, Holding, Part, Within
from admin.resources import Resources
from admin.schemas.page import Page, given, named, page
from admin.schemas.people import RoleGiven, RoleView, UserDraft, UserPatch, UserView, user_view
from gateway.core import models as m
from gateway.core.services import tenants, users
from gateway.core.services.failures import Denied, Invalid, Missing
from gateway.core.services.reach import Reach


class UserController(Controller):
    path = "/users"
    tags = ("users",)

    @get(opt={"permission": "users:read"})
    async def listing(
        self,
        session: Database,
        reach: Within,
        window: Part,
        tenant_id: FromQuery[str | None] = None,
        q: FromQuery[str | None] = None,
    ) -> Page[UserView]:
        found = await users.listing(session, reach, window, tenant_id=tenant_id, q=q)
        return page(found, lambda user: _shown(user, reach))

    @post(opt={"permission": "users:write"})
    async def create(
        self, session: Database, caller: Asking, reach: Within, resources: Holding, data: JSONBody[UserDraft]
    ) -> UserView:
        """Without a password a one-time one is made and returned, this once."""
        values = named(given(data, leaving=frozenset({"password", "roles"})))
        if "root" in values and not caller.root:
            raise Denied("your role may not write this field", "root")
        if not data.roles and not reach.everything:
            raise Invalid("a role in a tenant of yours is needed", "roles")
        roles = await _checked_roles(session, reach, data.roles)
        password = users.one_time_password().reveal() if data.password is None else data.password
        user = await users.create(
            session, values, roles, await resources.passwords.hash(password), one_time=data.password is None
        )
        await trail.note(
            session, caller, "users.create", user.id, tenant_id=_tenant(user, reach), after=_shown(user, reach)
        )
        return _shown(user, reach, UNSET if data.password is not None else password)

    @get("/{user_id:str}", opt={"permission": "users:read"})
    async def read(self, session: Database, reach: Within, user_id: FromPath[str]) -> UserView:
        return _shown(await users.find(session, reach, user_id), reach)

    @patch("/{user_id:str}", opt={"permission": "users:write"})
    async def change(
        self,
        session: Database,
        caller: Asking,
        reach: Within,
        resources: Holding,
        user_id: FromPath[str],
        data: JSONBody[UserPatch],
    ) -> UserView:
        user = await users.find(session, reach, user_id, lock=True)
        before = _shown(user, reach)
        values = given(data, leaving=frozenset({"password", "roles"}))
        if "root" in values and not caller.root:
            raise Denied("your role may not write this field", "root")
        if "limits" in values and user.id == caller.user_id and not caller.root:
            raise Denied("your own limits are for another owner, or root, to write", "limits")
        if values or data.password is not UNSET:
            users.require_control(reach, user)
        if values:
            await users.change(session, user, values)
        if data.roles is not UNSET:
            await users.assign(session, reach, user, await _checked_roles(session, reach, data.roles))
        password = await _new_password(session, caller, resources, user, data.password)
        tenant_id = _tenant(user, reach)
        await trail.note(
            session, caller, "users.change", user.id, tenant_id=tenant_id, before=before, after=_shown(user, reach)
        )
        return _shown(user, reach, password)

    @delete("/{user_id:str}", opt={"permission": "users:write"})
    async def remove(self, session: Database, caller: Asking, reach: Within, user_id: FromPath[str]) -> None:
        user = await users.find(session, reach, user_id, lock=True)
        users.require_control(reach, user)
        tenant_id = _tenant(user, reach)
        await trail.note(session, caller, "users.delete", user.id, tenant_id=tenant_id, before=_shown(user, reach))
        await users.delete(session, user)


def _shown(user: m.User, reach: Reach, password: str | UnsetType = UNSET) -> UserView:
    """With the roles that lie within the reader's reach: a user's other tenants are not told."""
    seen = [RoleView(role.tenant_id, role.role) for role in user.roles if reach.covers(role.tenant_id)]
    return user_view(user, seen, password)


def _tenant(user: m.User, reach: Reach) -> str | None:
    """The tenant in whose audit log a change of the user stands."""
    return next((role.tenant_id for role in user.roles if reach.covers(role.tenant_id)), None)


async def _checked_roles(session: AsyncSession, reach: Reach, given_roles: list[RoleGiven]) -> list[users.Role]:
    found: list[users.Role] = []
    for at, role in enumerate(given_roles):
        try:
            tenant = await tenants.find(session, reach, role.tenant_id)
        except Missing:
            raise Invalid("no such tenant", f"roles[{at}].tenant_id") from None
        found.append(users.Role(tenant.id, role.role.value))
    return found


async def _new_password(
    session: AsyncSession, caller: Caller, resources: Resources, user: m.User, asked: str | UnsetType | None
) -> str | UnsetType:
    """The one-time password that was made, if one was."""
    if asked is UNSET:
        return UNSET
    if user.id == caller.user_id:
        raise Denied("change your own password at /admin/v1/me/password", "password")
    password = users.one_time_password().reveal() if asked is None else str(asked)
    await users.set_password(session, user, await resources.passwords.hash(password), one_time=asked is None)
    return password if asked is None else UNSET
