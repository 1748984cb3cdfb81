"""The one call to Redis before the upstream: all limits, the sticky session and a slot of an account, or nothing.

What it takes is a lease of 60 s, renewed while the request runs and given back when it is settled; a gateway that is
killed gives back by the lease's end. Each further attempt of a request is one more call.
"""

import time
from collections.abc import Sequence

from msgspec import Struct

from gateway.core.counters import Counter, counter
from gateway.core.errors import LimitReached, Unavailable
from gateway.core.names import session_name, tag_of, tenant_prefix
from gateway.core.scripts import ADMIT, RedisGone, Scripts
from gateway.relay.degraded import LocalLimits
from gateway.routing.authorise import Route, matches, platforms_of
from gateway.routing.choose import Candidate

LEASE_MS = 60_000
STICKY_SECONDS = 3600
_FRESH = 8


class Standing(Struct, frozen=True):
    """How a key stands with one limit. `reset` is in seconds from now."""

    counter: Counter
    used: int
    reset: float

    @property
    def remaining(self) -> int:
        return max(0, self.counter.limit.max - self.used)


class SlotsTaken(Unavailable):
    """`busy` accounts could serve the request, and each has all its slots taken."""

    def __init__(self, busy: int) -> None:
        super().__init__(f"Every slot is taken: {busy} accounts are busy.", code="overloaded", retry_after=1)
        self.busy = busy


class Lease(Struct):
    """What a request holds, in Redis or, while that is away, in this process alone."""

    request_id: str
    prefix: str
    tag: int
    candidate: Candidate
    counters: list[Counter]
    """Those under which the request counts."""
    standings: list[Standing]
    bound: bool = False

    @property
    def names(self) -> list[str]:
        """The sorted sets, beside the slot, that hold the lease."""
        return [counter.name for counter in self.counters if counter.kind == "C"]


