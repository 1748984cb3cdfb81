"""The rate that four gateways enforce while Redis is lost, or comes and goes: nearly the limit. An installation of its
own: two on one Redis would do each other's work."""

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest_asyncio
from structlog.testing import capture_logs

from tests.failures.proxy import Proxy, proxied
from tests.failures.requests import body
from tests.support.installation import Site, installation


@pytest_asyncio.fixture(loop_scope="session")
async def wire(clean_redis: str) -> AsyncGenerator[tuple[Proxy, str]]:
    async with proxied(clean_redis) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def four(database_url: str, wire: tuple[Proxy, str]) -> AsyncGenerator[Site]:
    async with installation(database_url, wire[1]) as made:
        for _ in range(3):
            await made.start_gateway()
        await made.account("claude-console")
        yield made


class Load:
    """Requests at an even pace, of four gateways in turn. `passed`: when those began that were let in."""

    def __init__(self, site: Site, key: str) -> None:
        self.site, self.key = site, key
        self.passed: list[float] = []
        self.codes: set[int] = set()

    async def _ask(self, number: int) -> None:
        url = self.site.gateways[number % len(self.site.gateways)].url
        began = time.monotonic()
        answer = await self.site.http.post(f"{url}/v1/messages", headers={"x-api-key": self.key}, json=body())
        self.codes.add(answer.status_code)
        if answer.status_code == 200:
            self.passed.append(began)

    async def run(self, rate: int, seconds: float) -> None:
        # Nothing is written: four gateways and the jobs complain in this one process, whose time that would take.
        with capture_logs():
            began = time.monotonic()
            async with asyncio.TaskGroup() as tasks:
                for number in range(int(rate * seconds)):
                    await asyncio.sleep(began + number / rate - time.monotonic())
                    tasks.create_task(self._ask(number))


async def test_the_rate_that_is_enforced_without_redis_is_nearly_the_limit(four: Site, wire: tuple[Proxy, str]):
    """Three times as much is asked as is allowed."""
    most, length = 100, 5.0
    load = Load(four, await four.key(limits=[{"type": "requests", "per": {"rolling": "5s"}, "max": most}]))
    await load.run(60, 6)
    wire[0].cut()
    lost = time.monotonic()
    await load.run(60, 10)
    assert load.codes == {200, 429}
    starts = [lost + 0.5 + step * 0.5 for step in range(9)]
    counts = [sum(start <= one < start + length for one in load.passed) for start in starts]
    assert 0.9 * most <= min(counts), counts
    assert max(counts) <= 1.1 * most, counts


async def test_the_rate_that_is_enforced_while_redis_flaps_is_nearly_the_limit(four: Site, wire: tuple[Proxy, str]):
    """What was admitted without Redis is known to it a moment after it is back."""
    proxy, most = wire[0], 600
    load = Load(four, await four.key(limits=[{"type": "requests", "per": "minute", "max": most}]))

    async def flap() -> None:
        await asyncio.sleep(3)
        for _ in range(4):
            proxy.cut()
            await asyncio.sleep(1)
            proxy.mend()
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(flap())
        tasks.create_task(load.run(40, 25))
    assert load.codes == {200, 429}
    assert 0.9 * most <= len(load.passed) <= 1.1 * most, len(load.passed)
