"""Which accounts fit what is asked for and what the key may use, whatever state they are in at the moment. Pure.

It is found once for each snapshot and each set of terms; what changes from moment to moment is in choose.py.
"""

from collections.abc import Callable
from functools import lru_cache, partial

from msgspec import Struct

from gateway.core.domain import Account, Strategy
from gateway.core.snapshot import Snapshot
from gateway.platforms.platform import model_family
from gateway.protocols.codec import Endpoint
from gateway.routing.authorise import Destination, Route, matches
from gateway.routing.speaking import Spoken, spoken

LOOK = -1
"""The tier of a slow account that is looked at again, with this one request."""
_TRANSLATED, _NEXT_TARGET = 2000, 4000
family = lru_cache(8192)(model_family)


class Exclusion(Struct, frozen=True):
    """Why an account is not a candidate. `until`: epoch seconds, when that ends by itself."""

    reason: str
    until: float | None = None


class Candidate(Struct, frozen=True):
    account: Account
    model: str
    """The upstream's name of the model."""
    tier: int
    spoken: Spoken
    """How it is asked."""
    slow: bool = False
    """Against its peers, or in trouble that spares the key: a session does not stay with it."""
    probe: str = ""
    """The scope of its breaker that is half-open: one request over all gateways may try (`p probe:ACCOUNT|SCOPE`,
    claimed when it is admitted)."""
    strategy: Strategy = "least_busy"
    """How it is chosen among those of its tier."""
    target: int = 0
    """The place of the destination that it serves."""

    @property
    def translated(self) -> bool:
        return self.spoken.translated

    @property
    def looked_at(self) -> bool:
        """It is slow, and gets this one request to see whether it still is."""
        return self.tier == LOOK


class Terms(Struct, frozen=True):
    """What an account must fit beside the destination: what the key may use, and what is asked for."""

    tenant_id: str
    account_id: str | None
    pools: tuple[str, ...]
    platforms: frozenset[str]
    endpoint: Endpoint
    stream: bool


def terms(route: Route) -> Terms:
    caller = route.caller
    return Terms(caller.tenant_id, caller.account_id, caller.pools, route.platforms, route.endpoint, route.stream)


def serves(account: Account, model: str) -> bool:
    """A name with a space in it is served only where the operator wrote it out. Upstreams repeat names in their errors,
    whose sentences decide about the account: nobody may send a sentence for a name."""
    if " " in model:
        return model in account.model_map or model in account.models
    return model in account.model_map or matches(model, account.models)


def serving(snapshot: Snapshot, route: Route) -> tuple[Account, ...]:
    """The tenant's accounts that serve one of the models that the route leads to."""
    return _serving_in(snapshot)(route.caller.tenant_id, tuple([one.model for one in route.destinations]))


def fitting(
    snapshot: Snapshot, wanted: Terms, destinations: tuple[Destination, ...]
) -> tuple[tuple[Candidate, ...], ...]:
    """For each account that fits, what it is as each of the destinations, were it free of any trouble."""
    return _fitting_in(snapshot)(wanted, destinations)


# One snapshot's: what was found in the one before goes with it. Names that nobody asks for again go too.
@lru_cache(1)
def _serving_in(snapshot: Snapshot) -> Callable[[str, tuple[str, ...]], tuple[Account, ...]]:
    return lru_cache(4096)(partial(_serving, snapshot))


@lru_cache(1)
def _fitting_in(snapshot: Snapshot) -> Callable[[Terms, tuple[Destination, ...]], tuple[tuple[Candidate, ...], ...]]:
    return lru_cache(1024)(partial(_fitting, snapshot))


def _serving(snapshot: Snapshot, tenant_id: str, models: tuple[str, ...]) -> tuple[Account, ...]:
    accounts = snapshot.by_tenant.get(tenant_id, ())
    return tuple(account for account in accounts if any(serves(account, model) for model in models))


def _fitting(
    snapshot: Snapshot, wanted: Terms, destinations: tuple[Destination, ...]
) -> tuple[tuple[Candidate, ...], ...]:
    accounts = snapshot.by_tenant.get(wanted.tenant_id, ())
    found = (_as_each(account, wanted, destinations) for account in accounts)
    return tuple(fits for fits in found if fits)


def _as_each(account: Account, wanted: Terms, destinations: tuple[Destination, ...]) -> tuple[Candidate, ...]:
    found: list[Candidate] = []
    for at, destination in enumerate(destinations):
        if unfit(account, wanted, destination) is not None:
            continue
        model = account.model_map.get(destination.model, destination.model)
        said = spoken(account, model, wanted.endpoint, wanted.stream)
        assert said is not None  # it fits
        tier = account.priority + _TRANSLATED * said.translated + _NEXT_TARGET * at
        found.append(Candidate(account, model, tier, said, target=at))
    return tuple(found)


def unfit(account: Account, wanted: Terms, destination: Destination) -> Exclusion | None:
    """Why this account cannot be a candidate for this destination in any state; None when it can."""
    if account.tenant_id != wanted.tenant_id or not serves(account, destination.model):
        return Exclusion("model_not_served")
    if account.platform not in destination.platforms or not _named(account, destination):
        return Exclusion("not_asked_for")
    if account.explicit_only and not destination.explicit:
        return Exclusion("explicit_only")
    if account.platform not in wanted.platforms:
        return Exclusion("platform_forbidden")
    if wanted.account_id and account.id != wanted.account_id:
        return Exclusion("key_bound_to_account")
    if wanted.pools and not set(wanted.pools) & set(account.pools):
        return Exclusion("key_bound_to_pool")
    model = account.model_map.get(destination.model, destination.model)
    if spoken(account, model, wanted.endpoint, wanted.stream) is None:
        return Exclusion("operation_not_served")
    return None


def _named(account: Account, destination: Destination) -> bool:
    """Whether it is the provider, the pool and the account that were named."""
    if destination.provider is not None and account.provider != destination.provider:
        return False
    if destination.pool_id is not None and destination.pool_id not in account.pools:
        return False
    return destination.account_id is None or account.id == destination.account_id
