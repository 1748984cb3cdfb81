"""Where a request would go, and why not elsewhere: the relay's own predicate and order, on the state of this moment."""

import time
from collections.abc import Sequence
from typing import Any

from litestar import Controller, post
from litestar.params import JSONBody
from redis.asyncio import Redis

from admin.deps import Asking, Database, Holding, Within
from admin.schemas.routes import CandidateView, ExclusionView, RouteAsked, RouteView
from gateway.core import callers, inspection, paces
from gateway.core.domain import Account, Caller
from gateway.core.errors import GatewayError
from gateway.core.names import pace_name, session_name, tenant_prefix
from gateway.core.services import configuration, keys
from gateway.core.services.failures import Invalid
from gateway.core.snapshot import Snapshot
from gateway.core.state import ending
from gateway.platforms import PLATFORMS
from gateway.protocols.codec import Endpoint, Peek
from gateway.routing.authorise import Route, authorise, concerns
from gateway.routing.call import Call
from gateway.routing.choose import choose, kind_of
from gateway.routing.explain import Counts, Explanation, explain, load
from gateway.routing.paths import Match, NoRoute, match
from gateway.routing.states import States


class RouteController(Controller):
    path = "/route:explain"
    tags = ("accounts",)

    @post(opt={"permission": "accounts:read"}, status_code=200)
    async def explain(
        self, session: Database, caller: Asking, reach: Within, resources: Holding, data: JSONBody[RouteAsked]
    ) -> RouteView:
        """Which accounts a key's request would be tried on, in order; and of all others, why not."""
        found = _matched(data.path)
        assert found.endpoint is not None
        key = await keys.find(session, reach, data.key_id)
        asking = await configuration.caller_of(session, key)
        if asking is None:
            raise Invalid("the key's tenant is deleted", "key_id")
        held = await configuration.load(session, resources.sealer, PLATFORMS, tenant_id=key.tenant_id)
        model = found.model or data.model
        try:
            callers.check(asking, time.time())
            route = _route(asking, found, data, model, held)
        except GatewayError as error:
            return _view(found.endpoint, found.group, model, Explanation((), (), error), Counts())
        states, counts = await _standing(resources.redis, route, held)
        explained = explain(route, held, states, counts, time.time())
        return _view(found.endpoint, found.group, route.model, explained, counts)


def _matched(path: str) -> Match:
    try:
        found = match("POST", path.partition("?")[0].encode())
    except NoRoute:
        found = None
    if found is None or found.endpoint is None:
        raise Invalid("clients cannot ask for a model at this path", "path")
    return found


async def _nothing() -> bytes:
    return b""


def _route(caller: Caller, found: Match, data: RouteAsked, model: str, held: Snapshot) -> Route:
    assert found.endpoint is not None
    call = Call("", 0, 0, found.endpoint, data.path, b"", [], {}, "", _nothing, found.group, found.compat, found.model)
    stream = found.endpoint.action == "streamGenerateContent" if found.endpoint.action else data.stream
    peek = Peek(model, stream=stream, session=data.session_id)
    return authorise(call, caller, peek, held)


async def _standing(redis: Redis, route: Route, held: Snapshot) -> tuple[States, Counts]:
    """The automatic states, the paces and the counts of the tenant's accounts, as Redis has them now."""
    tenant_id, now = route.caller.tenant_id, time.time()
    kinds = [kind_of(route, target) for target in range(len(route.destinations))]
    accounts = held.by_tenant.get(tenant_id, ())
    prefix = tenant_prefix(tenant_id)
    name = session_name(tenant_id, route.caller.key_id, route.session, route.endpoint.protocol) if route.session else ""
    async with redis.pipeline(transaction=False) as pipeline:
        asked: Any = pipeline
        told = [pace_name(kind, hour) for kind in kinds for hour in (now - 3600, now)]
        for hashed in ("state", "learned", "idle", *told):
            asked.hgetall(prefix + hashed)
        asked.get(prefix + name) if name else asked.echo("")
        for account in accounts:
            asked.zcount(prefix + "s:" + account.id, f"({int(now * 1000)}", "+inf")
        state, learned, idle, *more = await asked.execute()
    found, bound, running = more[: len(told)], more[len(told)], more[len(told) + 1 :]
    states = States()
    states.replace(state, {})
    states.replace_learned(learned, now)
    states.in_flight = {account.id: count for account, count in zip(accounts, running, strict=True)}
    states.last_used = {account_id: int(used) for account_id, used in idle.items()}
    for at, kind in enumerate(kinds):
        before, lately = found[2 * at : 2 * at + 2]
        states.latencies.believe(kind, paces.merged([*before.values(), *lately.values()], now), now)
    at_limit = await _capped(redis, route, accounts)
    probed = await _probed(redis, prefix, route, held, states)
    return states, Counts(states.in_flight, at_limit, probed, bound or None)


async def _capped(redis: Redis, route: Route, accounts: Sequence[Account]) -> dict[str, float | None]:
    """The accounts that reached one of the operator's caps that this request falls under, and when there is room."""
    found: dict[str, float | None] = {}
    for account in accounts:
        own = [limit for limit in account.limits if concerns(limit, route.model, (account.platform,))]
        reached, until = await inspection.used_up(redis, route.caller.tenant_id, own)
        if reached:
            found[account.id] = until
    return found


async def _probed(redis: Redis, prefix: str, route: Route, held: Snapshot, states: States) -> frozenset[str]:
    """The accounts whose half-open breaker another request is trying."""
    try:
        chosen = choose(route, held, states, time.time())
    except GatewayError:
        return frozenset()
    claims = {one.account.id: f"{prefix}probe:{one.account.id}|{one.probe}" for one in chosen if one.probe}
    if not claims:
        return frozenset()
    claimed = await redis.mget(list(claims.values()))
    return frozenset(account_id for account_id, holder in zip(claims, claimed, strict=True) if holder)


def _view(endpoint: Endpoint, group: str, model: str, explained: Explanation, counts: Counts) -> RouteView:
    error: dict[str, Any] | None = None
    if explained.error is not None:
        error = {
            "status": explained.error.http_status,
            "code": explained.error.code,
            "message": explained.error.message,
        }
    return RouteView(
        protocol=endpoint.protocol,
        group=group,
        model=model,
        candidates=[
            CandidateView(
                account_id=one.account.id,
                name=one.account.name,
                platform=one.account.platform,
                model=one.model,
                translated=one.translated,
                in_flight=counts.in_flight.get(one.account.id, 0),
                tier=one.tier,
                strategy=one.strategy,
                score=round(load(one, counts), 4),
            )
            for one in explained.candidates
        ],
        excluded=[
            ExclusionView(account_id=account.id, name=account.name, reason=out.reason, until=ending(out.until))
            for account, out in explained.excluded
        ],
        sticky=counts.bound,
        error=error,
    )
