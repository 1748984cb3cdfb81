"""Who presents this key? Answered before the body is read, from immutable entries in the process.

Entries are found by the keyed digest of the whole key. An entry is read from PostgreSQL once; a change of its key,
user, team or tenant drops it. A read that overlaps a change is used for its own request only and never kept, so a stale
answer cannot be written back. Unknown keys are remembered for 10 s, so that a flood of junk costs PostgreSQL nothing.

Ollama's clients have no key to present. On the machine of the gateway itself another may stand for it (`unkeyed`).
"""

import asyncio
import fnmatch
import ipaddress
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence

import structlog

from gateway.core import address, callers
from gateway.core.domain import Caller, Limit, Tenant
from gateway.core.errors import Forbidden, Unauthenticated, Unavailable
from gateway.core.keys import KEY_LENGTH, Peppers, well_formed
from gateway.core.snapshot import EMPTY, Snapshot
from gateway.routing.call import Call, presented_key

log = structlog.get_logger()
CAPACITY = 100_000
UNKNOWN_FOR = 10.0
LOOK_UP_SECONDS = 5.0
Find = Callable[[Sequence[bytes]], Awaitable[Caller | None]]
FindNamed = Callable[[str], Awaitable[Caller | None]]

#: What a browser's page or a proxy adds: who asks is not, or need not be, on this machine.
_FROM_ELSEWHERE = frozenset(
    {b"origin", b"sec-fetch-site", b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip"}
)
#: A name that a foreign page made to lead here (DNS rebinding) is none of these.
_LOOPBACK_HOST = re.compile(rb"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)


async def _nobody(_: str) -> Caller | None:
    return None


class Keys:
    """The process's cache of callers. `find` and `find_named` ask PostgreSQL, by the digests of a key and by its id,
    and raise OSError-like errors when it is away."""

    def __init__(self, peppers: Peppers, find: Find, find_named: FindNamed = _nobody) -> None:
        self._peppers = peppers
        self._find = find
        self._find_named = find_named
        self._callers: OrderedDict[bytes, Caller] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._reading: dict[tuple[int, bytes], asyncio.Task[Caller | None]] = {}
        self._generation = 0
        self.misses = 0

    def held(self, key: str) -> Caller | None:
        """Who presents it, when that is known in the process already."""
        return self._callers.get(self._peppers.digest(key)) if len(key) == KEY_LENGTH else None

    async def caller(self, key: str) -> Caller | None:
        """Raises whatever `find` raises when the key is not in the process."""
        return await self._known(self._peppers.digest(key), lambda: self._find(self._peppers.digests(key)))

    async def named(self, key_id: str) -> Caller | None:
        """Who has the key of this id. Raises whatever `find_named` raises when it is not in the process."""
        return await self._known(key_id.encode(), lambda: self._find_named(key_id))

    async def _known(self, digest: bytes, find: Callable[[], Awaitable[Caller | None]]) -> Caller | None:
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
            reading = asyncio.get_running_loop().create_task(self._read(digest, find))
            self._reading[name] = reading
            reading.add_done_callback(lambda _: self._reading.pop(name, None))
        async with asyncio.timeout(LOOK_UP_SECONDS):
            return await asyncio.shield(reading)

    async def _read(self, digest: bytes, find: Callable[[], Awaitable[Caller | None]]) -> Caller | None:
        generation = self._generation
        caller = await find()
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


async def authenticate(call: Call, keys: Keys, snapshot: Snapshot = EMPTY) -> Caller:
    """Raises Unauthenticated, Forbidden, or Unavailable when the key cannot be looked up now. `snapshot`: knows whose
    key Ollama's clients have that present none."""
    key = presented_key(call.header, call.query)
    if key is None:
        caller = await _stand_in(call, keys, snapshot)
        if caller is None:
            raise Unauthenticated("No key was presented.", code="key_missing")
    else:
        caller = keys.held(key)
        if caller is None and well_formed(key):
            caller = await _looked_up(keys.caller(key))
        if caller is None:
            raise Unauthenticated(callers.INVALID)
    call.key_id, call.tenant_id = caller.key_id, caller.tenant_id
    _check(caller, call)
    return caller


def unkeyed(call: Call, snapshot: Snapshot) -> Tenant | None:
    """The tenant whose `ollama_key_id` stands for the key that this call does not present: on Ollama's routes alone,
    and only for a process of this machine that named this machine. None for all others."""
    if call.endpoint.protocol != "ollama" or presented_key(call.header, call.query) is not None or not _from_here(call):
        return None
    named = (one for one in snapshot.tenants.values() if one.name == "default" and one.ollama_key_id)
    return next(named, None)


def _from_here(call: Call) -> bool:
    if not _FROM_ELSEWHERE.isdisjoint(call.header):
        return False
    # Without X-Forwarded-For the client is the peer, whatever proxies are trusted.
    peer = address.read(call.client_ip)
    hosts = [value for name, value in call.headers if name == b"host"]
    return peer is not None and peer.is_loopback and len(hosts) == 1 and _LOOPBACK_HOST.fullmatch(hosts[0]) is not None


async def _stand_in(call: Call, keys: Keys, snapshot: Snapshot) -> Caller | None:
    tenant = unkeyed(call, snapshot)
    if tenant is None or tenant.ollama_key_id is None:
        return None
    caller = await _looked_up(keys.named(tenant.ollama_key_id))
    return caller if caller is not None and caller.tenant_id == tenant.id else None


async def _looked_up(found: Awaitable[Caller | None]) -> Caller | None:
    try:
        return await found
    except Exception as error:
        log.warning("a key cannot be looked up", reason=f"{type(error).__name__}: {str(error)[:200]}")
        raise Unavailable("Keys cannot be checked at the moment.", code="overloaded", retry_after=1) from error


def _check(caller: Caller, call: Call) -> None:
    callers.check(caller, call.received_at)
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
