"""The one call to Redis before the upstream: all limits, the sticky session and a slot of an account, or nothing.

What it takes is a lease of 60 s, renewed while the request runs and given back when it is settled; a gateway that is
killed gives back by the lease's end. Each further attempt of a request is one more call.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec import Struct

from gateway.core.counters import Counter, Taking, amount_of, distinct
from gateway.core.errors import InvalidRequest, LimitReached, Unavailable
from gateway.core.ledger import Row
from gateway.core.limits import shown
from gateway.core.names import tag_of, tenant_prefix
from gateway.core.scripts import ADMIT, RedisGone, Scripts, unheard
from gateway.relay.degraded import LocalLimits
from gateway.relay.estimate import Estimate
from gateway.relay.offer import FRESH, Ask, asked, first, including, mask_of, of_account
from gateway.routing.authorise import Route
from gateway.routing.fitting import Candidate, Exclusion

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

    @property
    def for_ever(self) -> bool:
        """A limit per `total`, whose places never come back: the day that `reset` says is only when to ask again."""
        return self.counter.kind == "D" and not self.counter.span


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


class Queued(LimitReached):
    """Every place under a limit of concurrency is taken; the request stands in its queue. Seconds."""

    def __init__(self, counter: Counter, pause: float, error: LimitReached) -> None:
        super().__init__(error.message, code=error.code, retry_after=1)
        self.standings = error.standings
        self.name = counter.name
        self.pause = pause
        self.patience = counter.limit.queue_ms / 1000


class Lease(Struct):
    """What a request holds, in Redis or, while that is away, in this process alone."""

    request_id: str
    prefix: str
    tag: int
    candidate: Candidate
    takings: list[Taking]
    """What it has taken under limits."""
    told: "tuple[Sequence[Counter], Sequence[int]]"
    """Its caller's limits, and what Redis said of them: two numbers each, as the admit script gives them."""
    estimate: Estimate
    bound: bool = False
    """The account was given by the request's session, or by what only that account knows."""
    moved: bool = False
    """What is preferred by the request's encrypted reasoning could not be taken: this account cannot read it."""

    @property
    def standings(self) -> list[Standing]:
        """How its caller stands with limits; none of it is known without Redis."""
        return _standings(*self.told)

    @property
    def counters(self) -> list[Counter]:
        return [one.counter for one in self.takings]

    @property
    def names(self) -> list[str]:
        """The sorted sets, beside the slot, that hold the lease."""
        return [one.counter.name for one in self.takings if one.counter.kind == "C"]

    def reserved(self) -> str:
        """Its charges, as they were taken."""
        return " ".join([one.charge(one.amount) for one in self.takings if one.counter.kind != "C"])

    def settled(self, row: Row) -> tuple[list[int], str]:
        """What each of its takings really came to, and its charges with that."""
        used: list[int] = []
        charges: list[str] = []
        for one in self.takings:
            counter, limit = one.counter, one.counter.limit
            if counter.kind == "C":
                used.append(0)
                continue
            amount = amount_of(limit.type, row, of_account=limit.scope == "account")
            used.append(amount)
            charges.append(one.charge(amount))
        return used, " ".join(charges)


class _Reply(Struct):
    """`counters`: those of the call, of which the first are the caller's."""

    values: list[Any]
    offered: Sequence[Candidate]
    counters: Sequence[Counter]
    amounts: Sequence[int]

    @property
    def kind(self) -> bytes:
        return self.values[0]


