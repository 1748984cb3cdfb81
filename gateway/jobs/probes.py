"""Probes of accounts that ask for them: every so many minutes, and before one that cools down gets traffic again.

A probe is judged as traffic is: a failure marks the account (the source is "probe"), a success lifts what covered it.
Accounts are probed out of step, one probe an account at a time. One that is out is left alone until its end is near;
one that an upstream disabled waits for a person. Only what can be asked for is probed: a family needs a model that the
account's settings name.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from gateway.core import changes
from gateway.core.db import Sessions
from gateway.core.domain import Account
from gateway.core.names import TAGS, prefix, tag_of, tenant_prefix
from gateway.core.pause import pause
from gateway.core.scripts import FAULT, MARK
from gateway.core.sealing import Sealer
from gateway.core.services import configuration
from gateway.core.settings import Settings
from gateway.core.state import BREAKER, State, encode
from gateway.jobs.aims import AHEAD, PROLONGED, SOURCE, Aim, Last, Write, covered, holding, let_go, next_aim, writes
from gateway.platforms import PLATFORMS
from gateway.platforms.judgement import HALF_HOUR
from gateway.platforms.network import network_verdict
from gateway.platforms.platform import Kind, NotRenewed, Scope, Verdict
from gateway.platforms.validation import InvalidAccount
from gateway.relay.blame import fault_of
from gateway.upstream import DialFailed, Egress, Upstream, probe
from gateway.upstream.renewal import RE_AUTHORISE, RefusedAgain, Renewals, due, renewable
from gateway.upstream.words import clean

AT_ONCE = 8
_MARGIN = 0.5
_AWAY = (OSError, RedisError, SQLAlchemyError)
log = structlog.get_logger()


async def keep(settings: Settings, sessions: Sessions, sealer: Sealer, redis: Redis) -> None:
    """Runs as long as this process leads."""
    egress = Egress(settings.egress_allow, own_ports=[settings.gateway_port, settings.admin_port])
    async with Upstream(egress) as upstream, Renewals(sessions, sealer, redis, upstream) as renewals:
        await Prober(redis, sessions, sealer, upstream, renewals).run()


class Prober:
    """Keeps the accounts that want probes, and runs them."""

    def __init__(
        self, redis: Redis, sessions: Sessions, sealer: Sealer, upstream: Upstream, renewals: Renewals
    ) -> None:
        self._redis = redis
        self._sessions = sessions
        self._sealer = sealer
        self._upstream = upstream
        self._renewals = renewals
        self._started = time.time()
        self._version = -1
        self._accounts: Sequence[Account] = ()
        self._running: set[str] = set()
        self._tried: dict[str, float] = {}
        self._in_a_row: dict[str, int] = {}

    async def run(self) -> None:
        """Until it is cancelled, and the probes with it."""
        async with asyncio.TaskGroup() as probes:
            while True:
                try:
                    await self._follow()
                    for account, aim in await self._due():
                        self._running.add(account.id)
                        probes.create_task(self._probe(account, aim))
                except _AWAY as error:
                    log.warning("probes wait for a store", reason=type(error).__name__)
                await pause(1.0)

    async def _follow(self) -> None:
        async with self._sessions() as session:
            if await changes.current(session) == self._version:
                return
            # First what Redis has: an account is in PostgreSQL before it is there.
            noted: list[Any] = [await self._redis.hkeys(prefix(tag) + "probed") for tag in range(TAGS)]
            snapshot = await configuration.load(session, self._sealer, PLATFORMS)
        now = time.time()
        self._accounts = [
            account
            for account in snapshot.accounts.values()
            if account.probe is not None
            and account.enabled
            and (account.expires_at is None or account.expires_at > now)
            and PLATFORMS[account.platform].probe is not None
            and (tenant := snapshot.tenants.get(account.tenant_id)) is not None
            and tenant.enabled
        ]
        kept = {account.id for account in snapshot.accounts.values() if account.probe is not None}
        for tag, names in enumerate(noted):
            if gone := [name for name in names if name not in kept]:
                await self._redis.hdel(prefix(tag) + "probed", *gone)
        self._version = snapshot.version

    async def _due(self) -> list[tuple[Account, Aim]]:
        accounts = [account for account in self._accounts if account.id not in self._running]
        if not accounts:
            return []
        held, last = await self._known({tag_of(account.tenant_id) for account in accounts})
        now, found = time.time(), list[tuple[Account, Aim]]()
        for account in accounts:
            if len(found) + len(self._running) >= AT_ONCE:
                break
            aim = next_aim(account, held.get(account.id, {}), last.get(account.id), self._started, now)
            if aim is not None and self._is_new(account, aim):
                found.append((account, aim))
        return found

    def _is_new(self, account: Account, aim: Aim) -> bool:
        """An end is probed for once, whatever the probe came to."""
        if aim.ending is None:
            return True
        scope, state = aim.ending
        name = f"{account.id}|{scope}"
        if self._tried.get(name) == state.until:
            return False
        now = time.time()
        self._tried = {one: until for one, until in self._tried.items() if until > now - AHEAD}
        self._tried[name] = state.until
        return True

    async def _known(self, tags: set[int]) -> tuple[dict[str, dict[str, State]], dict[str, Last]]:
        """All states and all last probes of these tags, by account."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for tag in tags:
                pipeline.hgetall(prefix(tag) + "state")
                pipeline.hgetall(prefix(tag) + "probed")
            found: list[dict[str, str]] = await pipeline.execute()
        wanted = {account.id for account in self._accounts}
        held: dict[str, dict[str, State]] = {}
        for field, text in ((field, text) for part in found[::2] for field, text in part.items()):
            owner, _, scope = field.partition("|")
            if owner in wanted and (state := _read(text, State)) is not None:
                held.setdefault(owner, {})[scope] = state
        last = {name: one for part in found[1::2] for name, text in part.items() if (one := _read(text, Last))}
        return held, last

    async def _probe(self, account: Account, aim: Aim) -> None:
        try:
            await self._probed(account, aim)
        except* _AWAY as errors:
            log.warning("a probe was not noted", account=account.id, reason=type(errors.exceptions[0]).__name__)
        except* Exception:
            log.exception("a probe failed", account=account.id)
        finally:
            self._running.discard(account.id)

    async def _probed(self, account: Account, aim: Aim) -> None:
        started = time.time()
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(self._asked(account, aim.model))
            if aim.ending is not None:
                await self._hold(account, aim.ending, asking)
        verdict, last = asking.result()
        await self._redis.hset(tenant_prefix(account.tenant_id) + "probed", account.id, msgspec.json.encode(last))
        held, _ = await self._known({tag_of(account.tenant_id)})
        states, now = held.get(account.id, {}), time.time()
        if verdict.counts and aim.ending is None:
            await self._count(account, aim, last, now)
        made = writes(account, aim, verdict, last.status or 0, states, started, now)
        for write in made or let_go(account, aim, states):
            await self._write(account, write)

    async def _hold(self, account: Account, ending: tuple[str, State], asking: "asyncio.Task[Any]") -> None:
        """A probe that takes longer than the state lasts: no traffic until it is known how it went."""
        scope, state = ending
        await asyncio.wait([asking], timeout=max(0.0, state.until - _MARGIN - time.time()))
        if not asking.done():
            await self._write(account, Write(account.id, scope, holding(state)))

    async def _asked(self, account: Account, model: str) -> tuple[Verdict, Last]:
        """The request, made once more with renewed credentials when the first ones were refused."""
        now = time.time()
        try:
            if due(account, now):
                account = await self._renewals.fresh(account)
            verdict, last = await self._ask(account, model)
            if verdict.renew and renewable(account):
                account = await self._renewals.fresh(account, refused=True)
                verdict, last = await self._ask(account, model)
        except RefusedAgain as error:
            verdict = Verdict(Kind.COOL_DOWN, "credentials", time.time() + HALF_HOUR, Scope.ACCOUNT)
            last = Last(now, False, None, 0, model, str(error))
        except NotRenewed as error:
            verdict, last = _not_renewed(error), Last(now, False, None, 0, model, str(error))
        return verdict, last

    async def _ask(self, account: Account, model: str) -> tuple[Verdict, Last]:
        now = time.time()
        platform = PLATFORMS[account.platform]
        try:
            probed = await probe.run(self._upstream, platform, account, model)
        except probe.NoProbe as error:
            return Verdict(Kind.CALLER), Last(now, False, None, 0, model, error.reason)
        except InvalidAccount as error:
            until = time.time() + HALF_HOUR
            said = f"the account's {error.field} cannot be used"
            return Verdict(Kind.COOL_DOWN, "credentials", until, Scope.ACCOUNT), Last(now, False, None, 0, model, said)
        secrets = [secret.reveal() for secret in account.credentials.values()]
        message = "" if probed.ok else clean(probed.words, secrets)
        last = Last(now, probed.ok, probed.status or None, probed.milliseconds, model, message)
        return self._verdict(account, probed), last

    def _verdict(self, account: Account, probed: probe.Probed) -> Verdict:
        now = time.time()
        if probed.failure is None:
            self._in_a_row.pop(account.id, None)
            if probed.ok:
                return Verdict(Kind.OK)
            return PLATFORMS[account.platform].judge(probed.status, probed.headers, probed.body, now)
        in_a_row = self._in_a_row[account.id] = self._in_a_row.get(account.id, 0) + 1
        return network_verdict(fault_of(probed.failure), in_a_row, now)

    async def _count(self, account: Account, aim: Aim, last: Last, now: float) -> None:
        """Towards the breaker, as a key of its own."""
        scope = covered(account.model_map.get(aim.model, aim.model))[1]
        field, p = f"{account.id}|{scope}", tenant_prefix(account.tenant_id)
        said: Any = await self._redis.eval(FAULT.source.decode(), 1, p, field, SOURCE, SOURCE, f"{now:.3f}", "0")
        if said is not None:
            alone, faults = said[2] != 1, int(said[1])
            opened = State(
                BREAKER, now + float(said[0]), now, SOURCE, last.status or 0,
                soft=alone, key=SOURCE if alone else "", faults=faults,
            )  # fmt: skip
            await self._write(account, Write(account.id, scope, opened))

    async def _write(self, account: Account, write: Write) -> None:
        state = write.state
        entry = msgspec.json.encode({"scope": write.scope, "at": time.time(), "state": state, "request_id": SOURCE})
        told = b"" if state is None else encode(state)
        arguments = (tenant_prefix(account.tenant_id), write.owner, write.scope, told, entry)
        await self._redis.eval(MARK.source.decode(), 1, *arguments)


def _not_renewed(error: NotRenewed) -> Verdict:
    """As of a request: an endpoint out of reach has revoked nothing, and a proxy's failure is not the account's."""
    cause = error.__cause__
    if error.revoked:
        return Verdict(Kind.DISABLE, RE_AUTHORISE, scope=Scope.ACCOUNT)
    if isinstance(cause, DialFailed) and cause.reason == "proxy":
        return Verdict(Kind.ELSEWHERE, "proxy")
    return Verdict(Kind.COOL_DOWN, "not_renewed", time.time() + PROLONGED, Scope.ACCOUNT)


def _read(text: str, form: type[Any]) -> Any:
    try:
        return msgspec.json.decode(text, type=form)
    except msgspec.MsgspecError:
        return None
