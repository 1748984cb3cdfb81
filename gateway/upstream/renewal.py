"""Renewing an account's credentials: one at a time in the whole installation, stored before anybody signs with them.

A refresh token may be good for one use, so two renewals of an account must never run side by side. Within a process
all who want one share it; between processes a lock in Redis decides, and whoever waited reads the row again and finds
what the other has got. The work has an owner of its own: a client that leaves does not cut it between the endpoint's
answer and the row, where a rotated token would be lost.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self

import structlog
from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from gateway.core import changes
from gateway.core import models as m
from gateway.core.db import Sessions
from gateway.core.domain import Account
from gateway.core.names import tenant_prefix
from gateway.core.pause import pause
from gateway.core.sealing import SealBroken, Sealer
from gateway.core.services import accounts
from gateway.platforms import PLATFORMS
from gateway.platforms.platform import NotRenewed
from gateway.upstream import tokens
from gateway.upstream.client import Upstream

RE_AUTHORISE = "re-authorise"
"""The reason of an account that only a person can bring back."""
_LOCK_MS = 30_000
_WAIT = 25.0
_POLL = 0.1
_AGAIN_MS = 60_000
_STORE_TRIES = 5
_GOODBYE = 5.0
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_AWAY = (OSError, TimeoutError, RedisError, SQLAlchemyError)
log = structlog.get_logger()


class RefusedAgain(NotRenewed):
    """What a renewal got within the last minute was refused too: another would not help."""


class _Held(Struct, frozen=True):
    """The account as its row says now, and the sealed credentials by which a change of them is seen."""

    account: Account
    sealed: bytes


def renewable(account: Account) -> bool:
    """Whether there is anything to renew the account's credentials with."""
    platform = PLATFORMS[account.platform]
    if platform.renew is None:
        return False
    ends = platform.expires is not None and platform.expires(account) is not None
    return ends or "refresh_token" in account.credentials


def due(account: Account, now: float) -> bool:
    """Whether what the account holds has ended by `now`."""
    expires = PLATFORMS[account.platform].expires
    if expires is None:
        return False
    end = expires(account)
    return end is not None and end <= now


