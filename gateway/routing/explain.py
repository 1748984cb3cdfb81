"""Why a request would go where it would go: the predicate and the order of the relay, said in words. Pure."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from gateway.core.domain import Account
from gateway.core.errors import GatewayError
from gateway.core.snapshot import Snapshot
from gateway.routing.authorise import Route
from gateway.routing.choose import choose, excluded, exclusions, no_account
from gateway.routing.fitting import Candidate, Exclusion
from gateway.routing.states import States


class Counts(Struct, frozen=True):
    """What Redis knows at this moment. `bound`: the account that the session is bound to."""

    in_flight: Mapping[str, int] = {}
    at_limit: Mapping[str, float | None] = {}
    """Accounts that reached a cap of the operator's, and when a place is free again."""
    probed: frozenset[str] = frozenset()
    """Accounts whose half-open breaker another request is trying."""
    bound: str | None = None


class Explanation(Struct, frozen=True):
    """`candidates` in the order in which they would be tried; `error` is what a client would be told without any."""

    candidates: Sequence[Candidate]
    excluded: Sequence[tuple[Account, Exclusion]]
    error: GatewayError | None = None


def explain(route: Route, snapshot: Snapshot, states: States, counts: Counts, now: float) -> Explanation:
    """All accounts of the tenant, each either a candidate or excluded for a reason."""
    failure: GatewayError | None = None
    try:
        chosen = choose(route, snapshot, states, now)
    except GatewayError as error:
        chosen, failure = (), error
    known = {one.account.id for one in chosen}
    out = [
        (account, exclusion)
        for account in snapshot.by_tenant.get(route.caller.tenant_id, ())
        if account.id not in known and (exclusion := excluded(account, route, states, now)) is not None
    ]
    if failure is not None:
        return Explanation((), out, failure)
    candidates: list[Candidate] = []
    gone: list[Exclusion] = []
    for one in chosen:
        taken = _taken(one, counts)
        if taken is None:
            candidates.append(one)
        else:
            gone.append(taken)
            out.append((one.account, taken))
    if not candidates:
        return Explanation((), out, _no_room(route, snapshot, states, gone, now))
    candidates.sort(key=lambda one: one.slow or one.account.id != counts.bound)
    return Explanation(candidates, out)


def _no_room(route: Route, snapshot: Snapshot, states: States, gone: Sequence[Exclusion], now: float) -> GatewayError:
    """As the relay says it when the admission finds none: who is full, and who is at a cap or tried by another."""
    busy = sum(one.reason == "full" for one in gone)
    capped = [Exclusion(one.reason, one.until or now + 1) for one in gone if one.reason in {"limit_reached", "breaker"}]
    drained: Sequence[Exclusion] = () if busy or capped else gone
    return no_account([*exclusions(route, snapshot, states, now), *capped, *drained], now, busy=busy)


def load(candidate: Candidate, counts: Counts) -> float:
    """In flight ÷ max_concurrency, as least_busy compares it."""
    account = candidate.account
    return counts.in_flight.get(account.id, 0) / (account.max_concurrency or 100)


def _taken(one: Candidate, counts: Counts) -> Exclusion | None:
    """What only the admission knows: a slot, a cap, a probe or a binding that is another's."""
    account = one.account
    if account.draining and account.id != counts.bound:
        return Exclusion("draining")
    if account.max_concurrency and counts.in_flight.get(account.id, 0) >= account.max_concurrency:
        return Exclusion("full")
    if account.id in counts.at_limit:
        return Exclusion("limit_reached", counts.at_limit[account.id])
    if one.probe and account.id in counts.probed:
        return Exclusion("breaker")
    return None
