"""The bill equals the ledger, and the limits' counters equal both, while everything dies: `make soak`, or
`python -m tests.failures.soak [REQUESTS]`.

Requests of five protocols, streams and not, some left by the client, some cut by the upstream, run through two
gateways under limits of every kind and of every owner; on the way gateways and jobs are killed, PostgreSQL and Redis
are restarted, Redis is emptied. Then every request that the sandbox billed must have exactly one row, the rows whose
usage is the provider's must equal the bill to the token, and roll-ups and counters must be the sums of the rows. A
request is followed by its client's own id: `x-request-id` is kept by the gateway, `x-client-request-id` goes on to the
upstream, and the ids of the upstream's answers are in the row's attempts.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any

import httpx
from msgspec import Struct, field

from gateway.core import models as m
from gateway.core.prices import Price
from gateway.core.services import prices, teams, tenants, users
from tests.failures import sums
from tests.support.processes import Plant, Process, until, works

ABORTED = 0.05
CUT = 0.05
CLIENTS = 16
KILLS = 10
TEXT = "One two three four five six seven eight."
PLATFORMS = ("claude-console", "openai", "openai-responses", "gemini", "ollama")
CLASSES = (
    "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens",
    "reasoning_tokens",
)  # fmt: skip
MANY = 1_000_000_000
LIMITS: list[dict[str, Any]] = [
    {"type": "requests", "per": "minute", "max": MANY},
    {"type": "requests", "per": "day", "max": MANY, "timezone": "Asia/Shanghai"},
    {"type": "tokens", "per": "minute", "max": MANY},
    {"type": "tokens", "per": "day", "max": MANY},
    {"type": "output_tokens", "per": {"rolling": "5h"}, "max": MANY, "reserve": "worst"},
    {"type": "input_tokens", "per": "total", "max": MANY},
    {"type": "budget", "per": "month", "max": "1000000", "on_limiter_failure": "open"},
    {"type": "concurrency", "max": 1000},
]
"""Never reached, and open while Redis is away: the run goes on, and all of it is counted."""
SHARED = [LIMITS[1], LIMITS[2], LIMITS[4], LIMITS[6], LIMITS[7]]
"""Of a user, a team, a tenant, and of a key."""
OF_ACCOUNTS = [LIMITS[3], LIMITS[6]]
_SETTLING = 0.05
"""Seconds that a busy gateway may take from an answer's last byte to its row in the journal."""
_BREAKS = (httpx.HTTPError, OSError)


class Ask(Struct, frozen=True):
    """One request, as it is sent."""

    name: str
    path: str
    body: dict[str, Any]
    stream: bool
    leave: bool


class Verdict(Struct):
    asked: int = 0
    billed: int = 0
    rows: int = 0
    exact: int = 0
    """Rows whose usage is the provider's, equal to the bill."""
    lost: int = 0
    in_flight: int = 0
    """Requests that ran in a gateway when it was killed."""
    lost_tokens: int = 0
    """What was billed for `gateway_lost` rows, less what they say."""
    counters: int = 0
    """Counters of limits that were compared with the rows."""
    sums: int = 0
    """Roll-ups that were."""
    seconds: float = 0.0
    faults: list[str] = []
    statuses: dict[str, int] = {}
    endings: dict[str, int] = {}
    troubles: Counter[str] = field(default_factory=Counter)


def ask(number: int, chance: random.Random) -> Ask:
    kind, stream = chance.choice(PLATFORMS), chance.random() < 0.6
    tokens, gap = chance.choice((5, 20, 60)), chance.choice((0, 0, 2, 10))
    model = f"sandbox-tokens-{tokens}-cached-{chance.choice((0, 30))}" + (f"-gap-{gap}" if gap else "")
    if chance.random() < CUT:
        model += f"-cut-{chance.randrange(2, 6)}"
    leave = chance.random() < ABORTED
    if leave and not stream:
        model += "-stall-100ms"
    if kind == "gemini":
        action = "streamGenerateContent?alt=sse" if stream else "generateContent"
        body: dict[str, Any] = {"contents": [{"parts": [{"text": TEXT}]}]}
        return Ask(f"soak-{number}", f"/v1beta/models/{model}:{action}", body, stream, leave)
    body = {"model": model, "stream": stream}
    if kind == "openai-responses":
        return Ask(f"soak-{number}", "/v1/responses", body | {"input": TEXT}, stream, leave)
    body["messages"] = [{"role": "user", "content": TEXT}]
    if kind == "claude-console":
        return Ask(f"soak-{number}", "/v1/messages", body | {"max_tokens": 200}, stream, leave)
    path = "/api/chat" if kind == "ollama" else "/v1/chat/completions"
    return Ask(f"soak-{number}", path, body, stream, leave)


