"""Logging in and out."""

import time
from datetime import UTC, datetime
from typing import Any

from litestar import Controller, Request, Response, delete, post
from litestar.datastructures import Cookie
from litestar.params import JSONBody

from admin import trail
from admin.deps import Asking, Database, Holding
from admin.problem import Problem
from admin.resources import Resources
from admin.schemas.people import Login, LoginView, own_view
from admin.secondfactor import accepts
from admin.sessions import COOKIE, LIFETIME
from gateway.core import models as m
from gateway.core.services import audit, users
from gateway.core.services.audit import Actor

LOGIN_LIMIT = 128 << 10
"""Bytes. It is the one body that is read for whoever asks: looking through it costs little."""


class SessionController(Controller):
    path = "/session"
    tags = ("session",)

    @post(opt={"public": True}, status_code=200, request_max_body_size=LOGIN_LIMIT)
    async def log_in(
        self, request: Request[Any, Any, Any], resources: Holding, data: JSONBody[Login]
    ) -> Response[LoginView]:
        """The answer tells nothing about which part was wrong, nor whether the user exists."""
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Problem(403, "cross_site", "log in from this site itself")
        address: str | None = request.scope["state"].get("address")
        await resources.attempts.admit(data.email, address)
        user = await _authenticated(resources, data)
        if user is None or user.password_hash is None:
            raise Problem(401, "login_failed", "e-mail, password or code is wrong")
        cookie, session = await resources.sessions.open(user.id, user.password_hash)
        await resources.attempts.succeeded(data.email)
        await _remember(resources, user, Actor(user.id, address, request.scope["state"].get("request_id")))
        return Response(
            LoginView(csrf_token=session.csrf, user=own_view(user), must_change_password=user.one_time),
            cookies=[_cookie(cookie, LIFETIME, secure=bool(request.scope["state"].get("https")))],
        )

    @delete(opt={"permission": "me:write", "with_one_time_password": True})
    async def log_out(
        self, request: Request[Any, Any, Any], session: Database, resources: Holding, caller: Asking
    ) -> Response[None]:
        if caller.session is not None:
            await trail.note(session, caller, "session.delete", caller.session.user_id)
            await resources.sessions.close(caller.session)
        secure = bool(request.scope["state"].get("https"))
        return Response(None, status_code=204, cookies=[_cookie("", 0, secure=secure)])


def _cookie(value: str, seconds: int, *, secure: bool) -> Cookie:
    return Cookie(key=COOKIE, value=value, max_age=seconds, path="/", httponly=True, samesite="strict", secure=secure)


async def _authenticated(resources: Resources, login: Login) -> m.User | None:
    """No transaction is open while a password is hashed."""
    async with resources.database() as session:
        user = await users.by_email(session, login.email)
    right = await resources.passwords.verify(user.password_hash if user else None, login.password)
    if user is None or not right or not user.enabled:
        return None
    if user.totp_secret is None:
        return user
    if login.totp is None:
        raise Problem(401, "totp_required", "a code of your authenticator is needed")
    return user if await accepts(resources, user, login.totp, time.time()) else None


async def _remember(resources: Resources, user: m.User, actor: Actor) -> None:
    async with resources.database.begin() as session:
        found = await users.by_id(session, user.id)
        if found is not None:
            found.last_login_at = datetime.now(UTC)
        await audit.record(session, actor, "session.create", user.id)
