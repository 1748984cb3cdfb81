"""An hour of a team's traffic on twenty accounts, five of them in trouble: `python -m tests.failures.simulation`.

Two tenants get the same traffic at the same time through the same two gateways: one has twenty accounts, of which one
is slow, one returns 429 with the moment of its reset, one flaps, one has a dead proxy and one a revoked key; the other
has the fifteen healthy ones alone. What the first one's clients wait for more than the second's is what trouble costs.
On the way a gateway is killed. At the end no slot may be held.

    python -m tests.failures.simulation [MINUTES] [REQUESTS_PER_SECOND_AND_TENANT]
"""

import asyncio
import math
import random
import sys
import time
from collections import Counter, deque
from contextlib import suppress
from typing import Any

import httpx
from msgspec import Struct, field

from gateway.core.sealing import Sealer
from gateway.core.services import proxies, tenants
from tests.failures.cast import Upstream, upstream
from tests.support.processes import Plant, Process, until, works

HEALTHY = 15
TROUBLED = ("slow", "limited", "flapping", "dead proxy", "revoked")
KEYS = 8
IN_SESSIONS = 0.4
TURNS = 8
WARM_UP = 0.1
"""The part of the time before what is measured counts: nobody knows yet which accounts are slow."""
BODY = {"model": "claude-sim", "max_tokens": 64, "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
_BREAKS = (httpx.HTTPError, OSError)


class Team(Struct):
    """One tenant's clients and accounts, and what became of its requests."""

    name: str
    keys: list[str] = []
    accounts: dict[str, str] = {}
    """The account's key at the upstream → its name."""
    waits: list[float] = []
    """Seconds to the first byte, of those that were answered after the warm-up."""
    asked: int = 0
    lost: int = 0
    """Cut when the gateway was killed."""
    failures: Counter[str] = field(default_factory=Counter)
    sessions: deque[tuple[str, str, int]] = field(default_factory=deque)

    def wait(self, share: float) -> float:
        ordered = sorted(self.waits)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else math.nan


class Report(Struct):
    minutes: float
    mixed: Team
    alone: Team
    served: dict[str, int]
    statuses: dict[str, dict[int, int]]
    held: int

    @property
    def ratio(self) -> float:
        return self.mixed.wait(0.99) / self.alone.wait(0.99)

    @property
    def imbalance(self) -> float:
        """How far apart the healthy accounts of the mixed tenant are, as a part of the mean."""
        loads = [count for name, count in self.served.items() if name.startswith("healthy")]
        return (max(loads) - min(loads)) / (sum(loads) / len(loads))

    def __str__(self) -> str:
        lines = [f"{self.minutes:g} minutes, {self.mixed.asked} + {self.alone.asked} requests"]
        for team in (self.mixed, self.alone):
            figures = ", ".join(f"p{share * 100:g} {team.wait(share) * 1000:.0f} ms" for share in (0.5, 0.9, 0.99))
            lines.append(
                f"{team.name}: first byte {figures}; {sum(team.failures.values())} failed {dict(team.failures)}, "
                f"{team.lost} cut with the gateway that was killed"
            )
        lines.append(f"p99 with trouble / without: {self.ratio:.2f}")
        lines.append(f"healthy accounts differ by {self.imbalance:.1%} in requests served")
        lines.append(f"slots held at the end: {self.held}")
        lines += [f"  {name:<12} served {count:>6}  {self.statuses[name]}" for name, count in self.served.items()]
        return "\n".join(lines)


class Simulation:
    def __init__(self, plant: Plant, source: Upstream, minutes: float, rate: float, seed: int) -> None:
        self._plant = plant
        self._source = source
        self._seconds = minutes * 60
        self._rate = rate
        self._dice = random.Random(seed)
        self._killed_at = 0.0
        self._began = 0.0
        self._teams = (Team("with trouble"), Team("healthy only"))

    async def run(self) -> Report:
        for team in self._teams:
            await self._found(team)
        await asyncio.sleep(2.5)  # the gateways read the configuration
        self._began = time.monotonic()
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        async with httpx.AsyncClient(timeout=60, limits=limits, trust_env=False) as http, asyncio.TaskGroup() as tasks:
            for team in self._teams:
                tasks.create_task(self._traffic(team, http, random.Random(self._dice.random())))
            tasks.create_task(self._kill(self._plant.gateways[0]))
        await until(lambda: not self._plant.unsettled(), 60, "requests are not settled")
        mixed, alone = self._teams
        served = {name: self._source.served[key] for key, name in mixed.accounts.items()}
        statuses = {name: dict(self._source.statuses[key]) for key, name in mixed.accounts.items()}
        return Report(self._seconds / 60, mixed, alone, served, statuses, self._plant.held())

    async def _found(self, team: Team) -> None:
        site = self._plant.site
        names = [f"healthy {number}" for number in range(HEALTHY)]
        if team is self._teams[0]:
            names += TROUBLED
        async with site.sessions.begin() as session:
            tenant = (await tenants.create(session, {"name": team.name})).id
        for name in names:
            key = f"sk-{team.name}-{name}".replace(" ", "-")
            team.accounts[key] = name
            values: dict[str, Any] = {"name": name, "base_url": self._source.url, "max_concurrency": 20}
            if name == "dead proxy":
                values["proxy_id"] = await self._dead_proxy(tenant)
            kind = name.split()[0]
            self._source.join(key, kind if kind in ("slow", "limited", "flapping", "revoked") else "healthy")
            await site.account("claude-console", secret=key, tenant_id=tenant, **values)
        team.keys = [await site.key(tenant_id=tenant) for _ in range(KEYS)]

    async def _dead_proxy(self, tenant: str) -> str:
        sealer = Sealer(self._plant.site.settings.master_key_bytes)
        async with self._plant.site.sessions.begin() as session:
            # Nobody listens on the discard port of this machine.
            return (await proxies.create(session, sealer, tenant, {"name": "dead", "url": "http://127.0.0.1:9"})).id

    # ------------------------------------------------------------ the traffic

    async def _traffic(self, team: Team, http: httpx.AsyncClient, dice: random.Random) -> None:
        """Arrivals are random; their rate swings by a half around the mean, as a working day's does."""
        async with asyncio.TaskGroup() as tasks:
            while (now := time.monotonic() - self._began) < self._seconds:
                rate = self._rate * (1 + 0.5 * math.sin(now / 60))
                await asyncio.sleep(dice.expovariate(rate))
                tasks.create_task(self._ask(team, http, *self._who(team, dice)))

    def _who(self, team: Team, dice: random.Random) -> tuple[str, str]:
        """A key, and the session of a conversation or none."""
        if dice.random() >= IN_SESSIONS:
            return dice.choice(team.keys), ""
        if len(team.sessions) < 20:
            team.sessions.append((dice.choice(team.keys), f"{dice.getrandbits(64):x}", TURNS))
        key, session, left = team.sessions.popleft()
        if left > 1:
            team.sessions.append((key, session, left - 1))
        return key, session

    async def _ask(self, team: Team, http: httpx.AsyncClient, key: str, session: str) -> None:
        team.asked += 1
        gateway = self._plant.gateways[team.asked % len(self._plant.gateways)]
        headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
        if session:
            headers["x-claude-code-session-id"] = session
        began = time.monotonic()
        try:
            async with http.stream("POST", f"{gateway.url}/v1/messages", json=BODY, headers=headers) as answer:
                first, text = 0.0, b""
                async for chunk in answer.aiter_raw():
                    first = first or time.monotonic() - began
                    text += chunk
        except _BREAKS as error:
            if self._killed_at and began <= self._killed_at + 2 and gateway is self._plant.gateways[0]:
                team.lost += 1
            else:
                team.failures[type(error).__name__] += 1
            return
        if answer.status_code != 200 or b"message_stop" not in text:
            team.failures[f"{answer.status_code} {text[-200:]!r}"] += 1
        elif began - self._began > self._seconds * WARM_UP and not self._started_again(gateway, began):
            team.waits.append(first)

    def _started_again(self, gateway: Process, began: float) -> bool:
        """It waited in the socket of a gateway that was starting: nothing that choosing could help."""
        return gateway is self._plant.gateways[0] and 0 <= began - self._killed_at < 5

    async def _kill(self, gateway: Process) -> None:
        await asyncio.sleep(self._seconds * 0.6)
        self._killed_at = time.monotonic()
        gateway.kill()
        await asyncio.sleep(0.5)
        gateway.start()
        with suppress(AssertionError):
            await self._plant.answers(gateway)


async def simulate(minutes: float = 60, rate: float = 10, seed: int = 1) -> Report:
    async with upstream(seed) as source, works(gateways=2) as plant:
        return await Simulation(plant, source, minutes, rate, seed).run()


if __name__ == "__main__":
    import uvloop

    given = [float(value) for value in sys.argv[1:]]
    print(uvloop.run(simulate(*given)))
