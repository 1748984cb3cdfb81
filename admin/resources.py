"""What the admin process holds while it runs."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct
from redis.asyncio import Redis

from admin.attempts import Attempts
from admin.passwords import Passwords
from admin.sessions import Sessions
from gateway.core import db
from gateway.core.keys import Peppers
from gateway.core.redis import client
from gateway.core.sealing import Sealer
from gateway.core.settings import Settings
from gateway.upstream.client import Upstream
from gateway.upstream.egress import Egress
from gateway.upstream.renewal import Renewals


class Resources(Struct, frozen=True, eq=False):
    settings: Settings
    database: db.Sessions
    redis: Redis
    sealer: Sealer
    peppers: Peppers
    passwords: Passwords
    sessions: Sessions
    attempts: Attempts
    upstream: Upstream
    """For account tests, by the same egress rules as the gateway's."""
    renewals: Renewals
    """For tests of accounts whose credentials have ended."""


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncGenerator[Resources]:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(db.engine(settings.database_url))
        redis = await stack.enter_async_context(client(settings.redis_url))
        own_ports = [port for port in (settings.gateway_port, settings.admin_port) if port]
        sessions, sealer = db.sessions(engine), Sealer(settings.master_key_bytes)
        upstream = await stack.enter_async_context(Upstream(Egress(settings.egress_allow, own_ports=own_ports)))
        yield Resources(
            settings=settings,
            database=sessions,
            redis=redis,
            sealer=sealer,
            peppers=settings.peppers,
            passwords=stack.enter_context(Passwords()),
            sessions=Sessions(redis),
            attempts=Attempts(redis),
            upstream=upstream,
            renewals=await stack.enter_async_context(Renewals(sessions, sealer, redis, upstream)),
        )
