"""Authentication: a bearer token or the session cookie becomes a Caller; then the guard asks for its permission.

A handler names its permission in `opt`, or is `public`, or is not answered: nothing is open by omission.
"""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin.caller import Caller
from admin.problem import Problem
from admin.resources import Resources
from admin.sessions import COOKIE, fingerprint
from gateway.core import models as m
from gateway.core.services import audit, tokens, users
from gateway.core.services.audit import Actor

BOOTSTRAP_LIFETIME = timedelta(hours=24)
#: The audit's word for a user's own change of password; it ends the bootstrap token.
PASSWORD_SET = "me.password"  # noqa: S105  # an action, not a password
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Authenticate(ASGIMiddleware):
    scopes = (ScopeType.HTTP,)
    exclude_opt_key = "public"

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        request: Request[Any, Any, Any] = Request(scope)  # type: ignore[arg-type]
        resources: Resources = scope["litestar_app"].state.resources
        scope["auth"] = scope["user"] = await authenticate(request, resources)
        await next_app(scope, receive, send)


async def authenticate(request: Request[Any, Any, Any], resources: Resources) -> Caller:
    """Raises Problem 401, or 403 where a cookie comes without its CSRF token."""
    authorization = request.headers.getall("authorization", [])
    if authorization:
        scheme, _, secret = authorization[0].partition(" ")
        if len(authorization) == 1 and scheme.lower() == "bearer":
            caller = await _by_token(request, resources, secret.strip())
            if caller is not None:
                return caller
        raise _unauthenticated("the token is not valid")
    cookie = request.cookies.get(COOKIE)
    caller = await _by_cookie(request, resources, cookie) if cookie else None
    if caller is None or caller.session is None:
        raise _unauthenticated("log in, or send an admin token")
    shown = request.headers.get("x-csrf-token", "")
    if request.method not in _SAFE and not hmac.compare_digest(shown.encode(), caller.session.csrf.encode()):
        raise Problem(403, "csrf_failed", "a request with the cookie needs its X-CSRF-Token")
    return caller


def permitted(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The guard of every route."""
    if handler.opt.get("public"):
        return
    if connection.scope.get("method") == "OPTIONS":
        return  # the methods of a path, for whoever is let in
    caller: Caller = connection.scope["auth"]
    if caller.must_change_password and not handler.opt.get("with_one_time_password"):
        raise Problem(403, "password_change_required", "change the one-time password first: POST /admin/v1/me/password")
    permission = handler.opt.get("permission")
    if permission is None or not caller.may(permission):
        raise Problem(403, "forbidden", f"you lack {permission or 'the permission'}")


def _unauthenticated(detail: str) -> Problem:
    return Problem(401, "unauthenticated", detail, headers={"WWW-Authenticate": 'Bearer realm="poolgate"'})


def _actor(request: Request[Any, Any, Any], identifier: str) -> Actor:
    state: Mapping[str, Any] = request.scope["state"]
    return Actor(identifier, state.get("address"), state.get("request_id"))


async def _by_token(request: Request[Any, Any, Any], resources: Resources, secret: str) -> Caller | None:
    expected = resources.settings.bootstrap_token
    async with resources.database.begin() as session:
        if expected is not None and hmac.compare_digest(secret.encode(), expected.reveal().encode()):
            return await _bootstrap(request, session)
        found = await tokens.presented(session, resources.peppers, secret)
    if found is None or not found[1].enabled:
        return None
    token, user = found
    return Caller(
        actor=_actor(request, token.id),
        user_id=user.id,
        root=user.root,
        roles={role.tenant_id: role.role for role in user.roles},
        scopes=tuple(token.scopes),
    )


async def _bootstrap(request: Request[Any, Any, Any], session: AsyncSession) -> Caller | None:
    """Root, until a user has set a password, and never longer than a day after the first user was made."""
    first = (await session.execute(select(m.User.created_at).order_by(m.User.created_at).limit(1))).scalar_one_or_none()
    if first is not None and datetime.now(UTC) - first > BOOTSTRAP_LIFETIME:
        return None
    if await audit.happened(session, PASSWORD_SET) or await _entered(session):
        return None
    owner = select(m.User.id).where(m.User.root).order_by(m.User.created_at).limit(1)
    user_id = (await session.execute(owner)).scalar_one_or_none()
    return Caller(actor=_actor(request, "bootstrap"), user_id=user_id, root=True, scopes=("*:*",))


async def _entered(session: AsyncSession) -> bool:
    """Whether a user has logged in with a password that lasts: one that was given with the user is set by then."""
    lasting = select(m.User.id).where(m.User.last_login_at.is_not(None), ~m.User.one_time).limit(1)
    return (await session.execute(lasting)).first() is not None


async def _by_cookie(request: Request[Any, Any, Any], resources: Resources, cookie: str) -> Caller | None:
    session = await resources.sessions.read(cookie)
    if session is None:
        return None
    async with resources.database() as database:
        user = await users.by_id(database, session.user_id)
    if user is None or not user.enabled or user.password_hash is None:
        return None
    if fingerprint(user.password_hash) != session.fingerprint:
        return None
    return Caller(
        actor=_actor(request, user.id),
        user_id=user.id,
        root=user.root,
        roles={role.tenant_id: role.role for role in user.roles},
        session=session,
        must_change_password=user.one_time,
    )
