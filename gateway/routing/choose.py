"""Which accounts may serve a request, in the order in which they are tried. Pure.

`excluded` is the one predicate: choosing, lists and explanations all ask it. Candidates are ordered by tier, and within
one by the strategy of the pool that decides. A tier is the account's priority (1 to 100) and more, so that each of
these is worse than all before it whatever the priority:

    1000  near a limit that its upstream told of, or slow against its peers
    2000  speaks the protocol by translation only
    4000  draining: for what is bound to it alone

Accounts whose state is soft (overloaded, say) are candidates only where there is no other.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import groupby

from msgspec import Struct, structs

from gateway.core.domain import Account, Pool, Strategy
from gateway.core.errors import Forbidden, GatewayError, InvalidRequest, NotFound, Unavailable
from gateway.core.snapshot import Snapshot
from gateway.core.state import FOR_EVER
from gateway.platforms import PLATFORMS
from gateway.platforms.platform import Speech, model_family
from gateway.platforms.target import speech
from gateway.routing.authorise import Route, matches
from gateway.routing.latency import NOBODY, Kind
from gateway.routing.states import States
from gateway.routing.strategies import Turn

_SWITCHED_OFF = frozenset({"disabled", "expired", "draining"})
_SOFT_WAIT = 2.0
_LATE, _TRANSLATED, _DRAINING = 1000, 2000, 4000
_LOOK = -1
"""The tier of a slow account that is looked at again, with this one request."""
_family = lru_cache(8192)(model_family)


class Exclusion(Struct, frozen=True):
    """Why an account is not a candidate. `until`: epoch seconds, when that ends by itself."""

    reason: str
    until: float | None = None


class Candidate(Struct, frozen=True):
    account: Account
    model: str
    """The upstream's name of the model."""
    tier: int
    translated: bool = False
    slow: bool = False
    """Against its peers: a session does not stay with it."""
    probe: str = ""
    """The scope of its breaker that is half-open: one request over all gateways may try (`p probe:ACCOUNT|SCOPE`,
    claimed when it is admitted)."""
    strategy: Strategy = "least_busy"
    """How it is chosen among those of its tier."""

    @property
    def looked_at(self) -> bool:
        """It is slow, and gets this one request to see whether it still is."""
        return self.tier == _LOOK


@lru_cache(65536)
def serves(account: Account, model: str) -> bool:
    """A name with a space in it is served only where the operator wrote it out. Upstreams repeat names in their errors,
    whose sentences decide about the account: nobody may send a sentence for a name."""
    if " " in model:
        return model in account.model_map or model in account.models
    return model in account.model_map or matches(model, account.models)


def speaks(account: Account, route: Route, model: str) -> Speech:
    """How the account serves the route's operation with this model of its upstream."""
    endpoint = route.endpoint
    return _spoken(account, model, endpoint.protocol, endpoint.action or endpoint.operation, route.stream)


@lru_cache(65536)
def _spoken(account: Account, model: str, protocol: str, operation: str, stream: bool) -> Speech:
    return speech(PLATFORMS[account.platform], account, model, protocol, operation, stream)


def kind_of(route: Route) -> Kind:
    """What is asked for, as far as the time to the first byte is alike for it."""
    return route.caller.tenant_id, _family(route.model), route.endpoint.operation, route.stream


@lru_cache(4096)
def serving(snapshot: Snapshot, tenant_id: str, model: str) -> tuple[Account, ...]:
    return tuple(account for account in snapshot.by_tenant.get(tenant_id, ()) if serves(account, model))


def excluded(  # noqa: C901
    account: Account, route: Route, states: States, now: float, *, alone: bool = False
) -> Exclusion | None:
    """Why this account is not a candidate for this route; None when it is one. `alone`: there is no other."""
    caller = route.caller
    if account.tenant_id != caller.tenant_id or not serves(account, route.model):
        return Exclusion("model_not_served")
    if account.platform not in route.asked_platforms or (route.provider and account.provider != route.provider):
        return Exclusion("not_asked_for")
    if account.explicit_only and not route.explicit:
        return Exclusion("explicit_only")
    if account.platform not in route.platforms:
        return Exclusion("platform_forbidden")
    if caller.account_id and account.id != caller.account_id:
        return Exclusion("key_bound_to_account")
    if caller.pools and not set(caller.pools) & set(account.pools):
        return Exclusion("key_bound_to_pool")
    model = account.model_map.get(route.model, route.model)
    if speaks(account, route, model) is Speech.NONE:
        return Exclusion("needs_translation")
    if not account.enabled:
        return Exclusion("disabled")
    if account.expires_at is not None and account.expires_at <= now:
        return Exclusion("expired")
    if account.draining and not (route.session or route.previous_response_id or route.reasoning):
        return Exclusion("draining")
    state = states.of(account.id, _family(model), model, now)
    if state is not None and not (alone and state.spares(caller.key_id)):
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
    tried: Collection[str] = (),
) -> Sequence[Candidate]:
    """The candidates, best first. `turn`: a request is really given to one of them, so that the next turn is another's.
    `tried`: accounts that have had the request.

    Raises the error that says why there is none.
    """
    peers = states.latencies.of(kind_of(route))
    slow = peers.slow if peers else NOBODY
    accounts: Sequence[Account] = serving(snapshot, route.caller.tenant_id, route.model)
    if tried:
        accounts = [account for account in accounts if account.id not in tried]
    candidates = _candidates(accounts, route, states, slow, now) or _candidates(
        accounts, route, states, slow, now, alone=True
    )
    if not candidates:
        found = [excluded(account, route, states, now) for account in accounts]
        raise nobody(route, [one for one in found if one is not None], now)
    if len(candidates) == 1:
        return candidates
    if turn and peers and peers.look(now) and slow:
        best = min(one.tier for one in candidates)
        # Of those that would be among the best if they were not slow: priorities hold all the same.
        looked_at = peers.longest_unseen(
            [one.account.id for one in candidates if one.slow and one.tier - _LATE <= best]
        )
        candidates = [
            structs.replace(one, tier=_LOOK, slow=False) if one.account.id == looked_at else one for one in candidates
        ]
    in_flight, last_used = states.in_flight, states.last_used
    candidates.sort(
        key=lambda one: (
            one.tier,
            in_flight.get(one.account.id, 0) / (one.account.max_concurrency or 100),
            last_used.get(one.account.id, 0),
        )
    )
    return _arranged(candidates, route, snapshot, states, turn)


