"""PostgreSQL away: known keys go on, unknown ones are refused with 503, rows wait; with Redis away too, for
POOLGATE_STALE_MAX, nothing goes on. All comes back by itself."""

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from gateway.core.keys import new_key
from tests.failures.proxy import Proxy, proxied
from tests.failures.requests import ledger_has, post, reasons
from tests.support.installation import Site, installation
from tests.support.processes import until


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def wires(database_url: str, redis_url: str) -> AsyncGenerator[tuple[Proxy, Proxy, Site]]:
    async with (
        proxied(database_url) as (database, through),
        proxied(redis_url) as (cache, through_redis),
        installation(through, through_redis, environ={"POOLGATE_STALE_MAX": "2"}) as site,
    ):
        await site.account("claude-console")
        yield database, cache, site


async def well(site: Site) -> bool:
    return await reasons(site) == (200, "") and site.gate.settler.live


async def restart_jobs(site: Site) -> None:
    """`poolgate jobs` leads again by itself; in this loop it is the test that does."""
    await site.stop_jobs()
    await site.start_jobs()


async def test_known_keys_go_on_and_unknown_ones_wait(wires: tuple[Proxy, Proxy, Site]):
    database, _, site = wires
    known, unknown = await site.key(), await site.key()
    ids = [(await post(site, known)).headers["x-request-id"]]
    await ledger_has(site, ids)
    database.cut()
    for _ in range(5):
        answer = await post(site, known)
        assert answer.status_code == 200, answer.text
        ids.append(answer.headers["x-request-id"])
    answer = await post(site, unknown)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1
    assert unknown not in answer.text
    assert (await reasons(site))[0] == 200

    async def says_so() -> bool:
        status, why = await reasons(site)
        return status == 200 and "PostgreSQL" in why

    await until(says_so, 9, "/readyz does not say so")
    assert (await post(site, known)).status_code == 200, "longer than POOLGATE_STALE_MAX, but Redis is there"
    assert site.gate.journal.waiting >= 5
    database.mend()
    await restart_jobs(site)
    await until(lambda: well(site), 10)
    assert (await post(site, unknown)).status_code == 200
    await ledger_has(site, ids)


async def test_with_neither_nothing_goes_on_until_one_is_back(wires: tuple[Proxy, Proxy, Site]):
    database, cache, site = wires
    key = await site.key()
    assert (await post(site, key)).status_code == 200
    database.cut()
    cache.cut()
    assert (await post(site, key)).status_code == 200, "not at once"

    async def refused() -> bool:
        answer = await post(site, key)
        return answer.status_code == 503 and answer.json()["error"]["code"] == "overloaded"

    await until(refused, 6)
    assert (await reasons(site))[0] == 503
    cache.mend()

    async def served() -> bool:
        return (await post(site, key)).status_code == 200

    await until(served, 6, "Redis alone is enough")
    database.mend()
    await restart_jobs(site)
    await until(lambda: well(site), 10)


async def test_a_hanging_postgres_holds_nobody(wires: tuple[Proxy, Proxy, Site]):
    """Connected, and silent: known keys do not notice, unknown ones hear 503 within the statement's limit."""
    database, _, site = wires
    known, unknown = await site.key(), await site.key()
    assert (await post(site, known)).status_code == 200
    database.delay = 3600
    async with asyncio.timeout(1):
        assert (await post(site, known)).status_code == 200
    asking = asyncio.get_running_loop().create_task(post(site, unknown))
    await asyncio.sleep(0.5)
    async with asyncio.timeout(1):
        assert (await post(site, known)).status_code == 200
    async with asyncio.timeout(20):
        assert (await asking).status_code == 503
    database.cut()
    database.mend()
    await restart_jobs(site)
    await until(lambda: well(site), 10)
    assert (await post(site, unknown)).status_code == 200


@pytest.mark.parametrize("hangs", [True, False])
async def test_usage_is_not_waited_for(wires: tuple[Proxy, Proxy, Site], hangs: bool):
    database, _, site = wires
    headers = {"x-api-key": await site.key()}
    assert (await site.http.get("/v1/usage", headers=headers)).status_code == 200
    if hangs:
        database.delay = 3600
    else:
        database.cut()
    for _ in range(3):
        began = time.monotonic()
        answer = await site.http.get("/v1/usage", headers=headers)
        assert time.monotonic() - began < 1.5
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
        assert answer.headers["retry-after"] == "1"
    assert (await site.http.get("/v1/key", headers=headers)).status_code == 200, "it needs Redis alone"
    database.cut()
    database.mend()
    await restart_jobs(site)
    await until(lambda: well(site), 10)
    assert (await site.http.get("/v1/usage", headers=headers)).status_code == 200


async def test_a_key_that_nobody_has_is_still_unknown(wires: tuple[Proxy, Proxy, Site]):
    _, _, site = wires
    assert (await post(site, new_key())).status_code == 401
