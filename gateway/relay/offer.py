"""What the admit script is asked: the limits, the accounts on offer, the session and what else binds the request. Pure.

The order and the meaning of the arguments are in gateway/core/lua/admit.lua.
"""

import time
from collections.abc import Sequence

from msgspec import Struct

from gateway.core.counters import Counter, counter
from gateway.core.domain import Account
from gateway.core.names import reasoning_name, response_name, session_name
from gateway.relay.estimate import Estimate
from gateway.routing.authorise import Route, concerns, platforms_of
from gateway.routing.fitting import Candidate
from gateway.routing.strategies import mode

LEASE_MS = 60_000
STICKY_SECONDS = 3600
FRESH = 8
_EXACT = 64

Arguments = list[bytes | str | int]


class Ask(Struct):
    """What every call for one request has in common."""

    request_id: str
    route: Route
    now: float
    head: Arguments
    sticky: str
    """The name of the session, "" for none."""
    binding: tuple[str, str]
    """How strictly the request is bound beside its session ("must", "prefer" or ""), and the name of the account."""
    counters: list[Counter]
    """The limits of its caller."""
    held: list[Counter]
    """Those under which a further attempt counts already."""
    estimate: Estimate
    amounts: list[int]
    """What the request is expected to use of each of the limits of its caller."""

    def own(self, account: Account) -> list[Counter]:
        """The account's own limits that concern this request and are not counted yet."""
        if not account.limits:
            return []
        found = [
            counter(limit, self.now)
            for limit in account.limits
            if concerns(limit, self.route.model, (account.platform,))
        ]
        names = {one.name for one in self.held}
        return [one for one in found if one.name not in names]

    def arguments(
        self, offered: Sequence[Candidate], *, whole: bool
    ) -> tuple[Arguments, Sequence[Counter], Sequence[int]]:
        """Of one call; the counters in it, the caller's, then those of each account; and the amounts of these."""
        callers = self.counters
        own = [self.own(one.account) for one in offered] if any(one.account.limits for one in offered) else []
        counters, amounts = callers, self.amounts
        if own:
            added = [one for found in own for one in found]
            counters = [*callers, *added]
            amounts = [*amounts, *(self.estimate.under(one.limit) for one in added)]
        said: Arguments = [*self.head, "1" if whole else "0", *self.binding, len(counters), len(callers)]
        said.append(self.route.caller.key_id)
        for one, amount in zip(counters, amounts, strict=True):
            said += (one.kind, one.name, one.limit.max, one.span, amount)
        said.append(len(offered))
        before = len(callers)
        for at, one in enumerate(offered):
            account = one.account
            mask = mask_of(account.platform, callers)
            if own:
                after = before + len(own[at])
                mask = (mask or "1" * len(callers)).ljust(before, "0") + "1" * len(own[at])
                mask, before = mask.ljust(len(counters), "0"), after
            said += (account.id, account.max_concurrency or 0, one.tier, mask, _flag(one))
        if self.held:
            said += (one.name for one in of_account(self.held))
        return said, counters, amounts


def asked(
    request_id: str,
    route: Route,
    candidates: Sequence[Candidate],
    reservation: bytes,
    leaving: str,
    held: list[Counter],
    estimate: Estimate,
) -> Ask:
    """`leaving`: the account of the attempt before, "" on the first; `held`: under which that one counts."""
    caller, now = route.caller, time.time()
    sticky, binding = "", ("", "")
    if route.session:
        sticky = session_name(caller.tenant_id, caller.key_id, route.session, route.endpoint.protocol)
    if route.previous_response_id:
        binding = "must", response_name(caller.tenant_id, caller.key_id, route.previous_response_id)
    elif route.reasoning:
        binding = "prefer", reasoning_name(caller.tenant_id, caller.key_id, route.reasoning)
    # A further attempt takes the first that has room: those that are known to answer stand first.
    way = "order" if leaving else mode(candidates[0].strategy)
    head: Arguments = [request_id, LEASE_MS, reservation, sticky, STICKY_SECONDS, leaving, way]
    counters = [
        counter(limit, now)
        for limit in caller.limits
        if not (limit.models or limit.platforms)
        or concerns(limit, route.model, [one.account.platform for one in candidates] if limit.platforms else ())
    ]
    if leaving and counters:
        names = {one.name for one in held}
        counters = [one for one in counters if one.name not in names and one.limit.platforms]
    amounts = [estimate.under(one.limit) for one in counters]
    return Ask(request_id, route, now, head, sticky, binding, counters, held, estimate, amounts)


def first(ask: Ask, candidates: Sequence[Candidate], seen_at: str | None) -> Sequence[Candidate]:
    """Whom to offer first, by tier: eight, with the account that the session was last seen at. All of the best tier
    when it is exactly the next one's turn, and all there are when only the bound one may be taken."""
    if ask.binding[0] == "must" or len(candidates) <= FRESH:
        return candidates
    size = FRESH
    if candidates[0].strategy == "round_robin":
        best = candidates[0].tier
        size = max(size, sum(one.tier == best for one in candidates[:_EXACT]))
    offered = candidates[:size]
    return offered if seen_at is None else including(offered, candidates, seen_at)


def including(offered: Sequence[Candidate], candidates: Sequence[Candidate], account_id: str) -> Sequence[Candidate]:
    """The offered ones, with this one in the last one's place when it stands behind them: they stay in order."""
    behind = [one for one in candidates[len(offered) :] if one.account.id == account_id]
    return [*offered[:-1], *behind] if behind else offered


def of_account(counters: Sequence[Counter]) -> list[Counter]:
    """What is held under limits of an account, to be given back when that is left: it was asked, and used nothing."""
    return [one for one in counters if one.limit.scope == "account" and one.limit.type != "requests"]


def mask_of(platform: str, counters: Sequence[Counter]) -> str:
    """Which limits apply to an account of this platform; "" when all do."""
    for one in counters:
        if one.limit.platforms:
            break
    else:
        return ""
    return "".join(
        "1" if not one.limit.platforms or platform in platforms_of(one.limit.platforms) else "0" for one in counters
    )


def _flag(candidate: Candidate) -> str:
    if candidate.account.draining:
        return "d"
    if candidate.probe:
        return "p" + candidate.probe
    return "s" if candidate.slow else ""