class Renewals:
    """The renewals of one process; an async context manager that owns them. `changed` is called after each account
    that turned out to hold other credentials than the caller knew."""

    def __init__(
        self,
        sessions: Sessions,
        sealer: Sealer,
        redis: Redis,
        upstream: Upstream,
        changed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._sessions = sessions
        self._sealer = sealer
        self._redis = redis
        self._upstream = upstream
        self._changed = changed
        self._running: dict[str, asyncio.Future[Account]] = {}
        self._tasks = asyncio.TaskGroup()
        self._started: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._started:
            await asyncio.wait(self._started, timeout=_GOODBYE)
        for task in self._started:
            task.cancel()
        await self._tasks.__aexit__(None, None, None)  # what ended the context is not to be wrapped in a group

    async def fresh(self, account: Account, *, refused: bool = False, within: float = 0.0) -> Account:
        """The account with credentials that hold: those that somebody has got meanwhile, or newly got ones.

        `refused`: the upstream did not accept those of `account`. Otherwise they are renewed when they end within so
        many seconds. Raises NotRenewed.
        """
        future = self._running.get(account.id)
        if future is None:
            future = self._running[account.id] = asyncio.get_running_loop().create_future()
            future.add_done_callback(_seen)
            task = self._tasks.create_task(self._work(future, account, refused, within))
            self._started.add(task)
            task.add_done_callback(self._started.discard)
        return await asyncio.shield(future)

    async def _work(self, future: asyncio.Future[Account], account: Account, refused: bool, within: float) -> None:
        failure = NotRenewed("the process is going down")
        try:
            found = await self._fresh(account, refused, within)
            if self._changed is not None and found.credentials != account.credentials:
                with suppress(*_AWAY):
                    await self._changed()
            future.set_result(found)
        except NotRenewed as error:
            failure = error
        except _AWAY as error:
            failure = NotRenewed(f"a store is away ({type(error).__name__})")
        except Exception:
            log.exception("a renewal failed", account=account.id)
            failure = NotRenewed("internal")
        finally:
            del self._running[account.id]
            if not future.done():
                future.set_exception(failure)

    async def _fresh(self, account: Account, refused: bool, within: float) -> Account:
        loop = asyncio.get_running_loop()
        patience = loop.time() + _WAIT
        while True:
            async with self._lock(account) as locked:
                held = await self._read(account)
                wanted = (
                    held.account.credentials == account.credentials
                    if refused
                    else due(held.account, time.time() + within)
                )
                if not wanted:
                    return held.account
                if refused and not renewable(held.account):
                    raise RefusedAgain("nobody has written others, and there is nothing to renew them with")
                if locked:
                    return await self._renewed(held, refused)
            if loop.time() >= patience:
                raise NotRenewed("another process has been renewing for too long")
            await pause(_POLL)

    @asynccontextmanager
    async def _lock(self, account: Account) -> AsyncGenerator[bool]:
        """Whether this process has the account's lock now."""
        name, mark = self._name("renew:", account), os.urandom(16).hex()
        locked = await self._redis.set(name, mark, nx=True, px=_LOCK_MS)
        try:
            yield bool(locked)
        finally:
            if locked:
                with suppress(RedisError, OSError):
                    await self._redis.eval(_RELEASE, 1, name, mark)

    def _name(self, what: str, account: Account) -> str:
        return tenant_prefix(account.tenant_id) + what + account.id

    async def _read(self, account: Account) -> _Held:
        async with self._sessions() as session:
            row = await session.get(m.Account, account.id)
        if row is None or row.deleted_at is not None:
            raise NotRenewed("the account is gone")
        try:
            credentials = self._sealer.open_credentials(row.credentials, row.id)
            credentials |= self._sealer.open_renewed(row.renewed, row.id)
        except SealBroken:
            raise NotRenewed("the stored credentials do not open") from None
        return _Held(replace(account, credentials=credentials, options=row.options), row.credentials)

    async def _renewed(self, held: _Held, refused: bool) -> Account:
        account = held.account
        renew = PLATFORMS[account.platform].renew
        if renew is None:
            raise NotRenewed("there is nothing to renew the credentials with")
        # Whoever can make an upstream refuse requests must not make us ask its token endpoint for each of them.
        again = refused and not await self._redis.set(self._name("refused:", account), 1, nx=True, px=_AGAIN_MS)
        if again:
            raise RefusedAgain("credentials that were just renewed were refused")
        got = await tokens.run(self._upstream, account.id, renew(account, time.time()), account.proxy)
        await self._keep(held, got)
        log.info("credentials were renewed", account=account.id)
        return (await self._read(account)).account

    async def _keep(self, held: _Held, got: Mapping[str, Any]) -> None:
        """Stores what was got. Tries for a while: a rotated refresh token that is lost takes the account with it."""
        for left in reversed(range(_STORE_TRIES)):
            try:
                await self._store(held, got)
                return
            except _AWAY as error:
                log.warning("renewed credentials could not be stored", account=held.account.id, tries_left=left)
                if not left:
                    raise NotRenewed("what was got could not be stored") from error
            with suppress(RedisError, OSError):
                await self._redis.pexpire(self._name("renew:", held.account), _LOCK_MS)
            await asyncio.sleep(1)

    async def _store(self, held: _Held, got: Mapping[str, Any]) -> None:
        async with self._sessions() as session:
            async with session.begin():
                row = await session.get(m.Account, held.account.id, with_for_update=True)
                # What an operator has written meanwhile belongs to another authorisation.
                if row is None or row.deleted_at is not None or row.credentials != held.sealed:
                    return
                before = self._sealer.open_renewed(row.renewed, row.id)
                kept = {name: secret.reveal() for name, secret in before.items()}
                await accounts.keep_renewed(session, self._sealer, row, {**kept, **got})
            await changes.announce(session, self._redis)


def _seen(future: asyncio.Future[Account]) -> None:
    if not future.cancelled():
        future.exception()  # nobody may be waiting any more
