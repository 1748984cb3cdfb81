"""The one call to Redis before the upstream: all limits, the sticky session and a slot of an account, or nothing.

What it takes is a lease of 60 s, renewed while the request runs and given back when it is settled; a gateway that is
killed gives back by the lease's end. Each further attempt of a request is one more call.
"""

import time
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from gateway.core.counters import Counter
from gateway.core.errors import InvalidRequest, LimitReached, Unavailable
from gateway.core.names import tag_of, tenant_prefix
from gateway.core.scripts import ADMIT, RedisGone, Scripts
from gateway.relay.degraded import LocalLimits
from gateway.relay.offer import FRESH, Ask, account_leases, asked, first, including, mask_of
from gateway.routing.authorise import Route
from gateway.routing.choose import Candidate, Exclusion

_SESSIONS = 50_000
_BOUND, _MOVED = (1, 2), 3


class Standing(Struct, frozen=True):
    """How a key stands with one limit. `reset` is in seconds from now."""

    counter: Counter
    used: int
    reset: float

    @property
    def remaining(self) -> int:
        return max(0, self.counter.limit.max - self.used)


class SlotsTaken(Unavailable):
    """`busy` accounts could serve the request, and each has all its slots taken; others are out by `exclusions` that
    only the shared counts show."""

    def __init__(self, busy: int, exclusions: Sequence[Exclusion] = ()) -> None:
        super().__init__(f"Every slot is taken: {busy} accounts are busy.", code="overloaded", retry_after=1)
        self.busy = busy
        self.exclusions = exclusions


class BoundElsewhere(Unavailable):
    """The request goes to this account or nowhere, and it is not among the candidates."""

    def __init__(self, account_id: str) -> None:
        super().__init__("The account that the request is bound to is not usable at the moment.", retry_after=1)
        self.account_id = account_id


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
    """The account was given by the request's session, or by what only that account knows."""
    moved: bool = False
    """What is preferred by the request's encrypted reasoning could not be taken: this account cannot read it."""

    @property
    def names(self) -> list[str]:
        """The sorted sets, beside the slot, that hold the lease."""
        return [counter.name for counter in self.counters if counter.kind == "C"]


class _Reply(Struct):
    """`counters`: those of the call, of which the first are the caller's."""

    values: list[Any]
    offered: Sequence[Candidate]
    counters: list[Counter]

    @property
    def kind(self) -> bytes:
        return self.values[0]