class Admission:
    """Admits requests by Redis, or by this process's share of the limits while Redis is away."""

    def __init__(self, scripts: Scripts, local: LocalLimits) -> None:
        self._scripts = scripts
        self._local = local
        self.cold = False

    async def admit(
        self, request_id: str, route: Route, candidates: Sequence[Candidate], reservation: bytes, lease: Lease | None
    ) -> Lease:
        """The first attempt has no lease yet; a further one moves the lease it has to another account.

        Raises LimitReached when a limit refuses, SlotsTaken when no account has a slot free, Unavailable when limits
        cannot be checked.
        """
        counters = self._counters(route, candidates, lease)
        try:
            return await self._by_redis(request_id, route, candidates, reservation, lease, counters)
        except RedisGone:
            return self._by_process(request_id, route, candidates, lease, counters)

    def _counters(self, route: Route, candidates: Sequence[Candidate], lease: Lease | None) -> list[Counter]:
        """The limits that concern this request and are not counted yet."""
        limits = route.caller.limits
        if not limits:
            return []
        now = time.time()
        found = [
            counter(limit, now)
            for limit in limits
            if not limit.models or matches(route.model, limit.models)
            if not limit.platforms or any(one.account.platform in platforms_of(limit.platforms) for one in candidates)
        ]
        if lease is None:
            return found
        held = {one.name for one in lease.counters}
        return [one for one in found if one.name not in held and one.limit.platforms]

    async def _by_redis(
        self,
        request_id: str,
        route: Route,
        candidates: Sequence[Candidate],
        reservation: bytes,
        lease: Lease | None,
        counters: list[Counter],
    ) -> Lease:
        caller = route.caller
        sticky = (
            session_name(caller.tenant_id, caller.key_id, route.session, route.endpoint.protocol)
            if route.session
            else ""
        )
        head: list[bytes | str | int] = [
            request_id,
            LEASE_MS,
            reservation,
            sticky,
            STICKY_SECONDS,
            lease.candidate.account.id if lease else "",
            "busy",
        ]
        limits: list[bytes | str | int] = [len(counters)]
        for one in counters:
            limits += (one.kind, one.name, one.limit.max, one.span)
        offered = list(candidates[:_FRESH])
        reply = await self._call(caller.tenant_id, head, limits, counters, offered, len(candidates) <= _FRESH)
        if reply[0] == b"bound":
            # The session's account stands further back: offer it first, or all there are when it is no candidate.
            held = reply[1].decode()
            behind = [one for one in candidates[_FRESH:] if one.account.id == held]
            reply = await self._call(caller.tenant_id, head, limits, counters, behind + offered, whole=True)
            offered = behind + offered
        narrowed = any(one.limit.platforms for one in counters)
        for at in range(_FRESH, len(candidates), _FRESH):
            if reply[0] == b"ok" or (reply[0] == b"limit" and not narrowed):
                break
            # None of the first has room, by its slots or by a limit on its platform: perhaps one of the next.
            offered = list(candidates[at : at + _FRESH])
            reply = await self._call(caller.tenant_id, head, limits, counters, offered, whole=True)
        if reply[0] == b"full":
            raise SlotsTaken(len(candidates))
        return self._read(reply, request_id, route, offered, lease, counters)

    async def _call(
        self,
        tenant_id: str,
        head: list[bytes | str | int],
        limits: list[bytes | str | int],
        counters: list[Counter],
        offered: Sequence[Candidate],
        whole: bool,
    ) -> list[bytes]:
        rows: list[bytes | str | int] = [len(offered)]
        for one in offered:
            account = one.account
            rows += (account.id, account.max_concurrency or 0, one.tier, _mask(account.platform, counters))
        arguments = [*head, "1" if whole else "0", *limits, *rows]
        reply: list[bytes] = await self._scripts.run(ADMIT, tenant_prefix(tenant_id), arguments)
        self.cold = reply[0] == b"cold"
        if self.cold:
            raise RedisGone("the counters are being rebuilt")
        return reply

    def _read(
        self,
        reply: list[bytes],
        request_id: str,
        route: Route,
        offered: Sequence[Candidate],
        lease: Lease | None,
        counters: list[Counter],
    ) -> Lease:
        answer = reply[0]
        numbers = [int(value) for value in reply[4:]]
        standings = [Standing(one, numbers[2 * at], numbers[2 * at + 1] / 1000) for at, one in enumerate(counters)]
        if answer == b"limit":
            refused = standings[int(reply[1]) - 1]
            raise limit_reached(refused, int(reply[2]) / 1000, standings)
        chosen = next(one for one in offered if one.account.id == reply[1].decode())
        mask = _mask(chosen.account.platform, counters)
        counted = [one for at, one in enumerate(counters) if not mask or mask[at] == "1"]
        now = time.monotonic()
        for at, one in enumerate(counters):
            if not mask or mask[at] == "1":
                self._local.note(one, numbers[2 * at], now)
        self._local.hold(counted)
        if lease is not None:
            lease.candidate = chosen
            lease.counters += counted
            return lease
        tenant = route.caller.tenant_id
        return Lease(
            request_id, tenant_prefix(tenant), tag_of(tenant), chosen, counted, standings, bound=bool(int(reply[2]))
        )

    def _by_process(
        self,
        request_id: str,
        route: Route,
        candidates: Sequence[Candidate],
        lease: Lease | None,
        counters: list[Counter],
    ) -> Lease:
        chosen = candidates[0]
        if lease is not None:
            lease.candidate = chosen
            return lease
        mask = _mask(chosen.account.platform, counters)
        counted = [one for at, one in enumerate(counters) if not mask or mask[at] == "1"]
        self._local.admit(counted)
        tenant = route.caller.tenant_id
        return Lease(request_id, tenant_prefix(tenant), tag_of(tenant), chosen, counted, [])

    def release(self, lease: Lease) -> None:
        """In this process; what Redis holds is given back by the settle script."""
        self._local.release(lease.counters)


def _mask(platform: str, counters: Sequence[Counter]) -> str:
    """Which limits apply to an account of this platform; "" when all do."""
    if not any(one.limit.platforms for one in counters):
        return ""
    return "".join(
        "1" if not one.limit.platforms or platform in platforms_of(one.limit.platforms) else "0" for one in counters
    )


def limit_reached(refused: Standing, wait: float, standings: Sequence[Standing]) -> LimitReached:
    limit = refused.counter.limit
    if limit.type == "concurrency":
        code, what = "concurrency_limited", f"{limit.max} concurrent requests"
    else:
        code, what = "rate_limited", f"{limit.max} requests per {limit.per.name if limit.per else 'total'}"
    error = LimitReached(f"The {limit.scope}'s limit of {what} is reached.", code=code, retry_after=wait)
    error.standings = tuple(standings)
    return error
