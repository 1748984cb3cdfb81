"""What a gateway does beside its requests: follows changes, copies states, renews leases, sends rows, closes the slow.

One task group owns all of it; a loop that fails is logged and goes on, since none of them may take the relay down.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from gateway.core import changes
from gateway.core.errors import Forbidden
from gateway.core.names import CUT_CHANNEL, TAGS, prefix, tag_of
from gateway.core.scripts import RENEW, RedisGone
from gateway.relay.admit import LEASE_MS
from gateway.relay.gate import Gate

POLL = 1.0
RENEWAL = 20.0
_AWAY = (OSError, TimeoutError, SQLAlchemyError, RedisError, RedisGone)
log = structlog.get_logger()


@asynccontextmanager
async def running(gate: Gate) -> AsyncGenerator[None]:
    """The gate's background work, until the context ends."""
    poke = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        started = [
            tasks.create_task(_every(POLL, lambda: follow(gate), poke)),
            tasks.create_task(_every(POLL, lambda: copy_states(gate))),
            tasks.create_task(_every(RENEWAL, lambda: renew(gate))),
            tasks.create_task(gate.settler.watch()),
            tasks.create_task(_listen(gate, poke)),
        ]
        try:
            yield
        finally:
            for task in started:
                task.cancel()


async def _every(seconds: float, work: Callable[[], Awaitable[None]], poke: asyncio.Event | None = None) -> None:
    while True:
        if poke is None:
            await asyncio.sleep(seconds)
        else:
            try:
                async with asyncio.timeout(seconds):
                    await poke.wait()
            except TimeoutError:
                pass
            poke.clear()
        try:
            await work()
        except _AWAY as error:
            log.warning("background work failed", work=getattr(work, "__name__", ""), reason=type(error).__name__)
        except Exception:
            log.exception("background work failed")


async def follow(gate: Gate) -> None:
    """What was committed since the snapshot: keys are forgotten one by one, all else makes a new snapshot."""
    async with asyncio.timeout(5):
        async with gate.sessions() as session:
            found = await changes.since(session, gate.snapshot.version)
        gate.database_at = time.monotonic()
        if not found:
            return
        for change in found:
            gate.keys.forget(change.kind, change.id)
        await gate.reload()


async def copy_states(gate: Gate) -> None:
    """The accounts' states of all tags that have accounts, in one write."""
    tags = {tag_of(tenant_id) for tenant_id in gate.snapshot.by_tenant}
    asked = [gate.scripts.command(b"HGETALL", prefix(tag) + "state") for tag in tags]
    fields: dict[str, str] = {}
    own = gate.states.written()
    for future in asked:
        flat = await future
        fields.update(zip((k.decode() for k in flat[::2]), (v.decode() for v in flat[1::2]), strict=True))
    gate.redis_at = time.monotonic()
    gate.states.replace(fields, own)


async def renew(gate: Gate) -> None:
    """The leases of all running requests, one call a tag."""
    by_tag: dict[int, list[bytes | str | int]] = {}
    for exchange in gate.exchanges.values():
        lease = exchange.lease
        if lease.local:
            continue
        names = ["s:" + lease.candidate.account.id, *lease.names]
        by_tag.setdefault(lease.tag, [LEASE_MS]).extend([lease.request_id, len(names), *names])
    for future in [gate.scripts.call(RENEW, prefix(tag), arguments) for tag, arguments in by_tag.items()]:
        await future


async def _listen(gate: Gate, poke: asyncio.Event) -> None:
    """Announcements: a change of the configuration, a key whose requests are to be cut."""
    while True:
        try:
            async with gate.redis.pubsub() as pubsub:
                await pubsub.subscribe(changes.CHANNEL, CUT_CHANNEL)
                while True:
                    message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=30)
                    if message is None:
                        continue
                    if message["channel"] == CUT_CHANNEL:
                        gate.cut(message["data"], Forbidden("The key was cut off.", code="key_disabled"))
                    poke.set()
        except (RedisError, OSError):
            await asyncio.sleep(1)


__all__ = ["TAGS", "copy_states", "follow", "renew", "running"]