class Admission:
    """Admits requests by Redis, or by this process's share of the limits while Redis is away."""

    def __init__(self, scripts: Scripts, local: LocalLimits) -> None:
        self._scripts = scripts
        self._local = local
        self._sessions: dict[str, str] = {}
        """Where sessions were last seen: a hint of whom to offer, no more."""
        self.cold = False

    async def admit(
        self, request_id: str, route: Route, candidates: Sequence[Candidate], reservation: bytes, lease: Lease | None
    ) -> Lease:
        """The first attempt has no lease yet; a further one moves the lease it has to another account.

        Raises LimitReached when a limit refuses, SlotsTaken when no account has a slot free, BoundElsewhere and
        InvalidRequest for a request that one account alone can serve, Unavailable when limits cannot be checked.
        """
        leaving, held = (lease.candidate.account.id, lease.counters) if lease else ("", [])
        ask = asked(request_id, route, candidates, reservation, leaving, held)
        try:
            reply = await self._by_redis(ask, candidates)
        except RedisGone:
            return self._by_process(request_id, ask, candidates, lease)
        return self._read(reply, request_id, ask, lease)

    async def _by_redis(self, ask: Ask, candidates: Sequence[Candidate]) -> _Reply:
        offered = first(ask, candidates, self._sessions.get(ask.sticky))
        reply = await self._call(ask, offered, whole=len(offered) == len(candidates))
        if reply.kind == b"bound":
            # It is bound to one that stands further back: offer that too, or all there are when it is no candidate.
            held = reply.values[1].decode()
            if ask.binding[0] == "must":
                raise BoundElsewhere(held)
            offered = including(offered, candidates, held)
            reply = await self._call(ask, offered, whole=True)
        full = [reply] if reply.kind == b"full" else []
        seen = {one.account.id for one in offered}
        while reply.kind in {b"full", b"limit"} and len(seen) < len(candidates):
            # None of the first has room, by its slots or by a limit on its platform: perhaps one of the next.
            if reply.kind == b"limit" and not any(one.limit.platforms for one in ask.counters):
                break
            offered = [one for one in candidates if one.account.id not in seen][:FRESH]
            seen.update(one.account.id for one in offered)
            reply = await self._call(ask, offered, whole=True)
            if reply.kind == b"full":
                full.append(reply)
        if full and reply.kind != b"ok":
            raise _taken(full)
        return reply

    async def _call(self, ask: Ask, offered: Sequence[Candidate], *, whole: bool) -> _Reply:
        arguments, counters = ask.arguments(offered, whole=whole)
        values: list[Any] = await self._scripts.run(ADMIT, tenant_prefix(ask.route.caller.tenant_id), arguments)
        self.cold = values[0] == b"cold"
        if self.cold:
            raise RedisGone("the counters are being rebuilt")
        return _Reply(values, offered, counters)

    def _read(self, reply: _Reply, request_id: str, ask: Ask, lease: Lease | None) -> Lease:
        values, counters = reply.values, reply.counters
        if reply.kind == b"unknown":
            raise response_not_found()
        numbers = [int(value) for value in values[4:]]
        callers = len(ask.counters)
        standings = [
            Standing(one, numbers[2 * at], numbers[2 * at + 1] / 1000) for at, one in enumerate(counters[:callers])
        ]
        if reply.kind == b"limit":
            raise limit_reached(standings[int(values[1]) - 1], int(values[2]) / 1000, standings)
        account_id, bound = values[1].decode(), int(values[2])
        chosen = next(one for one in reply.offered if one.account.id == account_id)
        counted = _counted(chosen, ask.counters)
        counted += [one for one in counters[callers:] if one.limit.owner == account_id]
        if counted:
            now, used = time.monotonic(), dict(zip(map(id, counters), numbers[::2], strict=False))
            for one in counted:
                self._local.note(one, used[id(one)], now)
            self._local.hold(counted)
        if ask.sticky:
            self._seen(ask.sticky, account_id)
        return self._held(request_id, ask, lease, chosen, counted, standings, bound)

    def _held(
        self,
        request_id: str,
        ask: Ask,
        lease: Lease | None,
        chosen: Candidate,
        counted: list[Counter],
        standings: list[Standing],
        bound: int,
    ) -> Lease:
        """The lease, new or moved to another account."""
        moved = bound == _MOVED
        if lease is None:
            tenant = ask.route.caller.tenant_id
            prefix, tag = tenant_prefix(tenant), tag_of(tenant)
            return Lease(request_id, prefix, tag, chosen, counted, standings, bound in _BOUND, moved)
        if chosen.account.id != lease.candidate.account.id:
            left = account_leases(lease.counters)
            self._local.release(left)
            lease.counters = [one for one in lease.counters if one not in left]
        lease.candidate, lease.moved = chosen, moved
        lease.counters += counted
        return lease

    def _seen(self, sticky: str, account_id: str) -> None:
        if len(self._sessions) >= _SESSIONS:
            self._sessions.clear()
        self._sessions[sticky] = account_id

    def _by_process(self, request_id: str, ask: Ask, candidates: Sequence[Candidate], lease: Lease | None) -> Lease:
        """What only Redis knows is not guessed: which account a response is of, who is bound to one that drains."""
        if ask.binding[0] == "must":
            raise Unavailable("Which account made the response cannot be read now.", code="overloaded", retry_after=1)
        usable = [one for one in candidates if not one.account.draining]
        # A half-open breaker's one probe cannot be claimed: such an account comes last.
        for chosen in sorted(usable, key=lambda one: one.probe != ""):
            own = ask.own(chosen.account)
            if not self._local.room(own):
                continue
            counted = _counted(chosen, ask.counters) if lease is None else []
            self._local.admit(counted)
            self._local.take(own)
            return self._held(request_id, ask, lease, chosen, [*counted, *own], [], 0)
        raise SlotsTaken(0, [Exclusion("draining" if one.account.draining else "limit") for one in candidates])

    def release(self, lease: Lease) -> None:
        """In this process; what Redis holds is given back by the settle script."""
        self._local.release(lease.counters)


def _counted(chosen: Candidate, callers: list[Counter]) -> list[Counter]:
    """Those of the caller's limits under which a request to this account counts."""
    mask = mask_of(chosen.account.platform, callers)
    return [one for at, one in enumerate(callers) if not mask or mask[at] == "1"]


def _taken(full: Sequence[_Reply]) -> SlotsTaken:
    """Of replies {"full", now, busy, capped, ms}."""
    busy, exclusions = 0, list[Exclusion]()
    for reply in full:
        now, at_slots, capped, wait = (int(value) for value in reply.values[1:5])
        busy += at_slots
        exclusions += [Exclusion("limit", (now + wait) / 1000)] * capped
        if not at_slots and not capped:
            exclusions += [Exclusion("draining")] * len(reply.offered)
    return SlotsTaken(busy, exclusions)


def response_not_found() -> InvalidRequest:
    """As OpenAI says it. The same words for a response that never was, is forgotten, or is another key's."""
    return InvalidRequest(
        "The previous response was not found.", code="previous_response_not_found", field="previous_response_id"
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