def _candidates(
    accounts: Sequence[Account],
    route: Route,
    states: States,
    slow: frozenset[str],
    now: float,
    *,
    alone: bool = False,
) -> list[Candidate]:
    return [
        _candidate(account, route, states, slow, now)
        for account in accounts
        if excluded(account, route, states, now, alone=alone) is None
    ]


def _candidate(account: Account, route: Route, states: States, slow: frozenset[str], now: float) -> Candidate:
    model = account.model_map.get(route.model, route.model)
    late = account.id in slow
    translated = speaks(account, route, model) is Speech.TRANSLATED
    tier, probe = account.priority, ""
    if late or (states.near and states.near_limit(account.id, _family(model), now)):
        tier += _LATE
    if translated:
        tier += _TRANSLATED
    if account.draining:
        tier += _DRAINING
    if states.scopes(account.id):
        probe = states.half_open(account.id, _family(model), model, route.caller.key_id, now)
    return Candidate(account, model, tier, translated, late, probe)


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
        peers = states.latencies.of(kind_of(route))
        # Only the turn of the best tier is taken: nobody is given a request by what stands behind.
        first = taken and not arranged
        turn = Turn(
            states.turns, pool.id, _family(route.model), peers, lambda one: states.last_used.get(one, 0), taken=first
        )
        arranged += [structs.replace(one, strategy=pool.strategy) for one in turn.arrange(pool.strategy, tier)]
    return arranged


@lru_cache(4)
def _special(snapshot: Snapshot) -> frozenset[str]:
    """The pools that choose otherwise than is usual."""
    return frozenset(pool.id for pool in snapshot.pools.values() if pool.strategy != "least_busy")


def _deciding(tier: Sequence[Candidate], route: Route, snapshot: Snapshot) -> Pool | None:
    """Of the pools that all these accounts are in, the first in the key's order; for a key that is not bound to a pool,
    the first by name."""
    shared = set(tier[0].account.pools).intersection(*(one.account.pools for one in tier[1:]))
    known = [pool for name in shared if (pool := snapshot.pools.get(name))]
    order = route.caller.pools
    return min(
        known, key=lambda pool: (order.index(pool.id) if pool.id in order else len(order), pool.name), default=None
    )


def exclusions(route: Route, snapshot: Snapshot, states: States, now: float) -> Sequence[Exclusion]:
    """Why accounts that serve the model are out at the moment; those that are tried where there is no other too."""
    found: list[Exclusion] = []
    for account in serving(snapshot, route.caller.tenant_id, route.model):
        exclusion = excluded(account, route, states, now)
        if exclusion is None:
            continue
        if exclusion.until is not None and excluded(account, route, states, now, alone=True) is None:
            # It is tried all the same, as soon as the client comes again: no need to send it away for long.
            exclusion = Exclusion(exclusion.reason, min(exclusion.until, now + _SOFT_WAIT))
        found.append(exclusion)
    return found


def nobody(route: Route, exclusions: Sequence[Exclusion], now: float) -> GatewayError:
    """The error for a route without a candidate."""
    reasons = {exclusion.reason for exclusion in exclusions}
    nowhere = {"model_not_served", "not_asked_for", "explicit_only", "key_bound_to_account", "key_bound_to_pool"}
    if reasons <= nowhere:
        return NotFound(f"No account serves the model {route.model!r}.", code="model_not_found", field="model")
    if reasons <= nowhere | {"platform_forbidden"}:
        return Forbidden("The key may not use the platform of this model.", code="platform_forbidden", field="model")
    if reasons <= nowhere | {"platform_forbidden", "needs_translation"}:
        return InvalidRequest(
            f"The model {route.model!r} is served only in another protocol than {route.endpoint.protocol}, "
            "and translation is not available.",
            code="invalid_model",
            field="model",
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
