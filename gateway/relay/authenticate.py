"""Who presents this key? Answered before the body is read, from immutable entries in the process.

Entries are found by the keyed digest of the whole key. An entry is read from PostgreSQL once; a change of its key,
user, team or tenant drops it. A read that overlaps a change is used for its own request only and never kept, so a stale
answer cannot be written back. Unknown keys are remembered for 10 s, so that a flood of junk costs PostgreSQL nothing.
"""

import asyncio
import fnmatch
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence

import structlog

from gateway.core.domain import Caller, Limit
from gateway.core.errors import Forbidden, Unauthenticated, Unavailable
from gateway.core.keys import Peppers, well_formed
from gateway.routing.call import Call, presented_key

log = structlog.get_logger()
CAPACITY = 100_000
UNKNOWN_FOR = 10.0
LOOK_UP_SECONDS = 5.0
Find = Callable[[Sequence[bytes]], Awaitable[Caller | None]]

_INVALID = "The key is not valid."


class Keys:
    """The process's cache of callers. `find` asks PostgreSQL and raises OSError-like errors when it is away."""

    def __init__(self, peppers: Peppers, find: Find) -> None:
        self._peppers = peppers
        self._find = find
        self._callers: OrderedDict[bytes, Caller] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._reading: dict[tuple[int, bytes], asyncio.Task[Caller | None]] = {}
        self._generation = 0
        self.misses = 0

    async def caller(self, key: str) -> Caller | None:
        """Raises whatever `find` raises when the key is not in the process."""
        digest = self._peppers.digest(key)
        caller = self._callers.get(digest)
        if caller is not None:
            return caller
        now = time.monotonic()
        if self._unknown.get(digest, 0) > now:
            return None
        self.misses += 1
        # One read a key, however many requests wait for it, but none that began before the last change. The dict owns
        # the task until it is done.
        name = (self._generation, digest)
        reading = self._reading.get(name)
        if reading is None:
            reading = asyncio.get_running_loop().create_task(self._read(digest, key))
            self._reading[name] = reading
            reading.add_done_callback(lambda _: self._reading.pop(name, None))
        async with asyncio.timeout(LOOK_UP_SECONDS):
            return await asyncio.shield(reading)

    async def _read(self, digest: bytes, key: str) -> Caller | None:
        generation = self._generation
        caller = await self._find(self._peppers.digests(key))
        if generation != self._generation:
            return caller
        if caller is None:
            self._unknown[digest] = time.monotonic() + UNKNOWN_FOR
            if len(self._unknown) > CAPACITY:
                self._unknown.popitem(last=False)
        else:
            self._callers[digest] = caller
            if len(self._callers) > CAPACITY:
                self._callers.popitem(last=False)
        return caller

    def limits(self) -> Iterator[Limit]:
        """Of all callers that are known here."""
        for caller in self._callers.values():
            yield from caller.limits

    def forget(self, kind: str, identity: str) -> None:
        """A key, user, team or tenant has changed: what was read of it, or is being read, is not used again."""
        self._generation += 1
        self._unknown.clear()
        of = {"key": "key_id", "user": "user_id", "team": "team_id", "tenant": "tenant_id"}.get(kind)
        if of is None:
            return
        for digest in [d for d, caller in self._callers.items() if getattr(caller, of) == identity]:
            del self._callers[digest]

    def forget_all(self) -> None:
        self._generation += 1
        self._unknown.clear()
        self._callers.clear()


async def authenticate(call: Call, keys: Keys) -> Caller:
    """Raises Unauthenticated, Forbidden, or Unavailable when the key cannot be looked up now."""
    key = presented_key(call.header, call.query)
    if key is None:
        raise Unauthenticated("No key was presented.", code="key_missing")
    if not well_formed(key):
        raise Unauthenticated(_INVALID)
    try:
        caller = await keys.caller(key)
    except Exception as error:
        log.warning("a key cannot be looked up", reason=f"{type(error).__name__}: {str(error)[:200]}")
        raise Unavailable("Keys cannot be checked at the moment.", code="overloaded", retry_after=1) from error
    if caller is None:
        raise Unauthenticated(_INVALID)
    call.key_id, call.tenant_id = caller.key_id, caller.tenant_id
    _check(caller, call)
    return caller


def _check(caller: Caller, call: Call) -> None:
    now = call.received_at
    if caller.secret_expires_at is not None and caller.secret_expires_at <= now:
        raise Unauthenticated(_INVALID)
    if not caller.enabled:
        raise Unauthenticated("The key is disabled.", code="key_disabled")
    if caller.expires_at is not None and caller.expires_at <= now:
        raise Unauthenticated("The key has expired.", code="key_expired")
    if caller.allowed_ips and not _in_networks(call.client_ip, caller.allowed_ips):
        raise Forbidden("The key may not be used from this address.", code="ip_forbidden")
    if caller.allowed_clients:
        agent = call.header.get(b"user-agent", b"").decode("latin-1")
        if not any(fnmatch.fnmatchcase(agent.lower(), pattern.lower()) for pattern in caller.allowed_clients):
            raise Forbidden("The key may not be used by this client.", code="client_forbidden")


def _in_networks(address: str, networks: Sequence[str]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip.version == 6 and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return any(ip in ipaddress.ip_network(network, strict=False) for network in networks)