class Admission:
    """Admits requests by Redis, or by this process's share of the limits while Redis is away."""

    def __init__(self, scripts: Scripts, local: LocalLimits, lost: Callable[[], None] = lambda: None) -> None:
        self._scripts = scripts
        self._local = local
        self._lost = lost
        """Called when Redis is found to have lost what it held."""
        self._sessions: dict[str, str] = {}
        """Where sessions were last seen: a hint of whom to offer, no more."""
        self.cold = False
        self.alone = 0
        """Requests that were admitted or refused without Redis."""

    async def admit(
        self, request_id: str, route: Route, candidates: Sequence[Candidate], reservation: bytes, estimate: Estimate
    ) -> Lease:
        """The first attempt of a request.

        Raises LimitReached when a limit refuses (Queued when it is to ask again), SlotsTaken when no account has a slot
        free, BoundElsewhere and InvalidRequest for a request that one account alone can serve, Unavailable when limits
        cannot be checked.
        """
        ask = asked(request_id, route, candidates, reservation, "", [], estimate)
        if self._local.catching_up:
            now = int(ask.now * 1000)
            self._local.check_owed([Taking(*one, now) for one in zip(ask.counters, ask.amounts, strict=True)])
        try:
            reply = await self._by_redis(ask, candidates)
        except RedisGone:
            return self._by_process(ask, candidates, None)
        return self._read(reply, ask, None)

    def give_up(self, request_id: str, route: Route, queued: Queued) -> None:
        """Its place in the queue is the next one's, and its key's next turn is one sooner."""
        prefix = tenant_prefix(route.caller.tenant_id)
        turns = prefix + "qk:" + queued.name
        with suppress(RedisGone):
            for command in (
                ("ZREM", prefix + "q:" + queued.name, request_id),
                ("ZREM", prefix + "ql:" + queued.name, request_id),
                ("HINCRBY", turns, route.caller.key_id, -1),
                ("PEXPIRE", turns, 120_000),
            ):
                self._scripts.command(*command).add_done_callback(unheard)

    async def move(self, route: Route, candidates: Sequence[Candidate], lease: Lease) -> None:
        """A further attempt: the lease goes to another account. Raises as `admit`, and stays where it is then."""
        leaving, held = lease.candidate.account.id, lease.counters
        ask = asked(lease.request_id, route, candidates, b"", leaving, held, lease.estimate)
        try:
            self._read(await self._by_redis(ask, candidates), ask, lease)
        except RedisGone:
            self._by_process(ask, candidates, lease)

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
        arguments, counters, amounts = ask.arguments(offered, whole=whole)
        values: list[Any] = await self._scripts.run(ADMIT, tenant_prefix(ask.route.caller.tenant_id), arguments)
        cold, self.cold = self.cold, values[0] == b"cold"
        if self.cold:
            if not cold:
                self._lost()
            raise RedisGone("the counters are being rebuilt")
        return _Reply(values, offered, counters, amounts)

    def _read(self, reply: _Reply, ask: Ask, lease: Lease | None) -> Lease:
        values, counters = reply.values, reply.counters
        if reply.kind == b"unknown":
            raise response_not_found()
        numbers = [int(value) for value in values[4:]]
        callers = len(ask.counters)
        if reply.kind == b"limit":
            standings, at = _standings(ask.counters, numbers), int(values[1]) - 1
            refused = standings[at]
            error = limit_reached(refused, int(values[2]) / 1000, standings, ask.amounts[at])
            raise Queued(refused.counter, int(values[2]) / 1000, error) if refused.counter.limit.queue_ms else error
        account_id, bound, now = values[1].decode(), int(values[2]), int(values[3])
        chosen = reply.offered[0]
        if chosen.account.id != account_id:
            chosen = next(one for one in reply.offered if one.account.id == account_id)
        mask = mask_of(chosen.account.platform, ask.counters)
        takings: dict[str, Taking] = {}
        for at, one in enumerate(counters):
            # The caller's, where they concern this account; then those of the account itself. Each once, as in Redis.
            applies = (not mask or mask[at] == "1") if at < callers else one.limit.owner == account_id
            if applies and one.name not in takings:
                taking = takings[one.name] = Taking(one, reply.amounts[at], now)
                self._local.note(taking, numbers[2 * at])
        if ask.sticky:
            self._seen(ask.sticky, account_id)
        return self._held(ask, lease, chosen, list(takings.values()), (ask.counters, numbers), bound)

    def _held(
        self,
        ask: Ask,
        lease: Lease | None,
        chosen: Candidate,
        takings: list[Taking],
        told: tuple[Sequence[Counter], Sequence[int]],
        bound: int,
    ) -> Lease:
        """The lease, new or moved to another account."""
        moved = bound == _MOVED
        if lease is None:
            tenant = ask.route.caller.tenant_id
            held = tenant_prefix(tenant), tag_of(tenant)
            return Lease(ask.request_id, *held, chosen, takings, told, ask.estimate, bound in _BOUND, moved)
        if chosen.account.id != lease.candidate.account.id:
            counters = of_account(lease.counters)
            left = [one for one in lease.takings if one.counter in counters]
            self._local.release(left, [0] * len(left))
            lease.takings = [one for one in lease.takings if one not in left]
        lease.candidate, lease.moved = chosen, moved
        lease.takings += takings
        return lease

    def _seen(self, sticky: str, account_id: str) -> None:
        if len(self._sessions) >= _SESSIONS:
            self._sessions.clear()
        self._sessions[sticky] = account_id

    def _by_process(self, ask: Ask, candidates: Sequence[Candidate], lease: Lease | None) -> Lease:
        """What only Redis knows is not guessed: which account a response is of, who is bound to one that drains."""
        self.alone += 1
        if ask.binding[0] == "must":
            raise Unavailable("Which account made the response cannot be read now.", code="overloaded", retry_after=1)
        usable = [one for one in candidates if not one.account.draining]
        now = int(ask.now * 1000)
        # A half-open breaker's one probe cannot be claimed: such an account comes last.
        for chosen in sorted(usable, key=lambda one: one.probe != ""):
            own = [Taking(one, ask.estimate.under(one.limit), now) for one in ask.own(chosen.account)]
            if not self._local.room(own):
                continue
            mask = mask_of(chosen.account.platform, ask.counters)
            counted = [
                Taking(one, ask.estimate.under(one.limit), now)
                for at, one in enumerate(ask.counters if lease is None else ())
                if not mask or mask[at] == "1"
            ]
            self._local.admit(counted)
            self._local.take(own)
            return self._held(ask, lease, chosen, distinct([*counted, *own]), ((), ()), 0)
        raise SlotsTaken(0, [Exclusion("draining" if one.account.draining else "limit") for one in candidates])

    def release(self, lease: Lease, used: Sequence[int] = ()) -> None:
        """In this process; what Redis holds is given back by the settle script."""
        self._local.release(lease.takings, used)


