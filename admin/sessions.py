"""Log-in sessions: an opaque cookie, its content in Redis under a namespace of its own."""

import hashlib
import secrets

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

COOKIE = "pg_session"
LIFETIME = 12 * 3600
"""Seconds from the log-in, however much the session is used."""
_NAMESPACE = "pg:session:"


class Session(Struct, frozen=True):
    """`name` is the digest of the cookie under which the session is stored; the cookie itself is kept nowhere."""

    name: str
    user_id: str
    csrf: str
    fingerprint: str
    """Of the password hash at log-in: a change of the password ends the user's other sessions."""


def fingerprint(password_hash: str) -> str:
    return hashlib.sha256(password_hash.encode()).hexdigest()


def _name(cookie: str) -> str:
    return _NAMESPACE + hashlib.sha256(cookie.encode()).hexdigest()


class Sessions:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def open(self, user_id: str, password_hash: str) -> tuple[str, Session]:
        """The cookie's value, and the session behind it."""
        cookie = secrets.token_urlsafe(32)
        session = Session(_name(cookie), user_id, secrets.token_urlsafe(32), fingerprint(password_hash))
        await self._redis.set(session.name, msgspec.json.encode(session), ex=LIFETIME)
        return cookie, session

    async def read(self, cookie: str) -> Session | None:
        found = await self._redis.get(_name(cookie))
        return None if found is None else msgspec.json.decode(found, type=Session)

    async def renew(self, session: Session, password_hash: str) -> None:
        """This session goes on under the new password; the end of its life stays."""
        changed = msgspec.structs.replace(session, fingerprint=fingerprint(password_hash))
        await self._redis.set(session.name, msgspec.json.encode(changed), keepttl=True, xx=True)

    async def close(self, session: Session) -> None:
        await self._redis.delete(session.name)
