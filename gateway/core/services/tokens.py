"""Admin tokens: a user's own, narrowed by scopes, kept as keyed digests."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, or_, select, true, update
from sqlalchemy import delete as delete_rows
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.keys import Peppers, new_token
from gateway.core.secret import Secret
from gateway.core.services import rows

_SEEN_EVERY = timedelta(minutes=1)


def _of(user_id: str | None) -> ColumnElement[bool]:
    return true() if user_id is None else m.Token.user_id == user_id


async def listing(session: AsyncSession, user_id: str | None, window: rows.Window) -> rows.Slice[m.Token]:
    """The tokens of a user, or of all (None)."""
    return await rows.page(session, select(m.Token).where(_of(user_id)), m.Token.id, "tok", window)


async def find(session: AsyncSession, user_id: str | None, token_id: str) -> m.Token:
    found = select(m.Token).where(_of(user_id), m.Token.id == rows.identity(token_id, "tok", "token"))
    return await rows.one(session, found, "token")


async def issue(
    session: AsyncSession, peppers: Peppers, user_id: str, values: Mapping[str, Any]
) -> tuple[m.Token, Secret]:
    secret = new_token()
    token = m.Token(
        id=new_id("tok"),
        user_id=user_id,
        digest=peppers.digest(secret),
        prefix=secret[:10],
        last_four=secret[-4:],
        **values,
    )
    session.add(token)
    await session.flush()
    return token, Secret(secret)


async def delete(session: AsyncSession, token: m.Token) -> None:
    await session.execute(delete_rows(m.Token).where(m.Token.id == token.id))


async def presented(session: AsyncSession, peppers: Peppers, secret: str) -> tuple[m.Token, m.User] | None:
    """The live token of this text with its owner, who may be disabled. Notes the use, at most once a minute."""
    now = datetime.now(UTC)
    found = (
        select(m.Token, m.User)
        .join(m.User, m.User.id == m.Token.user_id)
        .where(
            m.Token.digest.in_(list(peppers.digests(secret))),
            or_(m.Token.expires_at.is_(None), m.Token.expires_at > now),
        )
    )
    row = (await session.execute(found)).one_or_none()
    if row is None:
        return None
    token, user = row
    if token.last_used_at is None or now - token.last_used_at > _SEEN_EVERY:
        await session.execute(update(m.Token).where(m.Token.id == token.id).values(last_used_at=now))
    return token, user
