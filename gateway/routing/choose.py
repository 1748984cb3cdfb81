"""Which accounts may serve a request, in the order in which they are tried. Pure.

`excluded` is the one predicate, for lists and explanations; choosing asks its two halves: what fits at all, found once
(fitting.py), and what is out at the moment (`_out`). Candidates are ordered by tier, and within one by the strategy of
the pool that decides. A tier is the account's priority (1 to 100) and more, so that each of these is worse than all
before it whatever the priority:

      1000  near a limit that its upstream told of, or slow against its peers
      2000  speaks the protocol by translation only
      4000  for each target of an alias that was drawn before the one that it serves
    400000  draining: for what is bound to it alone
    800000  under a state that spares the key (overloaded, say): tried only where nobody else can take the request

An account that serves several targets stands where it is best.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import groupby

from msgspec import structs

from gateway.core.domain import Account, Pool
from gateway.core.errors import Forbidden, GatewayError, InvalidRequest, NotFound, Unavailable
from gateway.core.snapshot import Snapshot
from gateway.core.state import FOR_EVER
from gateway.routing.authorise import Destination, Route
from gateway.routing.fitting import LOOK, Candidate, Exclusion, family, fitting, serving, terms, unfit
from gateway.routing.latency import NOBODY, Kind, Peers
from gateway.routing.states import States
from gateway.routing.strategies import Turn

_SWITCHED_OFF = frozenset({"disabled", "expired", "draining"})
_SOFT_WAIT = 2.0
_LATE, _DRAINING, _SPARED = 1000, 400_000, 800_000
#: Reasons that say nothing of the account's health: it is not among those that were asked for.
_NOWHERE = frozenset(
    {"model_not_served", "not_asked_for", "explicit_only", "key_bound_to_account", "key_bound_to_pool"}
)


def kind_of(route: Route, target: int = 0) -> Kind:
    """What is asked for as this of the route's destinations, as far as the time to the first byte is alike for it."""
    return route.caller.tenant_id, family(route.destinations[target].model), route.endpoint.operation, route.stream


def excluded(account: Account, route: Route, states: States, now: float) -> Exclusion | None:
    """Why this account is not a candidate for this route; None when it is one."""
    found = aimed(account, route, states, now)
    return None if isinstance(found, int) else found


def aimed(account: Account, route: Route, states: States, now: float) -> int | Exclusion:
    """The first of the route's destinations that the account may serve, by its place; else why it may serve none."""
    reason: Exclusion | None = None
    for at, destination in enumerate(route.destinations):
        found = _kept_out(account, route, destination, states, now)
        if found is None:
            return at
        if reason is None or reason.reason in _NOWHERE:
            reason = found
    assert reason is not None  # a route leads somewhere
    return reason


def _kept_out(account: Account, route: Route, destination: Destination, states: States, now: float) -> Exclusion | None:
    model = account.model_map.get(destination.model, destination.model)
    return unfit(account, terms(route), destination) or _out(account, model, route, states, now)


def _out(account: Account, model: str, route: Route, states: States, now: float) -> Exclusion | None:
    """Why an account that fits is out at the moment, for the upstream's model."""
    if not account.enabled:
        return Exclusion("disabled")
    if account.expires_at is not None and account.expires_at <= now:
        return Exclusion("expired")
    if account.draining and not (route.session or route.previous_response_id or route.reasoning):
        return Exclusion("draining")
    if states.scopes(account.id):
        state = states.of(account.id, family(model), model, now)
        if state is not None and not state.spares(route.caller.key_id):
            return Exclusion(state.reason, state.until)
    if account.proxy is not None and (out := states.of(account.proxy.id, "", "", now)) is not None:
        return Exclusion(out.reason, out.until)
    return None


def choose(
    route: Route,
    snapshot: Snapshot,
    states: States,
    now: float,
    *,
    turn: bool = False,
    tried: Collection[tuple[str, int]] = (),
) -> Sequence[Candidate]:
    """The candidates, best first. `turn`: a request is really given to one of them, so that the next turn is another's.
    `tried`: accounts that have had the request, and as which of the destinations.

    Raises the error that says why there is none.
    """
    candidates = _candidates(snapshot, route, states, now, tried)
    if not candidates:
        found = [excluded(account, route, states, now) for account in serving(snapshot, route)]
        raise nobody(route, [one for one in found if one is not None], now)
    if len(candidates) == 1:
        return candidates
    in_flight, last_used = states.in_flight, states.last_used
    candidates.sort(
        key=lambda one: (
            one.tier,
            in_flight.get(one.account.id, 0) / (one.account.max_concurrency or 100),
            last_used.get(one.account.id, 0),
        )
    )
    if turn:
        _look_at_one(candidates, route, states, now)
    return _arranged(candidates, route, snapshot, states, turn)


def _look_at_one(candidates: list[Candidate], route: Route, states: States, now: float) -> None:
    """Puts the slow one that nobody has seen for the longest first, now and then. Priorities hold all the same: it is
    one of those that would be among the best if they were not slow."""
    best = candidates[0]
    peers = states.latencies.of(kind_of(route, best.target))
    if peers is None or not peers.look(now):
        return
    late = {one.account.id: at for at, one in enumerate(candidates) if _is_late(one, best, peers)}
    if (found := peers.longest_unseen(list(late))) is not None:
        candidates.insert(0, structs.replace(candidates.pop(late[found]), tier=LOOK, slow=False))


def _is_late(one: Candidate, best: Candidate, peers: Peers) -> bool:
    return one.target == best.target and one.account.id in peers.slow and one.tier - _LATE <= best.tier


