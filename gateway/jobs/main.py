"""The leader's loops, under one task group that ends with the leadership."""

import asyncio
import contextlib
import datetime as dt
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import asyncpg
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from gateway.core import db, logs
from gateway.core import redis as redis_url
from gateway.core.migrate import check_revision
from gateway.core.names import TAGS, prefix
from gateway.core.pause import pause
from gateway.core.scripts import SWEEP, evaluate
from gateway.core.sealing import Sealer
from gateway.core.settings import Settings
from gateway.jobs import (
    captures,
    ledger,
    partitions,
    pricing,
    probes,
    pruning,
    renewals,
    restoring,
    retention,
    roles,
    unpriced,
    webhooks,
)
from gateway.jobs.arrears import Arrears
from gateway.jobs.leader import leadership

_IDLE = 0.2
_AGAIN = 2.0
_START = 60.0
_PENDING_EVERY = 5.0
_SWEEP_EVERY = 5.0
_SWEEP_BATCH = 200
_AWAY = (OSError, RedisError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Until a signal. Raises UnknownRevision when the database is not of this version."""
    logs.configure()
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_main(settings))


async def _main(settings: Settings) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await _known(settings)
    await keep_leading(settings)


async def _known(settings: Settings) -> None:
    """The database is of a revision that this version knows. One that is just starting is waited for."""
    patience = time.monotonic() + _START
    while True:
        try:
            async with db.engine(settings.database_url) as engine:
                await check_revision(engine)
            return
        except (*_AWAY, SQLAlchemyError) as error:
            if time.monotonic() > patience:
                raise
            log.warning("the database cannot be read yet", reason=type(error).__name__)
            await pause(1)


async def keep_leading(settings: Settings) -> None:
    """Leads again, a second later, whatever ended it."""
    task = asyncio.current_task()
    while True:
        try:
            # In a task of its own: a task group of Python 3.11 whose member fails leaves its task marked as cancelled.
            await asyncio.get_running_loop().create_task(lead(settings))
        except* _AWAY as errors:
            log.warning("the leader's work stopped", reason=[type(error).__name__ for error in errors.exceptions])
        except* Exception:
            log.exception("the leader's work failed")
        if task is not None and task.cancelling():  # an error on the way down hides the signal's cancellation
            return
        await pause(1)


async def lead(settings: Settings) -> None:
    """Leads until the connection that holds the lock is lost."""
    async with (
        leadership(settings.database_url) as connection,
        redis_url.client(settings.redis_url) as redis,
        db.engine(settings.database_url, size=4) as engine,
    ):
        sessions, sealer = db.sessions(engine), Sealer(settings.master_key_bytes)
        log.info("this process leads the jobs")
        role = roles.Chain()
        turn = asyncio.Lock()  # asyncpg: one statement at a time on a connection
        async with asyncio.TaskGroup() as tasks:
            arrears = Arrears(sessions, redis, connection)
            pricer = pricing.Pricer(sessions, connection, turn, arrears.charge)
            tasks.create_task(commit_rows(redis, connection, turn, pricer, arrears))
            tasks.create_task(_every(_SWEEP_EVERY, lambda: sweep(redis)))
            tasks.create_task(_every(60.0, lambda: pruning.states(redis)))
            tasks.create_task(_every(60.0, lambda: pruning.learned(redis)))
            tasks.create_task(_every(60.0, lambda: pruning.counters(connection, turn)))
            tasks.create_task(_every(3600.0, lambda: pruning.journals(redis, connection, turn)))
            tasks.create_task(_every(3600.0, lambda: make_partitions(connection, turn)))
            tasks.create_task(_every(3600.0, lambda: retention.run(settings.database_url, settings.retention_days)))
            tasks.create_task(_every(roles.EVERY, lambda: roles.resolve(sessions, sealer, role)))
            for keep in (renewals.keep, webhooks.keep, probes.keep):
                tasks.create_task(_apart(partial(keep, settings, sessions, sealer, redis)))
            tasks.create_task(_apart(partial(captures.keep, sessions)))
            tasks.create_task(_every(pricing.EVERY, pricer.look))
            tasks.create_task(_every(unpriced.EVERY, unpriced.Alarm(sessions).ring))
            tasks.create_task(_every(1.0, lambda: still_leading(connection, turn)))


async def _every(seconds: float, work: Callable[[], Awaitable[Any]]) -> None:
    while True:
        try:
            await work()
        except RedisError as error:
            log.warning("background work failed", reason=type(error).__name__)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            raise  # the connection that makes this process the leader
        except Exception:
            log.exception("background work failed")
        await pause(seconds)


async def _apart(work: Callable[[], Awaitable[None]]) -> None:
    """Begins again, a little later, whatever ended it: the ledger must not wait for a webhook that cannot be told."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("background work failed")
        await pause(_AGAIN)


async def still_leading(connection: asyncpg.Connection, turn: asyncio.Lock) -> None:
    """Raises when the connection is lost, and the lock with it: also while there is nothing to commit."""
    async with turn:
        await connection.execute("SELECT 1")


async def commit_rows(
    redis: Redis, connection: asyncpg.Connection, turn: asyncio.Lock, pricer: pricing.Pricer, arrears: Arrears
) -> None:
    """Rows from the streams into PostgreSQL, first what a former leader had taken and not finished.

    A former leader that does not know yet that it is one may take more: so they are looked for again and again.
    Counters that Redis has lost are made anew between two batches, so that every row is in them once.
    """
    pending, looked = True, time.monotonic()
    restorer = restoring.Restorer(redis, connection, lambda: pricer.table)
    while True:
        taken = 0
        if time.monotonic() - looked > _PENDING_EVERY:
            pending, looked = True, time.monotonic()
        try:
            for tag in range(TAGS):
                async with turn:
                    if pending or tag in arrears.untold:
                        await ledger.tell_again(redis, connection, tag)
                        arrears.untold.discard(tag)
                    taken += await ledger.drain(redis, connection, tag, pricer.table, pending=pending)
            async with turn:
                await restorer.look()
        except RedisError as error:
            log.warning("the ledger waits for Redis", reason=type(error).__name__)
            pending = True
            await pause(1)
            continue
        pending = pending and taken > 0
        if not taken:
            await pause(_IDLE)


async def sweep(redis: Redis) -> int:
    """Requests whose gateway has gone get their row. Returns how many there were."""
    taken = 0
    for tag in range(TAGS):
        taken += int(await evaluate(redis, SWEEP, prefix(tag), [_SWEEP_BATCH]))
    if taken:
        log.warning("requests of a gateway that has gone were swept", requests=taken)
    return taken


async def make_partitions(connection: asyncpg.Connection, turn: asyncio.Lock) -> None:
    try:
        async with turn:
            made = await partitions.make_ahead(connection, dt.datetime.now(dt.UTC).date())
    except asyncpg.LockNotAvailableError:
        log.warning("partitions are made later: the ledger is in use")  # there is a month of time
        return
    if made:
        log.info("partitions were made", tables=made)
