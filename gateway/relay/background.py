"""What a gateway does beside its requests: follows changes, copies states, renews leases, sends rows, closes the slow.

One task group owns all of it; a loop that fails is logged and goes on, since none of them may take the relay down.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from gateway.core import changes
from gateway.core.errors import Unauthenticated
from gateway.core.names import CUT_CHANNEL, prefix, tag_of
from gateway.core.pause import pause
from gateway.core.scripts import RENEW, RedisGone
from gateway.core.services import configuration
from gateway.relay.gate import Gate
from gateway.relay.learning import tell
from gateway.relay.meter import reservation
from gateway.relay.offer import LEASE_MS

POLL = 1.0
_NOT_IN_SNAPSHOT = frozenset({"key", "user", "team", "cut"})
RENEWAL = 20.0
TELL = 2.0
_AWAY = (OSError, TimeoutError, SQLAlchemyError, RedisError, RedisGone)
log = structlog.get_logger()


@asynccontextmanager
async def running(gate: Gate) -> AsyncGenerator[None]:
    """The gate's background work, until the context ends."""
    poke = asyncio.Event()
    with contextlib.suppress(*_AWAY):
        await copy_states(gate)
    async with asyncio.TaskGroup() as tasks:
        started = [
            tasks.create_task(_every(POLL, lambda: follow(gate), poke)),
            tasks.create_task(_every(POLL, lambda: copy_states(gate))),
            tasks.create_task(_every(RENEWAL, lambda: renew(gate), gate.renewal)),
            tasks.create_task(_every(POLL, lambda: redigest(gate))),
            tasks.create_task(_every(TELL, lambda: tell(gate))),
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
            await pause(seconds)
        else:
            await pause(0)
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
            found = await changes.since(session, gate.followed)
        gate.database_at = time.monotonic()
        if not found:
            return
        for change in found:
            gate.keys.forget(change.kind, change.id)
            if change.kind == "cut":
                _cut(gate, change.id)
        gate.followed = found[-1].version
        if any(change.kind not in _NOT_IN_SNAPSHOT for change in found):
            await gate.reload()


def _cut(gate: Gate, key_id: str) -> None:
    gate.cut(key_id, Unauthenticated("The key was cut off.", code="key_disabled"))


async def redigest(gate: Gate) -> None:
    """Keys that were found by an older pepper are stored under the newest."""
    while gate.redigests:
        old, new = next(iter(gate.redigests.items()))
        async with gate.sessions.begin() as session:
            await configuration.redigest(session, old, new, gate.settings.peppers.newest_id())
        del gate.redigests[old]


async def copy_states(gate: Gate) -> None:
    """The accounts' states of all tags that have accounts, in one write."""
    tags = {tag_of(tenant_id) for tenant_id in gate.snapshot.by_tenant}
    asked = [gate.scripts.command(b"HGETALL", prefix(tag) + "state") for tag in tags]
    learned = [gate.scripts.command(b"HGETALL", prefix(tag) + "learned") for tag in tags]
    epochs = {tag: gate.scripts.command(b"GET", prefix(tag) + "epoch") for tag in tags}
    own = gate.states.written()
    fields = await _fields(asked)
    gate.redis_at = time.monotonic()
    gate.states.replace(fields, own)
    gate.states.replace_learned(await _fields(learned), time.time())
    for tag, future in epochs.items():
        epoch = await future
        if gate.epochs.setdefault(tag, epoch) != epoch:
            # Emptied, without a lost connection that would have told.
            gate.epochs[tag] = epoch
            gate.redis_back()
    gate.admission.cold = None in gate.epochs.values()


async def _fields(hashes: Iterable[asyncio.Future[Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for future in hashes:
        flat = await future
        found.update(zip((k.decode() for k in flat[::2]), (v.decode() for v in flat[1::2]), strict=True))
    return found


async def renew(gate: Gate) -> None:
    """The leases of all running requests and their reservations, one call a tag: Redis may have lost them, and what was
    admitted without Redis has none yet."""
    by_tag: dict[int, list[bytes | str | int]] = {}
    for exchange in gate.exchanges.values():
        lease, account_id = exchange.lease, exchange.lease.candidate.account.id
        kept = b"%b\n%b\n%b" % (account_id.encode(), lease.reserved().encode(), reservation(exchange.row))
        names = ["s:" + account_id, *lease.names]
        by_tag.setdefault(lease.tag, [LEASE_MS]).extend([lease.request_id, kept, len(names), *names])
    for future in [gate.scripts.call(RENEW, prefix(tag), arguments) for tag, arguments in by_tag.items()]:
        await future


async def _heard(pubsub: Any) -> dict[str, Any] | None:
    return await pubsub.get_message(ignore_subscribe_messages=True, timeout=30)


async def _listen(gate: Gate, poke: asyncio.Event) -> None:
    """Announcements: a change of the configuration, a key whose requests are to be cut."""
    while True:
        try:
            async with gate.redis.pubsub() as pubsub:
                await pubsub.subscribe(changes.CHANNEL, CUT_CHANNEL)
                while True:
                    await pause(0)
                    message = await _heard(pubsub)
                    if message is None:
                        continue
                    if message["channel"] == CUT_CHANNEL:
                        _cut(gate, str(message["data"]))
                    poke.set()
        except _AWAY:
            await pause(1)
        except Exception:
            log.exception("background work failed")
            await pause(1)


__all__ = ["copy_states", "follow", "renew", "running"]