def _slow(route: Route, states: States, tried: Collection[tuple[str, int]]) -> Sequence[frozenset[str]]:
    """For each destination those that are slow at it. What has failed as one may do as another, but no session stays
    with it."""
    vain = frozenset([name for name, _ in tried]) if tried else NOBODY
    found: list[frozenset[str]] = []
    for target in range(len(route.destinations)):
        peers = states.latencies.of(kind_of(route, target))
        found.append(vain | peers.slow if peers and peers.slow else vain)
    return found


def _candidates(
    snapshot: Snapshot, route: Route, states: States, now: float, tried: Collection[tuple[str, int]]
) -> list[Candidate]:
    slow = _slow(route, states, tried)
    found: list[Candidate] = []
    for fits in fitting(snapshot, terms(route), route.destinations):
        best: Candidate | None = None
        for one in fits:
            account = one.account
            if _out(account, one.model, route, states, now) is not None or (account.id, one.target) in tried:
                continue
            standing = _as_it_is(one, route, states, slow[one.target], now)
            if best is None or standing.tier < best.tier:
                best = standing
        if best is not None:
            found.append(best)
    return found


def _as_it_is(one: Candidate, route: Route, states: States, slow: frozenset[str], now: float) -> Candidate:
    """Its tier at this moment."""
    account, model, tier, late, probe = one.account, one.model, one.tier, one.account.id in slow, ""
    if late or (states.near and states.near_limit(account.id, family(model), now)):
        tier += _LATE
    if account.draining:
        tier += _DRAINING
    if states.scopes(account.id):
        if states.of(account.id, family(model), model, now) is not None:
            tier, late = tier + _SPARED, True
        probe = states.half_open(account.id, family(model), model, route.caller.key_id, now)
    if tier == one.tier and not probe:
        return one
    return structs.replace(one, tier=tier, slow=late, probe=probe)


def _arranged(
    candidates: list[Candidate], route: Route, snapshot: Snapshot, states: States, taken: bool
) -> list[Candidate]:
    """Each tier by the strategy of the pool that decides there. The candidates come least busy first."""
    special = _special(snapshot)
    if not special:
        return candidates
    arranged: list[Candidate] = []
    for _, group in groupby(candidates, key=lambda one: one.tier):
        tier = list(group)
        pool = None if special.isdisjoint(tier[0].account.pools) else _deciding(tier, route, snapshot)
        if pool is None or pool.strategy == "least_busy":
            arranged += tier
            continue
        peers = states.latencies.of(kind_of(route, tier[0].target))
        # Only the turn of the best tier is taken: nobody is given a request by what stands behind.
        first = taken and not arranged
        turn = Turn(
            states.turns, pool.id, family(route.model), peers, lambda one: states.last_used.get(one, 0), taken=first
        )
        arranged += [structs.replace(one, strategy=pool.strategy) for one in turn.arrange(pool.strategy, tier)]
    return arranged


@lru_cache(1)
def _special(snapshot: Snapshot) -> frozenset[str]:
    """The pools that choose otherwise than is usual."""
    return frozenset(pool.id for pool in snapshot.pools.values() if pool.strategy != "least_busy")


def _deciding(tier: Sequence[Candidate], route: Route, snapshot: Snapshot) -> Pool | None:
    """Of the pools that all these accounts are in: that of an alias' target, the first in the key's order, or for a key
    that is not bound to a pool the first by name."""
    shared = set(tier[0].account.pools).intersection(*(one.account.pools for one in tier[1:]))
    known = [pool for name in shared if (pool := snapshot.pools.get(name))]
    order = (*(one.pool_id for one in route.destinations if one.pool_id), *route.caller.pools)
    return min(
        known, key=lambda pool: (order.index(pool.id) if pool.id in order else len(order), pool.name), default=None
    )


def exclusions(route: Route, snapshot: Snapshot, states: States, now: float) -> Sequence[Exclusion]:
    """Why accounts that serve the model are out at the moment. One whose trouble spares the key is tried as soon as the
    client comes again: no need to send it away for long."""
    found: list[Exclusion] = []
    for account in serving(snapshot, route):
        at = aimed(account, route, states, now)
        if not isinstance(at, int):
            found.append(at)
            continue
        named = route.destinations[at].model
        model = account.model_map.get(named, named)
        if (state := states.of(account.id, family(model), model, now)) is not None:
            found.append(Exclusion(state.reason, min(state.until, now + _SOFT_WAIT)))
    return found


def nobody(route: Route, exclusions: Sequence[Exclusion], now: float) -> GatewayError:
    """The error for a route without a candidate."""
    reasons = {exclusion.reason for exclusion in exclusions}
    if reasons <= _NOWHERE:
        return NotFound(f"No account serves the model {route.model!r}.", code="model_not_found", field="model")
    if reasons <= _NOWHERE | {"platform_forbidden"}:
        return Forbidden("The key may not use the platform of this model.", code="platform_forbidden", field="model")
    if reasons <= _NOWHERE | {"platform_forbidden", "operation_not_served"}:
        return InvalidRequest(
            f"No account can serve this operation with the model {route.model!r}.", code="invalid_model", field="model"
        )
    return no_account(exclusions, now)


def no_account(exclusions: Sequence[Exclusion], now: float, *, busy: int = 0) -> Unavailable:
    """503, counting the accounts that are out without naming them. `busy`: those whose every slot is taken."""
    disabled = sum(1 for exclusion in exclusions if exclusion.reason in _SWITCHED_OFF)
    cooling = [one.until for one in exclusions if one.until is not None and one.until < FOR_EVER]
    counts = f"{len(cooling)} cooling down, {busy} busy, {disabled} disabled"
    if busy:
        return Unavailable(f"Every slot is taken: {counts}.", code="overloaded", retry_after=1)
    return Unavailable(
        f"No account is usable at the moment: {counts}.", retry_after=max(1.0, min(cooling) - now) if cooling else None
    )
