"""The bill equals the ledger, while everything dies: `python -m tests.failures.soak [REQUESTS]`.

Requests of four protocols, streams and not, some left by the client, some cut by the upstream, run through two
gateways; on the way gateways and jobs are killed, PostgreSQL and Redis are restarted, Redis is emptied. Then every
request that the sandbox billed must have exactly one row, and the rows whose usage is the provider's must equal the
bill to the token. A request is followed by its client's own id: `x-request-id` is kept by the gateway,
`x-client-request-id` goes on to the upstream, and the ids of the upstream's answers are in the row's attempts.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
from msgspec import Struct

from tests.support.processes import Plant, Process, until, works

ABORTED = 0.05
CUT = 0.05
CLIENTS = 16
TEXT = "One two three four five six seven eight."
PLATFORMS = ("claude-console", "openai", "openai-responses", "gemini")
CLASSES = (
    "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens",
    "reasoning_tokens",
)  # fmt: skip
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
    seconds: float = 0.0
    faults: list[str] = []
    statuses: dict[str, int] = {}
    endings: dict[str, int] = {}


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
    return Ask(f"soak-{number}", "/v1/chat/completions", body, stream, leave)


class Soak:
    def __init__(self, plant: Plant, requests: int, seed: int) -> None:
        self.plant = plant
        self.verdict = Verdict(asked=requests)
        chance = random.Random(seed)  # which requests, not which secrets
        self.asks = [ask(number, chance) for number in range(requests)]
        self.running: dict[str, Process] = {}
        self.finished: set[str] = set()
        self.statuses: Counter[str] = Counter()

    async def run(self) -> Verdict:
        began = time.monotonic()
        self.key = await self.plant.site.key(limits=[{"type": "concurrency", "max": 1000}])
        for platform in PLATFORMS:
            for _ in range(3):
                await self.plant.site.account(platform)
        await asyncio.sleep(1.5)
        queue = list(reversed(self.asks))
        async with asyncio.TaskGroup() as tasks:
            for number in range(CLIENTS):
                tasks.create_task(self._client(self.plant.gateways[number % len(self.plant.gateways)], queue))
            tasks.create_task(self._trouble(len(self.asks), queue))
        await self._compare()
        self.verdict.seconds = time.monotonic() - began
        return self.verdict

    # ------------------------------------------------------------ the clients

    async def _client(self, gateway: Process, queue: list[Ask]) -> None:
        headers = {"x-api-key": self.key, "anthropic-version": "2023-06-01"}
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
            self.finished.add(one.name)
        return str(answer.status_code)

    # ------------------------------------------------------------ the troubles

    async def _trouble(self, total: int, queue: list[Ask]) -> None:
        # A reservation lives in Redis alone: it is emptied before gateways are killed, not within a lease after that.
        # Both together lose what ran in that gateway, as the README says.
        troubles: Sequence[Callable[[], Awaitable[None]]] = (
            self._restart_postgres,
            self._empty_redis,
            self._kill_jobs,
            self._restart_redis,
            lambda: self._kill_gateway(0),
            self._kill_jobs,
            lambda: self._kill_gateway(-1),
        )
        for number, trouble in enumerate(troubles, 1):
            left = total - total * number // (len(troubles) + 1)
            while len(queue) > left:
                await asyncio.sleep(0.01)
            await trouble()

    async def _kill_gateway(self, index: int) -> None:
        gateway = self.plant.gateways[index]
        if index == 0:
            await asyncio.sleep(2)  # after Redis came back empty: until the gateways have told it what runs
        gateway.kill()
        self.verdict.in_flight += sum(1 for one in self.running.values() if one is gateway)
        await asyncio.sleep(0.3)
        gateway.start()

    async def _kill_jobs(self) -> None:
        self.plant.jobs.kill()
        await asyncio.sleep(0.5)
        self.plant.jobs.start()

    async def _restart_postgres(self) -> None:
        await asyncio.to_thread(self.plant.postgres.stop)
        await asyncio.sleep(0.5)
        self.plant.postgres.start()

    async def _restart_redis(self) -> None:
        self.plant.crash(self.plant.redis)
        await asyncio.sleep(0.5)
        self.plant.redis.start()

    async def _empty_redis(self) -> None:
        with self.plant.redis_client() as client:
            client.flushall()

    # ------------------------------------------------------------ the comparison

    async def _compare(self) -> None:
        await until(lambda: self._quiet(), 40, "the ledger did not become quiet")
        rows = await self.plant.query("SELECT * FROM requests")
        by_name: dict[str, list[Any]] = defaultdict(list)
        for row in rows:
            by_name[row["client_request_id"] or ""].append(row)
        bills: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for bill in await self.plant.bill():
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

    def _check(self, name: str, row: Any, bills: list[dict[str, Any]]) -> None:
        verdict = self.verdict
        if row["ending"] == "gateway_lost":
            verdict.lost += 1
            verdict.lost_tokens += sum(bill[c] for bill in bills for c in CLASSES[:5]) - row["input_tokens"]
            if name in self.finished:
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
        have = {c: row[c] for c in CLASSES}
        if want == have:
            verdict.exact += 1
        else:
            verdict.faults.append(f"{name}: {row['ending']}, the ledger says {have}, the bill {want}")

    def _quiet(self) -> bool:
        """No lease, nothing in a stream, and every journal that is left belongs to a process that runs."""
        spool = self.plant.home / "spool"
        living = [entry for entry in spool.iterdir() if not entry.name.startswith(".")]
        return len(living) == len(self.plant.gateways) and not self.plant.unsettled()


async def soak(requests: int = 1500, seed: int = 1) -> Verdict:
    async with works(gateways=2) as plant:
        return await Soak(plant, requests, seed).run()


def report(verdict: Verdict) -> str:
    return (
        f"{verdict.asked} requests in {verdict.seconds:.0f} s, {verdict.billed} billed, {verdict.rows} rows\n"
        f"{verdict.exact} rows of the provider's usage equal the bill to the token\n"
        f"{verdict.lost} gateway_lost, at most {verdict.in_flight} in flight at kills; "
        f"{verdict.lost_tokens} tokens were billed that they do not show\n"
        f"answers {verdict.statuses}\nendings {verdict.endings}\n"
        + "".join(f"FAULT {fault}\n" for fault in verdict.faults[:20])
        + f"{len(verdict.faults)} faults"
    )


if __name__ == "__main__":
    import uvloop

    done = uvloop.run(soak(int(sys.argv[1]) if len(sys.argv) > 1 else 1500))
    print(report(done))
    sys.exit(1 if done.faults or done.lost > done.in_flight else 0)
