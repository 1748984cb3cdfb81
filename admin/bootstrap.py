"""The first user of a new installation."""

from sqlalchemy import text

from admin.passwords import Passwords
from gateway.core import db
from gateway.core.services import audit, users
from gateway.core.services.audit import Actor
from gateway.core.settings import Settings

OWNER = "owner@localhost"
_LOCK = 0x626F_6F74


async def bootstrap(settings: Settings) -> tuple[str, str] | None:
    """Makes the root user when there is no user at all: (e-mail, one-time password), to be shown once. Else None."""
    async with db.engine(settings.database_url, size=1) as engine, db.sessions(engine).begin() as session:
        # Two processes may start at once: the second waits and finds the first one's user.
        await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if await users.any_exists(session):
            return None
        password = users.one_time_password().reveal()
        with Passwords() as passwords:
            password_hash = await passwords.hash(password)
        user = await users.create(session, {"email": OWNER, "root": True}, [], password_hash, one_time=True)
        await audit.record(session, Actor("system"), "users.create", user.id, after={"email": OWNER, "root": True})
    return OWNER, password