def _standings(counters: Sequence[Counter], numbers: Sequence[int]) -> list[Standing]:
    return [
        Standing(one, numbers[2 * at], numbers[2 * at + 1] / 1000)
        for at, one in enumerate(counters[: len(numbers) // 2])
    ]


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


_CODES: Mapping[str, str] = {
    "requests": "rate_limited",
    "concurrency": "concurrency_limited",
    "budget": "budget_exceeded",
}


def limit_reached(refused: Standing, wait: float, standings: Sequence[Standing], amount: int = 1) -> LimitReached:
    """`amount`: what the request was expected to use, in the limit's unit."""
    limit = refused.counter.limit
    unit = "USD" if limit.type == "budget" else limit.type.replace("_", " ")
    what = f"limit of {limit.max} concurrent requests"
    if limit.per:
        name = "budget" if limit.type == "budget" else "limit"
        what = f"{name} of {shown(limit, limit.max)} {unit} per {limit.per.name.removeprefix('rolling:')}"
    message = f"The {limit.scope}'s {what} is reached."
    if amount > limit.max > 0:
        # It will never pass: waiting would not help, asking for less does.
        message = f"The request may use {shown(limit, amount)} {unit}, more than the {limit.scope}'s {what}."
    code = _CODES.get(limit.type, "token_limited")
    retries = amount <= limit.max and not refused.for_ever
    error = LimitReached(message, code=code, retry_after=wait, retries=retries)
    error.standings = tuple(standings)
    return error
