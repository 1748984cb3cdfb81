"""Which accounts may serve a request, in the order in which they are tried. Pure.

`excluded` is the one predicate: choosing, lists and explanations all ask it.
"""

from collections.abc import Sequence
from functools import lru_cache

from msgspec import Struct

from gateway.core.domain import Account
from gateway.core.errors import Forbidden, GatewayError, InvalidRequest, NotFound, Unavailable
from gateway.core.snapshot import Snapshot
from gateway.core.state import FOR_EVER
from gateway.platforms import PLATFORMS
from gateway.platforms.platform import Speech, model_family
from gateway.platforms.target import speech
from gateway.routing.authorise import Route, matches
from gateway.routing.states import States

_SWITCHED_OFF = frozenset({"disabled", "expired"})
_SOFT_WAIT = 2.0
_LAST = 1000
"""Added to the tier of an account that is only tried last."""


class Exclusion(Struct, frozen=True):
    """Why an account is not a candidate. `until`: epoch seconds, when that ends by itself."""

    reason: str
    until: float | None = None


class Candidate(Struct, frozen=True):
    account: Account
    model: str
    """The upstream's name of the model."""
    tier: int


@lru_cache(65536)
def serves(account: Account, model: str) -> bool:
    return model in account.model_map or matches(model, account.models)


def speaks(account: Account, route: Route, model: str) -> Speech:
    """How the account serves the route's operation with this model of its upstream."""
    endpoint, platform = route.endpoint, PLATFORMS[account.platform]
    operation = endpoint.action or endpoint.operation
    return speech(platform, account, model, endpoint.protocol, operation, route.stream)


@lru_cache(4096)
def serving(snapshot: Snapshot, tenant_id: str, model: str) -> tuple[Account, ...]:
    return tuple(account for account in snapshot.by_tenant.get(tenant_id, ()) if serves(account, model))


def excluded(account: Account, route: Route, states: States, now: float) -> Exclusion | None:  # noqa: C901
    """Why this account is not a candidate for this route; None when it is one."""
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
    state = states.of(account.id, model_family(model), model, now)
    if state is not None and not state.soft:
        return Exclusion(state.reason, state.until)
    return None


def choose(route: Route, snapshot: Snapshot, states: States, now: float) -> Sequence[Candidate]:
    """The candidates, best first. Raises the error that says why there is none."""
    candidates: list[Candidate] = []
    found: list[Exclusion] = []
    for account in serving(snapshot, route.caller.tenant_id, route.model):
        exclusion = excluded(account, route, states, now)
        if exclusion is not None:
            found.append(exclusion)
            continue
        model = account.model_map.get(route.model, route.model)
        soft = states.of(account.id, model_family(model), model, now) is not None
        candidates.append(Candidate(account, model, account.priority + (_LAST if soft else 0)))
    if not candidates:
        raise nobody(route, found, now)
    in_flight, last_used = states.in_flight, states.last_used
    if len(candidates) > 1:
        candidates.sort(
            key=lambda one: (
                one.tier,
                in_flight.get(one.account.id, 0) / (one.account.max_concurrency or 100),
                last_used.get(one.account.id, 0),
            )
        )
    return candidates


def exclusions(route: Route, snapshot: Snapshot, states: States, now: float) -> Sequence[Exclusion]:
    """Why accounts that serve the model are out at the moment; those that are only tried last are cooling too."""
    found: list[Exclusion] = []
    for account in serving(snapshot, route.caller.tenant_id, route.model):
        exclusion = excluded(account, route, states, now)
        if exclusion is None:
            model = account.model_map.get(route.model, route.model)
            soft = states.of(account.id, model_family(model), model, now)
            # It is tried all the same, as soon as the client comes again: no need to send it away for long.
            exclusion = soft and Exclusion(soft.reason, min(soft.until, now + _SOFT_WAIT))
        if exclusion is not None:
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
