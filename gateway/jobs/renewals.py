"""Tokens that end soon are renewed before a request has to wait for it: the same lock and the same row as a gateway's.

A failure here is no account's trouble yet, since its token still holds: it is tried again later, and a gateway marks
the account when a request meets it. Only a revoked authorisation is marked at once: nothing but a person heals that.
"""

import asyncio
import time

import msgspec
import structlog
from redis.asyncio import Redis
from sqlalchemy.exc import SQLAlchemyError

from gateway.core import changes, snapshot
from gateway.core.db import Sessions
from gateway.core.domain import Account
from gateway.core.names import tenant_prefix
from gateway.core.pause import pause
from gateway.core.scripts import MARK
from gateway.core.sealing import Sealer
from gateway.core.services import configuration
from gateway.core.settings import Settings
from gateway.core.state import FOR_EVER, State, encode
from gateway.platforms import PLATFORMS
from gateway.platforms.platform import NotRenewed
from gateway.upstream import Egress, Upstream
from gateway.upstream.renewal import RE_AUTHORISE, Renewals, due

EVERY = 10.0
EARLY = 60.0 + EVERY + 5.0
"""Seconds before the end: at least 60 are left at the round that takes it."""
AT_ONCE = 8
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 300.0
log = structlog.get_logger()


async def keep(settings: Settings, sessions: Sessions, sealer: Sealer, redis: Redis) -> None:
    """Runs as long as this process leads."""
    egress = Egress(settings.egress_allow, own_ports=[settings.gateway_port, settings.admin_port])
    async with Upstream(egress) as upstream, Renewals(sessions, sealer, redis, upstream) as renewals:
        rounds = Rounds(sessions, sealer, redis, renewals)
        while True:
            try:
                await rounds.go()
            except (OSError, TimeoutError, SQLAlchemyError) as error:
                log.warning("renewals wait for a store", reason=type(error).__name__)
            except Exception:
                log.exception("a round of renewals failed")
            await pause(EVERY)


class Rounds:
    """Looks for what is due, again and again."""

    def __init__(self, sessions: Sessions, sealer: Sealer, redis: Redis, renewals: Renewals) -> None:
        self._sessions = sessions
        self._sealer = sealer
        self._redis = redis
        self._renewals = renewals
        self._snapshot = snapshot.EMPTY
        self._failed: dict[str, tuple[float, float]] = {}
        """Account → (not before, the pause that it was)."""

    async def go(self) -> int:
        """One round. Returns how many accounts were renewed."""
        async with self._sessions() as session:
            if await changes.current(session) != self._snapshot.version:
                self._snapshot = await configuration.load(session, self._sealer, PLATFORMS)
        now = time.time()
        wanting = [account for account in self._snapshot.accounts.values() if self._wants(account, now)]
        if not wanting:
            return 0
        room = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            done = [tasks.create_task(self._renew(account, room)) for account in wanting]
        return sum(task.result() for task in done)

    def _wants(self, account: Account, now: float) -> bool:
        over = account.expires_at is not None and account.expires_at <= now
        if not account.enabled or over or self._failed.get(account.id, (0.0, 0.0))[0] > now:
            return False
        return PLATFORMS[account.platform].renew is not None and due(account, now + EARLY)

    async def _renew(self, account: Account, room: asyncio.Semaphore) -> bool:
        async with room:
            if await self._out(account):
                return False
            try:
                await self._renewals.fresh(account, within=EARLY)
            except NotRenewed as error:
                await self._not_renewed(account, error)
                return False
        self._failed.pop(account.id, None)
        return True

    async def _out(self, account: Account) -> bool:
        """Whether only an operator brings the account back, so that asking for it again is of no use."""
        text = await self._redis.hget(tenant_prefix(account.tenant_id) + "state", f"{account.id}|account")
        return bool(text) and msgspec.json.decode(text, type=State).until >= FOR_EVER

    async def _not_renewed(self, account: Account, error: NotRenewed) -> None:
        wait = min(_LONGEST_PAUSE, 2 * self._failed.get(account.id, (0.0, _FIRST_PAUSE / 2))[1])
        self._failed[account.id] = (time.time() + wait, wait)
        log.warning("credentials were not renewed", account=account.id, reason=str(error), revoked=error.revoked)
        if error.revoked:
            await mark(self._redis, account)


async def mark(redis: Redis, account: Account) -> None:
    """Out until somebody authorises the account again, with its line of history."""
    now = time.time()
    state = State(reason=RE_AUTHORISE, until=FOR_EVER, since=now)
    entry = msgspec.json.encode({"scope": "account", "at": now, "state": state})
    arguments = (account.id, "account", encode(state), entry)
    await redis.eval(MARK.source.decode(), 1, tenant_prefix(account.tenant_id), *arguments)