class Soak:
    def __init__(self, plant: Plant, requests: int, seed: int, kills: int) -> None:
        self.plant = plant
        self.verdict = Verdict(asked=requests)
        chance = random.Random(seed)  # which requests, not which secrets
        self.asks = [ask(number, chance) for number in range(requests)]
        self.kills = kills
        self.running: dict[str, Process] = {}
        self.finished: dict[str, tuple[Process, float]] = {}
        """By whom and when the whole answer was given."""
        self.unsettled: set[str] = set()
        """Answered so short a time before their gateway was killed that it may not have settled them."""
        self.statuses: Counter[str] = Counter()
        self.keys: list[str] = []
        """Of which the clients take one each, in turn."""

    async def run(self) -> Verdict:
        began = time.monotonic()
        await self._limited()
        for platform in PLATFORMS:
            for _ in range(3):
                await self.plant.site.account(platform, limits=OF_ACCOUNTS)
        await self._priced()
        await asyncio.sleep(1.5)
        queue = list(reversed(self.asks))
        async with asyncio.TaskGroup() as tasks:
            for number in range(CLIENTS):
                key = self.keys[number % len(self.keys)]
                tasks.create_task(self._client(self.plant.gateways[number % len(self.plant.gateways)], key, queue))
            tasks.create_task(self._trouble(len(self.asks), queue))
        await self._compare()
        self.verdict.seconds = time.monotonic() - began
        return self.verdict

    async def _limited(self) -> None:
        """Three keys of one tenant: of a user in a team, of one without, and of nobody, whose streams are read to their
        end when the client leaves. Each owner has limits, and two keys cost another price than the provider's."""
        site = self.plant.site
        tenant_id = await site.tenant()
        async with site.sessions.begin() as session:
            tenant = await session.get_one(m.Tenant, tenant_id)
            await tenants.change(session, tenant, {"limits": SHARED})
            ids: list[str] = []
            for name in ("ann", "bob"):
                values = {"email": f"{name}@soak.test", "name": name, "limits": SHARED}
                user = await users.create(session, values, [users.Role(tenant_id, "member")], "-", one_time=True)
                ids.append(user.id)
            await teams.create(session, tenant_id, {"name": "soak", "user_ids": ids[:1], "limits": SHARED})
        self.keys = [
            await site.key(limits=LIMITS, user_id=ids[0], price_multiplier=Decimal("1.5")),
            await site.key(user_id=ids[1]),
            await site.key(limits=SHARED, on_disconnect="drain", price_multiplier=Decimal("0.25")),
        ]

    async def _priced(self) -> None:
        """Every class of tokens has a price of its own, so that no two mistakes come to the same sum."""
        figures = {"input": "3", "output": "15.5", "cache_read": "0.37", "reasoning": "17", "per_request": "0.001"}
        price = Price("sandbox-*", **{name: Decimal(value) for name, value in figures.items()})  # type: ignore[arg-type]
        async with self.plant.site.sessions.begin() as session:
            await prices.create(session, prices.draft([price]))

    # ------------------------------------------------------------ the clients

    async def _client(self, gateway: Process, key: str, queue: list[Ask]) -> None:
        headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
        async with httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=20) as http:
            while queue:
                one = queue.pop()
                self.running[one.name] = gateway
                try:
                    self.statuses[await self._send(http, one)] += 1
                except _BREAKS as error:
                    self.statuses[type(error).__name__] += 1
                finally:
                    self.running.pop(one.name, None)

    async def _send(self, http: httpx.AsyncClient, one: Ask) -> str:
        headers = {"x-request-id": one.name, "x-client-request-id": one.name}
        if one.leave and not one.stream:
            try:
                async with asyncio.timeout(0.05):
                    await http.post(one.path, json=one.body, headers=headers)
            except TimeoutError:
                return "left"
            return "too quick"
        async with http.stream("POST", one.path, json=one.body, headers=headers) as answer:
            async for _ in answer.aiter_raw():
                if one.leave:
                    return "left"
        if answer.status_code == 200 and "-cut-" not in str(one):
            self.finished[one.name] = self.running[one.name], time.monotonic()
        return str(answer.status_code)

    # ------------------------------------------------------------ the troubles

    def _plan(self) -> Sequence[Callable[[], Awaitable[None]]]:
        kills = [kill for number in range(self.kills) for kill in (self._kill_gateway(number), self._kill_jobs)]
        return (
            self._restart_postgres,
            self._empty_redis,
            self._restart_redis,
            *kills[: self.kills],
            self._restart_postgres,
            self._restart_redis,
            *kills[self.kills :],
        )

    async def _trouble(self, total: int, queue: list[Ask]) -> None:
        troubles = self._plan()
        for number, trouble in enumerate(troubles, 1):
            left = total - total * number // (len(troubles) + 1)
            while len(queue) > left:
                await asyncio.sleep(0.01)
            await trouble()

    def _kill_gateway(self, number: int) -> Callable[[], Awaitable[None]]:
        gateway = self.plant.gateways[number % len(self.plant.gateways)]

        async def kill() -> None:
            await self.plant.answers(gateway)
            killed = time.monotonic()
            gateway.kill()
            self.unsettled |= {
                name for name, (by, at) in self.finished.items() if by is gateway and at > killed - _SETTLING
            }
            self.verdict.in_flight += sum(1 for one in self.running.values() if one is gateway)
            self.verdict.troubles["gateway killed"] += 1
            await asyncio.sleep(0.3)
            gateway.start()

        return kill

    async def _kill_jobs(self) -> None:
        if not self.plant.jobs.alive:
            self.verdict.faults.append("the jobs ended by themselves")
        self.plant.jobs.kill()
        self.verdict.troubles["jobs killed"] += 1
        await asyncio.sleep(0.5)
        self.plant.jobs.start()

    async def _restart_postgres(self) -> None:
        await asyncio.to_thread(self.plant.postgres.stop)
        self.verdict.troubles["PostgreSQL restarted"] += 1
        await asyncio.sleep(0.5)
        self.plant.postgres.start()

    async def _restart_redis(self) -> None:
        self.plant.crash(self.plant.redis)
        self.verdict.troubles["Redis restarted"] += 1
        await asyncio.sleep(0.5)
        self.plant.redis.start()

    async def _empty_redis(self) -> None:
        with self.plant.redis_client() as client:
            client.flushall()
        self.verdict.troubles["Redis emptied"] += 1

    # ------------------------------------------------------------ the comparison

    async def _compare(self) -> None:
        await until(lambda: self._quiet(), 90, "the ledger did not become quiet")
        rows = await self.plant.query("SELECT * FROM requests")
        by_name: dict[str, list[Any]] = defaultdict(list)
        for row in rows:
            by_name[row["client_request_id"] or ""].append(row)
        bills: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for bill in await self._bill():
            if bill["outcome"] != "error":
                bills[bill["client_request_id"] or ""].append(bill)
        verdict = self.verdict
        verdict.rows, verdict.billed = len(rows), len(bills)
        verdict.statuses = dict(self.statuses)
        verdict.endings = dict(Counter(f"{row['ending']}/{row['usage_source']}" for row in rows))
        for name, found in bills.items():
            if len(by_name[name]) != 1:
                verdict.faults.append(f"{name}: billed, {len(by_name[name])} rows: {found}")
        for name, found in by_name.items():
            for row in found:
                self._check(name, row, bills[name])
        verdict.faults += sums.held(self.plant)
        verdict.counters, faults = await sums.counters(self.plant, rows)
        verdict.faults += faults
        verdict.sums, faults = await sums.rolled_up(self.plant)
        verdict.faults += faults

    async def _bill(self) -> list[dict[str, Any]]:
        async with httpx.AsyncClient(timeout=120) as http:
            return (await http.get(f"{self.plant.sandbox.url}/_bill")).json()["requests"]

    def _check(self, name: str, row: Any, bills: list[dict[str, Any]]) -> None:
        verdict = self.verdict
        if row["ending"] == "gateway_lost":
            verdict.lost += 1
            verdict.lost_tokens += sum(bill[c] for bill in bills for c in CLASSES[:5]) - row["input_tokens"]
            if name in self.unsettled:
                verdict.in_flight += 1
            elif name in self.finished:
                verdict.faults.append(f"{name}: the client has the whole answer, its row says gateway_lost")
            return
        if name in self.finished and (row["ending"], row["usage_source"]) != ("complete", "provider"):
            verdict.faults.append(
                f"{name}: the client has the whole answer, its row {row['ending']} {row['usage_source']}"
            )
        if row["usage_source"] != "provider":
            return
        told = json.loads(row["attempts"])[-1].get("upstream_request_id")
        bill = next((one for one in reversed(bills) if told in {None, one["request_id"]}), None)
        want = None if bill is None else {c: bill[c] for c in CLASSES}
        if want is not None and row["protocol"] == "ollama":
            # Its answers have one number for the prompt, what came out of the cache among it.
            want |= {"input_tokens": want["input_tokens"] + want["cache_read_tokens"], "cache_read_tokens": 0}
        have = {c: row[c] for c in CLASSES}
        if want == have:
            verdict.exact += 1
        else:
            verdict.faults.append(f"{name}: {row['ending']}, the ledger says {have}, the bill {want}")

    def _quiet(self) -> bool:
        """No lease, nothing in a stream, counters that can be trusted, and every journal that is left belongs to a
        process that runs."""
        spool = self.plant.home / "spool"
        living = [entry for entry in spool.iterdir() if not entry.name.startswith(".")]
        return len(living) == len(self.plant.gateways) and not self.plant.unsettled() and sums.warm(self.plant)


