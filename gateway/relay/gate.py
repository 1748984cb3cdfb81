"""All that the pipeline works with in one process: configuration, keys, states, Redis, upstreams, the running requests.

`open_gate` is the one place where it is put together, and everything in it ends with that context.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from redis.asyncio import Redis

from gateway.core import changes, db, ledger, prices, snapshot
from gateway.core import redis as redis_url
from gateway.core.domain import Account, Caller
from gateway.core.errors import GatewayError, Unavailable
from gateway.core.migrate import check_revision
from gateway.core.names import tenant_prefix
from gateway.core.scripts import Scripts, scripts
from gateway.core.sealing import Sealer
from gateway.core.services import configuration
from gateway.core.services import prices as price_versions
from gateway.core.settings import Settings
from gateway.core.state import FOR_EVER
from gateway.platforms import PLATFORMS
from gateway.protocols.codec import Codec, Peek, Usage
from gateway.relay.admit import Admission, BoundElsewhere, SlotsTaken, response_not_found
from gateway.relay.authenticate import Keys
from gateway.relay.breaker import Reached, scope_of_family
from gateway.relay.capture import Captures
from gateway.relay.degraded import LocalLimits
from gateway.relay.estimate import Means
from gateway.relay.exchange import Exchange
from gateway.relay.journal import Journal
from gateway.relay.meter import finish
from gateway.relay.refusals import Refusals
from gateway.relay.settle import Settler
from gateway.routing.authorise import Route
from gateway.routing.call import Call
from gateway.routing.choose import choose, excluded, exclusions, kind_of, no_account
from gateway.routing.fitting import Candidate, Exclusion
from gateway.routing.states import States
from gateway.upstream import Egress, Upstream
from gateway.upstream.renewal import Renewals

#: Platforms whose options let the gateway ask for usage on behalf of a client.
_ASKS_USAGE = frozenset(
    name for name, platform in PLATFORMS.items() if "usage_probe" in platform.options.__struct_fields__
)
_WITHOUT_USAGE_FOR = 86_400.0


class Gate:
    """`snapshot` is swapped whole; the rest lives as long as the process."""

    def __init__(
        self,
        settings: Settings,
        sessions: db.Sessions,
        sealer: Sealer,
        redis: Redis,
        hot: Scripts,
        upstream: Upstream,
        journal: Journal,
    ) -> None:
        self.settings = settings
        self.sessions = sessions
        self.sealer = sealer
        self.redis = redis
        self.scripts = hot
        self.upstream = upstream
        self.renewals = Renewals(sessions, sealer, redis, upstream, self.reload)
        self.journal = journal
        self.settler = Settler(journal, hot, settings.spool)
        self.refusals = Refusals(journal, lambda tag, line: self.settler.settle(tag, "", "", [], line))
        self.captures = Captures(sessions, sealer)
        self.local = LocalLimits(settings.workers)
        self.admission = Admission(hot, self.local, self.redis_back)
        self.means = Means()
        self.keys = Keys(settings.peppers, self._find_caller, self._find_named)
        self.states = States()
        self.snapshot = snapshot.EMPTY
        self.followed = 0
        """The version up to which changed keys, users and tenants were forgotten. The snapshot is read later: its own
        version may be ahead."""
        self.redigests: dict[bytes, bytes] = {}
        """Digests of an older pepper that were met, and what is to be stored in their place."""
        self.prices = prices.shipped()
        self.exchanges: dict[str, Exchange] = {}
        self.endings: Counter[str] = Counter()
        """How many requests of this process ended how."""
        self.reached = Reached()
        self.without_usage: dict[str, float] = {}
        self.renewal = asyncio.Event()
        """Set: the leases of what runs are renewed now."""
        self.epochs: dict[int, bytes | None] = {}
        """What each tag's counters called themselves when last seen."""
        self.body_bytes = 0
        """Of all request bodies that are held in memory."""
        self.leaving = False
        """A signal came: `/readyz` says so, while requests are still served."""
        self.draining = False
        self.started_at = time.time()
        self.database_at = time.monotonic()
        """When the configuration was last read from PostgreSQL."""
        self.redis_at = time.monotonic()

    async def _find_caller(self, digests: Sequence[bytes]) -> Caller | None:
        async with self.sessions() as session:
            found = await configuration.find_caller(session, digests)
            version = await changes.current(session) if found is not None else 0
        if found is None:
            return None
        if version > max(self.followed, self.snapshot.version):
            # A key just made may belong to an account just made: its first request finds both.
            await self.reload()
        caller, stored = found
        if stored != digests[0]:
            self.redigests[stored] = digests[0]
        return caller

    async def _find_named(self, key_id: str) -> Caller | None:
        async with self.sessions() as session:
            return await configuration.caller_named(session, key_id)

    async def reload(self) -> None:
        """Reads the snapshot anew and swaps it."""
        async with self.sessions() as session:
            loaded = await configuration.load(session, self.sealer, PLATFORMS)
            # Of two that read at once, the one that began earlier may end later.
            if loaded.version >= self.snapshot.version:
                self.snapshot = loaded
            self.prices = await price_versions.table(session, self.prices)
        if self.followed == 0:
            self.followed = self.snapshot.version

    def prefix_of(self, tenant_id: str) -> str:
        return tenant_prefix(tenant_id)

    def check_open(self) -> None:
        """Raises Unavailable while going down, or when the configuration is too old to be trusted."""
        if self.draining:
            raise Unavailable("The gateway is going down.", code="draining", retry_after=1)
        if self.journal.full:
            raise Unavailable("The ledger cannot be written.", code="overloaded", retry_after=5)
        if self.stale():
            raise Unavailable("The configuration cannot be read.", code="overloaded", retry_after=5)

    def redis_back(self) -> None:
        """Redis was away, or lost what it held: it is told again what is not committed, and what runs here."""
        self.settler.interrupt()
        self.local.recovered()
        self.renewal.set()

    def database_age(self) -> float:
        """Seconds since the configuration was last read from PostgreSQL."""
        return time.monotonic() - self.database_at

    def closes_without_redis(self) -> bool:
        """Whether some limit refuses while Redis is away, so that this process had better get no traffic."""
        return any(limit.on_limiter_failure == "closed" for limit in self.keys.limits())

    @property
    def degraded(self) -> bool:
        """Whether limits are enforced by this process alone: Redis is away, or its counters are being made anew."""
        return not self.scripts.connected or self.admission.cold

    def stale(self) -> bool:
        """With neither PostgreSQL nor Redis for `stale_max` seconds, a revoked key could go on being used."""
        return time.monotonic() - max(self.database_at, self.redis_at) > self.settings.stale_max

    def usable(self, route: Route, tried: Collection[tuple[str, int]]) -> Sequence[Candidate]:
        """The candidates that have not been tried, as `choose` takes it; empty when there is none, as for what one
        account alone knows.

        Of one tier those come first that have just answered: attempts are few, and not there to find out about others.
        """
        if route.previous_response_id:
            return ()
        try:
            left = choose(route, self.snapshot, self.states, time.time(), tried=tried)
        except GatewayError:
            return ()
        answering = self.states.answering
        return sorted(left, key=lambda one: (one.tier, one.account.id not in answering))

    def no_account(self, route: Route, taken: SlotsTaken | None = None) -> Unavailable:
        """What a client is told when the last account it could use has failed, or those there are were `taken`."""
        now = time.time()
        found = [*exclusions(route, self.snapshot, self.states, now), *(taken.exclusions if taken else ())]
        return no_account(found, now, busy=taken.busy if taken else 0)

    def bound_elsewhere(self, route: Route, bound: BoundElsewhere) -> GatewayError:
        """The request goes to one account or nowhere, and that one is no candidate: it comes back, or it does not."""
        account, now = self.snapshot.accounts.get(bound.account_id), time.time()
        exclusion = excluded(account, route, self.states, now) if account else Exclusion("deleted")
        if exclusion is None:
            return bound
        if exclusion.until is None or exclusion.until >= FOR_EVER:
            return response_not_found()
        return no_account([exclusion], now)

    def asks_usage(self, account: Account, codec: Codec | None, peek: Peek, translated: bool = False) -> bool:
        """Whether we ask for a stream's usage because the client did not. `codec`: of the protocol that is asked."""
        if codec is None or codec.with_usage is None or not peek.stream or (peek.include_usage and not translated):
            return False
        if account.platform not in _ASKS_USAGE or not account.options.get("usage_probe", True):
            return False
        return self.without_usage.get(account.id, 0) < time.time()

    def refuses_usage(self, account_id: str) -> None:
        """The upstream does not know `stream_options`: it is not asked again for a day."""
        self.without_usage[account_id] = time.time() + _WITHOUT_USAGE_FOR

    def admitted(self, exchange: Exchange, reservation: bytes) -> None:
        lease = exchange.lease
        self.journal.begin(lease.tag, lease.request_id, lease.candidate.account.id, lease.reserved(), reservation)
        self.exchanges[exchange.call.request_id] = exchange
        exchange.call.admitted = True
        if self.snapshot.captures:
            self.captures.begin(exchange, self.snapshot.captures)
        candidate = exchange.lease.candidate
        self.states.began(candidate.account.id)
        if candidate.looked_at:
            peers = self.states.latencies.of(kind_of(exchange.route, candidate.target))
            if peers is not None:
                peers.looked(time.time())

    def moved(self, before: str, after: str) -> None:
        """A failover took a running request from one account to another."""
        self.states.ended(before)
        self.states.began(after)

    def settle(self, exchange: Exchange, usage: Usage, source: str) -> None:
        """The exchange is over: its price, its leases back, its row out."""
        lease = exchange.lease
        billed, multiplier = exchange.route.endpoint.operation != "count", exchange.route.caller.price_multiplier
        finish(exchange.row, usage, source, self.prices, multiplier, billed=billed)
        self.exchanges.pop(exchange.call.request_id, None)
        self.endings[exchange.row.ending] += 1
        self.states.ended(lease.candidate.account.id)
        if source == "provider" and (output := exchange.row.output_tokens):
            self.means.add(exchange.row.key_id, exchange.row.model_asked, output, exchange.peek.answers)
        used, exchange.row.charges = lease.settled(exchange.row)
        self.admission.release(lease, used)
        row = ledger.encode(exchange.row)
        account_id, served = lease.candidate.account.id, ("", "")
        if exchange.served:
            served = (f"{account_id}|{scope_of_family(lease.candidate.model)}", exchange.route.caller.key_id)
        self.settler.settle(lease.tag, lease.request_id, account_id, lease.names, row, exchange.row.charges, served)
        if exchange.recording is not None:
            self.captures.end(exchange, exchange.recording)

    def hold_body(self, call: Call, size: int) -> None:
        """Counts a request body against the process's bound. Raises Unavailable when it would not fit."""
        if self.body_bytes + size > self.settings.body_memory:
            raise Unavailable("Too many requests are in memory.", code="overloaded", retry_after=1)
        self.body_bytes += size
        call.held += size

    def drop_body(self, call: Call) -> None:
        """No further attempt can need the body."""
        self.body_bytes -= call.held
        call.held = 0
        call.body = b""

    def cut(self, key_id: str, error: GatewayError) -> None:
        """Ends the running requests of a key."""
        for exchange in [one for one in self.exchanges.values() if one.route.caller.key_id == key_id]:
            exchange.stop(error)


@asynccontextmanager
async def open_gate(settings: Settings) -> AsyncGenerator[Gate]:
    """The process's gate, with the configuration read. Its background work is `gateway.relay.background`."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(db.engine(settings.database_url))
        await check_revision(engine)
        redis = await stack.enter_async_context(redis_url.client(settings.redis_url))
        connect, greeting = redis_url.connector(settings.redis_url)
        hot = await stack.enter_async_context(scripts(connect, greeting))
        own_ports = [port for port in (settings.gateway_port, settings.admin_port) if port]
        egress = Egress(settings.egress_allow, own_ports=own_ports)
        upstream = await stack.enter_async_context(Upstream(egress))
        journal = Journal.open(settings.spool, settings.journal_limit)
        stack.callback(journal.close)
        gate = Gate(settings, db.sessions(engine), Sealer(settings.master_key_bytes), redis, hot, upstream, journal)
        hot.reconnected = gate.redis_back
        stack.callback(gate.refusals.flush)
        await stack.enter_async_context(gate.renewals)
        await stack.enter_async_context(gate.captures)
        await gate.reload()
        yield gate
