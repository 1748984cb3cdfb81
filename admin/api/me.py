"""What users do to themselves: see who they are, change the password, add an authenticator."""

import time
from typing import Any

from litestar import Controller, Request, delete, get, post
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from admin import secondfactor, totp, trail
from admin.auth import PASSWORD_SET
from admin.caller import Caller
from admin.deps import Asking, Database, Holding
from admin.problem import FieldError, Problem
from admin.schemas.people import MeView, PasswordChange, RoleView, TotpCode, TotpStart, UserView, own_view
from gateway.core import models as m
from gateway.core.services import users
from gateway.core.services.failures import Conflict, Denied


class MeController(Controller):
    path = "/me"
    tags = ("me",)

    @get(opt={"permission": "me:read", "with_one_time_password": True})
    async def me(self, session: Database, caller: Asking) -> MeView:
        user = await users.by_id(session, caller.user_id) if caller.user_id else None
        return MeView(
            user=None if user is None else own_view(user),
            actor=caller.actor.id,
            root=caller.root,
            roles=[RoleView(tenant, role) for tenant, role in caller.roles.items()],
            scopes=None if caller.scopes is None else list(caller.scopes),
            must_change_password=caller.must_change_password,
            csrf_token=caller.session.csrf if caller.session else None,
        )

    @post("/password", opt={"permission": "me:write", "with_one_time_password": True}, status_code=200)
    async def change_password(
        self,
        request: Request[Any, Any, Any],
        session: Database,
        resources: Holding,
        caller: Asking,
        data: JSONBody[PasswordChange],
    ) -> UserView:
        """Ends the user's other sessions; this one goes on."""
        user = await _self(session, caller)
        await resources.attempts.admit(user.email, request.scope["state"].get("address"))
        if not await resources.passwords.verify(user.password_hash, data.current):
            raise Problem(400, "wrong_password", "the password is wrong", errors=[FieldError("current", "wrong")])
        if data.new == data.current:
            raise Problem(400, "invalid_request", "choose another", errors=[FieldError("new", "it is the current one")])
        password_hash = await resources.passwords.hash(data.new)
        await users.set_password(session, user, password_hash, one_time=False)
        await trail.note(session, caller, PASSWORD_SET, user.id)
        if caller.session is not None:
            await resources.sessions.renew(caller.session, password_hash)
        await resources.attempts.succeeded(user.email)
        return own_view(user)

    @post("/totp", opt={"permission": "me:write"}, status_code=200)
    async def start_totp(self, session: Database, resources: Holding, caller: Asking) -> TotpStart:
        user = await _self(session, caller)
        if user.totp_secret is not None:
            raise Conflict("an authenticator is set up already: remove it first")
        secret = await secondfactor.start(resources, user)
        return TotpStart(secret=totp.base32(secret), uri=totp.uri(secret, user.email))

    @post("/totp/confirm", opt={"permission": "me:write"}, status_code=200)
    async def confirm_totp(
        self, session: Database, resources: Holding, caller: Asking, data: JSONBody[TotpCode]
    ) -> UserView:
        user = await _self(session, caller)
        sealed = await secondfactor.confirmed(resources, user, data.code, time.time())
        if sealed is None:
            raise Problem(400, "totp_invalid", "the code is wrong", errors=[FieldError("code", "wrong")])
        await users.set_totp(session, user, sealed)
        await trail.note(session, caller, "me.totp_added", user.id)
        return own_view(user)

    @delete("/totp", opt={"permission": "me:write"}, status_code=200)
    async def remove_totp(
        self,
        request: Request[Any, Any, Any],
        session: Database,
        resources: Holding,
        caller: Asking,
        data: JSONBody[TotpCode],
    ) -> UserView:
        """With a code: a session left open is not enough."""
        user = await _self(session, caller)
        await resources.attempts.admit(user.email, request.scope["state"].get("address"))
        if not await secondfactor.accepts(resources, user, data.code, time.time()):
            raise Problem(400, "totp_invalid", "the code is wrong", errors=[FieldError("code", "wrong")])
        await users.set_totp(session, user, None)
        await trail.note(session, caller, "me.totp_removed", user.id)
        return own_view(user)


async def _self(session: AsyncSession, caller: Caller) -> m.User:
    """Not for the bootstrap token, which acts for nobody's password."""
    user = await users.by_id(session, caller.user_id) if caller.user_id else None
    if user is None or caller.actor.id == "bootstrap":
        raise Denied("this is for users")
    return user