async def soak(requests: int = 100_000, seed: int = 1, kills: int = KILLS) -> Verdict:
    async with works(gateways=2) as plant:
        return await Soak(plant, requests, seed, kills).run()


def report(verdict: Verdict) -> str:
    """The table, and the faults."""
    provider = sum(count for name, count in verdict.endings.items() if name.endswith("/provider"))
    told = [
        ("requests asked", verdict.asked, ""),
        ("billed by the upstream", verdict.billed, ""),
        ("rows in the ledger", verdict.rows, f"one for each of the {verdict.billed:,} billed"),
        ("rows of the provider's usage", provider, ""),
        ("  equal to the bill to the token", verdict.exact, f"{provider:,}"),
        ("gateway_lost", verdict.lost, f"at most {verdict.in_flight:,}, in flight at kills"),
        ("  tokens billed that they do not show", verdict.lost_tokens, ""),
        ("counters of limits equal to the rows", verdict.counters, "all"),
        ("roll-ups equal to the rows", verdict.sums, "all"),
        ("faults", len(verdict.faults), "0"),
        ("seconds", round(verdict.seconds), ""),
    ]
    lines = [f"{name:<44}{found:>12,}  {wanted}".rstrip() for name, found, wanted in told]
    for title, counts in (("", verdict.troubles), ("answer ", verdict.statuses), ("ending ", verdict.endings)):
        lines += [f"{title + name:<44}{count:>12,}" for name, count in sorted(counts.items())]
    return "\n".join(lines + [f"FAULT {fault}" for fault in verdict.faults[:20]])


if __name__ == "__main__":
    import uvloop

    done = uvloop.run(soak(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
    print(report(done))
    sys.exit(1 if done.faults or done.lost > done.in_flight else 0)
