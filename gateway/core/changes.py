"""Changes of the configuration: recorded in the transaction that makes them, announced after its commit.

One advisory lock makes versions commit in order, so a reader that has seen version n has seen all before it.
Gateways read the table every second, and at once when the announcement arrives; the announcement alone proves nothing.
"""

from collections.abc import Sequence

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import event, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from gateway.core import models as m

CHANNEL = "pg:changes"
_LOCK = 0x706F_6F6C  # one lock for all writers of configuration
_PENDING = "poolgate.changes"


class Change(Struct, frozen=True):
    version: int
    kind: str
    """key, user, tenant, account, pool, …"""
    id: str


async def record(session: AsyncSession, kind: str, identity: str) -> int:
    """Raises the configuration's version in the session's transaction. Returns the new version."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    raised = update(m.Configuration).values(version=m.Configuration.version + 1).returning(m.Configuration.version)
    version = (await session.execute(raised)).scalar_one()
    session.add(m.Change(version=version, kind=kind, id=identity))
    session.info[_PENDING] = version
    event.listen(session.sync_session, "after_rollback", _forget, once=True)
    return version


def _forget(session: Session) -> None:
    session.info.pop(_PENDING, None)


async def announce(session: AsyncSession, redis: Redis) -> None:
    """After the commit only. Readers poll as well, so a Redis that is down delays by a second and loses nothing."""
    version = session.info.pop(_PENDING, None)
    if version is None:
        return
    try:
        await redis.publish(CHANNEL, str(version))
    except (RedisError, OSError):
        return


async def current(session: AsyncSession) -> int:
    return (await session.execute(select(m.Configuration.version))).scalar_one()


async def since(session: AsyncSession, version: int, limit: int = 1000) -> Sequence[Change]:
    """The changes after `version`, oldest first."""
    found = select(m.Change).where(m.Change.version > version).order_by(m.Change.version).limit(limit)
    return [Change(row.version, row.kind, row.id) for row in (await session.execute(found)).scalars()]
